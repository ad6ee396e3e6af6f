"""manage.py adduser NAME: an account for LIGHTBOX_MULTI_USER=1."""

import getpass
import sys
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Add an account. The password is asked for, or read as a line from standard input when that is no terminal."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--staff", action="store_true", help="may switch models and tools, not read others' chats")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User(username=options["name"], is_staff=options["staff"])
        password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        try:
            user.set_password(password)
            user.full_clean()
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        user.save()
        self.stdout.write(f"Added {user.username}.")
