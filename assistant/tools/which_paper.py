"""From a name as people write it to the one paper that is meant, and how its passages are handed to a chat model."""

from typing import TYPE_CHECKING, Any

from assistant.claims import MARKER
from assistant.tools.base import Declined
from corpus.called import called, near
from corpus.models import Paper, Passage

if TYPE_CHECKING:
    from corpus.names import NameRow

SHOWN = 6  # candidates that a refusal lists


def which(name: str, reader: int) -> Paper:
    """The paper that this reader means. Raises Declined where there is none, or more than one."""
    name = " ".join(name.split())
    papers = Paper.objects.visible_to(reader)
    rows: list[NameRow] = list(papers.values_list("pk", "owner_id", "key", "title", "model_name", "annotation"))
    found = called(name, rows)
    if len(found) == 1:
        return papers.get(pk=found[0])
    short = name if len(name) <= 80 else f"{name[:79]}…"
    if not found:
        alike = near(name, rows)
        hint = f" Names like it: {', '.join(alike)}." if alike else ""
        raise Declined(f"“{short}” is not in the collection.{hint}")
    candidates = papers.filter(pk__in=found)[: SHOWN + 1]
    listed = "; ".join(f"{paper.name} ({paper.key})" for paper in candidates[:SHOWN])
    more = "; and others" if len(found) > SHOWN else ""
    raise Declined(f"“{short}” names more than one paper: {listed}{more}. Ask for one by its key.")


def quoted(text: str) -> str:
    """The words in quotation marks of their own: those inside become straight ones, or they would end it."""
    inside = inert(text).replace("“", '"').replace("”", '"')
    return f"“{inside}”"


def inert(text: str) -> str:
    """A paper's text without what would be read as a marker of evidence: it is data, and cites nothing here."""
    return MARKER.sub(lambda marker: f"[ [{marker['ref']}] ]", text)


def as_source(passage: Passage, quote: str = "") -> dict[str, Any]:
    """A passage as a tool returns it: once it is returned, the conversation can cite it."""
    paper = passage.paper
    return {
        "ref": f"p{passage.pk}",
        "key": paper.key,
        "title": paper.title,
        "name": paper.name,
        "byline": paper.byline,
        "year": paper.year,
        "basis": passage.basis,
        "text": inert(passage.text),
        "quote": inert(quote),
    }


def titled(paper: Paper) -> str:
    """The name and year by which a statement names its paper."""
    return f"{paper.name} ({paper.year})" if paper.year else paper.name
