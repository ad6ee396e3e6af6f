"""Reading lists in Markdown ("awesome lists"): papers as rows of tables or as bullets, under headings by task.

Reads what such lists have in common: a title (a link, bold, or the first sentence), a link to the paper, perhaps one to
code, a venue, a year. Tables of contents and prose are passed over. HTML tables are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from corpus.imports.identity import arxiv_in, doi_in
from corpus.imports.links import repair
from corpus.imports.records import Entry, Refused, issued, person, plain, record, shown
from inference.errors import BadInput

LONGEST = 20_000  # characters of a line
_WORDS_OF_A_TITLE = 3  # fewer are a method's name, a heading, or "Paper"
_LABEL = re.compile(
    r"\W*(?:paper|pdf|code|github|git|repo(?:sitory)?|project(?: page)?|page|arxiv|link|url|html|doi|web(?:site)?"
    r"|data(?:set)?|demo|video|models?|weights|hugging ?face|hf|slides|poster|supp\w*|bibtex|blog|stars?|official"
    r"|unofficial|pytorch)\W*",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?:^|\.)(?:github\.com|gitlab\.com|github\.io|huggingface\.co|bitbucket\.org|codeberg\.org)$")
_URL = re.compile(r"https?://[^\s<>\"|]{1,4000}")
_COLUMNS = {
    "number": re.compile(r"#|no\.?|nr\.?|index|idx|id"),
    "title": re.compile(r"(?:paper )?title|paper(?: title| name)?|work|article|publication title"),
    "model": re.compile(r"model|method|name|abbr\w*|acronym"),
    "venue": re.compile(r"venue|journal|conference|publication|published(?: in)?|source|where"),
    "year": re.compile(r"year|date|time"),
    "authors": re.compile(r"authors?"),
    "code": re.compile(r"code|github|repo(?:sitory)?"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One paper of a list as it is written there. `line` counts from 1, `end` is the line after its last.

    `numbered` is its number, `block` tells the tables and lists of a file apart, `nested` whether rows stand within it.
    """

    line: int
    end: int
    block: int
    sections: tuple[str, ...]
    title: str = ""
    link: str = ""
    code: str = ""
    venue: str = ""
    year: int | None = None
    authors: str = ""
    model: str = ""
    numbered: int | None = None
    nested: bool = False


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of a cell or bullet: `style` is link, strong, em, code or empty."""

    text: str
    style: str = ""
    link: str = ""


def parse(text: str) -> Iterator[Entry]:
    """The papers of a list, with links that do not last already repaired. Raises BadInput on an absurd line."""
    for row in rows(text):
        yield row if isinstance(row, Refused) else read(row)


def rows(text: str) -> list[Row | Refused]:
    """The rows of a list, and those that have a link but no title."""
    long = next((n for n, line in enumerate(text.split("\n"), 1) if len(line) > LONGEST), 0)
    if long:
        raise BadInput(f"Line {long} is longer than {LONGEST:,} characters: this is no reading list.")
    try:
        tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(text)
    except RecursionError as error:
        raise BadInput("This Markdown is nested too deeply.") from error
    return list(_Reader().read(tokens))


def urls(line: str) -> list[str]:
    """The links in a line of Markdown, without the punctuation around them."""
    found = []
    for match in _URL.finditer(line):
        url = match[0]
        while url and (url[-1] in ".,;:'*]!" or (url[-1] == ")" and url.count(")") > url.count("("))):
            url = url[:-1]
        found.append(url.split("](")[0].split(")[")[0])
    return found


class _Reader:
    """Walks the tokens of a file and keeps the headings that it is under."""

    def __init__(self) -> None:
        self.headings: list[tuple[int, str]] = []
        self.block = 0
        self.header: list[str] = []

    @property
    def sections(self) -> tuple[str, ...]:
        return tuple(text for _, text in self.headings)

    def read(self, tokens: list[Token]) -> Iterator[Row | Refused]:
        for i, token in enumerate(tokens):
            if token.type == "heading_open":
                level = int(token.tag[1])
                heading = "".join(piece.text for piece in _pieces(tokens[i + 1])).strip()
                self.headings = [(at, text) for at, text in self.headings if at < level] + [(level, heading[:200])]
            elif token.type in ("bullet_list_open", "ordered_list_open", "table_open"):
                self.block += 1
            elif token.type == "thead_open":
                self.header = [
                    cell.content.strip().strip("*_ ").lower()
                    for cell in _until(tokens, i, "thead_close")
                    if cell.type == "inline"
                ]
            elif token.type == "tr_open" and token.map and token.level == 2 and tokens[i + 1].type == "td_open":
                yield from self._table_row(token, [c for c in _until(tokens, i, "tr_close") if c.type == "inline"])
            elif token.type == "list_item_open" and token.map:
                yield from self._bullet(token, tokens, i)

    def _table_row(self, token: Token, cells: list[Token]) -> Iterator[Row | Refused]:
        pieces = [_pieces(cell) for cell in cells]
        columns = _columns(self.header)
        everything = [piece for cell in pieces for piece in cell]
        cell = {name: pieces[at] for name, at in columns.items() if at < len(pieces)}
        words = {name: "".join(piece.text for piece in found).strip() for name, found in cell.items()}
        assert token.map is not None
        row = Row(token.map[0] + 1, token.map[1] + 1, self.block, self.sections)
        if not any(piece.link for piece in everything) and not words.get("title"):
            return
        row = replace(
            row,
            title=_title(cell["title"], whole=True) if "title" in cell else _title(everything),
            link=_paper_link(cell.get("title", []) + everything),
            code=_code_link(cell.get("code", []), everything),
            venue=_venue(words.get("venue", "")),
            year=_year(words.get("year", "")) or _year(words.get("venue", "")),
            authors=words.get("authors", ""),
            model=words.get("model", "")[:120],
            numbered=int(words["number"].rstrip(".")) if re.fullmatch(r"\d{1,6}\.?", words.get("number", "")) else None,
        )
        yield row if row.title else Refused(row.line, shown(cells[0].content if cells else ""), "The row has no title.")

    def _bullet(self, token: Token, tokens: list[Token], i: int) -> Iterator[Row | Refused]:
        assert token.map is not None
        inside = _until(tokens, i, "list_item_close", token.level)
        nested = any(part.type in ("bullet_list_open", "ordered_list_open") for part in inside)
        own = [part for part in inside if part.type == "inline" and part.level == token.level + 2]
        pieces = [piece for part in own for piece in _pieces(part)]
        links = [piece.link for piece in pieces if piece.link and not piece.link.startswith("#")]
        if not links:
            return  # prose, or a table of contents
        title = _title(pieces)
        rest = " ".join(piece.text for piece in pieces if piece.text.strip() != title)
        number = int(token.info) if token.info.isdigit() and len(token.info) < 7 else None
        row = Row(token.map[0] + 1, token.map[1] + 1, self.block, self.sections, title, numbered=number, nested=nested)
        if not title:
            yield Refused(row.line, shown(rest), "There is a link but no title.")
            return
        yield replace(
            row,
            link=_paper_link(pieces),
            code=_code_link([], pieces),
            venue=_venue_in(pieces, title),
            year=_year(rest),
            model=_model(pieces, title),
        )


def _until(tokens: list[Token], start: int, kind: str, level: int | None = None) -> list[Token]:
    """The tokens after `start` up to the one that closes it."""
    for end in range(start + 1, len(tokens)):
        if tokens[end].type == kind and (level is None or tokens[end].level == level):
            return tokens[start + 1 : end]
    return tokens[start + 1 :]


def _pieces(inline: Token) -> list[_Piece]:
    pieces: list[_Piece] = []
    styles: list[str] = []
    link, said = "", ""
    for token in inline.children or ():
        if token.type == "link_open":
            link, said = str(token.attrs.get("href", "")), ""
        elif token.type == "link_close":
            pieces.append(_Piece(said.strip(), "link", link))
            link = ""
        elif token.type in ("strong_open", "em_open"):
            styles.append(token.tag)
        elif token.type in ("strong_close", "em_close"):
            styles.pop()
        else:
            words = " " if token.type in ("softbreak", "hardbreak") else token.content
            if link:
                said += "" if token.type == "image" else words
            elif token.type == "code_inline":
                pieces.append(_Piece(words, "code"))
            elif token.type == "text" or words == " ":
                pieces.append(_Piece(words, styles[-1] if styles else ""))
    return pieces


def _columns(header: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, pattern in _COLUMNS.items():
        at = next((i for i, text in enumerate(header) if pattern.fullmatch(text) and i not in found.values()), None)
        if at is not None:
            found[name] = at
    return found


def _title(pieces: list[_Piece], *, whole: bool = False) -> str:
    """A link of several words, else bold ones, else the first sentence; `whole`: all of a title's own column."""
    for style in ("link", "strong"):
        for piece in pieces:
            if (
                piece.style == style
                and len(piece.text.split()) >= _WORDS_OF_A_TITLE
                and not _LABEL.fullmatch(piece.text)
            ):
                return plain(piece.text).strip(" .:")
    if whole:
        return plain("".join(piece.text for piece in pieces if not _LABEL.fullmatch(piece.text))).strip(" .:[]()")
    before = ""
    for piece in pieces:
        if piece.style == "link":
            break
        before += piece.text
    if quoted := re.search(r"[\"\u201c]([^\"\u201d]{12,300})[\"\u201d]", before):
        return plain(quoted[1]).strip(" .,")
    before = " ".join(before.split())[:2000]
    before = re.sub(r"^\s*(?:[\[(][^\])]{0,60}[\])]\s*)+", "", before)
    first = re.split(r"(?<=[a-z0-9)])[.,]\s+(?=[A-Z*\[(])|\s[\u2013\u2014|]\s|\s*[\[(]\s*$", before)[0]
    return plain(first).strip(" .,:-") if len(first.split()) >= _WORDS_OF_A_TITLE else ""


def _model(pieces: list[_Piece], title: str) -> str:
    """A method's name in bold before the title."""
    for piece in pieces:
        if piece.text.strip() == title:
            return ""
        if piece.style == "strong" and 0 < len(piece.text.split()) < _WORDS_OF_A_TITLE:
            return piece.text.strip(" :.")[:120]
    return ""


def _paper_link(pieces: list[_Piece]) -> str:
    links = [piece for piece in pieces if piece.link.startswith(("http://", "https://"))]
    return next((p.link for p in links if not _is_code(p)), links[0].link if links else "")


def _code_link(column: list[_Piece], pieces: list[_Piece]) -> str:
    links = [piece for piece in [*column, *pieces] if piece.link.startswith(("http://", "https://"))]
    return next((p.link for p in links if p in column or _is_code(p)), "")


def _is_code(piece: _Piece) -> bool:
    if re.fullmatch(r"\W*(?:code|github|git|repo\w*|stars?|project(?: page)?)\W*", piece.text, re.IGNORECASE):
        return True
    try:
        return bool(_CODE.search(urlsplit(piece.link).hostname or ""))
    except ValueError:
        return False


def _venue_in(pieces: list[_Piece], title: str) -> str:
    """Where a bullet's paper came out: in italics, in code, in brackets before or after the title, or as a sentence."""
    for style in ("em", "code"):
        for piece in pieces:
            if piece.style == style and piece.text.strip() != title and _venue(piece.text):
                return _venue(piece.text)
    text = " ".join(piece.text for piece in pieces if piece.style in ("", "strong") and piece.text.strip() != title)
    text = " ".join(text.split())[:2000]
    bracketed = re.findall(r"[\[(]\s*([^\[\]()]{2,80}?)\s*[\])]", text)
    sentences = re.findall(r"[.,]\s+([A-Z][^.,]{2,60}),?\s+(?:19|20)\d\d", text)
    return next(
        (venue for found in (*bracketed, *sentences) if _year(found) or found in sentences if (venue := _venue(found))),
        "",
    )


def _venue(text: str) -> str:
    """The venue without its year: "MICCAI'23" and "MICCAI 2023" are both MICCAI."""
    text = " ".join(text[:300].split())
    venue = re.sub(r"[\s,'\u2019-]*\b(?:(?:19|20)\d\d|(?<=['\u2019])\d\d)\b[.,]?", " ", text)
    venue = plain(venue).strip(" ,.;:'\u2019()[]*_-")
    return "" if _LABEL.fullmatch(venue) and venue.lower() != "arxiv" else venue[:200]


def _year(text: str) -> int | None:
    full = re.search(r"(?<![\d.])((?:19|20)\d\d)(?!\d)", text)
    short = re.search(r"['\u2019](\d\d)(?!\d)", text)
    year = int(full[1]) if full else 2000 + int(short[1]) if short else None
    return year if year and 1950 <= year <= date.today().year + 1 else None


def read(row: Row) -> Entry:
    """The row as a record, its link repaired where it would not last."""
    mended = repair(row.link) if row.link else None
    link = mended.url if mended else row.link
    csl = {
        "type": "article-journal",
        "title": row.title,
        "title-short": row.model,
        "container-title": row.venue,
        "issued": issued(str(row.year or "")),
        "author": [
            person(name) for name in re.split(r"\s*(?:,|;|&|\band\b)\s*", row.authors) if name and name != "et al."
        ],
        "URL": link,
        "DOI": doi_in(link),
    }
    if arxiv_id := arxiv_in(link):
        csl |= {"archive": "arXiv", "archive_location": arxiv_id}
    remark = ""
    if mended:
        end = "repaired." if mended.url else "left out, for it holds no PII or DOI."
        remark = f"{mended.fault[:1].upper()}{mended.fault[1:]}: {end}"
    return record(row.line, csl, sections=row.sections, code_url=row.code, remark=remark)
