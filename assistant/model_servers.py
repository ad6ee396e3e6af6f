"""The model servers of the settings, and which of them serve what. Loads no model, and asks nobody.

LIGHTBOX_CHAT names the server of the default chat model, LIGHTBOX_SERVERS more, LIGHTBOX_VQA one that is asked about
images and gets no chat. Several servers may serve the same model.
"""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from assistant.chat_setting import ChatSetting
from inference.errors import BadInput
from inference.servers import Server, parse_list

GUIDE = "guide"
DEFAULT_SIDE = 1024  # pixels


def chat_servers() -> list[Server]:
    """Those that may be asked to chat, the default's first. Raises ImproperlyConfigured."""
    return parsed(*([] if settings.CHAT_MODEL == GUIDE else [settings.CHAT_MODEL]), settings.SERVERS)


def all_servers() -> list[Server]:
    """Those of the chat, and that of LIGHTBOX_VQA. Raises ImproperlyConfigured."""
    return list(dict.fromkeys([*chat_servers(), *parsed(settings.VQA_MODEL)]))


def parsed(*lists: str) -> list[Server]:
    """The servers that these settings name, each with its key. Raises ImproperlyConfigured."""
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


def seeing() -> Server | None:
    """That of LIGHTBOX_VQA. Raises ImproperlyConfigured."""
    return next(iter(parsed(settings.VQA_MODEL)), None)


def of_model(model: str) -> list[Server]:
    """Those that serve it, in the order of the settings. Raises ImproperlyConfigured."""
    return [server for server in all_servers() if server.model == model]


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
