"""Calibrations: from a checkpoint's scores on its owner's labelled images to probabilities on images like those.

start      makes the row and enqueues it
carry_out  a worker's step: claims the row by a conditional UPDATE with a lease, scores image after image, and fits at
           the end. Scores are kept as they come, so that a step that is killed goes on where it was
sweep      enqueues again what went silent
"""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from assistant import burned_in, checkpoints_in_use, model_calls, tasks
from assistant.models import Calibration, Image, ImageSet
from assistant.tools.base import Accepts, Declined, load
from inference import calibrate
from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Exhausted, InferenceError
from inference.jobs import Record
from inference.types import Score

QUEUE = "expert"
LEASE = timedelta(seconds=90)
ACTIVE = (Calibration.WAITING, Calibration.RUNNING)

PROBABILITIES = "Probabilities by the calibration on the set “{name}”; they hold for images like those."
OTHER_REVISION = "The calibration on “{name}” is of another revision of this model, and was not applied."
NOT_USABLE = "Choose a classifier that is ready: {why}"
NO_LABEL = "No label of this set is one that the model scores. The model scores: {labels}."
NOTHING = "No image of this set could be scored: {why}"
SCORED = "{done} of {total} images scored."
DONE = "{scored} images scored{skipped}; {labels} calibrated."
NOT_DONE = "Only a calibration that is done can be used."
KIND = "made for {works_on}"
GONE = "The image was deleted."


def applied(owner: int, record: Record, scores: Sequence[Score]) -> tuple[list[Score], list[str]]:
    """The scores, those that the owner's calibration in use knows as probabilities, and what to say of it."""
    used = Calibration.objects.filter(owner=owner, checkpoint=record.checkpoint, in_use=True, state=Calibration.DONE)
    found = used.select_related("image_set").first()
    if found is None:
        return list(scores), []
    if found.revision != record.revision[:120]:
        return list(scores), [OTHER_REVISION.format(name=found.image_set)]
    made = [_probability(found.fitted, one) for one in scores]
    known = any(one.kind == "probability" for one in made)
    return made, [PROBABILITIES.format(name=found.image_set)] if known else []


def _probability(fitted: dict[str, Any], score: Score) -> Score:
    if score.label not in fitted:
        return score
    return Score(score.label, calibrate.probability(fitted[score.label], score.value), "probability")


def start(owner: User, image_set: ImageSet, key: str, method: str, sensitivity: float | None = None) -> Calibration:
    """A calibration that waits for its worker. Raises BadInput with one line when it cannot be."""
    usable = {found.key: found for found in checkpoints_in_use.usable("classify")}
    if key not in usable:
        raise BadInput(NOT_USABLE.format(why=", ".join(usable) or "none is"))
    if method not in (Calibration.TEMPERATURE, Calibration.ISOTONIC):
        raise BadInput("Choose temperature or isotonic.")
    if sensitivity is not None and not 0.0 < sensitivity <= 1.0:
        raise BadInput("A sensitivity lies above 0 and is at most 1.")
    labels = {label for known in image_set.items.values_list("labels", flat=True) for label in known}
    if (scored := usable[key].labels) and not labels & set(scored):
        raise BadInput(NO_LABEL.format(labels=", ".join(scored)))
    with transaction.atomic():
        found: dict[str, Any] = {"sensitivity": sensitivity, "scores": {}, "skipped": {}}
        made = Calibration.objects.create(owner=owner, image_set=image_set, checkpoint=key, method=method, found=found)
        enqueue(made)
    return made


def enqueue(row: Calibration) -> None:
    tasks.enqueue(tasks.calibrate, row.pk, queue=QUEUE)


def sweep() -> None:
    """Ask again for what nobody took up, or what its worker died of."""
    now = timezone.now()
    silent = Q(lease_until__lt=now) | Q(lease_until=None, created_at__lt=now - LEASE)
    for row in Calibration.objects.filter(silent, state__in=ACTIVE):
        enqueue(row)


def use(row: Calibration, on: bool) -> None:
    """Show the owner's results of its checkpoint by it, in place of any other; or no more. Raises BadInput."""
    if on and row.state != Calibration.DONE:
        raise BadInput(NOT_DONE)
    with transaction.atomic():
        same = Calibration.objects.filter(owner=row.owner_id, checkpoint=row.checkpoint)
        same.filter(in_use=True).update(in_use=False)
        if on:
            same.filter(pk=row.pk).update(in_use=True)


class Superseded(Exception):
    """Another worker has it, or it was deleted: leave without a trace."""


def carry_out(calibration_id: uuid.UUID | str) -> None:
    """Score what is not scored yet, then fit. Does nothing when somebody else has it or it is over."""
    row = _claim(calibration_id)
    if row is None:
        return
    try:
        _score_all(row)
        _fit(row)
    except Superseded:
        return
    except (Declined, InferenceError) as error:
        _write(row, state=Calibration.FAILED, line=str(error)[:300], lease_until=None)


def _claim(calibration_id: uuid.UUID | str) -> Calibration | None:
    free = Q(lease_until=None) | Q(lease_until__lt=timezone.now())
    until = timezone.now() + LEASE
    rows = Calibration.objects.filter(free, pk=calibration_id, state__in=ACTIVE)
    if not rows.update(lease_until=until, state=Calibration.RUNNING):
        return None
    return Calibration.objects.select_related("image_set").get(pk=calibration_id)


def _mine(row: Calibration) -> QuerySet[Calibration]:
    return Calibration.objects.filter(pk=row.pk, state=Calibration.RUNNING, lease_until=row.lease_until)


def _write(row: Calibration, **values: Any) -> None:
    """One UPDATE, as long as the lease is ours; it is renewed with it. Raises Superseded."""
    values = {"lease_until": timezone.now() + LEASE, **values}
    if not _mine(row).update(**values):
        raise Superseded
    for name, value in values.items():
        setattr(row, name, value)


def _renew(row: Calibration) -> bool:
    try:
        _write(row)
    except Superseded:
        return False
    return True


def _score_all(row: Calibration) -> None:
    found = checkpoints_in_use.catalogue().get(row.checkpoint)
    if found is None or (why := checkpoints_in_use.why_not(found)):
        raise BadInput(NOT_USABLE.format(why="it is gone" if found is None else why))
    items = list(row.image_set.items.select_related("image"))
    for item in items:
        name = str(item.image_id)
        if name in row.found["scores"] or name in row.found["skipped"]:
            continue
        revision = _score(row, found, item.image, name)
        done = len(row.found["scores"]) + len(row.found["skipped"])
        line = SCORED.format(done=done, total=len(items))
        _write(row, found=row.found, done=done, line=line, revision=(revision or row.revision)[:120])


def _score(row: Calibration, found: Checkpoint, image: Image, name: str) -> str:
    """Keep the scores of one image, or why it has none; the revision of what scored it. Raises what concerns all."""
    made_for = Accepts(found.works_on, found.modalities, found.body_parts, found.views, found.layouts)
    held = "" if found.built_in else burned_in.why_held(image, image.name)
    if held or made_for.refuses(image.kind_of(), image.layout):
        row.found["skipped"][name] = held or KIND.format(works_on=found.works_on)
        return ""
    call = f"{row.pk.hex}-{image.pk.hex}"
    try:
        done = model_calls.carry_out(
            found, "classify", [load(image)], {"top_k": 0}, name=call, wanted=lambda: _renew(row), batch=True
        )
    except (BadInput, Exhausted) as error:
        row.found["skipped"][name] = str(error)[:300]
        return ""
    if done.result.scores:
        row.found["scores"][name] = {one.label: round(one.value, 6) for one in done.result.scores}
    else:
        row.found["skipped"][name] = (done.result.text.splitlines() or ["no score"])[-1][:300]
    return done.record.revision


def _fit(row: Calibration) -> None:
    import numpy as np

    scores, fitted, labels, refused = row.found["scores"], {}, {}, {}
    if not scores:
        raise BadInput(NOTHING.format(why=next(iter(row.found["skipped"].values()), "it is empty")))
    truth = {str(item.image_id): item.labels for item in row.image_set.items.all()}
    scored = {label for one in scores.values() for label in one}
    wanted = sorted({label for known in truth.values() for label in known} & scored)
    if not wanted:
        raise BadInput(NO_LABEL.format(labels=", ".join(sorted(scored))))
    for label in wanted:
        known = [name for name, one in scores.items() if label in one and label in truth.get(name, {})]
        pairs = [(scores[name][label], truth[name][label]) for name in known]
        values, present = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs], dtype=int)
        if why := calibrate.why_not(label, values, present):
            refused[label] = why
            continue
        fitted[label] = calibrate.fit(row.method, values, present)  # type: ignore[arg-type]
        labels[label] = calibrate.measured(row.method, values, present, row.found["sensitivity"])  # type: ignore[arg-type]
    if not fitted:
        raise BadInput(" ".join(refused.values()))
    skipped = f", {len(row.found['skipped'])} could not be" if row.found["skipped"] else ""
    count = f"{len(fitted)} label{'s' if len(fitted) > 1 else ''}"
    line = DONE.format(scored=len(scores), skipped=skipped, labels=count)
    found = {**row.found, "labels": labels, "refused": refused}
    _write(row, state=Calibration.DONE, found=found, fitted=fitted, line=line, lease_until=None)
