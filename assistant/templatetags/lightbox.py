"""How the pages write times, tool calls and lists of chats."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.safestring import SafeString

from assistant import checkpoint_rows, checkpoints_in_use, kinds, markdown, marks
from assistant.forms import KindForm
from assistant.models import Annotation, Artifact, Conversation, Image, Message
from inference.errors import InferenceError

register = template.Library()

# What a step is called on the page; a tool without an entry is called by its own name.
STEP_NAMES = {
    "describe_image": "Describe image",
    "segment": "Segment",
    "measure_region": "Measure region",
    "classify": "Classify",
    "ask_image": "Ask about image",
    "ground": "Find on image",
    "compare_images": "Compare images",
    "second_opinions": "Second opinions",
    "report_findings": "Write findings",
    "register_images": "Align images",
    "find_anomalies": "Compare with normal images",
    "detect_objects": "Detect objects",
    "enlarge_image": "Enlarge image",
    "synthesise_image": "Generate a synthetic image",
    "find_similar_images": "Find similar images",
    "find_images_by_text": "Find images by text",
    "search_literature": "Search literature",
    "read_paper": "Read paper",
    "compare_papers": "Compare papers",
    "draft_report": "Draft report",
}
STATE_WORDS = {"requested": "waiting", "approval": "asks for your approval", "running": "running"}


@register.filter
def thousands(number: int | None) -> str:
    return f"{number or 0:,}"


@register.filter
def took(seconds: float | None) -> str:
    """A duration as short as it can be said: 60 ms, 0.4 s, 12 s, 3 min."""
    if seconds is None:
        return ""
    if seconds < 0.095:
        return f"{max(round(seconds * 1000), 1)} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


@register.filter
def record_seconds(record: dict[str, Any]) -> float:
    """How long a call took by the clock of the worker that carried it out."""
    return float(record.get("ended", 0)) - float(record.get("started", 0))


@register.filter
def checkpoint_row(key: str) -> checkpoint_rows.Row | None:
    """The checkpoint of a record with its paper; None when the catalogue has it no more."""
    try:
        found = checkpoints_in_use.catalogue().get(key)
    except InferenceError:
        return None
    return checkpoint_rows.rows([found])[0] if found else None


@register.filter
def step_name(name: str) -> str:
    return STEP_NAMES.get(name, name.replace("_", " "))


@register.filter
def state_words(state: str) -> str:
    return STATE_WORDS.get(state, state)


@register.filter
def first_sentence(text: str) -> str:
    """What a line has room for; the step opens to the rest. A full stop inside a name or an address ends nothing."""
    head, stop, _ = text.partition(". ")
    return head + stop.strip()


ORDER = {"image": 0, "frame": 1, "box": 2, "points": 3, "lasso": 4}


@register.filter
def arguments_line(arguments: dict[str, Any]) -> str:
    """The values of a call's arguments, as one short line."""
    words: list[str] = []
    # PostgreSQL keeps the keys of JSON in an order of its own; the image is said first, then what is marked on it.
    for _, value in sorted(arguments.items(), key=lambda item: (ORDER.get(item[0], len(ORDER)), item[0])):
        if isinstance(value, list) and value and isinstance(value[0], dict):
            words.append(f"{len(value)} point{'s' if len(value) > 1 else ''}")
        elif isinstance(value, dict):
            words.append(in_words(value))
        else:
            words += map(str, value) if isinstance(value, list) else [str(value)] if value not in (None, "") else []
    line = ", ".join(words)
    return line if len(line) <= 90 else line[:89] + "…"


@register.filter
def in_words(value: Any) -> str:
    """An argument of a call for people: a list as its items, what has names with them."""
    if isinstance(value, dict):
        shown = {name: f"{item:g}" if isinstance(item, float) else item for name, item in sorted(value.items())}
        return " ".join(f"{name} {item}" for name, item in shown.items())
    return ", ".join(map(in_words, value)) if isinstance(value, list) else str(value)


@register.filter
def on_an_image(reference: dict[str, Any] | None) -> bool:
    """Whether a reference is opened in the viewer: a mask, box, line or heat map of a tool."""
    return bool(reference and reference.get("artifact_id") and reference.get("kind") in Artifact.ON_IMAGES)


@register.filter
def kind_line(image: Image) -> str:
    return kinds.line(image)


@register.filter
def kind_form(image: Image) -> KindForm:
    return KindForm(image.kind_of(), auto_id=f"kind-{image.pk}-%s")


@register.filter
def author_words(mark: Annotation) -> str:
    return marks.author_words(mark)


@register.filter
def mark_values(mark: Annotation) -> str:
    """What was measured of a mask, or by a ruler."""
    return marks.size_words(mark.data) or marks.values_words(mark.data.get("values", []))


@register.filter
def by_day(conversations: Iterable[Conversation]) -> list[tuple[str, list[Conversation]]]:
    """Today, Yesterday, Last week, Earlier; those that are empty are left out."""
    today = timezone.localdate()
    groups: dict[str, list[Conversation]] = {}
    for conversation in conversations:
        day = timezone.localdate(conversation.updated_at)
        if day >= today:
            name = "Today"
        elif day == today - timedelta(days=1):
            name = "Yesterday"
        else:
            name = "Last week" if day > today - timedelta(days=7) else "Earlier"
        groups.setdefault(name, []).append(conversation)
    return list(groups.items())


@register.simple_tag
def upload_limit() -> int:
    """Bytes: the page says that a file is too large before it is sent."""
    return int(settings.UPLOAD_LIMIT)


@register.filter
def answer_html(message: Message) -> SafeString:
    """The text of an answer with its chips."""
    unsupported = message.support.get("unsupported", [])
    return markdown.render(message.text, message.references, message.pk, unsupported=unsupported)
