"""LIGHTBOX_CHAT, read without loading any model: web processes show it, workers build the model from it."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True)
class ChatSetting:
    """`guide`, or `openai:<base_url>#<model>`."""

    kind: str
    base_url: str = ""
    model: str = ""

    @classmethod
    def parse(cls, text: str) -> "ChatSetting":
        """Raises ImproperlyConfigured with the line that mends it."""
        if text == "guide":
            return cls("guide")
        kind, _, rest = text.partition(":")
        base_url, _, model = rest.partition("#")
        if kind != "openai" or not model or urlsplit(base_url).scheme not in ("http", "https"):
            raise ImproperlyConfigured(
                f"LIGHTBOX_CHAT={text!r} is not understood: write guide, or openai:<base_url>#<model>, "
                "such as openai:http://127.0.0.1:8001/v1#Qwen/Qwen3-VL-8B-Instruct"
            )
        return cls(kind, base_url, model)

    @property
    def label(self) -> str:
        return "Guide" if self.kind == "guide" else self.model

    @property
    def is_local(self) -> bool:
        """True when what is typed stays on this machine."""
        if self.kind == "guide":
            return True
        host = urlsplit(self.base_url).hostname or ""
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def where(self) -> str:
        return "on this machine" if self.is_local else f"at {urlsplit(self.base_url).hostname}"
