"""Zotero RDF. Attachments, notes and collections are left out; tags become keywords.

The shape is that of Zotero's own translator: items stand under rdf:RDF, journals and books beside or within them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from corpus.imports.identity import doi_in
from corpus.imports.records import Csl, Entry, issued, plain, record
from inference.errors import BadInput

_NS = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "z": "http://www.zotero.org/namespaces/export#",
    "bib": "http://purl.org/net/biblio#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "prism": "http://prismstandard.org/namespaces/1.2/basic/",
}
_TYPES = {
    "journalArticle": "article-journal",
    "preprint": "article",
    "conferencePaper": "paper-conference",
    "bookSection": "chapter",
    "book": "book",
    "thesis": "thesis",
    "report": "report",
    "webpage": "webpage",
    "dataset": "dataset",
    "computerProgram": "software",
}
_NOT_WORKS = {"attachment", "note", "annotation"}
_CONTAINERS = {"Journal", "Memo", "Collection", "Attachment", "Series"}


def parse(text: str) -> Iterator[Entry]:
    """The items of an export. Raises BadInput on what is no XML, or has a document type, which Zotero never writes."""
    root = read_xml(text)
    if root.tag != f"{{{_NS['rdf']}}}RDF":
        raise BadInput("This XML is not Zotero RDF.")
    about = {place: node for node in root if (place := node.get(f"{{{_NS['rdf']}}}about"))}
    for node in root:
        kind = _text(node, "z:itemType")
        if kind in _NOT_WORKS or not isinstance(node.tag, str) or etree.QName(node).localname in _CONTAINERS:
            continue
        yield record(node.sourceline or 1, _csl(node, kind, about))


def read_xml(text: str) -> Any:
    """The root of an XML document from outside; nothing is fetched and no entity is expanded. Raises BadInput."""
    if "<!DOCTYPE" in text[:2000] or "<!ENTITY" in text:
        raise BadInput("XML with a document type is not read.")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadInput(f"This XML cannot be read: {error!s:.150}.") from error
    if root is None:
        raise BadInput("This XML is empty.")
    return root


def _text(node: Any, path: str) -> str:
    found = node.find(path, _NS)
    return plain("".join(found.itertext())) if found is not None else ""


def _csl(node: Any, kind: str, about: dict[str, Any]) -> Csl:
    container = _container(node, about)
    identifiers = [
        plain("".join(found.itertext()))
        for found in [*node.findall("dc:identifier", _NS), *container.findall("dc:identifier", _NS)]
    ]
    return {
        "id": node.get(f"{{{_NS['rdf']}}}about") or "",
        "type": _TYPES.get(kind, "article"),
        "title": _text(node, "dc:title"),
        "author": _people(node, "bib:authors"),
        "editor": _people(node, "bib:editors"),
        "container-title": _text(container, "dc:title"),
        "volume": _text(container, "prism:volume"),
        "issue": _text(container, "prism:number"),
        "page": _text(node, "bib:pages"),
        "publisher": _text(node, "dc:publisher"),
        "issued": issued(_text(node, "dc:date")),
        "abstract": _text(node, "dcterms:abstract"),
        "keyword": ", ".join(
            dict.fromkeys(filter(None, (plain("".join(tag.itertext())) for tag in node.findall("dc:subject", _NS))))
        ),
        "note": _text(node, "dc:description"),
        "DOI": next((doi for text in identifiers if (doi := doi_in(text)) and not re.match(r"https?:", text)), ""),
        "URL": next((text for text in identifiers if re.match(r"https?:", text)), ""),
        "ISSN": next((text.removeprefix("ISSN ") for text in identifiers if text.startswith("ISSN ")), ""),
    }


def _container(node: Any, about: dict[str, Any]) -> Any:
    """The journal or book that the item stands in, within it or named by its address; an empty element for none."""
    for part in node.findall("dcterms:isPartOf", _NS):
        named = about.get(part.get(f"{{{_NS['rdf']}}}resource") or "")
        for found in [named] if named is not None else list(part):
            if isinstance(found.tag, str) and etree.QName(found).localname != "Series":
                return found
    return etree.Element("none")


def _people(node: Any, path: str) -> list[dict[str, str]]:
    people = []
    for found in node.findall(f"{path}//foaf:Person", _NS):
        given = _text(found, "foaf:givenName") or _text(found, "foaf:givenname")
        people.append(
            {"family": _text(found, "foaf:surname"), "given": given}
            if given
            else {"literal": _text(found, "foaf:surname")}
        )
    return people
