"""The chat models that a person may choose: the guide, and those of the servers in the settings that staff allow.

A model that several servers serve is one choice. Loads no model.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from assistant import checkpoints_in_use, model_servers
from assistant.chat_setting import ChatSetting
from assistant.model_servers import GUIDE
from corpus import client
from inference.errors import BadInput
from inference.servers import Server

PATIENCE = 8.0  # seconds that a page waits for the agent worker to have looked at the servers
NOT_SERVED = "{value} is no chat model of this Lightbox. Choose one of: {names}."
GONE = "{label} is no longer served here, so {now} answers."
OFF = "{label} has been switched off here, so {now} answers."


@dataclass(frozen=True, slots=True)
class Choice:
    """A chat model. `value` is how runs keep it, `name` how chats and forms do, which tells nobody its address. Without
    servers it is the guide."""

    value: str
    label: str
    servers: tuple[Server, ...] = ()

    @property
    def name(self) -> str:
        return self.label if self.servers else GUIDE

    @property
    def kind(self) -> str:
        return "openai" if self.servers else GUIDE

    @property
    def is_local(self) -> bool:
        """True when what is typed stays on this machine, whichever server is asked."""
        return all(_setting(server).is_local for server in self.servers)

    @property
    def where(self) -> str:
        places = list(dict.fromkeys(_setting(server).where for server in self.servers))
        return " or ".join(places) if places else "on this machine"


def _setting(server: Server) -> ChatSetting:
    return ChatSetting(server.kind, server.base_url, server.model)


def choices() -> list[Choice]:
    """The default first, the guide among them. Raises ImproperlyConfigured."""
    models: dict[str, list[Server]] = {}
    for server in model_servers.chat_servers():
        models.setdefault(server.model, []).append(server)
    for model in checkpoints_in_use.models_switched_off(models):
        del models[model]
    found = [Choice(str(servers[0]), model, tuple(servers)) for model, servers in models.items()]
    guide = Choice(GUIDE, "Guide")
    return [guide, *found] if settings.CHAT_MODEL == GUIDE else [*found, guide]


def default() -> Choice:
    """The model of a chat for which nobody has chosen one."""
    return choices()[0]


def find(value: str) -> Choice | None:
    """The choice that a chat or a run has kept; None when it is not served any more. "" is the default.

    A model counts as the same on whatever servers it is now, and may be named without a server.
    """
    if not value:
        return default()
    if value == GUIDE:
        return next(choice for choice in choices() if not choice.servers)
    model = value.partition("#")[2] or value
    return next((choice for choice in choices() if choice.servers and choice.label == model), None)


def kept(value: str) -> str:
    """How a chat keeps this choice: "" for the default, so that it follows the settings. Raises BadInput."""
    found = find(value)
    if found is None:
        raise BadInput(NOT_SERVED.format(value=value[:120], names=", ".join(choice.name for choice in choices())))
    return "" if found == default() else found.name


def chosen(value: str) -> tuple[Choice, str]:
    """The model that answers a chat with this choice, and a line for the reader when it is not the one chosen."""
    found = find(value)
    if found is not None:
        return found, ""
    now = default()
    model = value.partition("#")[2] or value
    line = OFF if any(server.model == model for server in model_servers.chat_servers()) else GONE
    return now, line.format(label=model[:120], now=now.label)


def pool(value: str) -> list[Server]:
    """The servers to ask for a run that keeps this value, in the order of the settings."""
    found = find(value)
    return list(found.servers) if found else model_servers.parsed(value)


def health() -> list[dict[str, Any]]:
    """How each server is doing, asked now (`inference.server_health`): in an agent worker, whose breakers count."""
    from inference.server_health import look

    return [found.as_dict() for found in look(model_servers.all_servers())]


def asked_health() -> list[dict[str, Any]]:
    """The same, by way of an agent worker. Raises Unavailable."""
    found: list[dict[str, Any]] = client.ask("assistant.server_health", [], "agent", PATIENCE, "The agent worker")
    return found
