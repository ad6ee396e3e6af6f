"""Every address of the site: what anonymous, the owner, a stranger and staff get. A new address must be added here."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import data_store
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from assistant import runs, uploads
from assistant.models import Annotation, ApiToken, Artifact, Calibration, Conversation, Image, ImageSet, Report, Run
from corpus.documents import shelf
from corpus.imports import work
from corpus.models import Import, Note, Paper, PaperFile, SavedSearch
from tests import phantom

pytestmark = pytest.mark.django_db(transaction=True)
RADIOGRAPH = Path(data_store.__file__).parent / "data" / "RG1_UNCR.dcm"
UUID = uuid.UUID("00000000-0000-4000-8000-000000000009")


@dataclass(frozen=True)
class Address:
    """`statuses`: of anonymous, the owner, a stranger, staff."""

    arguments: Callable[["World"], list[Any]] = lambda _: []
    statuses: tuple[int, int, int, int] = (302, 200, 200, 200)
    method: str = "GET"
    data: dict[str, str] = field(default_factory=dict)
    token: bool = False
    query: str = ""


def own(arguments: Callable[["World"], list[Any]], owner: int = 200, **more: Any) -> Address:
    """Open to its owner only: for anyone else it is not there."""
    return Address(arguments, (302, owner, 404, 404), **more)


def api(arguments: Callable[["World"], list[Any]], owner: int = 200, **more: Any) -> Address:
    return Address(arguments, (401, owner, 404, 404), token=True, **more)


@dataclass(frozen=True)
class World:
    """What alice has made."""

    conversation: Conversation
    run: Run
    report: Report
    paper: Paper
    note: Note
    private: Paper
    pdf: PaperFile
    imported: Import
    volume: Image
    drawn: Annotation

    @property
    def annotation(self) -> Annotation:
        """A mask that she drew herself."""
        return Annotation.objects.exclude(pk=self.drawn.pk).get()

    @property
    def image_set(self) -> ImageSet:
        made, _ = ImageSet.objects.get_or_create(owner=self.conversation.owner, name="normal")
        return made

    @property
    def picture(self) -> Artifact:
        """A picture that a tool made of her images."""
        made, _ = Artifact.objects.get_or_create(
            tool_call=self.run.tool_calls.all()[0], number=90, kind=Artifact.PICTURE, label="checkerboard"
        )
        if not made.file:
            made.file.save("picture.png", ContentFile(b"\x89PNG"))
        return made

    @property
    def mask(self) -> Artifact:
        return Artifact.objects.filter(kind=Artifact.MASK)[0]


def chat(world: World) -> list[Any]:
    return [world.conversation.pk]


def image(world: World) -> list[Any]:
    return [world.conversation.numbered_images.get().image_id]


def run(world: World) -> list[Any]:
    return [world.run.pk]


def mask(world: World) -> list[Any]:
    return [world.mask.pk]


def volume(world: World) -> list[Any]:
    return [world.volume.pk]


def report(world: World) -> list[Any]:
    return [world.report.pk]


def saved_search(world: World) -> list[Any]:
    return [SavedSearch.objects.filter(owner=world.conversation.owner).earliest("saved_at").pk]


def pdf(world: World) -> list[Any]:
    return [world.pdf.pk]


def calibration(world: World) -> list[Any]:
    owner = world.conversation.owner
    found, _ = ImageSet.objects.get_or_create(owner=owner, name="labelled")
    row, _ = Calibration.objects.get_or_create(owner=owner, image_set=found, checkpoint="x", method="isotonic")
    return [row.pk]


NOBODY: Callable[[World], list[Any]] = lambda _: []  # noqa: E731

ADDRESSES: dict[str, Address] = {
    "home": Address(),
    "chat-search": Address(),
    "chat-create": Address(statuses=(302, 302, 302, 302), method="POST", data={"text": "hello"}),
    "chat": own(chat),
    "chat-send": own(chat, 302, method="POST", data={"text": "hello"}),
    "chat-segment": own(chat, 422, method="POST"),
    "chat-rename": own(chat, 302, method="POST", data={"title": "Film"}),
    "chat-delete": own(chat, 302, method="POST"),
    "chat-models": own(chat),
    "chat-image": own(lambda w: chat(w) + image(w)),
    "chat-view": own(lambda w: chat(w) + image(w)),
    "study-priors": own(lambda w: [w.conversation.numbered_images.get().image.study_id], 404, method="POST"),
    "image-upload": Address(statuses=(302, 422, 422, 422), method="POST"),
    "image-sample": Address(statuses=(302, 302, 302, 302), method="POST"),
    "image-preview": own(image),
    "image-kind": own(image),
    "image-text": own(image),
    "image-viewer": own(image),
    "image-frame-raw": own(lambda w: [*image(w), 0]),
    "image-frame-png": own(lambda w: [*image(w), 0]),
    "image-tile": Address(lambda w: [*image(w), 0, 0, 0], (302, 404, 404, 404)),  # a slide's: test_viewer.py
    "annotation-overlay": own(lambda w: [w.annotation.pk]),
    "image-original": own(image, 410),  # it was de-identified, and only the clean copy kept
    "mask-add": own(image, 422, method="POST"),
    "measurement-add": own(image, 422, method="POST"),
    "annotation-delete": own(lambda w: [w.annotation.pk], 204, method="POST"),
    "image-volume": own(volume),
    "annotation-nifti": own(lambda w: [w.drawn.pk]),
    "artifact-nifti": own(mask, 404),  # of a radiograph, which is no volume
    "image-deidentified": own(image),
    "image-measurements": own(lambda w: [*image(w), "csv"]),
    "annotation-saved": own(lambda w: [w.annotation.pk, "png"]),
    "artifact-saved": own(lambda w: [*mask(w), "png"]),
    "artifact": own(mask),
    "image-sets": Address(),
    "image-set": own(lambda w: [w.image_set.pk]),
    "image-set-delete": own(lambda w: [w.image_set.pk], 302, method="POST"),
    "artifact-picture": own(lambda w: [w.picture.pk]),
    "artifact-overlay": own(mask),
    "run-events": own(run),
    "run-cancel": own(run, 302, method="POST"),
    "run-decide": own(lambda w: [w.run.pk, w.run.tool_calls.all()[0].number], 409, method="POST"),
    "run-call": own(lambda w: [w.run.pk, w.run.tool_calls.all()[0].number]),
    "evidence": own(lambda w: [w.run.answer_id, 1]),
    "tool-call": own(lambda w: [w.run.tool_calls.all()[0].pk]),
    "reports": Address(),
    "report": own(report),
    "report-docx": own(report),
    "models": Address(),
    "calibrations": Address(),
    "calibration": own(calibration),
    "calibration-use": own(calibration, 422, method="POST", data={"on": "1"}),
    "calibration-delete": own(calibration, 302, method="POST"),
    "model-servers": Address(),
    "model": Address(lambda _: ["baseline-lungs"]),
    # On a laptop its one user switches; with accounts only staff: test_models_page.py.
    "model-switch": Address(lambda _: ["baseline-lungs"], (302, 302, 302, 302), "POST", {"on": "1"}),
    "sign-in": Address(statuses=(200, 200, 200, 200)),
    "sign-in-link": Address(lambda _: ["no-such-token"], (403, 302, 302, 302)),
    "sign-out": Address(statuses=(302, 302, 302, 302), method="POST"),
    "favicon": Address(statuses=(302, 302, 302, 302)),
    "exchange": Address(lambda w: ["not.signed"], statuses=(404, 404, 404, 404)),
    "healthz": Address(statuses=(200, 200, 200, 200)),
    "readyz": Address(statuses=(503, 503, 503, 503)),
    "corpus:browse": Address(),
    "facet-proposals": Address(query="?q=lungs"),
    "corpus:paper": Address(lambda w: [w.paper.key]),
    "corpus:selection": Address(),
    "corpus:selection-add": Address(statuses=(302, 404, 404, 404), method="POST", data={"paper": "0"}),
    "corpus:selection-remove": Address(statuses=(302, 404, 404, 404), method="POST", data={"paper": "0"}),
    "corpus:selection-clear": Address(statuses=(302, 302, 302, 302), method="POST"),
    "corpus:export": Address(lambda _: ["bibtex"]),
    "corpus:references": Address(),
    "corpus:compare": Address(),
    "corpus:compare-file": Address(lambda _: ["csv"]),
    "corpus:related-work": Address(),
    "corpus:related-work-file": Address(lambda _: ["md"]),
    "corpus:saved-searches": Address(),
    "corpus:saved-search-save": Address(statuses=(302, 302, 302, 302), method="POST"),
    "corpus:saved-search": own(saved_search),
    "corpus:saved-search-keep": own(saved_search, 302, method="POST"),
    "corpus:saved-search-delete": own(saved_search, 302, method="POST"),
    "corpus:paper-labels": Address(
        lambda w: [w.paper.key], (302, 302, 302, 302), "POST", {"do": "add", "facet": "task", "value": "vqa"}
    ),
    "corpus:note-add": Address(lambda w: [w.paper.key], (302, 302, 302, 302), "POST", {"text": "A note"}),
    "corpus:note-delete": own(lambda w: [w.paper.key, w.note.pk], 302, method="POST"),
    "corpus:matrix": Address(),
    "corpus:matrix-csv": Address(),
    "corpus:matrix-svg": Address(),
    "corpus:new-paper": Address(statuses=(302, 422, 422, 422), method="POST"),
    "corpus:paper-files": Address(lambda w: [w.paper.key], (302, 422, 422, 422), method="POST"),
    "corpus:paper-details": own(lambda w: [w.private.key]),
    "corpus:file": own(pdf),
    "corpus:file-pdf": own(pdf),
    "corpus:file-remove": own(pdf, 302, method="POST"),
    "corpus:library": Address(),
    "corpus:library-delete": Address(statuses=(302, 302, 302, 302), method="POST", data={"paper": "1"}),
    "corpus:import-new": Address(),
    "corpus:import": own(lambda w: [w.imported.pk]),
    "corpus:import-cancel": own(lambda w: [w.imported.pk], 302, method="POST"),
    "corpus:import-report": own(lambda w: [w.imported.pk]),
    "corpus:import-repaired": own(lambda w: [w.imported.pk]),
    "api:openapi-view": Address(),
    "api:openapi-json": Address(),
    "api:create_image": Address(statuses=(401, 422, 422, 422), method="POST", token=True),
    "api:create_series": Address(statuses=(401, 422, 422, 422), method="POST", token=True),
    "api:read_image": api(image),
    "api:read_annotation": api(lambda w: [w.annotation.pk]),
    "api:create_conversation": Address(statuses=(401, 201, 201, 201), method="POST", token=True),
    "api:read_chat_models": Address(NOBODY, (401, 200, 200, 200), token=True),
    "api:create_message": api(chat, 202, method="POST", data={"text": "hello"}),
    "api:read_run": api(run),
    "api:cancel_run": api(run, method="POST"),
    "api:read_events": api(run),
    "api:read_artifact": api(mask),
    "api:read_papers": Address(NOBODY, (401, 200, 200, 200), token=True),
}
NO_PAGE = {"api:api-root"}  # a name that Ninja keeps for reverse(); it answers 404 to everyone


def names(resolver: URLResolver, space: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from names(pattern, f"{space}{pattern.namespace}:" if pattern.namespace else space)
        else:
            assert isinstance(pattern, URLPattern)
            yield f"{space}{pattern.name}"


def test_every_address_is_listed_here():
    assert set(names(get_resolver())) - NO_PAGE == set(ADDRESSES)


@pytest.fixture
def world(alice: User, eager_celery: Any) -> World:
    conversation = Conversation.objects.create(owner=alice)
    radiograph = uploads.store(alice, SimpleUploadedFile("film.dcm", RADIOGRAPH.read_bytes()))
    drawn = np.zeros((radiograph.height, radiograph.width), np.uint8)
    drawn[10:20, 30:50] = 255
    Annotation.add(radiograph, drawn, kind=Annotation.MASK, author=Annotation.PERSON, label="left lung")
    first = runs.ask(conversation, "Segment the lungs", [radiograph])
    conversation.refresh_from_db()
    runs.ask(conversation, "Draft a report", [])
    first.refresh_from_db()
    paper = Paper.objects.create(key="a2024b", title="A paper", year=2024, annotation="Words.", evidence="abstract")
    SavedSearch.objects.create(owner=alice, name="All papers")
    note = Note.objects.create(author=alice, paper=paper, text="A note of her own")
    conversation.refresh_from_db()
    private = Paper.objects.create(owner=alice, key="c2024d", title="A paper of her own")
    pdf = shelf.add(paper, alice.pk, SimpleUploadedFile("a.pdf", b"%PDF-1.7"))
    imported = Import.objects.create(owner=alice, name="list.md", state=Import.DONE, line="1 added.")
    default_storage.save(work.repaired_list(imported), ContentFile(b"# A list"))
    volume = phantom.store(alice, phantom.voxels())
    block = phantom.mark(volume, phantom.block())
    return World(conversation, first, Report.objects.get(), paper, note, private, pdf, imported, volume, block)


def asked(world: World, name: str, user: User | None) -> int:
    """The status that this user gets."""
    address, client = ADDRESSES[name], Client()
    headers: dict[str, str] = {}
    if user and address.token:
        headers["Authorization"] = f"Bearer {ApiToken.issue(user)}"
    elif user:
        client.force_login(user)
    url = reverse(name, args=address.arguments(world)) + address.query
    if address.method == "GET":
        response = client.get(url, headers=headers)
    elif address.token:
        response = client.post(url, json.dumps(address.data), content_type="application/json", headers=headers)
    else:
        response = client.post(url, address.data, headers=headers)
    if user is None and response.status_code == 302 and name not in ("sign-out", "favicon"):
        assert response["Location"].startswith(reverse("sign-in"))
    return _status(response)


def _status(response: Any) -> int:
    assert isinstance(response.status_code, int)
    return response.status_code


def test_each_address_opens_to_whom_it_should(world: World, alice: User, bob: User, staff: User):
    wrong = []
    last = {
        "annotation-delete": 0,
        "chat-delete": 1,
        "run-cancel": 0,
        "corpus:saved-search-delete": 1,
        "corpus:file-remove": 0,
    }
    for name in sorted(ADDRESSES, key=lambda n: last.get(n, -1)):
        for who, user, expected in zip(
            ("anonymous", "stranger", "staff", "owner"),
            (None, bob, staff, alice),
            (ADDRESSES[name].statuses[i] for i in (0, 2, 3, 1)),
            strict=True,
        ):
            status = asked(world, name, user)
            if status != expected:
                wrong.append(f"{name}: {who} got {status}, not {expected}")
    assert not wrong


def test_what_is_not_yours_looks_like_what_does_not_exist(world: World, bob: User, client_of: Any):
    client: Client = client_of(bob)
    for name, address in ADDRESSES.items():
        if address.statuses[2] != 404 or address.method != "GET":
            continue
        url = reverse(name, args=address.arguments(world))
        absent = "/".join(str(UUID) if _is_uuid(part) else part for part in url.split("/"))
        headers = {"Authorization": f"Bearer {ApiToken.issue(bob)}"} if address.token else {}
        answers = [client.get(path, headers=headers) for path in (url, absent)]
        assert [a.status_code for a in answers] == [404, 404], name
        assert answers[0].content == answers[1].content, name


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def test_a_forged_form_is_refused(world: World, alice: User):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    for name in (n for n, a in ADDRESSES.items() if a.method == "POST" and not a.token):
        url = reverse(name, args=ADDRESSES[name].arguments(world))
        assert client.post(url, ADDRESSES[name].data).status_code == 403, name
