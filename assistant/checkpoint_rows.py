"""The checkpoints of the catalogue as the pages show them: state, licence, literature, and who may use which."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User

from assistant import checkpoints_in_use
from assistant.models import Conversation
from corpus.models import Paper
from inference import checkpoints, pull
from inference.checkpoints import ROLES, Checkpoint
from inference.perform import revision_of

ROLE_WORDS = {
    "controller": "Lead a chat",
    "vqa": "Answer questions about images",
    "report": "Draft reports",
    "ground": "Show where something is",
    "compare": "Compare two images",
    "classify": "Classify",
    "zero-shot": "Classify by words",
    "segment": "Segment",
    "prompted-segment": "Segment what is marked",
    "detect": "Detect by words",
    "retrieve": "Find similar images",
    "anomaly": "Find what is unusual",
    "register": "Register",
    "super-resolution": "Enlarge",
    "synthesis": "Synthesise",
    "embed": "Search the literature",
    "rerank": "Order what was found in the literature",
}
NOT_PER_CHAT = frozenset({"controller", "embed", "rerank"})  # chosen beside the composer, and by the settings
NOT_USABLE = "{key} cannot be used for this: {words}. Choose one of the list."


@dataclass(frozen=True, slots=True)
class Row:
    """A checkpoint, and what is the case here. `missing` is the line that configures it, "" when it is ready."""

    found: Checkpoint
    missing: str
    on: bool
    revision: str
    megabytes: float
    paper: Paper | None

    @property
    def ready(self) -> bool:
        return self.on and not self.missing

    @property
    def state(self) -> str:
        if not self.on:
            return "switched off"
        return "not configured" if self.missing else "ready"

    @property
    def roles(self) -> list[str]:
        return [ROLE_WORDS[role] for role in self.found.roles]

    @property
    def where_from(self) -> str:
        """Its source for people: no folder of this machine."""
        kind, _, rest = self.found.source.partition(":")
        words = {
            "hf": f"huggingface.co/{rest}",
            "url": rest,
            "package": f"the package {rest}",
            "server": "the server that serves it",
            "folder": "a folder of this machine",
        }
        return words.get(kind, "Lightbox itself")


@dataclass(frozen=True, slots=True)
class Choosing:
    """A role of which a chat can choose the checkpoint. `chosen` is its key, "" for the first that is ready."""

    role: str
    words: str
    usable: list[Checkpoint]
    chosen: str
    gone: str  # the name of one that was chosen and cannot be used now

    @property
    def usual(self) -> Checkpoint:
        return self.usable[0]


def may_switch(user: User | AnonymousUser) -> bool:
    """Staff, and on a laptop its one user."""
    return user.is_authenticated and (user.is_staff or not settings.MULTI_USER)


def rows(found: Iterable[Checkpoint]) -> list[Row]:
    """In the order given."""
    chosen = list(found)
    off = checkpoints_in_use.switched_off()
    papers = {p.key: p for p in Paper.objects.filter(owner=None, key__in=[c.paper for c in chosen if c.paper])}
    return [_row(one, one.key not in off, papers.get(one.paper)) for one in chosen]


def _row(one: Checkpoint, on: bool, paper: Paper | None) -> Row:
    folder = one.folder(settings.MODELS_DIR)
    kept = pull.whole(folder) if not one.built_in else None
    size = kept.megabytes if kept else one.size_mb
    return Row(one, checkpoints_in_use.unready(one), on, revision_of(one, folder), size, paper)


def grouped(role: str = "") -> list[tuple[str, list[Row]]]:
    """(what it does, who does it), what is ready first: each under the first of its roles, or those of one role."""
    catalogue = checkpoints_in_use.catalogue().values()
    if role in ROLES:
        return [(ROLE_WORDS[role], _ready_first(rows(checkpoints.with_role(role, catalogue))))]
    all_rows = _ready_first(rows(catalogue))
    groups = ((words, [r for r in all_rows if r.found.roles[0] == one]) for one, words in ROLE_WORDS.items())
    return [(words, found) for words, found in groups if found]


def _ready_first(found: list[Row]) -> list[Row]:
    return sorted(found, key=lambda row: not row.ready)


def roles_there() -> list[tuple[str, str]]:
    """(role, words) of what some checkpoint can do."""
    there = {role for found in checkpoints_in_use.catalogue().values() for role in found.roles}
    return [(role, words) for role, words in ROLE_WORDS.items() if role in there]


def choosings(conversation: Conversation) -> Iterator[Choosing]:
    """The roles of which this chat has a choice: those with more than one checkpoint that is usable now."""
    catalogue = checkpoints_in_use.catalogue()
    for role, words in ROLE_WORDS.items():
        chosen = conversation.checkpoints.get(role, "")
        usable = [] if role in NOT_PER_CHAT else list(checkpoints_in_use.usable(role))
        known = chosen in [one.key for one in usable]
        if len(usable) > 1 or (usable and chosen and not known):
            gone = "" if known or not chosen else getattr(catalogue.get(chosen), "name", chosen)
            yield Choosing(role, words, usable, chosen if known else "", gone)


def choose(conversation: Conversation, asked: dict[str, str]) -> str:
    """Keep the choices of a chat, by role; "" is the first that is ready. Returns a line when one cannot be kept."""
    kept = dict(conversation.checkpoints)
    for choosing in choosings(conversation):
        key = asked.get(choosing.role, "")
        if key and key not in [one.key for one in choosing.usable]:
            return NOT_USABLE.format(key=key[:120], words=choosing.words.lower())
        kept.pop(choosing.role, None)
        if key:
            kept[choosing.role] = key
    conversation.checkpoints = kept
    conversation.save(update_fields=["checkpoints"])
    return ""
