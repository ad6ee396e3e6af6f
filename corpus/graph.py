"""The citations around one paper as a drawing: years along the x axis, the paper itself in the middle of its year.

Laid out here, so that the page needs no script: every node is a link at a place in pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Q

from corpus.models import Citation, Paper
from corpus.network import ANNOTATION

MOST = 40  # nodes; more cannot be read
COLUMN, ROW = 168, 26  # pixels of a column and a row
TALL = 12  # nodes above one another before a year gets a second column
TOP, MARGIN = 32, 16
NAME = 21  # letters that a column has room for


@dataclass(slots=True)
class Neighbour:
    """A paper that this one cites, or that cites it, and who says so."""

    paper: Paper
    cites: bool  # this paper cites it; else it cites this paper
    sources: list[str] = field(default_factory=list)

    @property
    def firm(self) -> bool:
        """False where only an annotation names the other, which is less than a citation."""
        return any(source != ANNOTATION for source in self.sources)

    @property
    def said(self) -> str:
        """How the two are linked, in words."""
        if not self.firm:
            return "named in this paper's annotation" if self.cites else "its annotation names this paper"
        known = ", ".join(source for source in self.sources if source != ANNOTATION)
        return f"{'cited by this paper' if self.cites else 'cites this paper'} ({known})"


@dataclass(frozen=True, slots=True)
class Node:
    """A paper at its place; `name` is cut to the room there is."""

    paper: Paper
    x: int
    y: int
    said: str = ""

    @property
    def name(self) -> str:
        """What is written beside the dot."""
        name = self.paper.name
        return name if len(name) <= NAME else f"{name[: NAME - 1].rstrip()}…"


@dataclass(frozen=True, slots=True)
class Edge:
    """A curve from who cites to who is cited; dashed where only an annotation says so."""

    path: str
    firm: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """The drawing, and the same in lists. `cut` papers are in the lists and not drawn; `outside` are not in the
    collection."""

    cited: list[Neighbour]
    citing: list[Neighbour]
    outside: list[Citation]
    cut: int = 0
    width: int = 0
    height: int = 0
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    years: list[tuple[str, int]] = field(default_factory=list)  # (year, x)

    @property
    def centre(self) -> Node:
        """This paper."""
        return self.nodes[0]


def graph_of(paper: Paper, reader: int | None) -> Graph:
    """The citations around a paper that the reader may see, drawn where there are any."""
    rows = Citation.objects.visible_to(reader).filter(Q(paper=paper) | Q(cited=paper))
    links = list(rows.order_by("-year", "title", "pk"))
    others = {row.cited_id if row.paper_id == paper.pk else row.paper_id for row in links} - {None, paper.pk}
    papers = Paper.objects.visible_to(reader).in_bulk([pk for pk in others if pk is not None])
    found: dict[tuple[int, bool], Neighbour] = {}
    for row in links:
        cites = row.paper_id == paper.pk
        other = papers.get((row.cited_id if cites else row.paper_id) or 0)
        if other is not None:
            neighbour = found.setdefault((other.pk, cites), Neighbour(other, cites))
            neighbour.sources += [row.source] if row.source not in neighbour.sources else []
    order = sorted(found.values(), key=lambda n: (not n.firm, -(n.paper.year or 0), n.paper.name))
    outside = [row for row in links if row.paper_id == paper.pk and row.cited_id is None]
    lists = [n for n in order if n.cites], [n for n in order if not n.cites], _once(outside)
    return _drawn(paper, order, *lists) if order else Graph(*lists)


def _once(rows: Iterable[Citation]) -> list[Citation]:
    """Two sources that name the same work name it once."""
    kept: dict[str, Citation] = {}
    for row in rows:
        kept.setdefault(row.doi or row.title.casefold(), row)
    return list(kept.values())


def _drawn(
    paper: Paper, order: list[Neighbour], cited: list[Neighbour], citing: list[Neighbour], outside: list[Citation]
) -> Graph:
    """Firm links first, then the newest, until the drawing is full."""
    drawn: dict[int, Neighbour] = {}
    for neighbour in order:
        if len(drawn) < MOST - 1:
            drawn.setdefault(neighbour.paper.pk, neighbour)
    everyone = {neighbour.paper.pk for neighbour in order}
    columns = _columns(paper, [neighbour.paper for neighbour in drawn.values()])
    tallest = max(len(papers) for _, papers in columns)
    middle = TOP + ROW * (tallest + 1) // 2
    said = {neighbour.paper.pk: neighbour.said for neighbour in order}
    nodes = [
        Node(member, MARGIN + COLUMN * index + 8, y, said.get(member.pk, ""))
        for index, (_, papers) in enumerate(columns)
        for member, y in zip(papers, _rows(len(papers), middle), strict=True)
    ]
    nodes.sort(key=lambda node: node.paper.pk != paper.pk)
    place = {node.paper.pk: node for node in nodes}
    edges = [_edge(nodes[0], place[n.paper.pk], n) for n in order if n.paper.pk in place]
    years = {year: MARGIN + COLUMN * index + 8 for index, (year, _) in reversed(list(enumerate(columns)))}
    return Graph(
        cited,
        citing,
        outside,
        len(everyone) - len(drawn),
        MARGIN * 2 + COLUMN * len(columns),
        TOP + ROW * (tallest + 1),
        nodes,
        edges,
        sorted(years.items(), key=lambda pair: pair[1]),
    )


def _columns(paper: Paper, others: list[Paper]) -> list[tuple[str, list[Paper]]]:
    """(year, papers from top to bottom), oldest first; full years take several columns, this paper stands in the middle
    of the first of its year. Papers without a year come last."""
    by_year: dict[int, list[Paper]] = defaultdict(list)
    for other in others:
        by_year[other.year or 9999].append(other)
    own = paper.year or 9999
    by_year.setdefault(own, [])
    columns = []
    for year in sorted(by_year):
        papers = sorted(by_year[year], key=lambda other: other.name.casefold())
        pieces = [papers[i : i + TALL] for i in range(0, len(papers), TALL)] or [[]]
        if year == own:
            half = len(pieces[0]) // 2
            pieces[0] = [*pieces[0][:half], paper, *pieces[0][half:]]
        columns += [(str(year) if year != 9999 else "no year", piece) for piece in pieces]
    return columns


def _rows(count: int, middle: int) -> list[int]:
    """The heights of `count` nodes around the middle; an even number leaves the middle to the lower half."""
    return [middle + ROW * (i - count // 2) for i in range(count)]


def _edge(centre: Node, other: Node, link: Neighbour) -> Edge:
    """A curve that leaves and arrives level, and bends aside where both stand in one column."""
    start, end = (centre, other) if link.cites else (other, centre)
    if start.x == end.x:
        side = start.x - 10 - abs(start.y - end.y) // 6
        return Edge(f"M{start.x} {start.y} C{side} {start.y} {side} {end.y} {end.x} {end.y}", link.firm)
    half = (start.x + end.x) // 2
    return Edge(f"M{start.x} {start.y} C{half} {start.y} {half} {end.y} {end.x} {end.y}", link.firm)
