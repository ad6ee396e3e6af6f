"""Loads the bundled literature and indexes it. Does nothing, quickly, when nothing has changed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from corpus import network
from corpus.reload import reload
from inference.errors import InferenceError


class Command(BaseCommand):
    help = "Load the bundled literature and build its search index, where either is absent or out of date."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rebuild", action="store_true", help="build the index even when it is up to date")

        parser.add_argument(
            "--save-vectors", action="store_true", help="write corpus/data/vectors.npz, for maintainers"
        )

    def handle(self, *args: Any, rebuild: bool, save_vectors: bool, **options: Any) -> None:
        try:
            reload(self.stdout.write, _bar, rebuild=rebuild, save_vectors=save_vectors)
            network.link_annotations()  # writes nothing when the annotations name what they named before
        except (InferenceError, ValueError) as error:
            raise CommandError(str(error)) from error


def _bar(items: Iterable[Any], what: str) -> Iterable[Any]:
    from tqdm import tqdm

    bar: Iterable[Any] = tqdm(items, desc=what, file=sys.stderr, leave=False)
    return bar
