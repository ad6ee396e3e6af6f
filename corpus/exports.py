"""CSL items (`corpus.csl`) as files for reference managers: BibTeX, RIS, CSL-JSON. Pure functions, items to text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from corpus.csl import OTHERS, Item, Name

_BIBTEX_TYPES = {
    "article-journal": "article",
    "article-magazine": "article",
    "article-newspaper": "article",
    "paper-conference": "inproceedings",
    "chapter": "incollection",
    "book": "book",
    "thesis": "phdthesis",
    "report": "techreport",
}
_RIS_TYPES = {
    "article": "UNPB",
    "article-journal": "JOUR",
    "article-magazine": "MGZN",
    "article-newspaper": "NEWS",
    "paper-conference": "CPAPER",
    "chapter": "CHAP",
    "book": "BOOK",
    "thesis": "THES",
    "report": "RPRT",
    "dataset": "DATA",
    "webpage": "ELEC",
}
_CONTAINERS = {"article": "journal", "inproceedings": "booktitle", "incollection": "booktitle"}
_PUBLISHERS = {"techreport": "institution", "phdthesis": "school"}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

# What TeX reads as a command. Braces must balance even when escaped, so they go by name; so do the signs of accents.
_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
} | {sign: f"\\{sign}" for sign in "&%$#_"}
_VERBATIM = {"\\": "%5C", "{": "%7B", "}": "%7D", " ": "%20"}  # in addresses, which TeX is told to take as they are
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_RICH = re.compile(r"</?(?:i|b|sup|sub|sc)>|<span (?:class=\"nocase\"|style=\"[^\"]*\")>|</span>")  # CSL's rich text


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: its name for people, the ending and media type, and what writes it."""

    title: str
    ending: str
    media_type: str
    write: Callable[[Sequence[Item]], str]


def bibtex(items: Iterable[Item]) -> str:
    """BibTeX in UTF-8. Capitals that must stay are in braces; a preprint has eprint and archivePrefix."""
    return "\n".join(_entry(item) for item in items)


def ris(items: Iterable[Item]) -> str:
    """RIS in UTF-8 with the line ends that its description asks for (CR LF)."""
    return "".join(f"{tag}  - {text}\r\n" for item in items for tag, text in _tags(item))


def csl_json(items: Sequence[Item]) -> str:
    """The items themselves, as a JSON list."""
    return json.dumps(list(items), ensure_ascii=False, indent=1) + "\n"


FORMATS = {
    "bibtex": Format("BibTeX", "bib", "application/x-bibtex; charset=utf-8", bibtex),
    "ris": Format("RIS", "ris", "application/x-research-info-systems; charset=utf-8", ris),
    "csl": Format("CSL-JSON", "json", "application/vnd.citationstyles.csl+json", csl_json),
}


def text_of(item: Item, variable: str) -> str:
    """A variable as one line of plain text; empty where the item lacks it or holds something else."""
    value = item.get(variable)
    return one_line(_RICH.sub("", str(value))) if isinstance(value, str | int | float) else ""


def names_of(item: Item, variable: str = "author") -> list[Name]:
    """The names in a variable, without the mark of an incomplete list."""
    names: list[Name] = item.get(variable, [])
    return [name for name in names if name != OTHERS]


def date_of(item: Item) -> list[int]:
    """[year, month, day] of publication, as much of it as is known."""
    parts: list[list[int]] = item.get("issued", {}).get("date-parts") or [[]]
    return parts[0]


# BibTeX


def _entry(item: Item) -> str:
    kind = _BIBTEX_TYPES.get(str(item.get("type")), "misc")
    fields = "".join(f"  {name} = {{{value}}},\n" for name, value in _fields(item, kind) if value)
    return f"@{kind}{{{item['id']},\n{fields}}}\n"


def _fields(item: Item, kind: str) -> Iterator[tuple[str, str]]:
    """(field, value as TeX), empty values among them."""
    date = date_of(item)
    yield "title", _title(text_of(item, "title"))
    yield "author", _bibtex_names(item, "author")
    yield "editor", _bibtex_names(item, "editor")
    container, publisher = text_of(item, "container-title"), text_of(item, "publisher")
    yield _CONTAINERS.get(kind, "howpublished"), _tex(container)
    yield "year", str(date[0]) if date else ""
    yield "month", _MONTHS[date[1] - 1] if len(date) > 1 and 1 <= date[1] <= 12 else ""
    yield "volume", _tex(text_of(item, "volume"))
    yield "number", _tex(text_of(item, "issue") or ("" if item.get("archive") == "arXiv" else text_of(item, "number")))
    yield "pages", _tex(re.sub(r"\s*[-\u2013]+\s*", "--", text_of(item, "page")))
    yield _PUBLISHERS.get(kind, "publisher") if kind != "misc" or container else "howpublished", _tex(publisher)
    yield "doi", _verbatim(text_of(item, "DOI"))
    yield "isbn", _tex(text_of(item, "ISBN"))
    yield "issn", _tex(text_of(item, "ISSN"))
    yield "url", _verbatim(text_of(item, "URL"))
    if item.get("archive") == "arXiv" and (eprint := text_of(item, "archive_location")):
        yield "eprint", _verbatim(eprint)
        yield "archivePrefix", "arXiv"
    yield "abstract", _tex(text_of(item, "abstract"))


def _bibtex_names(item: Item, variable: str) -> str:
    names = [_bibtex_name(name) for name in names_of(item, variable)]
    if OTHERS in item.get(variable, []):
        names.append("others")
    return " and ".join(names)


def _bibtex_name(name: Name) -> str:
    """ "von Family, Jr, Given"; what is one piece, a group's name, goes in braces of its own."""
    if "literal" in name or not name.get("family"):
        return f"{{{_tex(one_line(name.get('literal') or name.get('given', '')))}}}"
    particles = [_part(name[part]) for part in ("dropping-particle", "non-dropping-particle") if part in name]
    family = _part(name["family"])
    if family[:1].islower():  # or it would be taken for a particle
        family = f"{{{family}}}"
    rest = [_part(name[part]) for part in ("suffix", "given") if part in name]
    return ", ".join([" ".join([*particles, family]), *rest])


def _part(text: str) -> str:
    """A part of a name: in braces where BibTeX would cut it in two."""
    part = _tex(one_line(text))
    return f"{{{part}}}" if re.search(r",|\band\b", part) else part


def _title(title: str) -> str:
    """The title with braces around the words whose capitals a style must not lower.

    These are words with a capital past their first letter (CT, MedCLIP) or a letter by itself (X-ray, U-Net), and in a
    title in sentence case every capitalised word but the first: it is a name. In title case names cannot be told.
    """
    words = title.split(" ")
    long = [word for word in words[1:] if len(word) > 3 and word[0].isalpha()]
    sentence_case = sum(word[0].isupper() for word in long) * 2 < len(long)
    return " ".join(_protected(word, sentence_case and place > 0) for place, word in enumerate(words))


def _protected(word: str, is_name: bool) -> str:
    match = re.fullmatch(r"(\W*)(.*?)(\W*)", word, re.DOTALL)
    assert match is not None  # the pattern matches every text
    before, core, after = match.groups()
    if (is_name and core[:1].isupper()) or re.search(r"(?:^|-)[A-Z]-|-[A-Z]$", core):
        core = f"{{{_tex(core)}}}"
    else:  # "CLIP-Driven" loses no capital that it needs
        parts = core.split("-")
        core = "-".join(f"{{{_tex(part)}}}" if _has_inner_capital(part) else _tex(part) for part in parts)
    return _tex(before) + core + _tex(after)


def _has_inner_capital(word: str) -> bool:
    return any(letter.isupper() for letter in word[1:])


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)


def _verbatim(text: str) -> str:
    return "".join(_VERBATIM.get(letter, letter) for letter in text)


def one_line(text: str) -> str:
    """The text without line breaks, control signs and lone surrogates."""
    return " ".join(_CONTROL.sub("", text).split())


# RIS


def _tags(item: Item) -> Iterator[tuple[str, str]]:
    """(tag, text) of one record. TY must come first and ER last."""
    date, pages = date_of(item), re.split(r"\s*[-\u2013]+\s*", text_of(item, "page"), maxsplit=1)
    yield "TY", _RIS_TYPES.get(str(item.get("type")), "GEN")
    yield "ID", text_of(item, "id")
    texts = [("TI", text_of(item, "title"))]
    texts += [("AU", _ris_name(name)) for name in names_of(item)]
    texts += [("ED", _ris_name(name)) for name in names_of(item, "editor")]
    texts += [
        ("T2", text_of(item, "container-title")),
        ("PY", str(date[0]) if date else ""),
        ("DA", "/".join([f"{part:02}" for part in date] + [""] * (3 - len(date))) if len(date) > 1 else ""),
        ("VL", text_of(item, "volume")),
        ("IS", text_of(item, "issue")),
        ("SP", pages[0]),
        ("EP", pages[1] if len(pages) > 1 else ""),
        ("PB", text_of(item, "publisher")),
        ("SN", text_of(item, "ISSN") or text_of(item, "ISBN")),
        ("DO", text_of(item, "DOI")),
        ("UR", text_of(item, "URL")),
        ("AN", f"arXiv:{text_of(item, 'archive_location')}" if item.get("archive") == "arXiv" else ""),
        ("AB", text_of(item, "abstract")),
        ("N1", "The list of authors is incomplete." if OTHERS in item.get("author", []) else ""),
    ]
    yield from ((tag, text) for tag, text in texts if text)
    yield "ER", "\r\n"  # and an empty line before the next


def _ris_name(name: Name) -> str:
    """ "von Family, Given, Jr."; a group's name as it stands."""
    if "literal" in name or not name.get("family"):
        return one_line(name.get("literal") or name.get("given", ""))
    particles = [name[part] for part in ("dropping-particle", "non-dropping-particle") if part in name]
    rest = [name[part] for part in ("given", "suffix") if part in name]
    return one_line(", ".join([" ".join([*particles, name["family"]]), *rest]))
