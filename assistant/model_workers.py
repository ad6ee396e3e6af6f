"""The workers of models: which there are on this machine, how each starts, and what it is told (docs/workers.md)."""

import sys

from django.conf import settings

from assistant.supervisor import models_argv
from inference import environments

MODELS = "models"
SECRETS = frozenset(
    {
        *("SECRET_KEY", "DATABASE_URL", "LIGHTBOX_DATA"),
        *("LIGHTBOX_CHAT_API_KEY", "LIGHTBOX_SERVER_KEYS", "LIGHTBOX_INDEX_TOKEN"),
    }
)


def worker_name(environment: str) -> str:
    return MODELS if environment == "main" else f"{MODELS}-{environment}"


def model_workers() -> dict[str, list[str]]:
    """Start lines of the workers of models: of this environment, and of each further one that has been built."""
    lines = {MODELS: models_argv("main", sys.executable)}
    for name in environments.built(settings.ENVIRONMENTS_DIR):
        python = str(environments.python_of(settings.ENVIRONMENTS_DIR, name))
        lines[worker_name(name)] = models_argv(name, python)
    return lines


def model_env(env: dict[str, str]) -> dict[str, str]:
    """What a worker of models is told: the broker, where files and weights are, and no secret of the application."""
    kept = {name: value for name, value in env.items() if name not in SECRETS and not name.startswith("DJANGO")}
    return kept | {
        "LIGHTBOX_EXCHANGE": str(settings.EXCHANGE_DIR),
        "LIGHTBOX_EXCHANGE_KEY": settings.EXCHANGE_KEY,
        "LIGHTBOX_MODELS": str(settings.MODELS_DIR),
        "LIGHTBOX_CATALOGUE": ",".join(settings.CATALOGUES),
        "LIGHTBOX_TOOL_TIMEOUT": str(settings.TOOL_TIMEOUT),
        "REDIS_URL": env.get("REDIS_URL", settings.REDIS_URL),
        "HF_HUB_OFFLINE": "1",
    }
