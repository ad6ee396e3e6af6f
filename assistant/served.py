"""The chat models that a person may choose: the guide, and those of the servers in the settings. Loads no model.

LIGHTBOX_CHAT names the default, LIGHTBOX_SERVERS more servers; several may serve the same model, which is then one
choice. A server of LIGHTBOX_VQA alone is asked about images and gets no chat.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from assistant.chat_setting import ChatSetting
from corpus import client
from inference.errors import BadInput
from inference.servers import Server, parse_list

GUIDE = "guide"
DEFAULT_SIDE = 1024  # pixels
PATIENCE = 8.0  # seconds that a page waits for the agent worker to have looked at the servers
NOT_SERVED = "{value} is no chat model of this Lightbox. Choose one of: {names}."
GONE = "{label} is no longer served here, so {now} answers."


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


def chat_servers() -> list[Server]:
    """Those that may be asked to chat, the default's first. Raises ImproperlyConfigured."""
    return _servers(*([] if settings.CHAT_MODEL == GUIDE else [settings.CHAT_MODEL]), settings.SERVERS)


def all_servers() -> list[Server]:
    """Those of the chat, and that of LIGHTBOX_VQA. Raises ImproperlyConfigured."""
    return list(dict.fromkeys([*chat_servers(), *_servers(settings.VQA_MODEL)]))


def _servers(*lists: str) -> list[Server]:
    keys = _keys()
    try:
        found = dict.fromkeys(server for text in lists for server in parse_list(text))
    except BadInput as error:
        raise ImproperlyConfigured(
            f"LIGHTBOX_CHAT (guide is the default), LIGHTBOX_SERVERS or LIGHTBOX_VQA: {error}"
        ) from error
    return [Server(s.base_url, s.model, s.kind, keys.get(s.base_url, "")) for s in found]


def _keys() -> dict[str, str]:
    """The key of each address: LIGHTBOX_CHAT_API_KEY goes to the server of LIGHTBOX_CHAT and to no other."""
    pairs = (part.strip().rpartition("=") for part in settings.SERVER_KEYS.split(",") if part.strip())
    keys = {address.rstrip("/"): key for address, _, key in pairs}
    if settings.CHAT_MODEL != GUIDE and settings.CHAT_API_KEY:
        keys.setdefault(ChatSetting.parse(settings.CHAT_MODEL).base_url.rstrip("/"), settings.CHAT_API_KEY)
    return keys


def choices() -> list[Choice]:
    """The default first, the guide among them. Raises ImproperlyConfigured."""
    models: dict[str, list[Server]] = {}
    for server in chat_servers():
        models.setdefault(server.model, []).append(server)
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
    return now, GONE.format(label=value.partition("#")[2][:120] or value[:120], now=now.label)


def pool(value: str) -> list[Server]:
    """The servers to ask for a run that keeps this value, in the order of the settings."""
    found = find(value)
    return list(found.servers) if found else _servers(value)


def seeing_pool() -> list[Server]:
    """The servers to ask about images: that of LIGHTBOX_VQA, and others of the same model."""
    first = _servers(settings.VQA_MODEL)
    return [*first, *(s for s in all_servers() if s.model == first[0].model and s not in first)] if first else []


def longest_side(value: str) -> int:
    """Pixels that a picture for this model may have along its longer side. Raises ImproperlyConfigured."""
    model = value.partition("#")[2] or value
    limits = dict(_limit(part) for part in settings.PICTURE_PIXELS.split(",") if part.strip())
    return limits.get(model, limits.get("", DEFAULT_SIDE))


def _limit(text: str) -> tuple[str, int]:
    model, _, pixels = text.strip().rpartition("=")
    if not (pixels.isascii() and pixels.isdecimal() and 64 <= int(pixels) <= 8192):
        raise ImproperlyConfigured(
            f"LIGHTBOX_PICTURE_PIXELS={text!r} is not understood: write pixels from 64 to 8192, or <model>=<pixels>."
        )
    return model, int(pixels)


def health() -> list[dict[str, Any]]:
    """How each server is doing, asked now (`inference.server_health`): in an agent worker, whose breakers count."""
    from inference.server_health import look

    return [found.as_dict() for found in look(all_servers())]


def asked_health() -> list[dict[str, Any]]:
    """The same, by way of an agent worker. Raises Unavailable."""
    found: list[dict[str, Any]] = client.ask("assistant.server_health", [], "agent", PATIENCE, "The agent worker")
    return found
