"""What the tests of the pages share."""

from typing import Any

from assistant import events
from assistant.models import Conversation, Message, Run

HTMX = {"HX-Request": "true"}


def text_of(response: Any) -> str:
    body: str = response.content.decode()
    return body


def running(conversation: Conversation, *said: events.AgentEvent) -> Run:
    """A run in the middle of its work, with these events recorded."""
    message = conversation.add(Message.USER, "A question")
    run = conversation.runs.create(message=message, chat_model="guide", state=Run.RUNNING, attempt=1)
    run.record(*said)
    return run
