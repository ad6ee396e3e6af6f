"""Two images of the chat side by side: what they are, how they were taken, and what can be measured on both.

Nothing here needs weights; a served vision-language model adds its words where there is one. It is never concluded that
anything has progressed: two films differ by exposure, position and breath before they differ by disease.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field

from assistant.burned_in import why_held
from assistant.models import Artifact, Image
from assistant.tools import seeing
from assistant.tools.base import Accepts, Arguments, Context, Declined, NewArtifact, Statement, Tool, ToolResult, load
from assistant.tools.seeing import Seeing
from assistant.tools.segment import area_words, place
from inference.errors import BadInput, InferenceError
from inference.kinds import name_of
from inference.types import Decoded, Description

if TYPE_CHECKING:
    from inference.types import Image as Frame

FRONTAL_CHEST = Accepts(
    works_on="frontal chest radiographs",
    modalities=frozenset({"CR", "DX", "RG"}),
    body_parts=frozenset({"CHEST", "THORAX", "LUNG", "LUNGS"}),
    views=frozenset({"PA", "AP"}),
    layouts=frozenset({"image", "frames"}),
)
ROLE, WHAT = "compare", "Comparing images by a model"
NAME = "header, pixel statistics and classical baselines (rules)"
ITSELF = "An image cannot be compared with itself: name two."
UNKNOWN, NO_SPACING, NOT_MEASURED = "not known", "not stated", "not measured"
ORDER = "{first} is the first and {second} the second, as they were named; which was taken earlier is not told by that."
NO_PROGRESSION = (
    "Differences in exposure, position, breath and magnification change all of these, so none of them says that "
    "anything has got better or worse."
)
BASELINE = "Lungs and cardiothoracic ratio are measured by classical baselines, not by a trained model."
ONE_ONLY = "Lungs and heart are measured where both images are frontal chest radiographs; {names} not taken for one."
MODEL_NOTE = "What {model} says has been checked by nothing here."
QUESTION = (
    "Two images follow, in this order: {first}, then {second}. Say in at most four sentences what differs between them "
    "in what they show. Do not say which is earlier, and do not conclude that a disease has progressed or regressed."
)


class CompareArguments(Arguments):
    first: str = Field(description="the first image, such as img1", pattern=r"^img\d{1,4}$")
    second: str = Field(description="the second image, such as img2", pattern=r"^img\d{1,4}$")


@dataclass(slots=True)
class Side:
    """One of the two: words for its column, by the name of the row, and what is compared as numbers."""

    name: str
    image: Image
    where: str
    frame: "Frame"
    told: Description
    words: dict[str, str] = field(default_factory=dict)
    lungs: tuple[float | None, float] | None = None  # cm2 where the spacing is known, share of the image
    ratio: tuple[float, float, float] | None = None  # cardiothoracic, with the least and the greatest of the tries
    why: str = ""

    @property
    def is_chest(self) -> bool:
        refused = FRONTAL_CHEST.refuses(self.image.kind_of(), self.image.layout)
        return not refused and self.told.plausible_chest_radiograph


def run(context: Context, arguments: CompareArguments) -> ToolResult:
    if arguments.first == arguments.second:
        raise Declined(ITSELF)
    sides = [_side(context, name) for name in (arguments.first, arguments.second)]
    notes = [ORDER.format(first=sides[0].name, second=sides[1].name), NO_PROGRESSION]
    not_chest = [side.name for side in sides if not side.is_chest]
    if not not_chest:
        for side in sides:
            _measure(side)
        notes += [BASELINE, *dict.fromkeys(f"{side.name}: {side.why}" for side in sides if side.why)]
    elif len(not_chest) == 1:
        notes.append(ONE_ONLY.format(names=f"{not_chest[0]} is"))
    lines = [_kinds(*sides), _sizes(*sides), _spacings(*sides), _greys(*sides), *_chests(*sides)]
    statements = [Statement(line, f"{context.ref}.1") for line in lines]
    asked, said, more = _model_says(context, sides)
    return ToolResult(
        summary=f"{sides[0].name} beside {sides[1].name}",
        statements=[*statements, *said],
        notes=[*notes, *more],
        artifacts=[_table(sides)],
        model=f"{NAME}; {asked.model}" if asked else NAME,
        records=[asked.record] if asked else [],
    )


def _side(context: Context, name: str) -> Side:
    from inference.classical import describe

    image = context.image(name)
    number = image.frames // 2 if image.layout == "volume" else 0
    frame = load(image, number)
    side = Side(name, image, place(name, image, number), frame, describe(frame))
    side.words = {
        "kind": name_of(image.kind_of(), article=False) or UNKNOWN,
        "size": f"{image.width} x {image.height}" + (f" x {image.frames}" if image.frames > 1 else ""),
        "pixel spacing": _spacing(image.facts),
        "exposure": side.told.exposure,
        "contrast": side.told.contrast,
        "greys": "look inverted" if side.told.probably_inverted else "not inverted",
        "mean value": f"{side.told.mean:.4g}",
        "values": f"{side.told.minimum:.4g} to {side.told.maximum:.4g}",
    }
    return side


def _spacing(facts: Decoded) -> str:
    if facts.spacing is None:
        return NO_SPACING
    at = " at the detector" if facts.spacing.source == "ImagerPixelSpacing" else ""
    return f"{facts.spacing.row_mm:g} x {facts.spacing.column_mm:g} mm{at}"


def _measure(side: Side) -> None:
    """Lungs and cardiothoracic ratio; what cannot be measured says why."""
    from inference import chest
    from inference.classical import mirrored, segment_lungs

    try:
        masks = segment_lungs(mirrored(side.frame) if side.told.probably_inverted else side.frame)
        share = float(sum((mask.pixels > 0).mean() for mask in masks))
        areas = [mask.area_cm2 for mask in masks if mask.area_cm2 is not None]
        side.lungs = (sum(areas) if len(areas) == len(masks) else None), share
        found = chest.read(side.frame)
    except BadInput as error:
        side.why = str(error)
    else:
        if chest.RATIO in found.values:
            low, high = (found.values[f"{chest.RATIO}_{end}"] for end in ("low", "high"))
            side.ratio = found.values[chest.RATIO], low, high
        else:
            side.why = chest.UNCLEAR
    side.words |= {"lungs": _lungs_words(side), "cardiothoracic ratio": _ratio_words(side)}


def _lungs_words(side: Side) -> str:
    if side.lungs is None:
        return NOT_MEASURED
    area, share = side.lungs
    return f"{share:.0%} of the image" if area is None else f"{area_words(area)}, {share:.0%} of the image"


def _ratio_words(side: Side) -> str:
    if side.ratio is None:
        return NOT_MEASURED
    ratio, low, high = side.ratio
    return f"{ratio:.2f} ({low:.2f} to {high:.2f})"


def _kinds(one: Side, other: Side) -> str:
    kinds = one.words["kind"], other.words["kind"]
    if UNKNOWN in kinds:
        unknown = " and ".join(side.name for side in (one, other) if side.words["kind"] == UNKNOWN)
        return (
            f"Whether {one.name} and {other.name} are of the same kind cannot be told: that of {unknown} is not known."
        )
    if kinds[0] == kinds[1]:
        return f"{one.name} and {other.name} are of the same kind: {kinds[0]}."
    return f"{one.name} and {other.name} are not of the same kind: {kinds[0]}, and {kinds[1]}."


def _sizes(one: Side, other: Side) -> str:
    sizes = one.words["size"], other.words["size"]
    if sizes[0] == sizes[1]:
        return f"Both have {sizes[0]} pixels."
    return f"{one.name} has {sizes[0]} pixels, {other.name} {sizes[1]}."


def _spacings(one: Side, other: Side) -> str:
    both = one.words["pixel spacing"], other.words["pixel spacing"]
    if both[0] == both[1]:
        if both[0] == NO_SPACING:
            return "Neither states a pixel spacing, so lengths and areas cannot be compared in millimetres."
        return f"Both have a pixel spacing of {both[0]}."
    return f"Pixel spacing: {one.name} {both[0]}, {other.name} {both[1]}."


def _greys(one: Side, other: Side) -> str:
    parts = []
    for what in ("exposure", "contrast"):
        first, second = one.words[what], other.words[what]
        same = first == second
        parts.append(f"the {what} of both is {first}" if same else f"the {what} is {first} and {second}")
    odd = [side.name for side in (one, other) if side.told.probably_inverted]
    inverted = f"; the greys of {' and '.join(odd)} look inverted" if odd else ""
    return f"By the pixel values of {one.where} and {other.where}, {' and '.join(parts)}{inverted}."


def _chests(one: Side, other: Side) -> list[str]:
    lines = []
    if one.lungs and other.lungs:
        lines.append(
            f"The lungs as outlined: {_lungs_words(one)} on {one.name}, {_lungs_words(other)} on {other.name}."
        )
    if one.ratio and other.ratio:
        apart = max(one.ratio[1], other.ratio[1]) > min(one.ratio[2], other.ratio[2])
        overlap = "" if apart else "; what the tries gave overlaps, so the two are not told apart"
        ratios = f"{_ratio_words(one)} on {one.name}, {_ratio_words(other)} on {other.name}"
        lines.append(f"The cardiothoracic ratio (with the least and the greatest of the tries): {ratios}{overlap}.")
    return lines


def _table(sides: list[Side]) -> NewArtifact:
    rows = [[name, *(side.words.get(name, NOT_MEASURED) for side in sides)] for name in sides[0].words]
    names = [side.name for side in sides]
    data = {"plain": True, "columns": ["", *names], "rows": rows, "beside": [str(side.image.pk) for side in sides]}
    return NewArtifact(Artifact.TABLE, f"{names[0]} beside {names[1]}", data=data)


def _model_says(context: Context, sides: list[Side]) -> tuple[Seeing | None, list[Statement], list[str]]:
    """The served model that spoke, its words, and what must stand beside them; a note alone where none was asked."""
    if seeing.missing(ROLE, WHAT):
        return None, [], []
    try:
        asked = seeing.choose(ROLE, WHAT, context.conversation)
    except Declined as declined:
        return None, [], [str(declined)]
    if held := next(filter(None, (why_held(side.image, side.name) for side in sides)), ""):
        return None, [], [f"{asked.model} was not asked: {held}"]
    try:
        seen = [one for side in sides for one in asked.shown(side.image, side.name)]
        answer = asked.answerer().answer(seen, QUESTION.format(first=sides[0].name, second=sides[1].name))
    except InferenceError as error:
        return None, [], [f"{asked.model} gave no answer: {error}"]
    said = Statement(f"{asked.model} says: {' '.join(answer.split())}", context.ref)
    return asked, [said], [MODEL_NOTE.format(model=asked.model)]


TOOL = Tool(
    name="compare_images",
    description="Compare two images of the conversation side by side: kind, size, spacing, exposure, contrast, and of "
    "two frontal chest radiographs the lungs and the cardiothoracic ratio. States no progression.",
    arguments=CompareArguments,
    queue="vision",
    run=run,
)
