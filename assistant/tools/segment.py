"""A region as a mask: a structure by name, or what a box, points or a lasso mark, by a checkpoint of the catalogue.

Without weights there are baselines, named as such: the lungs on a chest radiograph, and a random walker for marks.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from assistant import model_calls
from assistant.mask_files import as_png
from assistant.models import Artifact, Conversation, Image
from assistant.tools import segmenters
from assistant.tools.base import (
    NO_GRID,
    Arguments,
    Context,
    ImageArguments,
    ModelArguments,
    NewArtifact,
    Statement,
    Tool,
    ToolResult,
    clean_label,
    drawn,
    image_of,
    load,
)
from assistant.tools.volume import volume
from inference import prompted, thorax
from inference.checkpoints import Checkpoint
from inference.decode import NO_FRAME
from inference.diameters import diameters
from inference.errors import BadInput
from inference.structures import matching
from inference.types import Mask, Prompts, Result

Coordinate = Annotated[float, Field(allow_inf_nan=False)]
MOST_POINTS, MOST_CORNERS = 100, 5000


class BoxArgument(Arguments):
    """Pixels of the frame."""

    x0: Coordinate
    y0: Coordinate
    x1: Coordinate
    y1: Coordinate


class CornerArgument(Arguments):
    x: Coordinate
    y: Coordinate


class PointArgument(CornerArgument):
    add: bool = Field(default=True, description="true: in the region; false: not in it")


class SegmentArguments(ImageArguments, ModelArguments):
    structure: str = Field(default="lungs", max_length=60, description="what to outline by name, such as lungs")
    frame: int = Field(default=0, ge=0, le=1_000_000, description="the frame or slice, counted from 0")
    box: BoxArgument | None = Field(default=None, description="a box around the region, in pixels")
    points: list[PointArgument] = Field(default_factory=list, max_length=MOST_POINTS, description="points, in pixels")
    lasso: list[CornerArgument] = Field(
        default_factory=list, max_length=MOST_CORNERS, description="corners of a polygon around the region, in pixels"
    )
    refine: bool = Field(default=True, description="whether a lasso's outline moves to the edges of the image")
    label: str = Field(default="", max_length=120, description="what the marked region is called")

    @property
    def prompted(self) -> bool:
        return bool(self.box or self.points or self.lasso)

    @property
    def as_drawn(self) -> bool:
        """Whether the lasso is the outline: no model is asked then."""
        return bool(self.lasso) and not self.refine

    @property
    def marks(self) -> list[str]:
        """The kinds of marks that are there: box, points, lasso."""
        return [name for name in ("box", "points", "lasso") if getattr(self, name)]

    @property
    def prompts(self) -> Prompts:
        box = self.box
        return Prompts(
            box=(box.x0, box.y0, box.x1, box.y1) if box else None,
            add=tuple((p.x, p.y) for p in self.points if p.add),
            remove=tuple((p.x, p.y) for p in self.points if not p.add),
            lasso=tuple((p.x, p.y) for p in self.lasso),
            refine=self.refine,
        )


RATIO = "By these masks the cardiothoracic ratio on {where} is {ratio:.2f}: heart {heart}, thorax {thorax} wide."
NO_RATIO = "No cardiothoracic ratio: {why}."
DIAMETERS = " It is {longest:.1f} mm long at its longest and {across:.1f} mm across that."
REGION = "marked region"
AS_DRAWN = "the lasso as it was drawn"
DRAWN_NOTE = "The lasso is the outline, as it was drawn."
NO_SPACING = "No area in cm2: the file states no pixel spacing."
AT_THE_DETECTOR = "Areas are measured at the detector and are larger than in the patient."


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on masks, beside their areas."""

    statements: tuple[Statement, ...] = ()
    artifacts: tuple[NewArtifact, ...] = ()
    notes: tuple[str, ...] = ()


def place(name: str, image: Image, frame: int) -> str:
    """img1, or img1, slice 13: people count from 1."""
    if image.frames == 1:
        return name
    return f"{name}, {'slice' if image.layout == 'volume' else 'frame'} {frame + 1}"


def size_words(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"


def area_words(cm2: float) -> str:
    return size_words(cm2, "cm2")


def _statement(mask: Mask, where: str, ref: str) -> Statement:
    share = (mask.pixels > 0).mean()
    area = f"{share:.0%} of the {'volume' if mask.pixels.ndim == 3 else 'image'}"
    if mask.area_cm2 is not None:
        area = f"{mask.area_cm2:.0f} cm2"
    elif mask.volume_cm3 is not None:
        area = size_words(mask.volume_cm3, "cm3")
    which = mask.label.replace("lung, image left", "lung on the left of the image")
    which = which.replace("lung, image right", "lung on the right of the image")
    return Statement(f"The {which} was outlined on {where}: {area}.", ref)


def _notes(image: Image, *limits: str) -> list[str]:
    spacing = image.decoded.get("spacing")
    if spacing is None:
        return [*limits, NO_SPACING]
    if spacing["source"] == "ImagerPixelSpacing":
        return [*limits, AT_THE_DETECTOR]
    return [*limits]


def choose(conversation: Conversation, arguments: SegmentArguments) -> Checkpoint:
    """The checkpoint that carries this call out. Raises Declined."""
    return segmenters.choose(conversation, image_of(conversation, arguments.image), arguments)


def run(context: Context, arguments: SegmentArguments) -> ToolResult:
    if arguments.prompted:
        return _prompted(context, arguments)
    image = context.image(arguments.image)
    found = choose(context.conversation, arguments)
    whole = found.layouts == {"volume"}
    wanted = [*matching(arguments.structure, found.labels)]
    if wanted and not whole:
        wanted += thorax.further(wanted, found.labels)
    given = volume(image, arguments.image) if whole else load(image, arguments.frame)
    done = model_calls.perform(context, found, "segment", [given], {"structures": wanted})
    masks = _asked_for(done.result, arguments.structure)
    more = Measured()
    if not whole and matching(thorax.HEART, [mask.label for mask in masks]):
        more = _ratio(done.result, image, arguments, f"{context.ref}.{len(masks) + 1}")
    where = arguments.image if whole else place(arguments.image, image, arguments.frame)
    return ToolResult(
        summary=f"{len(masks)} mask{'s' if len(masks) > 1 else ''} on {where}",
        statements=[
            *(_statement(mask, where, f"{context.ref}.{number}") for number, mask in enumerate(masks, 1)),
            *more.statements,
        ],
        notes=[*(done.result.notes if whole else _notes(image, *done.result.notes)), *more.notes],
        artifacts=[*(_artifact(mask, image, arguments.frame) for mask in masks), *more.artifacts],
        model=found.name,
        records=[done.record.as_dict()],
    )


def _artifact(mask: Mask, image: Image, frame: int) -> NewArtifact:
    """Of a volume's mask all slices, of any other the frame that was outlined."""
    if mask.pixels.ndim == 3:
        data = {"volume_cm3": mask.volume_cm3, "pixels": int((mask.pixels > 0).sum())}
        return NewArtifact(Artifact.MASK, mask.label, image, None, data, mask.pixels)
    return NewArtifact(
        Artifact.MASK, mask.label, image, as_png(mask.pixels), {"area_cm2": mask.area_cm2, "frame": frame}
    )


def _ratio(result: Result, image: Image, arguments: SegmentArguments, ref: str) -> Measured:
    """The cardiothoracic ratio, where masks of the heart and both lungs are there to measure it on."""
    try:
        found = thorax.cardiothoracic(result.masks, load(image, arguments.frame))
    except BadInput as refusal:
        return Measured(notes=(NO_RATIO.format(why=str(refusal).removesuffix(".")),))
    widths = [f"{line.length:.0f} {'px' if line.length_mm is None else 'mm'}" for line in (found.heart, found.thorax)]
    where = place(arguments.image, image, arguments.frame)
    said = RATIO.format(where=where, ratio=found.ratio, heart=widths[0], thorax=widths[1])
    lines = tuple(drawn(image, line, arguments.frame) for line in (found.heart, found.thorax))
    return Measured((Statement(said, ref),), lines, found.notes)


def _asked_for(result: Result, structure: str) -> list[Mask]:
    """The masks of the structure; all where the model names none so, as a lung whose side the file does not tell."""
    named = matching(structure, [mask.label for mask in result.masks])
    return [mask for mask in result.masks if mask.label in named] or list(result.masks)


def _prompted(context: Context, arguments: SegmentArguments) -> ToolResult:
    image = context.image(arguments.image)
    label = clean_label(arguments.label) or REGION
    frame = load(image, arguments.frame)
    if arguments.as_drawn:
        mask = prompted.ClassicalSegmenter()(frame, arguments.prompts, label)
        return _marked(context, arguments, image, Result(masks=(mask,), notes=(DRAWN_NOTE,)), AS_DRAWN, [])
    found = choose(context.conversation, arguments)
    options = {"prompts": arguments.prompts.as_dict(), "label": label}
    done = model_calls.perform(context, found, "segment", [frame], options)
    return _marked(context, arguments, image, done.result, found.name, [done.record.as_dict()])


def _marked(
    context: Context, arguments: SegmentArguments, image: Image, result: Result, model: str, records: list[Any]
) -> ToolResult:
    mask = result.masks[0]
    count = int((mask.pixels > 0).sum())
    area = f"{area_words(mask.area_cm2)}, " if mask.area_cm2 is not None else ""
    where = place(arguments.image, image, arguments.frame)
    said = f"The {mask.label} was outlined on {where} from {marks_in_words(arguments)}: {area}{count:,} pixels."
    across = diameters(mask.pixels > 0, image.facts.spacing) if image.facts.spacing else None
    sizes = {"longest_mm": across.longest.length_mm, "across_mm": across.across.length_mm} if across else {}
    if across:
        said += DIAMETERS.format(longest=across.longest.length, across=across.across.length)
    data = {
        "frame": arguments.frame,
        "area_cm2": mask.area_cm2,
        "pixels": count,
        **sizes,
        "prompts": arguments.model_dump(include={"box", "points", "lasso", "refine"}, exclude_none=True),
    }
    scores = [f"The model's own {score.label}: {score.kind} {score.value:.2f}." for score in result.scores]
    return ToolResult(
        summary=f"{mask.label} on {where}",
        statements=[Statement(line, f"{context.ref}.1") for line in (said, *scores)],
        notes=_notes(image, *result.notes),
        artifacts=[NewArtifact(Artifact.MASK, mask.label, image, as_png(mask.pixels), data)],
        model=model,
        records=records,
    )


def marks_in_words(arguments: SegmentArguments) -> str:
    """A box (120, 80) to (300, 260), 2 points to add, 1 point to remove and a lasso."""
    found: list[str] = []
    if box := arguments.box:
        found.append(f"a box ({box.x0:.0f}, {box.y0:.0f}) to ({box.x1:.0f}, {box.y1:.0f})")
    for adds, verb in ((True, "add"), (False, "remove")):
        count = sum(point.add == adds for point in arguments.points)
        if count:
            found.append(f"{count} point{'s' if count > 1 else ''} to {verb}")
    if arguments.lasso:
        found.append("a lasso" if arguments.refine else "a lasso as it is")
    return " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))


def check(image: Image, arguments: SegmentArguments) -> None:
    """Refuse prompts that do not fit the image before anything is saved. Raises BadInput."""
    if not image.pixels:
        raise BadInput(NO_GRID)
    if arguments.frame >= image.frames:
        raise BadInput(NO_FRAME.format(frame=arguments.frame + 1, frames=image.frames))
    prompted.check(arguments.prompts, image.width, image.height)


TOOL = Tool(
    name="segment",
    description="Outline a structure by name (the lungs on a frontal chest radiograph, and what the configured models "
    "know); or, on any image, the region that a box, points or a lasso mark. Returns masks, and areas where spacing is "
    "known.",
    arguments=SegmentArguments,
    queue="vision",
    run=run,
    accepts=segmenters.accepts,
    role=lambda arguments: "" if arguments.as_drawn else segmenters.role(arguments),
    choose=choose,
)
