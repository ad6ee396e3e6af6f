"""The chat model that LIGHTBOX_CHAT names, built in a worker. Everything speaks LangChain's `BaseChatModel`."""

from functools import cache

import httpx
from django.conf import settings
from langchain_core.language_models import BaseChatModel

from assistant.chat_setting import ChatSetting

TIMEOUT = httpx.Timeout(120.0, connect=5.0)  # seconds; between two tokens, not for the whole answer


@cache
def chat_model(setting: str) -> BaseChatModel:
    """Raises ImproperlyConfigured for a setting that is not understood. Nothing is contacted yet."""
    chosen = ChatSetting.parse(setting)
    if chosen.kind == "guide":
        from inference.guide import Guide
        from inference.local_embedder import open_embedder

        return Guide(embedder=open_embedder(settings.EMBEDDER, threads=1))
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    # No proxy from the environment and no redirect: what is said of a patient goes to this server and nowhere else.
    client = httpx.Client(base_url=chosen.base_url, timeout=TIMEOUT, trust_env=False)
    return ChatOpenAI(
        http_client=client,
        openai_proxy="",
        base_url=chosen.base_url,
        model=chosen.model,
        api_key=SecretStr(settings.CHAT_API_KEY or "none"),
        timeout=TIMEOUT,
        max_retries=1,
        streaming=True,
    )
