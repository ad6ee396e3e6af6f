"""How far an image lies from a set of normal images that the user has made; by words too, where a model knows words."""

import numpy as np
from pydantic import Field

from assistant import checkpoints_in_use, image_vectors, model_calls
from assistant.burned_in import why_held
from assistant.models import Image, ImageSet
from assistant.tools.base import (
    Context,
    Declined,
    ImageArguments,
    ModelArguments,
    Statement,
    Tool,
    ToolResult,
    clean_label,
)
from inference import anomaly
from inference.checkpoints import Checkpoint
from inference.jobs import Record

ROLE, WHAT = "anomaly", "Anomaly detection"
NO_SET = "You have no set of normal images yet. Make one of at least {least} on the page Image sets, then ask again."
WHICH_SET = "You have several image sets: say which one holds the normal images (normal_set): {names}."
NO_SUCH_SET = "You have no image set named {name}. Yours are: {names}."
NO_PROBABILITY = "A distance and its place among the set's own are scores, no probability of disease."
BASELINE = (
    "By a baseline (grey levels, edges and texture), not a trained model: it notices another projection, exposure or "
    "texture, hardly a finding."
)
WORDS = "Scores of words are cosines that nobody has calibrated: compare them with those of images that you know."
KINDS = "The set holds images of other kinds than this one ({kinds}): what differs may be only that."
# Pairs of (normal, abnormal); each is scored by itself, so that it can be seen how far the wording matters.
TEMPLATES = (
    ("a normal medical image", "an abnormal medical image"),
    ("a medical image of a healthy patient", "a medical image of a patient with disease"),
    ("an image without any abnormal finding", "an image with an abnormal finding"),
)


class AnomalyArguments(ImageArguments, ModelArguments):
    normal_set: str = Field(default="", max_length=120, description="the name of the user's set of normal images")


def run(context: Context, arguments: AnomalyArguments) -> ToolResult:
    found = checkpoints_in_use.choose(ROLE, WHAT, context.conversation, arguments.model)
    image = context.image(arguments.image)
    if not found.built_in and (line := why_held(image, arguments.image)):
        raise Declined(line)
    chosen = _set(context, arguments.normal_set, needed=found.built_in)
    statements: list[Statement] = []
    notes: list[str] = []
    records: list[Record] = []
    if chosen is not None:
        statements, notes, records = _by_set(context, found, image, chosen, arguments.image)
    if not found.built_in:
        said, record = _by_words(context, found, image, arguments.image)
        statements, notes, records = [*statements, *said], [*notes, WORDS], [*records, *record]
    return ToolResult(
        summary=statements[0].text[:200],
        statements=statements,
        notes=notes,
        model=found.name,
        records=[record.as_dict() for record in records],
    )


def _set(context: Context, name: str, needed: bool) -> ImageSet | None:
    mine = list(ImageSet.objects.filter(owner=context.reader))
    names = ", ".join(clean_label(one.name) for one in mine) or "none"
    if name:
        wanted = name.strip().casefold()
        chosen = next((one for one in mine if one.name.casefold() == wanted), None)
        if chosen is None:
            raise Declined(NO_SUCH_SET.format(name=clean_label(name), names=names))
        return chosen
    if len(mine) > 1:
        raise Declined(WHICH_SET.format(names=names))
    if not mine and needed:
        raise Declined(NO_SET.format(least=anomaly.LEAST))
    return mine[0] if mine else None


def _by_set(
    context: Context, found: Checkpoint, image: Image, chosen: ImageSet, name: str
) -> tuple[list[Statement], list[str], list[Record]]:
    members = Image.objects.filter(owner=context.reader, set_items__image_set=chosen).exclude(pk=image.pk)
    if not found.built_in:
        members = members.exclude(text_check__in=Image.HELD)
    normal = list(members.exclude(preview=""))
    if len(normal) < anomaly.LEAST:
        raise Declined(anomaly.TOO_FEW.format(found=len(normal), least=anomaly.LEAST))
    vectors, records = image_vectors.of(context, found, [image, *normal])
    scored = anomaly.score(vectors[image.pk], np.stack([vectors[one.pk] for one in normal]))
    where = f"higher than {scored.above} of {scored.count} normal images (each scored against the others)"
    said = Statement(
        f"{name} has a distance score of {scored.score:.3f} from the set “{clean_label(chosen.name)}”: {where}.",
        context.ref,
    )
    middle, most = np.median(scored.normal), max(scored.normal)
    range_said = Statement(f"The set's own scores have a median of {middle:.3f} and reach {most:.3f}.", context.ref)
    notes = [NO_PROBABILITY, *([BASELINE] if found.built_in else []), *_kinds(image, normal)]
    return [said, range_said], notes, records


def _kinds(image: Image, normal: list[Image]) -> list[str]:
    """A note when the set's images are known to be of other modalities."""
    mine = image.kind_of().modality
    others = sorted({one.kind_of().modality for one in normal} - {"", mine})
    return [KINDS.format(kinds=", ".join(others))] if mine and others else []


def _by_words(context: Context, found: Checkpoint, image: Image, name: str) -> tuple[list[Statement], list[Record]]:
    texts = [text for pair in TEMPLATES for text in pair]
    done = model_calls.perform(context, found, "embed_texts", [], {"texts": texts})
    assert done.result.vectors is not None
    vectors, records = image_vectors.of(context, found, [image])
    scores = anomaly.by_prompts(vectors[image.pk], done.result.vectors[::2], done.result.vectors[1::2])
    said = [
        Statement(f"{name} by words: “{abnormal}” less “{normal}” scores {score:+.3f}.", context.ref)
        for (normal, abnormal), score in zip(TEMPLATES, scores, strict=True)
    ]
    return said, [done.record, *records]


TOOL = Tool(
    name="find_anomalies",
    description="How far an image lies from the user's own set of normal images: a score, and where it stands among "
    "the set's own scores; with a CLIP-family model also by words. Never a probability.",
    arguments=AnomalyArguments,
    queue="vision",
    run=run,
    missing=lambda: checkpoints_in_use.missing(ROLE, WHAT),
    role=lambda _: ROLE,
)
