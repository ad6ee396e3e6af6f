"""manage.py token [USER]: prints a new API token."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from assistant.access import LOCAL_USER, api_token


class Command(BaseCommand):
    help = "Print a new API token for a user (the local user, made when absent, unless one is named)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", nargs="?", default=LOCAL_USER)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(api_token(options["user"]))
        except User.DoesNotExist as error:
            raise CommandError(f"There is no user {options['user']!r}.") from error
