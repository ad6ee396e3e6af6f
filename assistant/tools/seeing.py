"""The served vision-language models: which of them a call about images asks, and how it is asked.

The chat's choice for the role comes first, then the model of LIGHTBOX_VQA, then those whose entry in the catalogue says
that they can do it. What staff have switched off is asked by nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant import checkpoints_in_use, model_servers
from assistant.models import Conversation, Image
from assistant.tools.base import NOT_CONFIGURED, Declined
from inference import serving
from inference.checkpoints import Checkpoint

if TYPE_CHECKING:
    from inference.shown import Shown
    from inference.vllm import OpenAIAnswerer

NONE_SERVED = (
    "{what} is {not_configured}. Serve a vision-language model (vllm serve MODEL), set "
    "LIGHTBOX_VQA=openai:http://127.0.0.1:8001/v1#MODEL and start Lightbox again."
)
NONE_ABLE = (
    "{what} is {not_configured}: of the models that are served here ({names}) none is made for it, or staff have "
    "switched it off. The page Models shows which can do it."
)


@dataclass(frozen=True, slots=True)
class Seeing:
    """A served model and its entry of the catalogue. `model` is the name by which its servers know it."""

    found: Checkpoint
    model: str

    @property
    def longest(self) -> int:
        """Pixels that a picture for it may have along its longer side."""
        return model_servers.longest_side(self.model)

    def shown(self, image: Image, name: str, slices: list[int] | tuple[int, ...] = ()) -> list[Shown]:
        """An image of a conversation as this model gets it. Raises InferenceError."""
        from assistant.shown import shown

        return shown(image, name, slices, self.longest)

    @property
    def record(self) -> dict[str, str]:
        """What the page of a call says of it."""
        found = self.found
        return {
            "checkpoint": found.key,
            "name": found.name,
            "revision": found.revision,
            "licence": found.licence_words,
        }

    def answerer(self) -> OpenAIAnswerer:
        """Asks the least busy of its servers."""
        from inference.routing import Routed
        from inference.vllm import OpenAIAnswerer

        servers = model_servers.of_model(self.model)
        routed = Routed(lambda: servers)
        return OpenAIAnswerer(servers[0].base_url, self.model, longest=self.longest, transport=routed)


def choose(role: str, what: str, conversation: Conversation) -> Seeing:
    """The model that a call of this conversation asks. Raises Declined with what to do."""
    if conversation.checkpoints.get(role):
        chosen = checkpoints_in_use.choose(role, what, conversation)
        if chosen.served:
            return _of(chosen)
    for found in usable(role):
        return found
    raise Declined(missing(role, what))


def usable(*roles: str) -> list[Seeing]:
    """Those that can do any of these now, each once."""
    found = {one.key: one for role in roles for one in checkpoints_in_use.usable(role) if one.served}
    return [_of(one) for one in found.values()]


def _of(found: Checkpoint) -> Seeing:
    server = checkpoints_in_use.server_of(found)
    assert server is not None  # else it would not be usable
    return Seeing(found, server.model)


def missing(role: str, what: str) -> str:
    """Nothing when a served model can do it, else the line of a tool that is not configured."""
    if usable(role):
        return ""
    catalogue = checkpoints_in_use.catalogue().values()
    sees = [one for one in catalogue if one.served and not {*one.roles}.isdisjoint(serving.SEES)]
    here = [one.name for one in sees if checkpoints_in_use.server_of(one)]
    return (NONE_ABLE if here else NONE_SERVED).format(what=what, not_configured=NOT_CONFIGURED, names=", ".join(here))
