"""Uploads, and the files of images and artifacts: served to their owner only, under names of our own."""

import io
import uuid

import numpy as np
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models.fields.files import FieldFile
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from PIL import Image as Picture
from PIL import ImageChops, ImageColor, ImageFilter

from assistant import burned_in, kinds, mask_files, uploads
from assistant.forms import KindForm
from assistant.models import Artifact, Image
from assistant.viewing import MASK_COLOURS, colour_of
from assistant.views.answers import go, problem
from inference.errors import BadInput, InferenceError, Unavailable

WIDTHS = (96, 512)
ORIGINAL_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "dicom": "application/dicom"}
NOT_KEPT = "The original was not kept: this image was de-identified when it was uploaded. Save the clean copy instead."
FILL_ALPHA = 110
HEAT_STEPS = (0, 96, 176, 255)
HEAT = ((60, 10, 90), (190, 50, 90), (245, 140, 20), (252, 250, 160))  # brightness grows with the value, for every eye
HEAT_ALPHA = 0.7
KEPT = "private, max-age=3600"


@login_required
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Files that belong together. htmx gets an attachment chip for each series, with a line for each file that cannot
    be read; when none can, one line with its status."""
    assert isinstance(request.user, User)
    files = request.FILES.getlist("file")
    if not files:
        return problem(request, 422, "No file came with the request. Choose one and try again.")
    try:
        stored = uploads.receive(request.user, files)
    except uploads.TooLarge as error:
        return problem(request, 413, str(error))
    except Unavailable as error:
        return problem(request, 503, str(error))
    if not stored.images and not stored.annotations:
        return problem(request, 422, uploads.summary(stored, len(files)))
    return _attached(request, stored)


@login_required
@require_POST
def sample(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    try:
        image = uploads.sample(request.user)
    except InferenceError as error:
        return problem(request, 503, str(error))
    return _attached(request, uploads.Stored([image]))


def _attached(request: HttpRequest, stored: uploads.Stored) -> HttpResponse:
    if request.headers.get("HX-Request"):
        context = {"attached": stored.images, "annotations": stored.annotations, "refused": stored.refused}
        return render(request, "assistant/attachments.html", context)
    if stored.refused:
        return problem(request, 422, uploads.summary(stored, len(stored.images) + len(stored.refused)))
    return go(request, reverse("home") + "?" + "&".join(f"image={image.pk}" for image in stored.images))


def _bytes(file: FieldFile) -> bytes:
    """All of it: Django's ASGI handler reads a FileResponse whole before it sends a byte."""
    with file.open("rb") as opened:
        return bytes(opened.read())


@login_required
@require_safe
def preview(request: HttpRequest, image_id: uuid.UUID) -> HttpResponse:
    """The preview as PNG; `?w=96` or `?w=512` smaller."""
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=image_id)
    width = request.GET.get("w", "")
    smaller = width in map(str, WIDTHS) and image.width > int(width)
    png = _smaller(image, int(width)) if smaller else _bytes(image.preview)
    return HttpResponse(png, content_type="image/png", headers={"Cache-Control": KEPT})


def _smaller(image: Image, width: int) -> bytes:
    with image.preview.open("rb") as file, Picture.open(file, formats=["PNG"]) as picture:
        small = picture.reduce(max(picture.width // (2 * width), 1))
        small.thumbnail((width, 4 * width))
        out = io.BytesIO()
        small.save(out, "PNG", compress_level=1)
    return out.getvalue()


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def text(request: HttpRequest, image_id: uuid.UUID) -> HttpResponse:
    """How far the search for burned-in text has come; POST `do`: search, mask or accept. htmx gets the lines anew."""
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=image_id)
    if request.method == "POST":
        doing = {"search": burned_in.ask, "mask": burned_in.mask, "accept": burned_in.accept}
        do = doing.get(request.POST.get("do", ""))
        if do is None:
            return problem(request, 422, "Say what to do with the text: search, mask or accept.")
        do(image)
        image.refresh_from_db()
    if not request.headers.get("HX-Request") and request.method == "POST":
        back = request.POST.get("next", "")
        return go(request, back if url_has_allowed_host_and_scheme(back, None) else reverse("home"))
    return render(request, "assistant/image_text.html", {"image": image})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def kind(request: HttpRequest, image_id: uuid.UUID) -> HttpResponse:
    """What the image is and how that is known; POST `modality`, `body_part` and `view` corrects it, `do=forget` goes
    back to what the gate decided. htmx gets the lines anew."""
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=image_id)
    if request.method == "POST":
        form = KindForm(image.kind_of(), request.POST)
        if not form.is_valid():
            return problem(request, 422, "Choose the kind of image, the body part and the view from the lists.")
        kinds.correct(image, {} if request.POST.get("do") == "forget" else form.cleaned_data)
        if not request.headers.get("HX-Request"):
            back = request.POST.get("next", "")
            return go(request, back if url_has_allowed_host_and_scheme(back, None) else reverse("home"))
    return render(request, "assistant/image_kind.html", {"image": image, "next": request.POST.get("next", "")})


@login_required
@require_safe
def original(request: HttpRequest, image_id: uuid.UUID) -> HttpResponse:
    """The file as it was uploaded, to be saved and never shown by the browser."""
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=image_id)
    if not image.original:
        return problem(request, 410, NOT_KEPT)
    suffix = {"dicom": "dcm", "jpeg": "jpg"}.get(image.kind, image.kind)
    headers = {
        "Content-Disposition": f'attachment; filename="image-{image.pk.hex[:8]}.{suffix}"',
        "X-Content-Type-Options": "nosniff",
    }
    return HttpResponse(_bytes(image.original), content_type=ORIGINAL_TYPES[image.kind], headers=headers)


@login_required
@require_safe
def artifact(request: HttpRequest, artifact_id: uuid.UUID) -> HttpResponse:
    """A mask as its PNG, anything else as JSON."""
    found = get_object_or_404(Artifact.objects.visible_to(request.user), pk=artifact_id)
    if not found.file or found.of_volume:  # a volume's mask is asked for as NIfTI, or frame by frame
        return JsonResponse(found.data, safe=False)
    return HttpResponse(_bytes(found.file), content_type="image/png", headers={"Cache-Control": KEPT})


@login_required
@require_safe
def picture(request: HttpRequest, artifact_id: uuid.UUID) -> HttpResponse:
    """A picture that a tool has made, as PNG."""
    pictures = Artifact.objects.visible_to(request.user).filter(kind=Artifact.PICTURE).exclude(file="")
    found = get_object_or_404(pictures, pk=artifact_id)
    name = f"{'synthetic' if found.data.get('synthetic') else 'picture'}-{found.pk.hex[:8]}.png"
    headers = {"Cache-Control": KEPT, "Content-Disposition": f'inline; filename="{name}"'}
    return HttpResponse(_bytes(found.file), content_type="image/png", headers=headers)


@login_required
@require_safe
def overlay(request: HttpRequest, artifact_id: uuid.UUID) -> HttpResponse:
    """A mask in its colour, or a heat map from see-through to bright."""
    laid = Artifact.objects.visible_to(request.user).filter(kind__in=(Artifact.MASK, Artifact.HEATMAP))
    found = get_object_or_404(laid.exclude(file=""), pk=artifact_id)
    if found.of_volume:
        return HttpResponse(_of_frame(request, found), content_type="image/png", headers={"Cache-Control": KEPT})
    with found.file.open("rb") as file, Picture.open(file, formats=["PNG"]) as picture:
        if found.kind == Artifact.HEATMAP:
            return HttpResponse(heated(picture), content_type="image/png", headers={"Cache-Control": KEPT})
        mask = picture.convert("L").point([0] * 128 + [255] * 128)
    png = coloured(mask, MASK_COLOURS[colour_of(found) - 1])
    return HttpResponse(png, content_type="image/png", headers={"Cache-Control": KEPT})


def _of_frame(request: HttpRequest, found: Artifact) -> bytes:
    """The mask of a volume on `?frame=`; without it, on the middle one of those that it has."""
    marked = found.data.get("frames") or [0]
    asked = request.GET.get("frame", str(marked[len(marked) // 2]))
    try:
        mask = mask_files.frame(found.file, int(asked) if asked.isascii() and asked.isdecimal() else -1)
    except BadInput as error:
        raise Http404(str(error)) from error
    return coloured(Picture.fromarray(mask), MASK_COLOURS[colour_of(found) - 1])


def heated(grey: Picture.Image) -> bytes:
    """A heat map as a palette: the greater, the brighter and the less see-through."""
    steps = range(256)
    painted = grey.convert("L")
    painted = Picture.frombytes("P", painted.size, painted.tobytes())
    ramp = [tuple(int(np.interp(step, HEAT_STEPS, channel)) for channel in zip(*HEAT, strict=True)) for step in steps]
    painted.putpalette([value for colour in ramp for value in colour])
    out = io.BytesIO()
    painted.save(out, "PNG", transparency=bytes(int(step * HEAT_ALPHA) for step in steps), compress_level=6)
    return out.getvalue()


def coloured(mask: Picture.Image, colour: str) -> bytes:
    """See-through inside, solid at the edge, so that the tissue under the mask stays readable."""
    thick = 2 * max(max(mask.size) // 800, 1) + 1
    edge = ImageChops.difference(mask, mask.filter(ImageFilter.MinFilter(thick)))
    painted = mask.point([0] * 255 + [1]).convert("P")
    painted.paste(2, mask=edge)
    painted.putpalette([0, 0, 0, *ImageColor.getrgb(colour), *ImageColor.getrgb(colour)])
    out = io.BytesIO()
    painted.save(out, "PNG", transparency=bytes([0, FILL_ALPHA, 255]), compress_level=6)
    return out.getvalue()
