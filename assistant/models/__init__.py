"""The rows behind the chat. Access is a query: `Model.objects.visible_to(user)` is all a user can ever reach."""

from assistant.models.access import ApiToken, SignInToken
from assistant.models.conversations import Conversation, ConversationImage, Message
from assistant.models.images import Image
from assistant.models.reports import Report
from assistant.models.runs import Artifact, Event, Run, Superseded, ToolCall

__all__ = [
    "ApiToken",
    "Artifact",
    "Conversation",
    "ConversationImage",
    "Event",
    "Image",
    "Message",
    "Report",
    "Run",
    "SignInToken",
    "Superseded",
    "ToolCall",
]
