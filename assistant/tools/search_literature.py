"""The indexed literature, by question and by facets. Returns passages to quote from, never a summary."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from assistant.tools.base import Arguments, Context, Statement, Tool, ToolResult
from assistant.tools.which_paper import as_source, quoted

if TYPE_CHECKING:
    from corpus.results import Facets, PassageHit, SearchResult


class SearchArguments(Arguments):
    query: str = Field(min_length=2, max_length=1000, description="the question, in plain words")
    task: str | None = Field(default=None, max_length=80, description="such as segmentation, vqa, report-generation")
    strategy: str | None = Field(default=None, max_length=80, description="pretraining, fine-tuning or prompt-learning")
    technique: str | None = Field(default=None, max_length=80, description="such as parameter-efficient-tuning")
    modality: str | None = Field(default=None, max_length=80, description="such as x-ray, ct, mri, pathology")
    year_min: int | None = Field(default=None, ge=1900, le=2100)
    year_max: int | None = Field(default=None, ge=1900, le=2100)
    limit: int = Field(default=5, ge=1, le=20, description="how many papers")


def _facets(arguments: SearchArguments) -> "Facets":
    from corpus.results import Facets

    def one(value: str | None) -> tuple[str, ...]:
        return (value,) if value else ()

    return Facets(
        tasks=one(arguments.task),
        learning_strategies=one(arguments.strategy),
        techniques=one(arguments.technique),
        modalities=one(arguments.modality),
        year_min=arguments.year_min,
        year_max=arguments.year_max,
    )


def _best_per_paper(hits: list["PassageHit"], papers: list[int]) -> list[dict[str, Any]]:
    """One passage a paper, in the order of the papers."""
    best: dict[int, PassageHit] = {}
    for hit in hits:
        best.setdefault(hit.passage.paper_id, hit)
    return [as_source(best[paper].passage, best[paper].best_sentence) for paper in papers if paper in best]


def _words(value: Any) -> str:
    return " + ".join(value) if isinstance(value, list) else str(value)


def run(context: Context, arguments: SearchArguments) -> ToolResult:
    from corpus import retrieve

    facets = _facets(arguments)
    reader = context.reader
    found: SearchResult = retrieve.search(arguments.query, facets, limit=arguments.limit, reader=reader)
    papers = [hit.pk for hit in found.results]
    limit = 2 * arguments.limit
    hits = retrieve.passages(arguments.query, facets, limit=limit, keys=papers, reader=reader) if papers else []
    passages = _best_per_paper(hits, papers) if found.answerable else []
    stated = ", ".join(_words(value) for value in found.facets.values())
    return ToolResult(
        summary=f"{len(passages)} papers" + (f" ({stated})" if stated else "")
        if passages
        else "nothing that answers this",
        statements=[Statement(f"{p['name']} ({p['year']}): {quoted(p['quote'])}", p["ref"]) for p in passages],
        notes=[found.reason] if not found.answerable and found.reason else [],
        passages=passages,
        answerable=found.answerable and bool(passages),
        model="hybrid search (BM25 and sentence embeddings)",
    )


TOOL = Tool(
    name="search_literature",
    description=(
        "Search the literature on vision-language models for medical images, by a question and optional filters. "
        "Returns passages; quote them word for word and put their marker after the quote."
    ),
    arguments=SearchArguments,
    queue="corpus",
    run=run,
)
