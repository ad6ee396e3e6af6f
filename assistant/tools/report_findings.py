"""Findings and impression of an image as a served vision-language model writes them, sentence by sentence."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from assistant.tools import seeing
from assistant.tools.base import Context, ImageArguments, Statement, Tool, ToolResult

ROLE, WHAT = "report", "Writing findings of an image"
IMPRESSION = " (impression): "  # the draft of a report tells them by this
FINDING = " (findings): "
INDICATION = " The indication is: {text}"
QUESTION = (
    "Write the findings and the impression of a report on this image. Answer with JSON: findings, a list of sentences "
    "on what can be seen, and impression, a list of sentences that sum it up. Write only what the image shows: compare "
    "with no earlier image, and name no patient.{indication}"
)
NOT_CHECKED = "A model wrote these sentences on seeing the image; nothing here has checked them."
SHOWN = "It was shown: {lines}."
EMPTY = "{model} wrote no finding and no impression of {name}."

Sentence = Annotated[str, StringConstraints(min_length=1, max_length=600, strip_whitespace=True)]


class Findings(BaseModel):
    """What the model fills in."""

    model_config = ConfigDict(extra="forbid")

    findings: list[Sentence] = Field(max_length=30)
    impression: list[Sentence] = Field(max_length=10)


class ReportFindingsArguments(ImageArguments):
    indication: str = Field(default="", max_length=500, description="why the image was made, where that is known")


def run(context: Context, arguments: ReportFindingsArguments) -> ToolResult:
    asked = seeing.choose(ROLE, WHAT, context.conversation)
    seen = asked.shown(context.image(arguments.image), arguments.image)
    told = INDICATION.format(text=arguments.indication) if arguments.indication else ""
    written = asked.answerer().fill(seen, QUESTION.format(indication=told), Findings, max_tokens=1536)
    lines = [f"{asked.model}{FINDING}{_line(one)}" for one in written.findings]
    lines += [f"{asked.model}{IMPRESSION}{_line(one)}" for one in written.impression]
    return ToolResult(
        summary=f"{len(written.findings)} findings on {arguments.image}, by {asked.model}",
        statements=[
            Statement(line, context.ref) for line in lines or [EMPTY.format(model=asked.model, name=arguments.image)]
        ],
        notes=[NOT_CHECKED, SHOWN.format(lines="; ".join(one.line for one in seen))],
        model=asked.model,
        records=[asked.record],
    )


def _line(text: str) -> str:
    return " ".join(text.split()).replace("[[", "[").replace("]]", "]")


TOOL = Tool(
    name="report_findings",
    description="Have the configured vision-language model write the findings and the impression of an image.",
    arguments=ReportFindingsArguments,
    queue="vision",
    run=run,
    missing=lambda: seeing.missing(ROLE, WHAT),
    shows_a_model=True,
)
