"""The REST API. OpenAPI at /api/docs; a bearer token for every call (`manage.py token`)."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from ninja import File, NinjaAPI, Schema, Status, Swagger
from ninja.errors import ValidationError
from ninja.files import UploadedFile
from ninja.security import HttpBearer
from pydantic import Field

from assistant import follow, mask_files, runs, served, uploads
from assistant.evidence import numbered
from assistant.models import Annotation, ApiToken, Artifact, Conversation, Image, Run, ToolCall
from assistant.models.access import digest
from corpus import catalogue
from inference.errors import InferenceError, Unavailable

TEXT_LIMIT = 1_000_000  # characters a client may send at all; `runs.ask` has the real limit and says so
LAST_NUMBER = 10**9


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        found = ApiToken.objects.select_related("user").filter(digest=digest(token), user__is_active=True).first()
        return found.user if found else None


api = NinjaAPI(
    title="Lightbox",
    version="1",
    description="Medical images, vision-language models and their literature. Research use only, not for diagnosis.",
    auth=Bearer(),
    docs=Swagger(),
    docs_decorator=login_required,
    urls_namespace="api",
)


def user_of(request: HttpRequest) -> User:
    """Who the token belongs to."""
    user: User = request.auth  # type: ignore[attr-defined]
    return user


def _line(request: HttpRequest, error: Exception, status: int) -> HttpResponse:
    return api.create_response(request, {"detail": str(error)}, status=status)


@api.exception_handler(InferenceError)
def _inference(request: HttpRequest, error: InferenceError) -> HttpResponse:
    return _line(request, error, 503 if isinstance(error, Unavailable) else 422)


@api.exception_handler(ValidationError)
def _not_valid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """One line, as for every other refusal; where in the request, then what is wrong there."""
    wrong = [f"{'.'.join(map(str, e['loc'][1:])) or 'request'}: {e['msg']}" for e in error.errors]
    return _line(request, Exception("; ".join(wrong)[:500]), 422)


@api.exception_handler(uploads.TooLarge)
def _too_large(request: HttpRequest, error: uploads.TooLarge) -> HttpResponse:
    return _line(request, error, 413)


@api.exception_handler(RequestDataTooBig)
def _body_too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return _line(request, Exception("The body of this request is too large."), 413)


@api.exception_handler(runs.Busy)
def _busy(request: HttpRequest, error: runs.Busy) -> HttpResponse:
    return _line(request, error, 409)


@api.exception_handler(runs.Refused)
def _refused(request: HttpRequest, error: runs.Refused) -> HttpResponse:
    return _line(request, error, 422)


class ImageOut(Schema):
    """`spacing_mm` is [row, column] in millimetres, or null where the file does not say."""

    id: uuid.UUID
    kind: str
    modality: str
    width: int
    height: int
    frames: int
    spacing_mm: list[float] | None


@api.post("/images", response={201: ImageOut}, summary="Upload one file: an image, a volume, a slide, a video")
def create_image(request: HttpRequest, file: File[UploadedFile]) -> Status[Image]:
    return Status(201, uploads.store(user_of(request), file))


class MarkOut(Schema):
    """A mask, box or measurement on an image. `url` gives a mask as PNG (`?frame=`), others as JSON."""

    id: uuid.UUID
    number: int
    kind: str
    label: str
    author: str
    version: int
    corrects: uuid.UUID | None
    corrects_artifact: uuid.UUID | None
    data: dict[str, Any]
    url: str


class ImageFactsOut(ImageOut):
    """`unit` is that of the pixel values; `notes` are sentences that a user must see."""

    layout: str
    unit: str
    notes: list[str]
    annotations: list[MarkOut]


def _mark(mark: Annotation) -> MarkOut:
    return MarkOut(
        id=mark.pk,
        number=mark.number,
        kind=mark.kind,
        label=mark.label,
        author=mark.author,
        version=mark.version,
        corrects=mark.corrects_id,
        corrects_artifact=mark.corrects_artifact_id,
        data=mark.data,
        url=f"/api/annotations/{mark.pk}",
    )


@api.get("/images/{uuid:image_id}", response=ImageFactsOut, summary="What is known of an image, and what lies on it")
def read_image(request: HttpRequest, image_id: uuid.UUID) -> ImageFactsOut:
    image = get_object_or_404(Image.objects.visible_to(user_of(request)), pk=image_id)
    return ImageFactsOut(
        **ImageOut.from_orm(image).dict(),
        layout=image.layout,
        unit=image.facts.unit,
        notes=list(image.facts.notes),
        annotations=[_mark(mark) for mark in image.annotations.all()],
    )


@api.get(
    "/annotations/{uuid:annotation_id}", summary="A drawn mask as PNG (8-bit, 0 and 255), or a measurement as JSON"
)
def read_annotation(request: HttpRequest, annotation_id: uuid.UUID, frame: int = 0) -> HttpResponse:
    mark = get_object_or_404(Annotation.objects.visible_to(user_of(request)), pk=annotation_id)
    if mark.kind != Annotation.MASK or not mark.file:
        return JsonResponse(_mark(mark).dict())
    return HttpResponse(mask_files.as_png(mask_files.frame(mark.file, frame)), content_type="image/png")


class RefusedOut(Schema):
    name: str
    reason: str


class StoredOut(Schema):
    """`images` is one for each series; `refused` says of each file that cannot be read why."""

    images: list[ImageOut]
    refused: list[RefusedOut]


@api.post("/series", response={201: StoredOut, 422: StoredOut}, summary="Upload what belongs together, or a zip of it")
def create_series(request: HttpRequest, file: File[list[UploadedFile]]) -> Status[uploads.Stored]:
    stored = uploads.receive(user_of(request), file)
    return Status(201 if stored.images or stored.annotations else 422, stored)


class Created(Schema):
    id: uuid.UUID


class ConversationIn(Schema):
    """`chat_model` is a `name` of GET /api/chat-models; empty: the default."""

    chat_model: str = Field(default="", max_length=300)


@api.post("/conversations", response={201: Created}, summary="Start a conversation")
def create_conversation(request: HttpRequest, body: ConversationIn | None = None) -> Status[Conversation]:
    chosen = served.kept(body.chat_model) if body else ""
    return Status(201, Conversation.objects.create(owner=user_of(request), chat_model=chosen))


class ChatModelOut(Schema):
    """`is_local`: what is typed stays on the machine of Lightbox; else `where` says where it goes."""

    name: str
    where: str
    is_local: bool


@api.get("/chat-models", response=list[ChatModelOut], summary="The chat models to choose from, the default first")
def read_chat_models(request: HttpRequest) -> list[served.Choice]:
    return served.choices()


class MessageIn(Schema):
    text: str = Field(default="", max_length=TEXT_LIMIT)
    images: list[uuid.UUID] = Field(default_factory=list, max_length=100)


class Asked(Schema):
    message_id: uuid.UUID
    run_id: uuid.UUID


@api.post("/conversations/{uuid:conversation_id}/messages", response={202: Asked}, summary="Ask; the answer is a run")
def create_message(request: HttpRequest, conversation_id: uuid.UUID, body: MessageIn) -> Status[Asked]:
    user = user_of(request)
    conversation = get_object_or_404(Conversation.objects.visible_to(user), pk=conversation_id)
    images = [get_object_or_404(Image.objects.visible_to(user), pk=key) for key in dict.fromkeys(body.images)]
    run = runs.ask(conversation, body.text, images)
    return Status(202, Asked(message_id=run.message_id, run_id=run.pk))


class CitationOut(Schema):
    """`n` is the number in the answer's text. `verified`: the quote stands word for word in the passage. `key` is empty
    where the answer names a passage that no search of this conversation has found. `basis` says what the passage is:
    our annotation and what it was written from, the abstract, or the full text with its page."""

    n: int
    key: str
    passage_id: int
    quote: str
    verified: bool
    basis: str = ""


class EvidenceOut(Schema):
    """What number `n` of the text opens. `kind`: passage, mask, measurement, table, passages, report,
    call, or missing."""

    n: int
    ref: str
    kind: str
    verified: bool
    label: str = ""
    tool_call_id: uuid.UUID | None = None
    artifact_id: uuid.UUID | None = None
    annotation_id: uuid.UUID | None = None
    passage_id: int | None = None
    reason: str = ""


class UnsupportedOut(Schema):
    text: str
    reason: str


class SupportOut(Schema):
    """Of an answer about the literature: how many sentences claim something, how many of these are supported, and those
    that name no source. A sentence whose source does not hold it is among `evidence`, not verified."""

    claims: int
    supported: int
    unsupported: list[UnsupportedOut]


class AnswerOut(Schema):
    """`citations` are the passages among `evidence`, one for each place that cites."""

    markdown: str
    citations: list[CitationOut]
    evidence: list[EvidenceOut]
    support: SupportOut | None = None
    note: str = ""


class ArtifactOut(Schema):
    id: uuid.UUID
    kind: str
    label: str
    url: str


class ToolCallOut(Schema):
    id: uuid.UUID
    number: int
    name: str
    arguments: dict[str, Any]
    state: str
    result: dict[str, Any]
    model: str
    started_at: str | None
    finished_at: str | None
    artifacts: list[ArtifactOut]


class RunOut(Schema):
    """`state`: queued, running, waiting, done, failed or cancelled. Tokens are null where the server counts none."""

    id: uuid.UUID
    state: str
    chat_model: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    answer: AnswerOut | None
    tool_calls: list[ToolCallOut]


def _tool_call(call: ToolCall) -> ToolCallOut:
    return ToolCallOut(
        id=call.pk,
        number=call.number,
        name=call.name,
        arguments=call.arguments,
        state=call.state,
        result=call.result,
        model=call.model,
        started_at=call.started_at.isoformat() if call.started_at else None,
        finished_at=call.finished_at.isoformat() if call.finished_at else None,
        artifacts=[
            ArtifactOut(id=a.pk, kind=a.kind, label=a.label, url=f"/api/artifacts/{a.pk}") for a in call.artifacts.all()
        ],
    )


def _answer(run: Run) -> AnswerOut | None:
    if run.answer is None:
        return None
    found = run.answer.references
    passages = [r for r in found if r["ref"].startswith("p")]
    cited = [CitationOut(**{"quote": "", "key": "", "passage_id": int(r["ref"][1:]), **r}) for r in passages]
    opened = {r["n"]: EvidenceOut(**r) for r in found}
    text = numbered(run.answer.text, found)
    counted = SupportOut(**run.answer.support) if run.answer.support else None
    evidence = list(opened.values())
    return AnswerOut(markdown=text, citations=cited, evidence=evidence, support=counted, note=run.answer.note)


def run_out(run: Run) -> RunOut:
    calls = run.tool_calls.prefetch_related("artifacts")
    return RunOut(
        id=run.pk,
        state=run.state,
        chat_model=run.chat_model,
        input_tokens=run.input_tokens,
        output_tokens=run.output_tokens,
        answer=_answer(run),
        tool_calls=[_tool_call(call) for call in calls],
    )


def _run(request: HttpRequest, run_id: uuid.UUID) -> Run:
    return get_object_or_404(Run.objects.visible_to(user_of(request)).select_related("answer"), pk=run_id)


@api.get("/runs/{uuid:run_id}", response=RunOut, summary="A run: its state, its answer, its tool calls")
def read_run(request: HttpRequest, run_id: uuid.UUID) -> RunOut:
    return run_out(_run(request, run_id))


@api.post("/runs/{uuid:run_id}/cancel", response=RunOut, summary="Stop a run; what was said is kept")
def cancel_run(request: HttpRequest, run_id: uuid.UUID) -> RunOut:
    run = _run(request, run_id)
    runs.cancel(run)
    return run_out(_run(request, run_id))


@api.get("/runs/{uuid:run_id}/events", summary="Server-sent events of a run after number N, then live")
def read_events(request: HttpRequest, run_id: uuid.UUID, after: int = 0) -> StreamingHttpResponse:
    run = _run(request, run_id)
    cursor = min(max(after, _number(request.headers.get("Last-Event-ID", ""))), LAST_NUMBER)
    response = StreamingHttpResponse(_server_sent(run.pk, cursor), content_type="text/event-stream")
    response["Cache-Control"], response["X-Accel-Buffering"] = "no-cache", "no"
    return response


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


async def _server_sent(run_id: uuid.UUID, after: int) -> AsyncIterator[str]:
    async with aclosing(follow.follow(run_id, after)) as rows:
        async for row in rows:
            if row is None:
                yield ": keep-alive\n\n"
            else:
                seq, kind, payload = row
                yield f"id: {seq}\nevent: {kind}\ndata: {json.dumps(payload, ensure_ascii=False)}\n\n"


@api.get("/artifacts/{uuid:artifact_id}", summary="A mask as PNG (8-bit, 0 and 255), or another result as JSON")
def read_artifact(request: HttpRequest, artifact_id: uuid.UUID) -> HttpResponse:
    artifact = get_object_or_404(Artifact.objects.visible_to(user_of(request)), pk=artifact_id)
    if artifact.file and not artifact.of_volume:
        try:
            with artifact.file.open("rb") as file:
                return HttpResponse(file.read(), content_type="image/png")
        except FileNotFoundError as error:
            raise Http404("The file of this artifact is gone.") from error
    return JsonResponse({"kind": artifact.kind, "label": artifact.label, "data": artifact.data})


@api.get("/papers", summary="The literature, by question and by facets")
def read_papers(
    request: HttpRequest,
    q: str = "",
    task: str = "",
    strategy: str = "",
    technique: str = "",
    modality: str = "",
    year_min: int | None = None,
    year_max: int | None = None,
) -> list[dict[str, Any]]:
    q, task, strategy, technique, modality = (t.replace("\x00", " ") for t in (q, task, strategy, technique, modality))
    return catalogue.list_papers(q, task, strategy, technique, modality, year_min, year_max, reader=user_of(request).pk)
