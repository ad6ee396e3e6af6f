from typing import Any

from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.signals import post_migrate


def _create_checkpoint_tables(using: str = DEFAULT_DB_ALIAS, **_: Any) -> None:
    if connections[using].vendor == "postgresql":
        from assistant.checkpoints import create_tables

        create_tables()


class AssistantConfig(AppConfig):
    name = "assistant"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_create_checkpoint_tables, sender=self)
