"""The rows behind the chat. Access is a query: `Model.objects.visible_to(user)` is all a user can ever reach."""

from assistant.models.access import ApiToken, SignInToken
from assistant.models.annotations import Annotation
from assistant.models.checkpoints import Calibration, ModelSwitch
from assistant.models.conversations import Conversation, ConversationImage, Message
from assistant.models.images import Image
from assistant.models.reports import Report
from assistant.models.runs import Artifact, Event, Run, Superseded, ToolCall
from assistant.models.sets import ImageSet, ImageSetItem, ImageVector
from assistant.models.studies import Study

__all__ = [
    "Annotation",
    "ApiToken",
    "Artifact",
    "Calibration",
    "Conversation",
    "ConversationImage",
    "Event",
    "Image",
    "ImageSet",
    "ImageSetItem",
    "ImageVector",
    "Message",
    "ModelSwitch",
    "Report",
    "Run",
    "SignInToken",
    "Study",
    "Superseded",
    "ToolCall",
]
