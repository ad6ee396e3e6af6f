"""What a finished tool call leaves: masks and tables, and the report that it drafted."""

import numpy as np
from django.core.files.base import ContentFile, File

from assistant import mask_files
from assistant.evidence import resolve
from assistant.models import Artifact, Report, Run, ToolCall
from assistant.tools import Outcome


def keep_artifacts(call: ToolCall, run: Run, outcome: Outcome) -> None:
    """A row for each artifact of a call, in the transaction that writes its result."""
    for number, new in enumerate(outcome.artifacts, 1):
        artifact = Artifact(
            tool_call=call, image=new.image, number=number, kind=new.kind, label=new.label[:120], data=new.data
        )
        if new.mask is not None:
            artifact.data = new.data | {"frames": np.flatnonzero(new.mask.any(axis=(1, 2))).tolist()}
            with mask_files.write(new.mask.shape, new.mask) as packed:
                artifact.file.save("mask.npz", File(packed), save=False)
        elif new.png is not None:
            artifact.file.save(f"{new.kind}.png", ContentFile(new.png), save=False)
        artifact.save(force_insert=True)
        if new.kind == Artifact.REPORT:
            _keep_report(call, run, artifact)


def _keep_report(call: ToolCall, run: Run, artifact: Artifact) -> None:
    sentences = [sentence for section in artifact.data["sections"] for sentence in section["sentences"]]
    pairs = [(ref, sentence["text"]) for sentence in sentences for ref in sentence["refs"]]
    found = resolve(pairs, run.conversation)
    numbers = iter(reference["n"] for reference in found)
    for sentence in sentences:
        sentence["numbers"] = [next(numbers) for _ in sentence["refs"]]
    report = Report.objects.create(
        owner_id=run.conversation.owner_id,
        conversation=run.conversation,
        tool_call=call,
        title=artifact.data["title"],
        sections=artifact.data["sections"],
        references=list({reference["n"]: reference for reference in found}.values()),
    )
    artifact.data = {"report_id": str(report.pk), "title": report.title}
    artifact.save(update_fields=["data"])
