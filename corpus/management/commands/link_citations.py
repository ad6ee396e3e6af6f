"""Links papers that cite or name one another: from annotations, and on request by asking OpenAlex and Crossref."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from corpus.models import Paper
from corpus.network import link_annotations, link_references
from inference.errors import InferenceError


class Command(BaseCommand):
    help = "Link papers whose annotations name one another; with --network, ask OpenAlex and Crossref for references."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--network", action="store_true", help="ask OpenAlex, then Crossref, by DOI")
        parser.add_argument("--library", metavar="USER", help="with --network: the papers of this user, not everyone's")

    def handle(self, *args: Any, network: bool, library: str | None, **options: Any) -> None:
        changed = link_annotations()
        self.stdout.write(f"annotations: {changed} links written" if changed else "annotations: unchanged")
        if network:
            self._ask(_owner(library))

    def _ask(self, owner: int | None) -> None:
        try:
            asked = link_references(owner, _bar)
        except InferenceError as error:
            raise CommandError(str(error)) from error
        what = f"{asked.references} of {asked.papers} papers with a DOI, {asked.linked} of them in the collection"
        self.stdout.write(f"references: {what}")


def _owner(name: str | None) -> int | None:
    if name is None:
        return None
    found = get_user_model().objects.filter(username=name).values_list("pk", flat=True).first()
    if found is None:
        raise CommandError(f"There is no user named {name}.")
    return int(found)


def _bar(papers: Iterable[Paper]) -> Iterable[Paper]:
    from tqdm import tqdm

    bar: Iterable[Paper] = tqdm(papers, desc="references", file=sys.stderr, leave=False)
    return bar
