"""The chat model of a run, built in a worker. Everything speaks LangChain's `BaseChatModel`."""

from functools import cache

import httpx
from django.conf import settings
from langchain_core.language_models import BaseChatModel

from assistant import served
from assistant.chat_setting import ChatSetting

TIMEOUT = httpx.Timeout(120.0, connect=5.0)  # seconds; between two tokens, not for the whole answer


@cache
def chat_model(setting: str) -> BaseChatModel:
    """The guide, or a served model on whichever of its servers is least busy when it is asked (`inference.routing`).

    Raises ImproperlyConfigured for a setting that is not understood. Nothing is contacted yet.
    """
    chosen = ChatSetting.parse(setting)
    if chosen.kind == "guide":
        from inference.guide import Guide
        from inference.local_embedder import open_embedder

        return Guide(embedder=open_embedder(settings.EMBEDDER, threads=1))
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    from inference.routing import ROUTED, Routed

    # No proxy from the environment and no redirect: what is said of a patient goes to this server and nowhere else.
    transport = Routed(lambda: served.pool(setting))
    client = httpx.Client(transport=transport, base_url=ROUTED, timeout=TIMEOUT, trust_env=False)
    return ChatOpenAI(
        http_client=client,
        openai_proxy="",
        base_url=ROUTED,
        model=chosen.model,
        api_key=SecretStr("the transport gives each server its own"),
        timeout=TIMEOUT,
        max_retries=0,  # the transport tries again, and knows when not to
        streaming=True,
        stream_usage=True,
    )
