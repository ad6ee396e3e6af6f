"""The chat models that a person may choose: the guide, and those of the servers in the settings that staff allow.

A model that several servers serve is one choice. Loads no model.
"""

from collections.abc import Iterable
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


GUIDED = Choice(GUIDE, "Guide")


def _setting(server: Server) -> ChatSetting:
    return ChatSetting(server.kind, server.base_url, server.model)


def choices() -> list[Choice]:
    """Those that staff allow, the default first, the guide among them. Raises ImproperlyConfigured."""
    served = _served()
    off = set(checkpoints_in_use.models_switched_off(choice.label for choice in served))
    found = [choice for choice in served if choice.label not in off]
    return [GUIDED, *found] if settings.CHAT_MODEL == GUIDE else [*found, GUIDED]


def _served() -> list[Choice]:
    """Those of the settings, whether staff allow them or not."""
    models: dict[str, list[Server]] = {}
    for server in model_servers.chat_servers():
        models.setdefault(server.model, []).append(server)
    return [Choice(str(servers[0]), model, tuple(servers)) for model, servers in models.items()]


def default() -> Choice:
    """The model of a chat for which nobody has chosen one."""
    return choices()[0]


def find(value: str) -> Choice | None:
    """The choice that a chat has kept; None when it is not served or not allowed any more. "" is the default.

    A model counts as the same on whatever servers it is now, and may be named without a server.
    """
    return _named(value, choices()) if value else default()


def serving(value: str) -> Choice | None:
    """What serves the model that a run has kept, whether or not staff still allow it to others; None when nothing."""
    return _named(value, [GUIDED, *_served()])


def _named(value: str, found: Iterable[Choice]) -> Choice | None:
    model = value.partition("#")[2] or value
    wanted = GUIDED.label if value == GUIDE else model
    return next((one for one in found if bool(one.servers) == (value != GUIDE) and one.label == wanted), None)


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
    line = OFF if serving(value) else GONE
    return now, line.format(label=value.partition("#")[2][:120] or value[:120], now=now.label)


def pool(value: str) -> list[Server]:
    """The servers to ask for a run that keeps this value, in the order of the settings."""
    found = serving(value)
    return list(found.servers) if found else model_servers.parsed(value)


def health() -> list[dict[str, Any]]:
    """How each server is doing, asked now (`inference.server_health`): in an agent worker, whose breakers count."""
    from inference.server_health import look

    return [found.as_dict() for found in look(model_servers.all_servers())]


def asked_health() -> list[dict[str, Any]]:
    """The same, by way of an agent worker. Raises Unavailable."""
    found: list[dict[str, Any]] = client.ask("assistant.server_health", [], "agent", PATIENCE, "The agent worker")
    return found
