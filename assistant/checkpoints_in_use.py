"""Which checkpoint a call uses: what staff allow, what is ready here, and what the chat or the call asks for."""

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from assistant.models import Conversation, ModelSwitch
from assistant.tools.base import NOT_CONFIGURED, Declined
from inference import checkpoints
from inference.checkpoints import Checkpoint

NONE_READY = "{what} is {not_configured}. Its models, and how each is configured, are on the page Models."
OFF = "{name} has been switched off here. Choose another model, or ask whoever runs this Lightbox."
WRONG_ROLE = "{key} cannot do this ({role}). Those that can: {can}."


def catalogue() -> dict[str, Checkpoint]:
    """LIGHTBOX_CLASSIFY, the bundled checkpoints, those of LIGHTBOX_CATALOGUE. Raises Unavailable."""
    return checkpoints.load_catalogue(*map(Path, settings.CATALOGUES), classifier=settings.CLASSIFY_MODEL)


def why_not(found: Checkpoint) -> str:
    """Nothing when it can be used now, else one line with what to do."""
    switch = ModelSwitch.objects.filter(key=found.key).first()
    if switch and not switch.on:
        return OFF.format(name=found.name)
    return checkpoints.why_not(found, settings.MODELS_DIR, settings.ENVIRONMENTS_DIR)


def usable(role: str) -> Iterator[Checkpoint]:
    """Those that can do it now, baselines last."""
    return (found for found in checkpoints.with_role(role, catalogue().values()) if not why_not(found))


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
