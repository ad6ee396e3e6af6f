"""Labels with scores for an image: by a trained classifier, by words that the user chooses, or by a named baseline.

Which checkpoint answers is the call's or the chat's choice, else the first that is ready and made for such an image. A
score is a score; it is called a probability only by a calibration that its owner uses (docs/calibration.md).
"""

import io
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from assistant import calibration, checkpoints_in_use, model_calls
from assistant.models import Artifact, Image
from assistant.tools import gate
from assistant.tools.base import (
    Accepts,
    Context,
    Declined,
    ImageArguments,
    ModelArguments,
    NewArtifact,
    Statement,
    Tool,
    ToolResult,
    clean_label,
    drawn,
    load,
)
from inference.checkpoints import Checkpoint
from inference.label_sets import LabelSet, label_set
from inference.types import Heatmap, Result, Score

CLASSIFY, ZERO_SHOT = "classify", "zero-shot"
WHAT = {CLASSIFY: "Image classification", ZERO_SHOT: "Zero-shot classification"}
UNCALIBRATED = "A score is the model's own output, not a probability of disease; it has not been calibrated here."
MAP = "The heat map ({method}) shows what moved the score of {label}, not what is there; it is coarse."
LICENCE = "{name} may be used under {licence} only."

Words = Annotated[str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]


class ClassifyArguments(ImageArguments, ModelArguments):
    top_k: int = Field(default=5, ge=1, le=20, description="how many labels to return")
    labels: list[Words] = Field(
        default_factory=list, max_length=50, description="labels in words, to score without a trained classifier"
    )
    templates: list[Words] = Field(
        default_factory=list, max_length=20, description="sentences with {} where a label goes, for `labels`"
    )
    label_set: str = Field(default="", max_length=60, description="the name of a kept set of labels, for zero-shot")
    saliency: bool = Field(default=False, description="whether to show where the model looked, for the best label")

    @property
    def role(self) -> str:
        return ZERO_SHOT if self.labels or self.label_set else CLASSIFY


def run(context: Context, arguments: ClassifyArguments) -> ToolResult:
    image = context.image(arguments.image)
    found = choose(context, arguments, image)
    asked = _label_set(arguments)
    options: dict[str, Any] = {"top_k": 0, "saliency": arguments.saliency}
    if asked:
        options |= {"labels": list(asked.labels), "templates": list(asked.templates)}
    task = "zero_shot" if asked else "classify"
    done = model_calls.perform(context, found, task, [load(image)], options)
    owner = context.conversation.owner_id
    scores, notes = calibration.applied(owner, done.record, done.result.scores)
    set_name = f"label set: {asked.title}" if asked else f"label set: {found.label_set or 'its own'}"
    return ToolResult(
        summary=_summary(done.result, scores),
        statements=_statements(context.ref, found, done.result, scores[: arguments.top_k], set_name),
        notes=[*done.result.notes, *notes, *_notes(found, done.result, scores)],
        artifacts=_artifacts(image, done.result),
        table=_by_template(asked, done.result, scores[: arguments.top_k]),
        model=found.name,
        records=[done.record.as_dict()],
    )


def choose(context: Context, arguments: ClassifyArguments, image: Image) -> Checkpoint:
    """The checkpoint for this call. Raises Declined when the named one, or each that is ready, is for other images."""
    conversation = context.conversation
    role = arguments.role
    named = arguments.model or conversation.checkpoints.get(role, "")
    first = checkpoints_in_use.choose(role, WHAT[role], conversation, arguments.model)
    why = _refusal(first, arguments, image)
    if not why:
        return first
    if not named:
        for found in checkpoints_in_use.usable(role):
            if not _refusal(found, arguments, image):
                return found
    raise Declined(why)


def _refusal(found: Checkpoint, arguments: ClassifyArguments, image: Image) -> str:
    made_for = Accepts(found.works_on, found.modalities, found.body_parts, found.views, found.layouts)
    tool = Tool(found.name, "", ClassifyArguments, "", run, accepts=lambda _: made_for)
    return gate.refusal(tool, arguments, image, arguments.image)


def _label_set(arguments: ClassifyArguments) -> LabelSet | None:
    """The labels that were asked for, the kept set's templates unless others are given. Raises BadInput."""
    if arguments.role == CLASSIFY:
        return None
    kept = label_set(arguments.label_set) if arguments.label_set else None
    labels = tuple(dict.fromkeys(filter(None, map(clean_label, arguments.labels)))) or (kept.labels if kept else ())
    templates = tuple(arguments.templates) or (kept.templates if kept else ("{}",))
    title = kept.title if kept and not arguments.labels else "as asked for"
    return LabelSet(arguments.label_set, title, labels, templates)


def _summary(result: Result, scores: list[Score]) -> str:
    if result.text:
        return result.text.splitlines()[0].rstrip(".")
    return ", ".join(f"{s.label} {s.value:.2f}" for s in scores[:3])


def _statements(ref: str, found: Checkpoint, result: Result, scores: list[Score], set_name: str) -> list[Statement]:
    """What a baseline says in words, the first on its lines; then scores. A baseline's uncalibrated score is not said:
    it is the measured value once more."""
    lines = result.text.splitlines()
    said = [Statement(line, f"{ref}.1" if result.lines and n == 0 else ref) for n, line in enumerate(lines)]
    told = [s for s in scores if not (found.built_in and result.text and s.kind == "score")]
    for number, score in enumerate(told):
        where = f" ({set_name}; {found.name})" if number == 0 else ""
        lit = f"{ref}.1" if result.heatmaps and result.heatmaps[0].label == score.label else ref
        said.append(Statement(f"{score.label}: {score.kind} {score.value:.2f}{where}.", lit))
    return said


def _notes(found: Checkpoint, result: Result, scores: list[Score]) -> list[str]:
    notes = [UNCALIBRATED] if any(s.kind == "score" for s in scores) and not found.built_in else []
    notes += [MAP.format(method=one.method, label=one.label) for one in result.heatmaps]
    return notes + ([] if found.commercial else [LICENCE.format(name=found.name, licence=found.licence_words)])


def _artifacts(image: Image, result: Result) -> list[NewArtifact]:
    return [drawn(image, one) for one in result.lines] + [_heatmap(image, one) for one in result.heatmaps]


def _heatmap(image: Image, heat: Heatmap) -> NewArtifact:
    import numpy as np
    from PIL import Image as Pillow

    out = io.BytesIO()
    Pillow.fromarray((heat.pixels * 255).astype(np.uint8)).save(out, "PNG")
    label = f"where the model looked: {heat.label}"
    return NewArtifact(Artifact.HEATMAP, label, image, out.getvalue(), {"frame": 0, "method": heat.method})


def _by_template(asked: LabelSet | None, result: Result, scores: list[Score]) -> dict[str, Any]:
    """Zero-shot scores of each template, for the page."""
    table = result.arrays.get("scores_by_template")
    if asked is None or table is None or len(asked.templates) < 2:
        return {}
    at = {label: number for number, label in enumerate(asked.labels)}
    rows = [[s.label, *(f"{table[t][at[s.label]]:.2f}" for t in range(len(asked.templates)))] for s in scores]
    return {"columns": ["label", *asked.templates], "rows": rows}


TOOL = Tool(
    name="classify",
    description="Give labels with scores to an image: by a trained classifier, or by any labels in words (zero-shot). "
    "On a frontal chest radiograph a baseline also tells its quality and the cardiothoracic ratio.",
    arguments=ClassifyArguments,
    queue="vision",
    run=run,
    missing=lambda: checkpoints_in_use.missing(CLASSIFY, WHAT[CLASSIFY]),
    shows_a_model=True,
    role=lambda arguments: arguments.role,
)
