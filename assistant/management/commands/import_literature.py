"""Imports a file into a user's library in the foreground: the same steps as on the page, with progress."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from assistant import imports
from corpus.imports import formats, report, work
from corpus.imports.shelve import REFUSED
from corpus.models import Import


class Command(BaseCommand):
    help = "Import BibTeX, RIS, CSL-JSON, Zotero RDF, a reading list in Markdown, or a list of DOIs and arXiv ids."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the file, or - for what is piped in")
        parser.add_argument("--user", required=True, metavar="NAME", help="whose library; `local` on a laptop")
        parser.add_argument("--share", action="store_true", help="into everyone's literature; the user must be staff")
        parser.add_argument("--format", default="", choices=["", *formats.PARSERS], help="where it is not recognised")
        parser.add_argument("--report", type=Path, metavar="FILE", help="write the report there, as Markdown")

    def handle(self, *args: Any, file: Path, user: str, share: bool, format: str, **options: Any) -> None:
        row = self._begun(file, user, share, format)
        imports.carry_out(row.pk, float("inf"), self._say)
        row.refresh_from_db()
        for line in row.report:
            if line["outcome"] in (REFUSED, report.NOTED):
                self.stdout.write(f"line {line['line']}: {line['what']}: {line['reason']}")
        if options["report"]:
            options["report"].write_text(report.as_markdown(row), encoding="utf-8")
        if row.state != Import.DONE:
            raise CommandError(row.line)
        self.stdout.write(row.line)

    def _begun(self, file: Path, name: str, share: bool, form: str) -> Import:
        users = get_user_model()
        try:
            owner = users.objects.get(username=name)
            data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
            return work.submit(owner, data, file.name, form, shared=share, enqueue=False)
        except users.DoesNotExist as error:
            raise CommandError(f"There is no user {name}.") from error
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error}") from error
        except work.Refusal as error:
            raise CommandError(str(error)) from error

    def _say(self, row: Import) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r{row.line}", ending="")
