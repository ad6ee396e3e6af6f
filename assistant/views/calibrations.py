"""A user's calibrations: what there are, a new one, how far it is and what it found, and whether it is in use."""

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from assistant import calibration, checkpoints_in_use, labelled_sets
from assistant.models import Calibration, ImageSet
from assistant.views.answers import problem
from inference.errors import BadInput

SIDE = 220  # of the reliability diagram, in units of its view box
MARGIN = 30
NO_SET = "Choose one of your sets, or a CSV with labels."
NO_SENSITIVITY = "Write the sensitivity as a number above 0 and at most 1, or leave it empty."


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def calibrations(request: HttpRequest) -> HttpResponse:
    """The list and the form; what is sent with it begins a calibration, and its page opens."""
    if request.method != "POST":
        return _list(request)
    assert isinstance(request.user, User)
    try:
        with transaction.atomic():
            image_set, missing = _set(request, request.user)
            key, method = request.POST.get("checkpoint", "")[:120], request.POST.get("method", "")
            row = calibration.start(request.user, image_set, key, method, _sensitivity(request))
            if missing:
                Calibration.objects.filter(pk=row.pk).update(found=row.found | {"missing": missing})
    except BadInput as error:
        return _list(request, str(error))
    return redirect("calibration", row.pk)


def _list(request: HttpRequest, wrong: str = "") -> HttpResponse:
    context = {
        "calibrations": Calibration.objects.visible_to(request.user).select_related("image_set"),
        "sets": ImageSet.objects.visible_to(request.user),
        "checkpoints": list(checkpoints_in_use.usable("classify")),
        "problem": wrong,
        "sent": request.POST,
    }
    return render(request, "assistant/calibrations.html", context, status=422 if wrong else 200)


def _set(request: HttpRequest, owner: User) -> tuple[ImageSet, int]:
    """The set that was chosen or sent, and how many of its rows name no image. Raises BadInput."""
    file = request.FILES.get("file")
    if file is not None:
        return labelled_sets.from_csv(owner, request.POST.get("name", ""), file.read(labelled_sets.MAX_BYTES + 1))
    try:
        chosen = uuid.UUID(request.POST.get("set", ""))
    except ValueError as error:
        raise BadInput(NO_SET) from error
    found = ImageSet.objects.visible_to(owner).filter(pk=chosen).first()
    if found is None:
        raise BadInput(NO_SET)
    return found, 0


def _sensitivity(request: HttpRequest) -> float | None:
    text = request.POST.get("sensitivity", "").strip()
    try:
        return float(text) if text else None
    except ValueError as error:
        raise BadInput(NO_SENSITIVITY) from error


@login_required
@require_safe
def show(request: HttpRequest, calibration_id: uuid.UUID) -> HttpResponse:
    """How far it is, and what it found. HTMX asks for the progress alone, and reloads once it is over."""
    row = _own(request, calibration_id)
    active = row.state in calibration.ACTIVE
    if request.headers.get("HX-Request"):
        response = render(request, "assistant/calibration.html#progress", {"row": row, "active": active})
        if not active:
            response["HX-Refresh"] = "true"
        return response
    found = checkpoints_in_use.catalogue().get(row.checkpoint)
    labels = [_label(name, told) for name, told in row.found.get("labels", {}).items()]
    context = {"row": row, "active": active, "name": found.name if found else row.checkpoint, "labels": labels}
    context |= {"total": row.image_set.items.count(), "side": SIDE, "skipped": _skipped(row)}
    return render(request, "assistant/calibration.html", context)


def _skipped(row: Calibration) -> list[tuple[str, int]]:
    """Why images were left out, and how many for each reason."""
    reasons = list(row.found.get("skipped", {}).values())
    return [(reason, reasons.count(reason)) for reason in dict.fromkeys(reasons)]


def _label(name: str, told: dict[str, Any]) -> dict[str, Any]:
    return {**told, "name": name, "curves": [_curve("before", told["before"]), _curve("after", told["after"])]}


def _curve(name: str, rows: list[dict[str, float]]) -> dict[str, Any]:
    """A reliability curve in units of the diagram: its points, and the interval of each."""
    points = [
        {"x": _along(one["predicted"]), "y": _up(one["observed"]), "low": _up(one["low"]), "high": _up(one["high"])}
        for one in rows
    ]
    return {"name": name, "rows": rows, "points": points, "path": " ".join(f"{p['x']},{p['y']}" for p in points)}


def _along(share: float) -> float:
    return round(MARGIN + share * (SIDE - 2 * MARGIN), 1)


def _up(share: float) -> float:
    return round(SIDE - MARGIN - share * (SIDE - 2 * MARGIN), 1)


@login_required
@require_POST
def use(request: HttpRequest, calibration_id: uuid.UUID) -> HttpResponse:
    """POST `on`: 1 to show results by it, anything else to stop."""
    row = _own(request, calibration_id)
    try:
        calibration.use(row, request.POST.get("on") == "1")
    except BadInput as error:
        return problem(request, 422, str(error))
    return redirect("calibration", row.pk)


@login_required
@require_POST
def delete(request: HttpRequest, calibration_id: uuid.UUID) -> HttpResponse:
    _own(request, calibration_id).delete()
    return redirect("calibrations")


def _own(request: HttpRequest, calibration_id: uuid.UUID) -> Calibration:
    mine = Calibration.objects.visible_to(request.user).select_related("image_set")
    return get_object_or_404(mine, pk=calibration_id)
