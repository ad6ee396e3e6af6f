"""A paper as a CSL-JSON item: the record that every export is written from, and that citation processors read.

The item of an imported paper is the record it came with, completed by what we know; a paper of the bundled collection
has its item derived. CSL 1.0.2: https://docs.citationstyles.org/en/stable/specification.html
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from corpus.models import Paper

Item = dict[str, Any]
Name = dict[str, str]

OTHERS: Name = {"literal": "others"}  # the end of a list of authors that is known to be incomplete, as pandoc has it
NAME_VARIABLES = ("author", "editor", "translator", "container-author", "collection-editor", "editorial-director")
DATE_VARIABLES = ("issued", "accessed", "available-date", "event-date", "original-date", "submitted")
_OF_A_PREPRINT = ("genre", "number", "publisher")

_PREPRINTS = re.compile(r"\b(?:arxiv|(?:med|bio|chem|psy)rxiv|research square|ssrn|preprints?)\b", re.IGNORECASE)
_REPORTS = re.compile(r"\b(?:technical report|white ?paper|(?:model|system) card)\b", re.IGNORECASE)
_CONFERENCES = re.compile(
    r"\b(?:(?i:conference|workshops?|symposium|congress|proceedings of (?!the (?:ieee$|national)))|Findings of|PMLR"
    r"|CEUR-WS|LNCS|MICCAI|CVPR|ICCV|ECCV|ACCV|WACV|BMVC|ICLR|ICML|AAAI|IJCAI|NeurIPS|NIPS|ACL|EMNLP|NAACL|EACL|COLING"
    r"|ACML|MIDL|MIUA|IPMI|ISBI|ML4H|CHIL|AIME|ICHI|MeMeA|ICSIPA|ICASSP|SIGIR|KDD|MLHC|SPIE|EMBC|BIBM|INTERSPEECH"
    r"|ClinicalNLP|BioNLP)\b"
)
_COLLECTIVE = re.compile(
    r"\b(?:team|group|consortium|collaboration|network|initiative|society|committee|association|institute|university"
    r"|foundation|laboratory|investigators|inc|ltd|gmbh)\b",
    re.IGNORECASE,
)
_SUFFIX = re.compile(r"(?:jr|sr)\.?|ii|iii|iv", re.IGNORECASE)
# Written with a capital they belong to the family name all the same: Asma Ben Abacha, Luc Van Gool.
_CAPITAL_PARTICLES = frozenset(
    {"Ben", "El", "Al", "Ibn", "Abu", "De", "Del", "Della", "Di", "Da", "Dos", "Du", "La", "Van", "Von", "St."}
)


def items(papers: Iterable[Paper]) -> list[Item]:
    """The papers as CSL-JSON, in order, under keys that differ."""
    rows = list(papers)
    return [item(paper, key) for paper, key in zip(rows, citation_keys(rows), strict=True)]


def citation_keys(papers: Iterable[Paper]) -> list[str]:
    """One key for each paper, safe in BibTeX and Markdown, and no two alike.

    Papers of two libraries may have the same key: the later ones get "-2", "-3". Upper and lower case count as alike,
    since BibTeX takes them for the same.
    """
    taken: set[str] = set()
    keys = []
    for paper in papers:
        base = _safe_key(paper.key)
        key, number = base, 1
        while key.casefold() in taken:
            number += 1
            key = f"{base}-{number}"
        taken.add(key.casefold())
        keys.append(key)
    return keys


def item(paper: Paper, key: str) -> Item:
    """The paper as CSL-JSON under this key. What a record was imported with stands; what it lacks is filled in.

    Only where the record is of a preprint and the work has since been published, the publication's fields go first.
    """
    kept, known = _kept(paper.csl), _known(paper)
    if kept.get("type") == "article" and known["type"] in ("article-journal", "paper-conference"):
        return _without(kept, _OF_A_PREPRINT) | known | {"id": key}
    if kept.get("type", known["type"]) != known["type"]:
        known = _without(known, (*_OF_A_PREPRINT, "container-title"))
    return known | kept | {"id": key}


def _without(item: Item, variables: Iterable[str]) -> Item:
    return {variable: value for variable, value in item.items() if variable not in variables}


def split_name(text: str) -> Name:
    """A name as CSL has it: family, given, particles and suffix; a group, or a single name, is `literal`.

    "Anton van den Hengel" has the particle "van den"; "Asma Ben Abacha" the family name "Ben Abacha"; "Lin, Haoneng" is
    read as it stands. Two family names without a particle ("Aguilera García") cannot be told from a middle name.
    """
    name = " ".join(text.split())
    if "," in name:
        return _inverted(name)
    words = name.split(" ")
    if len(words) == 1 or _COLLECTIVE.search(name):
        return {"literal": name}
    suffix = words.pop() if len(words) > 2 and _SUFFIX.fullmatch(words[-1]) else ""
    start = _family_starts(words)
    return _named(words[:start], words[start:], suffix)


def _inverted(name: str) -> Name:
    """ "Family, Given" and "Family, Jr., Given"."""
    parts = [part.strip() for part in name.split(",")]
    family, given = parts[0], parts[-1]
    suffix = parts[1] if len(parts) > 2 else ""
    if not suffix and _SUFFIX.fullmatch(given):  # "Martin Luther King, Jr."
        words = family.split(" ")
        start = _family_starts(words)
        return _named(words[:start], words[start:], given)
    return _named(given.split(" ") if given else [], family.split(" "), suffix)


def _family_starts(words: list[str]) -> int:
    """The place of the first word of the family name, its particles included; the first word is always given."""
    start = len(words) - 1
    while start > 1 and (words[start - 1][0].islower() or words[start - 1] in _CAPITAL_PARTICLES):
        start -= 1
    return start


def _named(given: list[str], family: list[str], suffix: str) -> Name:
    particles = 0
    while particles < len(family) - 1 and family[particles][:1].islower():
        particles += 1
    parts = {
        "non-dropping-particle": " ".join(family[:particles]),
        "family": " ".join(family[particles:]),
        "given": " ".join(given),
        "suffix": suffix,
    }
    return {part: words for part, words in parts.items() if words}


def _known(paper: Paper) -> Item:
    """The item that our own fields give."""
    kind = _type(paper)
    arxiv = re.sub(r"^arxiv:\s*", "", paper.arxiv_id.strip(), flags=re.IGNORECASE)
    preprint = kind == "article"
    fields: Item = {
        "type": kind,
        "title": paper.title,
        "author": _authors(paper),
        "issued": {"date-parts": [[paper.year]]} if paper.year else None,
        "container-title": paper.venue if kind in ("article-journal", "paper-conference") else "",
        "publisher": paper.venue or "arXiv" if preprint else paper.venue if kind in ("report", "document") else "",
        "genre": "Preprint" if preprint else "",
        "number": f"arXiv:{arxiv}" if preprint and arxiv else "",
        "archive": "arXiv" if arxiv else "",
        "archive_location": arxiv,
        "DOI": re.sub(r"^(?:https?://(?:dx\.)?doi\.org/|doi:\s*)", "", paper.doi.strip(), flags=re.IGNORECASE),
        "URL": paper.url or (f"https://arxiv.org/abs/{arxiv}" if arxiv else ""),
        "PMCID": paper.pmcid,
        "abstract": paper.abstract,
    }
    return {name: value for name, value in fields.items() if value}


def _type(paper: Paper) -> str:
    """CSL's name of the kind of publication, from its venue: the collection records no kinds."""
    venue = paper.venue
    if _PREPRINTS.search(venue) or (not venue and paper.arxiv_id):
        return "article"  # CSL 1.0.2 has preprints under this name, with the genre
    if _REPORTS.search(venue):
        return "report"
    if _CONFERENCES.search(venue):
        return "paper-conference"
    return "article-journal" if venue and venue != "Zenodo" else "document"


def _authors(paper: Paper) -> list[Name]:
    names = [split_name(str(author)) for author in paper.authors if str(author).strip()]
    return [*names, OTHERS] if names and not paper.authors_complete else names


def _kept(csl: object) -> Item:
    """An imported record without what is not CSL: no empty values, names and dates only in the shape they must have."""
    if not isinstance(csl, dict):
        return {}
    kept = {str(name): value for name, value in csl.items() if value not in (None, "", [], {})}
    for variable in NAME_VARIABLES:
        if names := _names(kept.pop(variable, None)):
            kept[variable] = names
    for variable in DATE_VARIABLES:
        if date := _date(kept.pop(variable, None)):
            kept[variable] = date
    return kept


def _names(names: object) -> list[Name]:
    if not isinstance(names, list):
        return []
    texts = [
        {str(k): v for k, v in name.items() if isinstance(v, str) and v} for name in names if isinstance(name, dict)
    ]
    return [name for name in texts if "literal" in name or "family" in name or "given" in name]


def _date(date: object) -> Item:
    """A date of CSL-JSON with numbers for its parts, or nothing."""
    if not isinstance(date, dict):
        return {}
    literal = str(date.get("raw") or date.get("literal") or "")
    parts = date.get("date-parts")
    try:
        numbers = [[int(part) for part in parts_of if part] for parts_of in parts or []]
    except (TypeError, ValueError):
        numbers = []
    if any(numbers):
        return {**date, "date-parts": [part[:3] for part in numbers if part][:2]}
    year = re.match(r"\s*(\d{4})\b", literal)
    return {"date-parts": [[int(year[1])]]} if year else {"literal": literal} if literal else {}


def _safe_key(key: str) -> str:
    """The key in the letters that BibTeX and pandoc both allow."""
    plain = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9:._/+-]+", "", plain).strip(":._/+-") or "paper"
