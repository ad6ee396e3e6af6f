"""Volumes and the masks on them as NIfTI: for the viewer, and to be opened elsewhere."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from assistant import nifti
from assistant.downloads import Marked, mask_of
from assistant.models import Annotation, Artifact, Image
from inference.errors import BadInput

NIFTI = "application/octet-stream"
KEPT = "private, max-age=3600"


def none_here(reason: str) -> HttpResponse:
    return HttpResponse(reason, status=404, content_type="text/plain; charset=utf-8")


@login_required
@require_safe
def volume(request: HttpRequest, image_id: uuid.UUID) -> HttpResponseBase:
    """A volume on the grid of pixels.npy, not compressed: it is unpacked slower than it is sent on a local network.
    `?t=` names a time point, from 0. 404 with the reason for what is no volume."""
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=image_id)
    time = request.GET.get("t", "0")
    try:
        array = nifti.voxels(image, int(time) if time.isascii() and time.isdecimal() and len(time) < 7 else -1)
        affine = image.facts.affine
        assert affine is not None
        head = nifti.header(array.dtype, array.shape[::-1], affine)
    except BadInput as error:
        return none_here(str(error))
    size = str(len(head) + array.nbytes)
    headers = {"Content-Length": size, "Cache-Control": KEPT, "Content-Disposition": "attachment"}
    return StreamingHttpResponse(nifti.chunks(head, array), content_type=NIFTI, headers=headers)


@login_required
@require_safe
def annotation_mask(request: HttpRequest, annotation_id: uuid.UUID) -> HttpResponse:
    """A person's or a file's mask as NIfTI; `?grid=file` on the grid of the file that was uploaded."""
    masks = Annotation.objects.visible_to(request.user).filter(kind=Annotation.MASK)
    return _mask(request, get_object_or_404(masks.select_related("image"), pk=annotation_id))


@login_required
@require_safe
def artifact_mask(request: HttpRequest, artifact_id: uuid.UUID) -> HttpResponse:
    """A tool's mask, which is of one frame, in a volume that is empty elsewhere; `?grid=file` as above."""
    masks = Artifact.objects.visible_to(request.user).filter(kind=Artifact.MASK)
    return _mask(request, get_object_or_404(masks.select_related("image"), pk=artifact_id))


def _mask(request: HttpRequest, marked: Marked) -> HttpResponse:
    image = marked.image
    if image is None or image.layout != "volume" or image.facts.affine is None:
        return none_here(nifti.NO_VOLUME)
    try:
        body = nifti.mask_file(mask_of(marked), image, source_grid=request.GET.get("grid") == "file")
    except BadInput as error:
        return none_here(str(error))
    name = f"mask-{marked.pk.hex[:8]}.nii.gz"
    headers = {"Cache-Control": KEPT, "Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(body, content_type=NIFTI, headers=headers)
