"""arXiv's API: GET /api/query?id_list=..., an Atom feed with one entry for each id that it knows.

It wants one question every three seconds and takes many ids in one. An error comes with status 200, as an entry with
the title "Error", and throttling as plain text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings

from corpus.imports.identity import arxiv_in
from corpus.imports.lookups.asking import Asking, Unreachable
from corpus.imports.records import Csl, issued, person, plain
from corpus.imports.zotero_rdf import read_xml
from inference.errors import BadInput

SERVICE = "arXiv"
AT_ONCE = 50
PAUSE = 3.0  # seconds between two questions, from its terms of use
_NS = {"atom": "http://www.w3.org/2005/Atom", "arxiv": "http://arxiv.org/schemas/atom"}


def item(asking: Asking, arxiv_id: str) -> Csl | None:
    """The item of an arXiv id without its version, or None where arXiv does not know it. Raises Unreachable."""
    found = asking.kept(SERVICE, arxiv_id)
    if found is None:
        fetch(asking, [arxiv_id])
        found = asking.kept(SERVICE, arxiv_id)
    return found or None


def fetch(asking: Asking, ids: Sequence[str]) -> None:
    """Asks for all of these ids that are not kept, fifty at once. Raises Unreachable."""
    wanted = [arxiv_id for arxiv_id in dict.fromkeys(ids) if asking.kept(SERVICE, arxiv_id) is None]
    for start in range(0, len(wanted), AT_ONCE):
        batch = wanted[start : start + AT_ONCE]
        parameters = {"id_list": ",".join(batch), "max_results": str(len(batch))}
        answer = asking.get(SERVICE, f"{settings.ARXIV_URL}/api/query", parameters, PAUSE)
        found = _entries(answer.text) if answer else {}
        for arxiv_id in batch:
            asking.keep(SERVICE, arxiv_id, found.get(arxiv_id, {}))


def _entries(text: str) -> dict[str, Csl]:
    """{id: item} of a feed."""
    try:
        root = read_xml(text)
    except BadInput as error:
        raise Unreachable("arXiv gave an answer that cannot be read") from error
    items = (_csl(entry) for entry in root.findall("atom:entry", _NS))
    return {csl["archive_location"]: csl for csl in items if csl.get("archive_location")}


def _csl(entry: Any) -> Csl:
    arxiv_id = arxiv_in(_text(entry, "atom:id"))
    if not arxiv_id:
        return {}  # an error, or an id that arXiv does not have
    journal, doi = _text(entry, "arxiv:journal_ref"), _text(entry, "arxiv:doi")
    category = entry.find("arxiv:primary_category", _NS)
    return {
        "type": "article",
        "title": _text(entry, "atom:title"),
        "author": [person(plain("".join(name.itertext()))) for name in entry.findall("atom:author/atom:name", _NS)],
        "issued": issued(_text(entry, "atom:published")),
        "abstract": _text(entry, "atom:summary"),
        "container-title": "arXiv",
        "archive": "arXiv",
        "archive_location": arxiv_id,
        "URL": f"https://arxiv.org/abs/{arxiv_id}",
        "DOI": doi,
        "note": f"Published as: {journal}" if journal else "",
        "custom": {"category": category.get("term", "")} if category is not None else {},
    }


def _text(entry: Any, path: str) -> str:
    found = entry.find(path, _NS)
    return plain("".join(found.itertext())) if found is not None else ""
