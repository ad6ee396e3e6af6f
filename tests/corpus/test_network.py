"""Who cites and names whom: edges from annotations and from services, drawn for each reader with what they may see."""

import html
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from corpus.graph import MOST, graph_of
from corpus.models import Citation, Lookup, Paper
from corpus.network import Reference, link_annotations, link_references, references_of
from inference.errors import Unavailable

pytestmark = pytest.mark.django_db
Visit = Callable[[User], Client]


def paper_of(key: str, owner: User | None = None, **more: Any) -> Paper:
    return Paper.objects.create(key=key, title=more.pop("title", f"On {key}"), owner=owner, **more)


def edges(**conditions: Any) -> set[tuple[str, str]]:
    rows = Citation.objects.filter(**conditions).exclude(cited=None)
    return set(rows.values_list("paper__key", "cited__key"))


# Annotations


def test_an_annotation_that_names_a_method_links_the_two() -> None:
    paper_of("medklip", model_name="MedKLIP")
    paper_of("later", annotation="It starts from MedKLIP and adds boxes.")
    assert link_annotations() == 1
    assert edges(source="annotation") == {("later", "medklip")}
    assert link_annotations() == 0


def test_an_edge_goes_when_the_annotation_no_longer_names_it() -> None:
    paper_of("medklip", model_name="MedKLIP")
    later = paper_of("later", annotation="It starts from MedKLIP.")
    link_annotations()
    firm = Citation.objects.create(paper=later, cited=Paper.objects.get(key="medklip"), source="OpenAlex")
    later.annotation = "It starts anew."
    later.save()
    assert link_annotations() == 1
    assert list(Citation.objects.all()) == [firm]


def test_building_blocks_and_the_paper_itself_make_no_edges() -> None:
    paper_of("clip", model_name="CLIP", annotation="CLIP aligns images and texts.")
    for number in range(8):
        paper_of(f"p{number}", annotation="It adapts CLIP.")
    link_annotations()
    assert edges() == set()


def test_libraries_are_linked_by_themselves_and_never_from_outside(alice: User, bob: User) -> None:
    paper_of("medklip", model_name="MedKLIP", annotation="Later work calls it SecretNet.")
    paper_of("hers", owner=alice, model_name="SecretNet", annotation="It starts from MedKLIP.")
    paper_of("his", owner=bob, annotation="It starts from SecretNet and MedKLIP.")
    link_annotations()
    assert edges(owner=None) == set()
    assert edges(owner=alice) == {("hers", "medklip")}
    assert edges(owner=bob) == {("his", "medklip")}


@pytest.mark.usefixtures("literature")
def test_the_bundled_annotations_are_linked_by_the_load(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("load_corpus", verbosity=0)
    found = edges(source="annotation")
    assert ("chen2023minigptv2", "alkhaldi2024minigptmed") in found
    assert 30 < len(found) < 100
    call_command("link_citations")
    assert "unchanged" in capsys.readouterr().out


# OpenAlex and Crossref, as a real server on the loopback


class Services:
    """Answers by path; what was asked is kept."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.status = 200
        services = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                services.asked.append((unquote(parts.path), parse_qs(parts.query)))
                body = services.answers.get(unquote(parts.path))
                status = services.status if body is not None or services.status != 200 else 404
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def services(settings: Any) -> Iterator[Services]:
    running = Services()
    settings.OPENALEX_URL, settings.CROSSREF_URL = running.url, f"{running.url}/crossref"
    settings.MAILTO = "reader@example.org"
    yield running
    running.server.shutdown()
    running.server.server_close()


def openalex(services: Services, doi: str, *works: dict[str, Any]) -> None:
    ids = [f"https://openalex.org/W{number}" for number in range(len(works))]
    services.answers[f"/works/doi:{doi}"] = {"referenced_works": ids}
    services.answers["/works"] = {"results": list(works)}


def test_openalex_is_asked_politely_once_and_its_answer_kept(services: Services) -> None:
    work = {"title": "Learning  Transferable\0 Models", "publication_year": 2021, "doi": "https://doi.org/10.1/ABC"}
    openalex(services, "10.5/x", work, {"title": None, "publication_year": None, "doi": None})
    expected = [Reference("Learning Transferable Models", 2021, "10.1/abc", "OpenAlex")]
    assert references_of("10.5/x") == expected
    assert services.asked[1][1]["filter"] == ["openalex:W0|W1"]
    assert all(query["mailto"] == ["reader@example.org"] for _, query in services.asked)
    before = len(services.asked)
    assert references_of("10.5/x") == expected
    assert len(services.asked) == before


def test_many_references_are_asked_for_in_batches(services: Services) -> None:
    openalex(services, "10.5/x", *[{"title": f"Work {n}", "publication_year": 2020, "doi": None} for n in range(60)])
    references_of("10.5/x")
    assert [len(query["filter"][0].split("|")) for path, query in services.asked if path == "/works"] == [50, 10]


def test_crossref_answers_where_openalex_knows_nothing(services: Services) -> None:
    rows = [
        {"article-title": "A work", "year": "2020a", "DOI": "10.1/A"},
        {"unstructured": "Doe J. Another work. 2019."},
        {"key": "nothing known"},
    ]
    services.answers["/crossref/works/10.5/x"] = {"message": {"reference": rows}}
    assert references_of("10.5/x") == [
        Reference("A work", 2020, "10.1/a", "Crossref"),
        Reference("Doe J. Another work. 2019.", None, "", "Crossref"),
    ]


def test_a_work_that_nobody_knows_has_no_references_and_is_not_asked_about_again(services: Services) -> None:
    assert references_of("10.5/unknown") == []
    asked = len(services.asked)
    assert references_of("10.5/unknown") == []
    assert len(services.asked) == asked


@pytest.mark.parametrize(("status", "body", "said"), [(500, {}, "answered 500"), (200, b"<html>", "not JSON")])
def test_a_broken_service_is_one_clear_line(services: Services, status: int, body: Any, said: str) -> None:
    services.status, services.answers["/works/doi:10.5/x"] = status, body
    with pytest.raises(Unavailable, match=said) as error:
        references_of("10.5/x")
    assert "\n" not in str(error.value)
    assert not Lookup.objects.exists()


def test_without_a_network_the_command_says_so_and_keeps_what_is_known(settings: Any) -> None:
    settings.OPENALEX_URL = "http://127.0.0.1:9"  # nobody listens there
    paper = paper_of("one", doi="10.5/x")
    Citation.objects.create(paper=paper, title="Known before", source="OpenAlex")
    with pytest.raises(CommandError, match="no connection"):
        call_command("link_citations", network=True, verbosity=0)
    assert Citation.objects.get().title == "Known before"


def test_references_are_matched_by_doi_arxiv_or_title(services: Services, alice: User) -> None:
    citing = paper_of("citing", doi="10.5/X")
    paper_of("by-doi", doi="10.1/B")
    paper_of("by-arxiv", arxiv_id="2306.00890")
    paper_of("by-title", title="Taming Vision-Language Models: A Review")
    paper_of("hers", owner=alice, doi="10.9/hers")
    openalex(
        services, "10.5/x",
        {"title": "b", "publication_year": 2020, "doi": "https://doi.org/10.1/b"},
        {"title": "c", "publication_year": 2023, "doi": "https://doi.org/10.48550/arXiv.2306.00890"},
        {"title": "Taming vision language models - a review", "publication_year": 2025, "doi": None},
        {"title": "Elsewhere", "publication_year": 1999, "doi": "https://doi.org/10.9/hers"},
        {"title": "Itself", "publication_year": 1999, "doi": "https://doi.org/10.5/x"},
    )  # fmt: skip
    services.answers["/works/doi:10.1/b"] = services.answers["/works/doi:10.48550/arxiv.2306.00890"] = {}
    done = link_references(None)
    assert (done.papers, done.references, done.linked) == (3, 5, 3)
    assert edges(paper=citing) == {("citing", "by-doi"), ("citing", "by-arxiv"), ("citing", "by-title")}
    link_references(None)
    assert Citation.objects.filter(paper=citing).count() == 5  # asked again, nothing doubled


def test_a_users_own_papers_are_asked_about_only_when_named(
    services: Services, alice: User, capsys: pytest.CaptureFixture[str]
) -> None:
    paper_of("hers", owner=alice, doi="10.5/x")
    openalex(services, "10.5/x", {"title": "A work", "publication_year": 2020, "doi": None})
    call_command("link_citations", network=True)
    assert services.asked == []
    call_command("link_citations", network=True, library="alice")
    assert "1 of 1 papers with a DOI" in capsys.readouterr().out
    assert Citation.objects.get().owner == alice
    with pytest.raises(CommandError, match="no user named nobody"):
        call_command("link_citations", network=True, library="nobody")


# The drawing


def test_what_is_cited_stands_left_by_year_and_the_paper_in_the_middle() -> None:
    here = paper_of("here", year=2023)
    for key, year in (("old", 2020), ("same", 2023), ("new", 2025), ("undated", None)):
        paper_of(key, year=year)
    at = {paper.key: paper for paper in Paper.objects.all()}
    for cited in ("old", "same"):
        Citation.objects.create(paper=here, cited=at[cited], source="OpenAlex")
    Citation.objects.create(paper=at["new"], cited=here, source="full text")
    Citation.objects.create(paper=at["undated"], cited=here, source="annotation")
    graph = graph_of(here, None)
    place = {node.paper.key: node for node in graph.nodes}
    assert graph.centre.paper == here
    assert place["old"].x < place["here"].x < place["new"].x < place["undated"].x
    assert place["same"].x == place["here"].x
    assert place["same"].y != place["here"].y
    assert [year for year, _ in graph.years] == ["2020", "2023", "2025", "no year"]
    assert {node.y for node in graph.nodes} <= set(range(graph.height))
    assert sorted(edge.firm for edge in graph.edges) == [False, True, True, True]
    assert place["undated"].said == "its annotation names this paper"
    assert place["new"].said == "cites this paper (full text)"


def test_two_sources_of_one_citation_are_one_edge_and_the_firm_one_counts() -> None:
    here, there = paper_of("here"), paper_of("there")
    for source in ("annotation", "OpenAlex", "Crossref"):
        Citation.objects.create(paper=here, cited=there, source=source)
    graph = graph_of(here, None)
    assert len(graph.edges) == 1
    assert graph.edges[0].firm
    assert graph.cited[0].said == "cited by this paper (OpenAlex, Crossref)"


def test_the_largest_graphs_are_cut_and_the_cut_is_said(alice: User, client_of: Visit) -> None:
    here = paper_of("here", year=2021)
    for number in range(51):
        citing = paper_of(f"p{number:02}", year=2022 + number % 3)
        Citation.objects.create(paper=citing, cited=here, source="annotation" if number < 12 else "OpenAlex")
    graph = graph_of(here, alice.pk)
    assert len(graph.nodes) == MOST
    assert graph.cut == 12
    assert all(edge.firm for edge in graph.edges)  # the weak ones are left out first
    places = [(node.x, node.y) for node in graph.nodes]
    assert len(set(places)) == MOST
    text = html.unescape(client_of(alice).get("/literature/here/").content.decode())
    assert "12 further papers are not drawn" in text
    assert text.count('<a class="lit-node"') == MOST - 1
    assert text.count("its annotation names this paper</span>") == 12  # the list has all
    drawing = text[text.index("<svg") : text.index("</svg>")]
    assert "style=" not in drawing


def test_each_reader_sees_the_citations_that_they_may(alice: User, bob: User, client_of: Visit) -> None:
    here, shared = paper_of("here", year=2023), paper_of("shared", year=2020)
    hers = paper_of("hers", owner=alice, title="A secret plan", year=2024)
    Citation.objects.create(paper=hers, cited=here, source="OpenAlex", owner=alice)
    Citation.objects.create(paper=hers, cited=here, source="OpenAlex")  # even when its row is nobody's
    Citation.objects.create(paper=here, cited=shared, source="full text", owner=alice)
    Citation.objects.create(paper=here, title="A hidden reference", source="full text", owner=alice)
    assert len(graph_of(here, alice.pk).edges) == 2
    assert graph_of(here, bob.pk).nodes == []
    assert graph_of(here, None).outside == []
    page = client_of(bob).get("/literature/here/").content.decode()
    assert "secret plan" not in page
    assert "hidden reference" not in page
    assert "No citation between this paper and another" in page
    assert "A hidden reference" in client_of(alice).get("/literature/here/").content.decode()
