"""The app's name and where its rows get their keys."""

from django.apps import AppConfig


class CorpusConfig(AppConfig):
    """The literature."""

    name = "corpus"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Literature"
