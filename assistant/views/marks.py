"""What is drawn in the viewer comes here: masks, measurements, prompts. Answers are JSON, refusals too: {"detail"}."""

import json
import math
import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from assistant import marks, prompts, runs
from assistant.models import Annotation, Artifact, Conversation, Image
from assistant.views.conversations import own, sent
from inference.errors import BadInput

NO_JSON = "The request is not a JSON object."
NO_NUMBERS = "{name} must be {what}."


def refused(status: int, line: str) -> HttpResponse:
    return JsonResponse({"detail": line}, status=status)


@login_required
@require_POST
def add_mask(request: HttpRequest, image_id: uuid.UUID) -> HttpResponse:
    """Multipart: label, frame, png, corrects (an annotation), corrects_artifact, chat. 201 with the new layer."""
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=image_id)
    of_image = marks.of_this_image(image)
    corrects = _optional(Annotation.objects.visible_to(request.user).filter(of_image), request.POST.get("corrects"))
    artifact = _optional(
        Artifact.objects.visible_to(request.user).filter(of_image), request.POST.get("corrects_artifact")
    )
    chat = _optional(Conversation.objects.visible_to(request.user), request.POST.get("chat"))
    png = request.FILES.get("png")
    if png is None:
        return refused(422, "No mask came with the request: send it as png.")
    if (png.size or 0) > marks.largest_png(image):
        return refused(422, marks.TOO_LARGE)
    try:
        frame = whole(request.POST.get("frame") or 0, "frame")
        made = marks.add_mask(image, png.read(), frame, request.POST.get("label", ""), corrects, artifact)
    except BadInput as error:
        return refused(422, str(error))
    return JsonResponse(marks.layer(made, chat), status=201)


@login_required
@require_POST
def add_measurement(request: HttpRequest, image_id: uuid.UUID) -> HttpResponse:
    """JSON: {"type", "points", "frame", "label", "chat"}. 201 with the new layer, whose `values` are the numbers."""
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=image_id)
    try:
        body = json_object(request)
        points = [_pair(point) for point in _list(body.get("points"), "points", most=3)]
        kind, label = _text(body, "type"), _text(body, "label")
        chat = _optional(Conversation.objects.visible_to(request.user), _text(body, "chat"))
        made = marks.add_measurement(image, kind, points, whole(body.get("frame") or 0, "frame"), label)
    except BadInput as error:
        return refused(422, str(error))
    return JsonResponse(marks.layer(made, chat), status=201)


@login_required
@require_POST
def delete(request: HttpRequest, annotation_id: uuid.UUID) -> HttpResponse:
    """What a file brought can be deleted as well: it is the owner's own copy."""
    mark = get_object_or_404(Annotation.objects.visible_to(request.user), pk=annotation_id)
    file = mark.file
    mark.delete()
    if file:
        file.delete(save=False)
    return HttpResponse(status=204)


@login_required
@require_POST
def segment(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """Prompts become a turn of the chat; htmx gets it, others the addresses of its run. 409 while one is answered.

    JSON: {"image", "frame", "box": [x0, y0, x1, y1], "points": [{"x", "y", "add"}], "lasso": [[x, y], ...], "label"}.
    """
    conversation = own(request, conversation_id)
    try:
        body = json_object(request)
        row = _numbered(conversation, body.get("image"))
        name, text, arguments = prompts.as_call(row, body)
        run = runs.call(conversation, text, name, arguments)
    except (BadInput, runs.Refused) as error:
        return refused(422, str(error))
    except runs.Busy as error:
        return refused(409, str(error))
    if request.headers.get("HX-Request"):
        return render(request, "assistant/sent.html", sent(run, with_images=False), status=202)
    urls = {"events": reverse("run-events", args=[run.pk]), "location": reverse("chat", args=[conversation.pk])}
    return JsonResponse({"run": str(run.pk), "message": str(run.message_id), **urls}, status=202)


def _numbered(conversation: Conversation, key: Any) -> Any:
    """The image under its name in this chat; another is not there."""
    return get_object_or_404(conversation.numbered_images.select_related("image"), image_id=_uuid(key))


def _optional(rows: QuerySet[Any], key: str | None) -> Any:
    return get_object_or_404(rows, pk=_uuid(key)) if key else None


def _uuid(key: Any) -> uuid.UUID:
    try:
        return uuid.UUID(str(key))
    except ValueError as error:
        raise Http404("There is no such thing.") from error


def json_object(request: HttpRequest) -> dict[str, Any]:
    """The body as an object; NaN and infinity are no JSON. Raises BadInput."""
    try:
        body = json.loads(request.body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadInput(NO_JSON) from error
    if not isinstance(body, dict):
        raise BadInput(NO_JSON)
    return body


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def whole(value: Any, name: str) -> int:
    """A whole number of at most nine digits. Raises BadInput."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise BadInput(NO_NUMBERS.format(name=name, what="a whole number from 0"))
    return int(text)


def _list(value: Any, name: str, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise BadInput(NO_NUMBERS.format(name=name, what=f"a list of at most {most} [x, y]"))
    return value


def _pair(value: Any) -> tuple[float, float]:
    values = [value.get("x"), value.get("y")] if isinstance(value, dict) else value
    if not isinstance(values, list) or len(values) != 2 or not all(map(_is_number, values)):
        raise BadInput(NO_NUMBERS.format(name="Each point", what="two numbers [x, y]"))
    return float(values[0]), float(values[1])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(_as_float(value))


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise BadInput(NO_NUMBERS.format(name=name, what="text"))
    return value or ""
