"""Measures the search on a file of judged questions: per kind and per stage, with intervals, and what it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from corpus.evaluation import Report, evaluate, read_questions
from inference.errors import InferenceError


class Command(BaseCommand):
    help = "Measure the search on judged questions: nDCG@10 per kind and stage, facets, refusals, latency."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help='one {"id", "kind", "query", "relevant", "facets"} a line')
        parser.add_argument("--json", action="store_true", help="print the figures as JSON")

    def handle(self, *args: Any, file: Path, json: bool, **options: Any) -> None:
        try:
            questions = read_questions(file)
        except (OSError, ValueError) as error:
            raise CommandError(f"{file} cannot be evaluated: {error}", returncode=2) from error
        if not questions:
            raise CommandError(f"{file} holds no question.", returncode=2)
        try:
            report = evaluate(questions)
        except InferenceError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_as_json(report) if json else _table(report, file.name))


def _as_json(report: Report) -> str:
    return json.dumps(report.as_dict(), ensure_ascii=False, indent=1)


def _table(report: Report, name: str) -> str:
    kinds = list(next(iter(report.stages.values())))
    lines = [f"{name}: {report.questions} questions, nDCG@10 with 95 % bootstrap intervals", ""]
    lines.append(f"{'stage':<36}" + "".join(f"{kind:<24}" for kind in kinds))
    for stage, measures in report.stages.items():
        lines.append(f"{stage:<36}" + "".join(f"{measures[kind]!s:<24}" for kind in kinds))
    lines.append(f"{'questions':<36}" + "".join(f"{report.stages[stage][kind].count:<24}" for kind in kinds))
    lines += ["", f"{'':<36}{'share':<24}questions"]
    lines += [f"{what:<36}{measure!s:<24}{measure.count}" for what, measure in report.shares.items()]
    lines += ["", f"{'milliseconds a question, warm':<36}{'p50':<12}p95"]
    lines += [f"{stage:<36}{p50 * 1000:<12.1f}{p95 * 1000:.1f}" for stage, (p50, p95) in report.seconds.items()]
    return "\n".join(lines)
