"""Services that answer like Crossref, arXiv and OpenAlex, over the loopback; and an index that only writes down."""

import json
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

CROSSREF = {
    "status": "ok",
    "message-type": "work",
    "message-version": "1.0.0",
    "message": {
        "DOI": "10.5555/films.2024.1",
        "type": "journal-article",
        "title": ["Reading films with <i>words</i>"],
        "subtitle": ["a study"],
        "container-title": ["Journal of Films"],
        "short-container-title": ["J. Films"],
        "publisher": "Films Press",
        "author": [
            {"given": "Rima", "family": "Haddad", "sequence": "first", "affiliation": []},
            {"name": "The Film Group", "sequence": "additional", "affiliation": []},
        ],
        "issued": {"date-parts": [[2024, 5]]},
        "published-print": {"date-parts": [[2024, 6]]},
        "volume": "3",
        "page": "1-9",
        "ISSN": ["1234-5678"],
        "URL": "https://doi.org/10.5555/films.2024.1",
        "is-referenced-by-count": 4,
    },
}
OPENALEX = {
    "id": "https://openalex.org/W4300000001",
    "doi": "https://doi.org/10.5555/films.2024.1",
    "title": "Reading films with words",
    "publication_year": 2024,
    "publication_date": "2024-05-02",
    "type": "article",
    "authorships": [
        {"author_position": "first", "author": {"id": "https://openalex.org/A1", "display_name": "Rima Haddad"}}
    ],
    "primary_location": {
        "landing_page_url": "https://doi.org/10.5555/films.2024.1",
        "source": {"display_name": "Journal of Films"},
    },
    "biblio": {"volume": "3", "issue": None, "first_page": "1", "last_page": "9"},
    "abstract_inverted_index": {"Words": [0], "follow": [1], "films.": [2], "Films": [3], "matter.": [4]},
}
ENTRY = """<entry>
  <id>http://arxiv.org/abs/{id}v2</id><updated>2024-03-02T00:00:00Z</updated><published>2024-02-01T00:00:00Z</published>
  <title>Words for
  films</title><summary>  Films have
  words. Words have films.
</summary>
  <author><name>Rima Haddad</name></author><author><name>Li Wei</name></author>
  <arxiv:journal_ref xmlns:arxiv="http://arxiv.org/schemas/atom">Journal of Films 3 (2024)</arxiv:journal_ref>
  <link href="https://arxiv.org/abs/{id}v2" rel="alternate" type="text/html"/>
  <arxiv:primary_category xmlns:arxiv="http://arxiv.org/schemas/atom" term="cs.CV" scheme="http://arxiv.org/schemas/atom"/>
</entry>"""
FEED = (
    '<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom">'
    '<link href="https://arxiv.org/api/query" rel="self"/>{}</feed>'
)


@dataclass
class Services:
    """What was asked, and what is answered: `fail` are statuses to give first, one a question."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    fail: list[int] = field(default_factory=list)
    retry_after: str = "0"
    known: set[str] = field(default_factory=lambda: {"10.5555/films.2024.1", "2402.99911", "2402.99912"})
    body: str | None = None

    def answer(self, path: str) -> tuple[int, str]:
        """(status, body) to a question."""
        if self.fail:
            return self.fail.pop(0), "Rate exceeded."
        if self.body is not None:
            return 200, self.body
        parts = urlsplit(path)
        if parts.path == "/api/query":
            ids = parse_qs(parts.query)["id_list"][0].split(",")
            return 200, FEED.format("".join(ENTRY.format(id=i) for i in ids if i in self.known))
        doi = unquote(parts.path.removeprefix("/works/"))
        if doi.removeprefix("doi:") not in self.known:
            return 404, "Resource not found."
        return 200, json.dumps(OPENALEX if doi.startswith("doi:") else CROSSREF)


@pytest.fixture
def services(settings: Any) -> Iterator[Services]:
    """A real HTTP server in place of the three services."""
    state = Services()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            state.agents.append(self.headers["User-Agent"])
            status, body = state.answer(self.path)
            self.send_response(status)
            if status in (429, 503):
                self.send_header("Retry-After", state.retry_after)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        settings.CROSSREF_URL = settings.ARXIV_URL = settings.OPENALEX_URL = state.url
        yield state
        server.shutdown()


@pytest.fixture
def nobody(settings: Any) -> None:
    """No network: nothing listens where the services should be."""
    settings.CROSSREF_URL = settings.ARXIV_URL = settings.OPENALEX_URL = "http://127.0.0.1:9"


@pytest.fixture
def indexed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The papers that the index was told of, in order; the index itself is tested with the real one elsewhere."""
    told: list[int] = []

    def refresh(papers: Collection[int]) -> None:
        told.extend(papers)

    monkeypatch.setattr("corpus.reload.refresh", refresh)
    return told


@pytest.fixture
def bring(indexed: list[int]) -> Callable[..., Any]:
    """bring(user, "text"): an import carried out, as its row."""
    from corpus.imports import work

    def bring(user: Any, text: str | bytes, **more: Any) -> Any:
        data = text.encode() if isinstance(text, str) else text
        row = work.submit(user, data, more.pop("name", "list.txt"), more.pop("form", ""), enqueue=False, **more)
        claimed = work.claim(row.pk)
        assert claimed is not None
        work.advance(claimed, float("inf"))
        row.refresh_from_db()
        return row

    return bring
