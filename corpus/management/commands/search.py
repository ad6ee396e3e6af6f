"""Searches the literature from the command line: for people, or JSON lines for evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from corpus.models import Paper
from corpus.results import SearchResult
from corpus.retrieve import search
from inference.errors import InferenceError


class Command(BaseCommand):
    help = "Search the literature. With --batch FILE --json: one {id, query} a line in, one JSON result a line out."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("query", nargs="?", help="what to look for")
        parser.add_argument("--limit", type=int, default=10, help="how many papers (default 10)")
        parser.add_argument("--json", action="store_true", help="one line of JSON per question")
        parser.add_argument("--batch", type=Path, metavar="FILE", help='a file with one {"id", "query"} a line')

    def handle(self, *args: Any, query: str | None, limit: int, json: bool, batch: Path | None, **options: Any) -> None:
        if (query is None) == (batch is None):
            raise CommandError('Give either a question or --batch FILE, as in: manage.py search "lung segmentation"')
        if limit < 1:
            raise CommandError("--limit must be at least 1.", returncode=2)
        try:
            if batch is not None:
                self._batch(_read(batch), limit)
            elif query is not None:
                self._one(query, limit, json)
        except InferenceError as error:
            raise CommandError(str(error)) from error

    def _batch(self, questions: list[tuple[Any, str]], limit: int) -> None:
        for name, query in questions:
            self.stdout.write(json.dumps({"id": name} | _contract(search(query, limit=limit)), ensure_ascii=False))

    def _one(self, query: str, limit: int, as_json: bool) -> None:
        result = search(query, limit=limit)
        if as_json:
            self.stdout.write(json.dumps({"query": query} | _contract(result), ensure_ascii=False))
            return
        if result.facets:
            self.stdout.write(f"read as: {json.dumps(result.facets)}")
        if not result.answerable:
            self.stdout.write(f"note: {result.reason}")
        papers = Paper.objects.in_bulk([hit.pk for hit in result.results])
        for hit in result.results:
            paper = papers[hit.pk]
            self.stdout.write(f"{hit.score:.3f}  {hit.key}  {paper.title} ({paper.year})")


def _contract(result: SearchResult) -> dict[str, Any]:
    """The shape that evaluation reads."""
    hits = [{"key": hit.key, "score": hit.score} for hit in result.results]
    return {"facets": result.facets, "answerable": result.answerable, "results": hits}


def _read(path: Path) -> list[tuple[Any, str]]:
    """The questions of a batch, all checked before the first is asked."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}", returncode=2) from error
    return [_question(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _question(path: Path, number: int, line: str) -> tuple[Any, str]:
    try:
        entry = json.loads(line)
        if isinstance(entry["query"], str) and isinstance(entry["id"], str | int):
            return entry["id"], entry["query"]
    except (json.JSONDecodeError, KeyError, TypeError):
        pass
    raise CommandError(
        f'{path}, line {number}: not a JSON object with an "id" and a "query" of text; nothing was searched.',
        returncode=2,
    )
