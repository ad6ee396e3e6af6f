"""Which checkpoint a call uses: what staff allow, what is ready here, and what the chat or the call asks for."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from django.conf import settings

from assistant import model_servers
from assistant.models import Conversation, ModelSwitch
from assistant.tools.base import NOT_CONFIGURED, Declined
from inference import checkpoints, serving
from inference.checkpoints import Checkpoint
from inference.servers import Server

NONE_READY = "{what} is {not_configured}. Its models, and how each is configured, are on the page Models."
OFF = "{name} has been switched off here. Choose another model, or ask whoever runs this Lightbox."
NOT_SERVED = "No server is configured for it: manage.py models serve {key}, then LIGHTBOX_SERVERS={setting}"
WRONG_ROLE = "{key} cannot do this ({role}). Those that can: {can}."


def catalogue() -> dict[str, Checkpoint]:
    """What LIGHTBOX_CLASSIFY names, the bundled checkpoints, those of LIGHTBOX_CATALOGUE, and what is served here and
    described by none of them. The model of LIGHTBOX_VQA comes first. Raises Unavailable."""
    described = checkpoints.load_catalogue(*map(Path, settings.CATALOGUES), classifier=settings.CLASSIFY_MODEL)
    first, chats = model_servers.seeing(), {server.model for server in model_servers.chat_servers()}
    sees: dict[str, Checkpoint] = {}
    others: dict[str, Checkpoint] = {}
    for model in dict.fromkeys(server.model for server in model_servers.all_servers()):
        asked = first is not None and model == first.model
        found = next((one for one in described.values() if serving.is_model(one, model)), None)
        made = found or serving.of_server(model, chats=model in chats, sees=asked)
        (sees if asked else others)[made.key] = made
    return sees | described | others


def why_not(found: Checkpoint) -> str:
    """Nothing when it can be used now, else one line with what to do."""
    if ModelSwitch.objects.filter(key=found.key, on=False).exists():
        return OFF.format(name=found.name)
    return unready(found)


def switched_off() -> frozenset[str]:
    """Keys of those that staff do not allow."""
    return frozenset(ModelSwitch.objects.filter(on=False).values_list("key", flat=True))


def unready(found: Checkpoint) -> str:
    """The same, whether staff allow it or not."""
    if found.served:
        return "" if server_of(found) else NOT_SERVED.format(key=found.key, setting=serving.setting(found))
    return checkpoints.why_not(found, settings.MODELS_DIR, settings.ENVIRONMENTS_DIR)


def server_of(found: Checkpoint) -> Server | None:
    """The server of the settings that serves it. Whether that answers, the page of the servers says."""
    return next((server for server in model_servers.all_servers() if serving.is_model(found, server.model)), None)


def models_switched_off(models: Iterable[str]) -> list[str]:
    """Those of these served models that staff do not allow."""
    asked = list(models)
    off = switched_off() if asked else frozenset()
    found = [one for key, one in catalogue().items() if key in off and one.served] if off else []
    return [model for model in asked if any(serving.is_model(one, model) for one in found)]


def usable(role: str) -> Iterator[Checkpoint]:
    """Those that can do it now, baselines last."""
    off = switched_off()
    able = checkpoints.with_role(role, catalogue().values())
    return (found for found in able if found.key not in off and not unready(found))


def missing(role: str, what: str) -> str:
    """Nothing when some checkpoint can do it, else the line of a tool that is not configured."""
    if next(usable(role), None):
        return ""
    return NONE_READY.format(what=what, not_configured=NOT_CONFIGURED)


def choose(role: str, what: str, conversation: Conversation, key: str = "") -> Checkpoint:
    """The checkpoint for a call: the one it names, else the chat's choice for the role, else the first that is ready.

    Raises Declined with what to do.
    """
    if key := key or conversation.checkpoints.get(role, ""):
        return _named(role, key)
    for found in usable(role):
        return found
    raise Declined(missing(role, what))


def _named(role: str, key: str) -> Checkpoint:
    able = [c.key for c in checkpoints.with_role(role, catalogue().values())]
    if key not in able:
        raise Declined(WRONG_ROLE.format(key=key, role=role, can=", ".join(able) or "none"))
    found = catalogue()[key]
    if line := why_not(found):
        raise Declined(line)
    return found
