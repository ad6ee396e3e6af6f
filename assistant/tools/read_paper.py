"""One paper: what it is, or what its entry records of a question. Exact sentences with their passages, or nothing."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from assistant.tools.base import Arguments, Context, Declined, Statement, Tool, ToolResult
from assistant.tools.which_paper import as_source, quoted, titled, which
from corpus.models import Paper, Passage
from corpus.sentences import sentences

OPENING = 2  # sentences of the annotation, or of the abstract, that say what a paper is
PASSAGES = 8  # of one paper, for a question

# What stands in the record itself and in no passage: what it is called, how it is asked for, how it is read.
RECORD: tuple[tuple[str, str, Callable[[Paper], str]], ...] = (
    ("authors", r"\bwho\b|\bauthors?\b", lambda p: ", ".join(map(str, p.authors))),
    ("year of publication", r"\bwhen\b|\b(?:what|which) year\b", lambda p: str(p.year or "")),
    ("venue", r"\bvenue\b|\bjournal\b|\bconference\b|\bwhere (?:was|is) .*\bpublished\b", lambda p: p.venue),
    ("code", r"\bcode\b|\brepository\b|\bgithub\b", lambda p: p.code_url),
    ("DOI", r"\bdoi\b", lambda p: p.doi),
    ("arXiv identifier", r"\barxiv\b", lambda p: p.arxiv_id),
)


class ReadArguments(Arguments):
    paper: str = Field(min_length=1, max_length=500, description="its citation key, its title or the method's name")
    question: str | None = Field(default=None, max_length=1000, description="what to find out; empty: what it is")
    sections: list[Annotated[str, Field(max_length=200)]] = Field(
        default_factory=list,
        max_length=10,
        description="read only these: annotation, abstract, results, or headings of the full text",
    )


@dataclass(slots=True)
class _Read:
    """What was found: (passage, sentence of it), and sentences of the record; and what is not recorded."""

    found: list[tuple[Passage, str]] = field(default_factory=list)
    record: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run(context: Context, arguments: ReadArguments) -> ToolResult:
    paper = which(arguments.paper, context.reader)
    passages = _passages(paper, arguments.sections, context.reader)
    question = (arguments.question or "").strip()
    read = _answered(paper, passages, question, context.reader) if question else _opened(paper, passages)
    title = titled(paper)
    statements = [Statement(f"{title}{line}", context.ref) for line in read.record]
    statements += [Statement(f"{title}: {quoted(text)}", f"p{passage.pk}") for passage, text in read.found]
    quotes = {passage.pk: text for passage, text in reversed(read.found)}
    shown = {passage.pk: passage for passage, _ in read.found}
    return ToolResult(
        summary=f"{paper.name}: {_counted(statements)}",
        statements=statements,
        notes=[*read.notes, *_basis(shown.values())],
        passages=[as_source(passage, quotes[key]) for key, passage in shown.items()],
        answerable=bool(statements),
        model="exact sentences of the entry (rules)",
    )


def _counted(statements: list[Statement]) -> str:
    if not statements:
        return "not recorded"
    return f"{len(statements)} sentence{'s' if len(statements) > 1 else ''}"


def _passages(paper: Paper, sections: Iterable[str], reader: int) -> list[Passage]:
    """What this reader may read of the paper. Raises Declined when it has none of the wanted sections."""
    rows = list(Passage.objects.visible_to(reader).filter(paper=paper, current=True).select_related("paper"))
    wanted = [section.strip().casefold() for section in sections if section.strip()]
    chosen = [row for row in rows if not wanted or any(_is_in(row, section) for section in wanted)]
    if wanted and not chosen:
        there = dict.fromkeys(row.section or row.get_kind_display() for row in rows)
        raise Declined(f"{paper.name} has no such section here. It has: {', '.join(there) or 'no text'}.")
    return chosen


def _is_in(passage: Passage, section: str) -> bool:
    kinds = (passage.kind, passage.get_kind_display(), passage.kind.replace("_", " "))
    return section in kinds or (bool(passage.section) and section in passage.section.casefold())


def _opened(paper: Paper, passages: list[Passage]) -> _Read:
    """What it is, in the first sentences of the best text there is, then its data and results."""
    for kind in (Passage.Kind.ANNOTATION, Passage.Kind.ABSTRACT, Passage.Kind.FULL_TEXT):
        if found := _sentences(passage for passage in passages if passage.kind == kind)[:OPENING]:
            break
    else:
        found = []
    found += _sentences(passage for passage in passages if passage.kind == Passage.Kind.RESULTS)
    notes = [] if found else [f"The entry of {paper.name} holds no text: it records the title and where it appeared."]
    authors = f" by {paper.byline}" if paper.byline else ""
    record = f": {quoted(paper.title)}{authors}{f', {paper.venue}' if paper.venue else ''}."
    return _Read(found, [record], notes)


def _sentences(passages: Iterable[Passage]) -> list[tuple[Passage, str]]:
    return [(passage, passage.text[a:b]) for passage in passages for a, b in sentences(passage.text)]


def _answered(paper: Paper, passages: list[Passage], question: str, reader: int) -> _Read:
    from corpus import recorded

    names = _names(paper)
    read = _Read()
    asked = [(name, value(paper)) for name, words, value in RECORD if re.search(words, question, re.I)]
    for name, value in asked:
        if value:
            read.record.append(f", {name}: {quoted(value)}.")
        else:
            read.notes.append(_not_recorded(paper, [name]))
    if asked:
        return read
    if recorded.is_general(question, names):
        return _opened(paper, passages)
    answer = recorded.answer(question, _best_first(paper, passages, question, reader), names)
    if answer.found and (reason := _doubt(paper, question, reader)):
        return _Read(notes=[reason])
    return _Read(answer.found, notes=[_not_recorded(paper, answer.missing)] if answer.missing else [])


def _names(paper: Paper) -> list[str]:
    short, _, remark = paper.model_name.partition(" (")
    return [paper.key, paper.title, paper.model_name, short, remark.removesuffix(")")]


def _not_recorded(paper: Paper, missing: list[str]) -> str:
    return f"The entry of {paper.name} does not record: {', '.join(missing)}."


def _doubt(paper: Paper, question: str, reader: int) -> str:
    """Why the search would not answer this. Its words are those of everyone's papers, so it judges only these."""
    from corpus import retrieve

    if paper.owner_id is not None:
        return ""
    found = retrieve.search(f"{paper.name}: {question}", limit=1, read=False, reader=reader)
    return "" if found.answerable else found.reason


def _best_first(paper: Paper, passages: list[Passage], question: str, reader: int) -> list[Passage]:
    """The passages, those first that the search finds; a paper added a moment ago is in no index yet."""
    from corpus import retrieve

    hits: list[Any] = retrieve.passages(question, limit=PASSAGES, read=False, keys=[paper.pk], reader=reader)
    order = {hit.passage.pk: place for place, hit in enumerate(hits)}
    return sorted(passages, key=lambda passage: order.get(passage.pk, len(order)))


def _basis(passages: Iterable[Passage]) -> list[str]:
    """One line on what the quotations rest on, where it is less than the paper's own full text."""
    kinds = dict.fromkeys(passage.basis for passage in passages if passage.kind != Passage.Kind.FULL_TEXT)
    return [f"This rests on: {'; '.join(kinds)}."] if kinds else []


TOOL = Tool(
    name="read_paper",
    description=(
        "Read one paper of the collection: what it is, or what its entry or full text says to a question. Returns "
        "exact sentences with the markers of their passages, and says what is not recorded."
    ),
    arguments=ReadArguments,
    queue="corpus",
    run=run,
)
