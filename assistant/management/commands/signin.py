"""manage.py signin: prints a new one-time sign-in link (single-user mode)."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from assistant.access import sign_in_link


class Command(BaseCommand):
    help = "Print a link that signs the local user in, once, within a day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--address", default="http://127.0.0.1:8000", help="where Lightbox answers")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.MULTI_USER:
            raise CommandError("LIGHTBOX_MULTI_USER=1: people sign in with their accounts.")
        self.stdout.write(sign_in_link(options["address"]))
