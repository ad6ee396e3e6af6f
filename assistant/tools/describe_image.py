"""What the file and its pixel values say about an image: header, size, spacing, exposure and contrast."""

from assistant.models import Image
from assistant.tools.base import Context, ImageArguments, Statement, Tool, ToolResult, load
from inference.allowed import for_model
from inference.types import Decoded, Description


def _file(image: Image, decoded: Decoded, name: str) -> str:
    grey = decoded.photometric.startswith("MONOCHROME")
    colour = decoded.photometric if image.kind == "dicom" else "grey" if grey else "colour"
    depth = f"{decoded.bits_stored} bits, {colour}" if colour else f"{decoded.bits_stored} bits"
    facts = for_model(decoded)
    modality = f", modality {facts['modality']}" if "modality" in facts else ""
    part = f", {facts['body part'].lower()}" if "body part" in facts else ""
    size = f"{image.width} x {image.height} pixels"
    if image.frames > 1:
        size += f" and {image.frames} {_frames(image)}s"
    return f"{name} is a {facts['kind']} image of {size} ({depth}){modality}{part}."


def _frames(image: Image) -> str:
    return "slice" if image.layout == "volume" else "frame"


def _spacing(decoded: Decoded) -> str:
    if decoded.spacing is None:
        return "The file states no pixel spacing, so lengths and areas cannot be given in millimetres."
    rows, columns = decoded.spacing.row_mm, decoded.spacing.column_mm
    at = (
        " at the detector, so sizes in the patient are smaller"
        if decoded.spacing.source == "ImagerPixelSpacing"
        else ""
    )
    return f"Its pixel spacing is {rows:g} x {columns:g} mm ({decoded.spacing.source}{at})."


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _values(found: Description, where: str) -> list[str]:
    """What the values of one frame say; `where` names it when there are others."""
    # A picture of one grey has its darkest and its brightest value everywhere, and is not clipped.
    clipped = found.clipped_low + found.clipped_high if found.minimum < found.maximum else 0.0
    return [
        f"By its pixel values{where} the exposure is {found.exposure} and the contrast {found.contrast}; "
        f"values run from {_number(found.minimum)} to {_number(found.maximum)}, mean {_number(found.mean)}.",
        *([f"{clipped:.1%} of the pixels are clipped at the darkest or brightest value."] if clipped >= 0.01 else []),
        *(["The grey scale looks inverted."] if found.probably_inverted else []),
    ]


def run(context: Context, arguments: ImageArguments) -> ToolResult:
    from inference.classical import describe

    image = context.image(arguments.image)
    decoded = Decoded.from_dict(image.decoded)
    # The ends of a volume are often air: its middle stands for it, and the sentence says so.
    frame = image.frames // 2 if image.layout == "volume" else 0
    where = f" ({_frames(image)} {frame + 1} of {image.frames})" if image.frames > 1 else ""
    found = describe(load(image, frame))
    lines = [_file(image, decoded, arguments.image), _spacing(decoded), *_values(found, where)]
    return ToolResult(
        summary=f"{image.width} x {image.height}, {decoded.modality}, exposure {found.exposure}",
        statements=[Statement(line, context.ref) for line in lines],
        notes=list(decoded.notes),
        model="header and pixel statistics (rules)",
    )


TOOL = Tool(
    name="describe_image",
    description="Read an image's header, size, pixel spacing and modality, and judge exposure and contrast.",
    arguments=ImageArguments,
    queue="decode",
    run=run,
)
