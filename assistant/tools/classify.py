"""Labels for an image from a trained classifier, when one is configured."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from pydantic import Field

from assistant.tools.base import NOT_CONFIGURED, Context, ImageArguments, Statement, Tool, ToolResult, load

if TYPE_CHECKING:
    from inference.classify import HuggingFaceClassifier


class ClassifyArguments(ImageArguments):
    top_k: int = Field(default=5, ge=1, le=20, description="how many labels to return")


def missing() -> str:
    if settings.CLASSIFY_MODEL:
        return ""
    return (
        f"Image classification is {NOT_CONFIGURED}. Set LIGHTBOX_CLASSIFY to a folder with a Hugging Face image "
        "classifier (config.json, model.safetensors, preprocessor_config.json) and start Lightbox again."
    )


@cache
def _classifier(folder: str) -> "HuggingFaceClassifier":
    from inference.classify import HuggingFaceClassifier

    return HuggingFaceClassifier(Path(folder).expanduser())


def run(context: Context, arguments: ClassifyArguments) -> ToolResult:
    classifier = _classifier(settings.CLASSIFY_MODEL)
    scores = classifier.classify(load(context.image(arguments.image)), arguments.top_k)
    return ToolResult(
        summary=", ".join(f"{s.label} {s.value:.2f}" for s in scores[:3]),
        statements=[Statement(f"{s.label}: {s.kind} {s.value:.2f}.", context.ref) for s in scores],
        notes=["A score is the model's own output, not a probability of disease; it has not been calibrated here."],
        model=classifier.name,
    )


TOOL = Tool(
    name="classify",
    description="Give labels with scores to an image, from the configured classifier.",
    arguments=ClassifyArguments,
    queue="vision",
    run=run,
    missing=missing,
    shows_a_model=True,
)
