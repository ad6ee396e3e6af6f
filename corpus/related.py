"""Papers alike by what is recorded about them: labels, data sets, backbones, and who cites whom. Only the database.

What two papers share weighs the more the rarer it is (inverse document frequency over the papers that the reader may
see), and a paper with many labels of its own, such as a review, is not near to everything.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q

from corpus.catalogue import corrected_labels
from corpus.models import Citation, Label, Paper
from corpus.vocabulary import name_of

SHOWN = 8
LINKED = 2.0  # what a citation between the two is worth, in the same currency: a label that one paper in seven carries
CANDIDATES = 300  # papers whose own labels are counted
THINGS = ("data set", "backbone")
SAID = 3  # shared things of a kind named in the reason
Trait = tuple[str, str]  # (facet, "data set" or "backbone"; value folded to lower case)


@dataclass(frozen=True, slots=True)
class Related:
    """A paper, and why it is near: "MRI, prompt learning; data set BraTS; cites this paper"."""

    paper: Paper
    reason: str
    score: float


def related(paper: Paper, reader: int | None, limit: int = SHOWN) -> list[Related]:
    """The nearest papers that the reader may see, nearest first; none that shares nothing."""
    seen = Paper.objects.visible_to(reader)
    mine, written = _traits(paper, reader)
    carriers = _carriers(mine, paper, reader)
    total = seen.count()
    weight = {trait: math.log((1 + total) / len(papers)) for trait, papers in carriers.items() if papers}
    links = _links(paper, reader)
    scores: dict[int, float] = defaultdict(float)
    shared: dict[int, list[Trait]] = defaultdict(list)
    for trait, papers in carriers.items():
        for other in papers - {paper.pk}:
            scores[other] += weight[trait]
            shared[other].append(trait)
    near = sorted(scores, key=lambda other: (-scores[other], other))[:CANDIDATES]
    sizes = _sizes(near, reader)
    scores = defaultdict(float, {other: scores[other] / math.sqrt(1 + sizes.get(other, 0)) for other in near})
    for other in links:
        scores[other] += LINKED
    order = sorted(scores, key=lambda other: (-scores[other], other))[:limit]
    rows = seen.in_bulk(order)
    return [
        Related(rows[pk], _reason(sorted(shared[pk], key=lambda t: -weight[t]), written, links.get(pk, "")), scores[pk])
        for pk in order
        if pk in rows
    ]


def _traits(paper: Paper, reader: int | None) -> tuple[set[Trait], dict[Trait, str]]:
    """What is known of the paper, and how each is written."""
    labels = corrected_labels(reader).filter(paper=paper).values_list("facet", "value")
    written = {(facet, value): name_of(value) for facet, value in labels}
    for kind, names in zip(THINGS, (paper.datasets, paper.backbones), strict=True):
        written |= {(kind, _folded(name)): str(name) for name in names if _folded(name)}
    return set(written), written


def _carriers(traits: set[Trait], paper: Paper, reader: int | None) -> dict[Trait, set[int]]:
    """The visible papers with each trait, this one among them."""
    found: dict[Trait, set[int]] = defaultdict(set)
    visible = Paper.objects.visible_to(reader).order_by()
    wanted = Q(pk__in=())
    for facet in Label.Facet.values:
        wanted |= Q(facet=facet, value__in=[value for of, value in traits if of == facet])
    labels = corrected_labels(reader).filter(wanted, paper__in=visible).order_by()
    for pk, facet, value in labels.values_list("paper_id", "facet", "value"):
        found[facet, value].add(pk)
    if any(kind in THINGS for kind, _ in traits):
        for pk, datasets, backbones in visible.values_list("pk", "datasets", "backbones"):
            for trait in _named("data set", datasets) | _named("backbone", backbones):
                if trait in traits:
                    found[trait].add(pk)
    return found


def _named(kind: str, names: Iterable[str]) -> set[Trait]:
    return {(kind, _folded(name)) for name in names}


def _sizes(papers: Iterable[int], reader: int | None) -> dict[int, int]:
    """How many labels each of these papers carries."""
    labels = corrected_labels(reader).filter(paper__in=list(papers)).order_by()
    return dict(labels.values_list("paper").annotate(Count("value", distinct=True)))


def _links(paper: Paper, reader: int | None) -> dict[int, str]:
    """{paper: how it and this one are linked}; being named in an annotation is no citation and is said as such."""
    rows = Citation.objects.visible_to(reader).filter(Q(paper=paper) | Q(cited=paper)).exclude(cited=None)
    links: dict[int, str] = {}
    for citing, cited, source in rows.values_list("paper_id", "cited_id", "source"):
        other = cited if citing == paper.pk else citing
        if source == "annotation":
            said = "named in this annotation" if citing == paper.pk else "names this paper"
            links.setdefault(other, said)
        else:
            links[other] = "cited by this paper" if citing == paper.pk else "cites this paper"
    return links


def _reason(shared: list[Trait], written: dict[Trait, str], link: str) -> str:
    """The rarest first: "shares: MRI, prompt learning; data set BraTS; cites this paper"."""
    things = [_several(kind, [written[trait] for trait in shared if trait[0] == kind]) for kind in THINGS]
    labels = ", ".join([written[trait] for trait in shared if trait[0] not in THINGS][:SAID])
    return "; ".join(part for part in (f"shares: {labels}" if labels else "", *things, link) if part)


def _several(kind: str, names: list[str]) -> str:
    """ "data set BraTS", "data sets BraTS, SLAKE", or nothing."""
    return f"{kind}{'s' if len(names) > 1 else ''} {', '.join(names[:SAID])}" if names else ""


def _folded(name: object) -> str:
    """A name as two papers would agree on it: "MIMIC-CXR (frontal)" and "mimic-cxr" are one data set."""
    return re.sub(r"\s*\(.*?\)", "", str(name)).strip().casefold()
