"""What the viewer asks for: the description of an image, its values, frames as pictures, tiles, masks in colour.

Each is open to the image's owner only; what is not there, or not a number of a frame, is 404 (docs/viewer.md).
"""

import gzip
import io
import math
import uuid
from typing import Any

import numpy as np
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe
from numpy.typing import NDArray
from PIL import Image as Picture

from assistant import frames, greys, tiles, viewing
from assistant.models import Annotation, Conversation, Image
from assistant.views.answers import problem
from assistant.views.images import coloured
from inference.errors import InferenceError

KEPT = "private, max-age=86400"  # the viewer asks with ?v=, which changes when the pixels do
SAMPLE, PAYS = 65_536, 0.5  # bytes of a frame that are compressed on trial, and what they must shrink to


def _own(request: HttpRequest, image_id: uuid.UUID) -> Image:
    return get_object_or_404(Image.objects.visible_to(request.user), pk=image_id)


def _number(request: HttpRequest, name: str) -> int:
    """A number of the query, 0 when it is not there."""
    given = request.GET.get(name, "0")
    if not (given.isascii() and given.isdigit()):
        raise Http404(f"{name} is no number.")
    return int(given[:9])


@login_required
@require_safe
def description(request: HttpRequest, image_id: uuid.UUID) -> HttpResponse:
    """Everything but pixels; `?chat=` adds the image's name in that chat and the layers of its tools."""
    image = _own(request, image_id)
    conversation, name = _chat(request, image)
    try:
        return JsonResponse(viewing.description(image, conversation, name), headers={"Cache-Control": "no-store"})
    except frames.NoFrame as error:
        raise Http404(str(error)) from error


def _chat(request: HttpRequest, image: Image) -> tuple[Conversation | None, str]:
    if not (given := request.GET.get("chat")):
        return None, ""
    try:
        key = uuid.UUID(given)
    except ValueError as error:
        raise Http404("There is no such chat.") from error
    conversation = get_object_or_404(Conversation.objects.visible_to(request.user), pk=key)
    return conversation, str(get_object_or_404(conversation.numbered_images, image=image))


@login_required
@require_safe
def frame_raw(request: HttpRequest, image_id: uuid.UUID, number: int) -> HttpResponse:
    """The values of a frame as pixels.npy has them; `?t=` a time point."""
    image = _own(request, image_id)
    try:
        values = frames.frame(image, number, _number(request, "t"))
    except frames.NoFrame as error:
        raise Http404(str(error)) from error
    response = HttpResponse(content_type="application/octet-stream", headers={"Cache-Control": KEPT})
    body = values.tobytes()
    if "gzip" in request.headers.get("Accept-Encoding", "") and _pays(body):
        body = gzip.compress(body, compresslevel=1)
        response["Content-Encoding"] = "gzip"
    response["Vary"] = "Accept-Encoding"
    response.content = body
    return response


def _pays(body: bytes) -> bool:
    """Whether the middle of it shrinks so far that sending less is worth the time. Noise does not."""
    start = max(0, len(body) // 2 - SAMPLE // 2)
    sample = body[start : start + SAMPLE]
    return len(body) > SAMPLE and len(gzip.compress(sample, compresslevel=1)) < PAYS * len(sample)


@login_required
@require_safe
def frame_png(request: HttpRequest, image_id: uuid.UUID, number: int) -> HttpResponse:
    """A frame as 8-bit PNG: `?c=&w=` a window, `?plane=coronal` or `sagittal` of a volume, `?t=` a time point."""
    image = _own(request, image_id)
    which, time = frames.PLANES.get(request.GET.get("plane", "")), _number(request, "t")
    try:
        values = frames.plane(image, which, number, time) if which else frames.frame(image, number, time)
    except frames.NoFrame as error:
        raise Http404(str(error)) from error
    shown = greys.windowed(values, _window(request, image, values), greys.function_of(image))
    picture = Picture.fromarray(shown)
    if which:
        picture = _square(picture, image, which)
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return HttpResponse(out.getvalue(), content_type="image/png", headers={"Cache-Control": KEPT})


def _window(request: HttpRequest, image: Image, values: NDArray[Any]) -> tuple[float, float] | None:
    """The one asked for, when both of its numbers are; else the image's own."""
    try:
        centre, width = float(request.GET["c"]), float(request.GET["w"])
    except (KeyError, ValueError):
        return greys.window_of(image, values)
    if not (math.isfinite(centre) and math.isfinite(width) and width > 0):
        return greys.window_of(image, values)
    return centre, width


def _square(picture: Picture.Image, image: Image, which: frames.Plane) -> Picture.Image:
    """The plane with square pixels: slices lie further apart than the pixels of a slice."""
    affine, spacing = image.decoded.get("affine"), image.spacing_mm
    if not affine or not spacing:
        return picture
    between = math.dist([affine[axis][2] for axis in range(3)], (0, 0, 0))
    across = spacing[1] if which == "coronal" else spacing[0]
    high = min(max(round(picture.height * between / across), 1), 4096)
    return picture.resize((picture.width, high), Picture.Resampling.BILINEAR)


@login_required
@require_safe
def tile(request: HttpRequest, image_id: uuid.UUID, level: int, column: int, row: int) -> HttpResponse:
    image = _own(request, image_id)
    try:
        jpeg = tiles.tile(image, level, column, row)
    except tiles.NoTile as error:
        raise Http404("There is no such tile.") from error
    except InferenceError as error:
        return problem(request, 503, str(error))
    return HttpResponse(jpeg, content_type="image/jpeg", headers={"Cache-Control": KEPT})


@login_required
@require_safe
def annotation_overlay(request: HttpRequest, annotation_id: uuid.UUID) -> HttpResponse:
    """A person's or a file's mask in its colour, on `?frame=`."""
    masks = Annotation.objects.visible_to(request.user).filter(kind=Annotation.MASK).exclude(file="")
    found = get_object_or_404(masks, pk=annotation_id)
    try:
        mask = frames.mask_frame(found, _number(request, "frame"))
    except frames.NoFrame as error:
        raise Http404(str(error)) from error
    picture = Picture.fromarray(np.where(mask > 127, 255, 0).astype(np.uint8))
    png = coloured(picture, viewing.MASK_COLOURS[viewing.colour_of(found) - 1])
    return HttpResponse(png, content_type="image/png", headers={"Cache-Control": KEPT})
