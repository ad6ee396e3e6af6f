"""A draft of related work: the chosen papers by learning strategy and technique, in recorded facts and quotations.

Nothing is composed. Each sentence is either a quotation, word for word, with the passage it stands in, or says which
labels are recorded. The same papers always give the same draft.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from corpus.catalogue import labels_for
from corpus.compare import plain
from corpus.csl import citation_keys
from corpus.models import Paper, Passage
from corpus.quotes import stands_in
from corpus.sentences import sentences
from corpus.vocabulary import name_of, terms

NOTICE = (
    "A draft of quotations and recorded labels, put in order by machine and read by nobody. Annotations are this "
    "project's words, not the papers'. Research use only, not for diagnosis."
)
SHORTEST, LONGEST = 30, 500  # characters of a sentence that is quoted

# The family of techniques that belongs to a strategy, where a paper has techniques of several.
_FAMILIES = {
    "pretraining": "domain pretraining",
    "fine-tuning": "fine-tuning",
    "prompt-learning": "direct use and prompting",
}


@dataclass(frozen=True, slots=True)
class Work:
    """What is said of one paper: the recorded facts, and a quotation with its passage (None where there is no text)."""

    paper: Paper
    key: str
    facts: str
    quote: str = ""
    passage: Passage | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Works under one technique; `title` is empty where none is recorded."""

    title: str
    works: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """The groups of one learning strategy."""

    title: str
    groups: tuple[Group, ...]

    @property
    def count(self) -> int:
        """How many papers stand under it."""
        return sum(len(group.works) for group in self.groups)


@dataclass(frozen=True, slots=True)
class Draft:
    """`unplaced` are works of which no learning strategy is recorded; `unquoted` those without a text to quote."""

    sections: tuple[Section, ...]
    unplaced: tuple[Work, ...]

    @property
    def unquoted(self) -> list[Work]:
        """The works, placed or not, of which there is nothing to quote."""
        placed = [work for section in self.sections for group in section.groups for work in group.works]
        return [work for work in (*placed, *self.unplaced) if not work.quote]


def draft(papers: Iterable[Paper], reader: int | None) -> Draft:
    """The draft as the reader (the primary key of a user) sees the papers; those they may not see are left out.

    A paper with several strategies stands once, under the first in the order of the vocabulary. Keys are those of an
    export of the same papers in the same order.
    """
    order = list(dict.fromkeys(paper.pk for paper in papers))
    rows = Paper.objects.visible_to(reader).prefetch_related(labels_for(reader)).in_bulk(order)
    seen = [rows[pk] for pk in order if pk in rows]
    quotes = _quotes(seen, reader)
    works = [_work(paper, key, quotes.get(paper.pk)) for paper, key in zip(seen, citation_keys(seen), strict=True)]
    works.sort(key=lambda work: (work.paper.year or 9999, work.paper.name.casefold(), work.paper.pk))
    strategies = _ordered(
        "learning_strategy", (value for work in works for value in _values(work.paper, "learning_strategy"))
    )
    placed: dict[str, list[Work]] = {strategy: [] for strategy in strategies}
    unplaced: list[Work] = []
    for work in works:
        own = _ordered("learning_strategy", _values(work.paper, "learning_strategy"))
        (placed[own[0]] if own else unplaced).append(work)
    sections = tuple(Section(name_of(strategy), _groups(strategy, of)) for strategy, of in placed.items() if of)
    return Draft(sections, tuple(unplaced))


def as_markdown(drafted: Draft, address: Callable[[str], str] = str) -> str:
    """The draft as Markdown with pandoc's citations; `address` makes a path of this site an absolute one."""
    lines = ["# Related work: a draft of quotations", "", f"*{NOTICE}*"]
    for section in drafted.sections:
        lines += ["", f"## {capital(section.title)}"]
        for group in section.groups:
            lines += ["", f"### {capital(group.title)}"] if group.title else []
            lines += [line for work in group.works for line in ("", _paragraph(work, address))]
    if drafted.unplaced:
        lines += ["", "## Not placed", "", "No learning strategy is recorded of these papers."]
        lines += [line for work in drafted.unplaced for line in ("", _paragraph(work, address))]
    if drafted.unquoted:
        cited = ", ".join(f"[@{work.key}]" for work in drafted.unquoted)
        lines += ["", f"There is no text to quote of {cited}."]
    return "\n".join([*lines, ""])


def _paragraph(work: Work, address: Callable[[str], str]) -> str:
    said = f"{plain(work.facts)} [@{work.key}]."
    if work.passage is None:
        return said
    place = f"[{work.passage.basis}](<{address(work.passage.get_absolute_url())}>)"
    return f"{said} \u201c{plain(work.quote)}\u201d ({place}) [@{work.key}]."


def _work(paper: Paper, key: str, found: tuple[str, Passage] | None) -> Work:
    quote, passage = found or ("", None)
    return Work(paper, key, _facts(paper), quote, passage)


def _facts(paper: Paper) -> str:
    """What is recorded, as a sentence without its full stop: a citation follows."""
    name = paper.model_name or f"\u201c{paper.title}\u201d"
    tasks, techniques = _names(paper, "task"), _names(paper, "technique")
    said = []
    if tasks:
        said.append(f"under the task{'s' * (len(tasks) > 1)} {_listed(tasks)}")
    if techniques:
        said.append(f"with the technique{'s' * (len(techniques) > 1)} {_listed(techniques)}")
    recorded = f"is recorded {', '.join(said)}" if said else "is recorded without a task or technique"
    strategies = [name_of(value) for value in _ordered("learning_strategy", _values(paper, "learning_strategy"))]
    also = f"; it is also recorded under {_listed(strategies[1:])}" if strategies[1:] else ""
    return f"{name} ({paper.year or 'no year'}) {recorded}{also}"


def _quotes(papers: Sequence[Paper], reader: int | None) -> dict[int, tuple[str, Passage]]:
    """{paper: (a sentence, the passage it stands in)}: of the abstract, else of the annotation, the first sentence that
    names the method, else the first."""
    kinds = [Passage.Kind.ABSTRACT, Passage.Kind.ANNOTATION]
    rows = Passage.objects.visible_to(reader).filter(paper__in=papers, current=True, kind__in=kinds)
    ordered = sorted(
        rows.select_related("paper"), key=lambda row: (kinds.index(Passage.Kind(row.kind)), row.ordinal, row.pk)
    )
    found: dict[int, list[tuple[str, Passage]]] = {}
    for passage in ordered:
        found.setdefault(passage.paper_id, []).extend((sentence, passage) for sentence in _quotable(passage.text))
    return {paper: min(said, key=_preference) for paper, said in found.items() if said}  # of equals the first


def _quotable(text: str) -> Iterator[str]:
    """The sentences, as they stand, that are neither scraps nor pages."""
    for start, end in sentences(text):
        if SHORTEST <= end - start <= LONGEST and stands_in(text[start:end], text):
            yield text[start:end]


def _preference(said: tuple[str, Passage]) -> tuple[bool, bool]:
    sentence, passage = said
    name = passage.paper.model_name
    return passage.kind != Passage.Kind.ABSTRACT, not (name and stands_in(name, sentence))


def _groups(strategy: str, works: Sequence[Work]) -> tuple[Group, ...]:
    """The works by technique, in the vocabulary's order; those without one come last."""
    by_technique: dict[str, list[Work]] = {}
    for work in works:
        by_technique.setdefault(_technique(strategy, work.paper), []).append(work)
    order = [*_ordered("technique", filter(None, by_technique)), *([""] if "" in by_technique else [])]
    return tuple(Group(name_of(technique), tuple(by_technique[technique])) for technique in order)


def _technique(strategy: str, paper: Paper) -> str:
    """The technique that a paper stands under: one of the strategy's own family, else the first."""
    own = _ordered("technique", _values(paper, "technique"))
    family = [
        value for value in own if (term := terms()["technique"].get(value)) and term.family == _FAMILIES.get(strategy)
    ]
    return (family or own or [""])[0]


def _ordered(facet: str, values: Iterable[str]) -> list[str]:
    """The values, each once, in the order of the vocabulary; unknown ones last, by name."""
    places = {value: place for place, value in enumerate(terms()[facet])}
    return sorted(set(values), key=lambda value: (places.get(value, len(places)), value))


def _values(paper: Paper, facet: str) -> list[str]:
    return [label.value for label in paper.labels.all() if label.facet == facet]


def _names(paper: Paper, facet: str) -> list[str]:
    return [name_of(value) for value in _ordered(facet, _values(paper, facet))]


def _listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def capital(text: str) -> str:
    """The text as a heading: its first letter upper case, the others as they are."""
    return text[:1].upper() + text[1:]
