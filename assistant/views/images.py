"""Uploads, and the files of images and artifacts: served to their owner only, under names of our own."""

import io
import uuid

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from PIL import Image as Picture

from assistant import uploads
from assistant.models import Artifact, Image
from assistant.pane import MASK_COLOURS, colour_of
from assistant.views.answers import go, problem
from inference.errors import InferenceError, Unavailable

WIDTHS = (96, 512)
ORIGINAL_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "dicom": "application/dicom"}
MASK_ALPHA = 150
KEPT = "private, max-age=3600"


@login_required
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """One file, or several without script. htmx gets an attachment chip, or one line with its status."""
    assert isinstance(request.user, User)
    files = request.FILES.getlist("file")
    if not files:
        return problem(request, 422, "No file came with the request. Choose one and try again.")
    try:
        images = [uploads.store(request.user, file) for file in files]
    except uploads.TooLarge as error:
        return problem(request, 413, str(error))
    except Unavailable as error:
        return problem(request, 503, str(error))
    except InferenceError as error:
        return problem(request, 422, str(error))
    return _attached(request, images)


@login_required
@require_POST
def sample(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    try:
        image = uploads.sample(request.user)
    except InferenceError as error:
        return problem(request, 503, str(error))
    return _attached(request, [image])


def _attached(request: HttpRequest, images: list[Image]) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return render(request, "assistant/attachments.html", {"attached": images})
    return go(request, reverse("home") + "?" + "&".join(f"image={image.pk}" for image in images))


@login_required
@require_safe
def preview(request: HttpRequest, image_id: uuid.UUID) -> HttpResponseBase:
    """The preview as PNG; `?w=96` or `?w=512` smaller."""
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=image_id)
    width = request.GET.get("w", "")
    if width in map(str, WIDTHS) and image.width > int(width):
        response: HttpResponseBase = HttpResponse(_smaller(image, int(width)), content_type="image/png")
    else:
        response = FileResponse(image.preview.open("rb"), content_type="image/png")
    response["Cache-Control"] = KEPT
    return response


def _smaller(image: Image, width: int) -> bytes:
    with image.preview.open("rb") as file, Picture.open(file, formats=["PNG"]) as picture:
        small = picture.reduce(max(picture.width // (2 * width), 1))
        small.thumbnail((width, 4 * width))
        out = io.BytesIO()
        small.save(out, "PNG", compress_level=1)
    return out.getvalue()


@login_required
@require_safe
def original(request: HttpRequest, image_id: uuid.UUID) -> HttpResponseBase:
    """The file as it was uploaded, to be saved and never shown by the browser."""
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=image_id)
    name = f"image-{image.pk.hex[:8]}.{'dcm' if image.kind == 'dicom' else image.kind}"
    response = FileResponse(
        image.original.open("rb"), as_attachment=True, filename=name, content_type=ORIGINAL_TYPES[image.kind]
    )
    response["X-Content-Type-Options"] = "nosniff"
    return response


@login_required
@require_safe
def artifact(request: HttpRequest, artifact_id: uuid.UUID) -> HttpResponseBase:
    """A mask as its PNG, anything else as JSON."""
    found = get_object_or_404(Artifact.objects.visible_to(request.user), pk=artifact_id)
    if not found.file:
        return JsonResponse(found.data, safe=False)
    name = f"{found.kind}-{found.pk.hex[:8]}.png"
    response = FileResponse(found.file.open("rb"), filename=name, content_type="image/png")
    response["Cache-Control"] = KEPT
    return response


@login_required
@require_safe
def overlay(request: HttpRequest, artifact_id: uuid.UUID) -> HttpResponse:
    """A mask in its colour, see-through where it is not."""
    masks = Artifact.objects.visible_to(request.user).filter(kind=Artifact.MASK).exclude(file="")
    found = get_object_or_404(masks, pk=artifact_id)
    with found.file.open("rb") as file, Picture.open(file, formats=["PNG"]) as picture:
        mask = picture.convert("L")
    colour = MASK_COLOURS[colour_of(found) - 1]
    coloured = Picture.new("RGB", mask.size, colour)
    coloured.putalpha(mask.point([0] * 128 + [MASK_ALPHA] * 128))
    out = io.BytesIO()
    coloured.quantize(2, method=Picture.Quantize.FASTOCTREE).save(out, "PNG", compress_level=6)
    response = HttpResponse(out.getvalue(), content_type="image/png")
    response["Cache-Control"] = KEPT
    return response
