"""Conversations are trees of messages; the page shows one branch, the path from the root to `active_leaf`."""

import uuid

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q

from assistant.models.images import Image
from assistant.models.studies import Visitor


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, user: Visitor) -> "ConversationQuerySet":
        return self.filter(owner=user.pk) if user.is_authenticated else self.none()

    def matching(self, words: str) -> "ConversationQuerySet":
        """Every word stands in the title or in some message."""
        found = self
        for word in words.split():
            found = found.filter(
                Q(title__icontains=word)
                | Q(pk__in=Message.objects.filter(text__icontains=word).values("conversation_id"))
            )
        return found


class Conversation(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations")
    title = models.CharField(max_length=120, blank=True)
    active_leaf = models.ForeignKey("Message", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    chat_model = models.CharField(max_length=300, blank=True, help_text="as LIGHTBOX_CHAT is written; empty: that")
    checkpoints = models.JSONField(default=dict, blank=True, help_text="the checkpoint chosen for each role, by key")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        ordering = ("-updated_at",)

    def __str__(self) -> str:
        return self.title or "New chat"

    @classmethod
    def lock(cls, conversation_id: uuid.UUID) -> "Conversation | None":
        """The conversation as it is now, with other writers kept out until the transaction ends; None when deleted.

        Whoever locks a run as well locks its conversation first: taken in two orders, the locks would wait for each
        other.
        """
        return cls.objects.select_for_update(no_key=True).filter(pk=conversation_id).first()

    def choose_model(self, value: str | None) -> None:
        """Keep which chat model answers from now on ("": the default); None changes nothing."""
        if value is not None and value != self.chat_model:
            self.chat_model = value
            self.save(update_fields=["chat_model"])

    def branch(self) -> list["Message"]:
        """The active branch, oldest first."""
        by_id = {m.pk: m for m in self.messages.prefetch_related("images").order_by("created_at")}
        path: list[Message] = []
        leaf = by_id.get(self.active_leaf_id) if self.active_leaf_id else None
        while leaf is not None:
            path.append(leaf)
            leaf = by_id.get(leaf.parent_id) if leaf.parent_id else None
        return path[::-1]

    def add(self, role: str, text: str, images: list[Image] | None = None, **fields: object) -> "Message":
        """Append to the active branch; images get their number in this conversation (img1, img2, ...)."""
        message = self.messages.create(role=role, text=text, parent_id=self.active_leaf_id, **fields)
        for image in images or []:
            ConversationImage.attach(self, image)
            message.images.add(image)
        self.active_leaf = message
        changed = ["active_leaf", "updated_at"]
        if not self.title and role == Message.USER:
            self.title = title_of(text) or (images[0].name[:120] if images else "")
            changed.append("title")  # only then: the user may rename the chat meanwhile
        self.save(update_fields=changed)
        return message

    def delete_with_files(self) -> None:
        """The conversation, its artifacts' files, and the images that no other conversation shows."""
        with transaction.atomic():
            Conversation.lock(self.pk)  # nobody adds to what is being deleted
            images = list(Image.objects.filter(conversationimage__conversation=self))
            for run in self.runs.all():
                run.delete_files()
            self.delete()
        for image in images:
            if not image.conversationimage_set.exists():
                image.delete_with_files()


def title_of(text: str) -> str:
    """The first line of the question, cut at a word."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= 60 else line[:60].rsplit(" ", 1)[0] + "…"


class Message(models.Model):
    """One turn. The text of an answer keeps its evidence markers; `references` says what each one opens, in order.

    `support` of an answer about the literature counts its sentences (`assistant.support`); of others it is empty.
    """

    USER, ASSISTANT = "user", "assistant"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="children")
    role = models.CharField(max_length=10, choices=[(USER, USER), (ASSISTANT, ASSISTANT)])
    text = models.TextField(blank=True)
    images = models.ManyToManyField(Image, blank=True, related_name="messages")
    references = models.JSONField(default=list, blank=True)
    support = models.JSONField(default=dict, blank=True)
    note = models.CharField(max_length=300, blank=True, help_text="why the answer is not whole, if it is not")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("created_at",)

    def __str__(self) -> str:
        return f"{self.role}: {self.text[:60]}"


class ConversationImage(models.Model):
    """An image's name in one conversation. Models and tools know only `img<number>`, so no other can be named."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="numbered_images")
    image = models.ForeignKey(Image, on_delete=models.CASCADE)
    number = models.PositiveIntegerField()

    class Meta:
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(fields=("conversation", "number"), name="one_image_per_number"),
            models.UniqueConstraint(fields=("conversation", "image"), name="one_number_per_image"),
        )

    def __str__(self) -> str:
        return f"img{self.number}"

    @classmethod
    def attach(cls, conversation: Conversation, image: Image) -> "ConversationImage":
        taken = cls.objects.filter(conversation=conversation).count()
        row, _ = cls.objects.get_or_create(conversation=conversation, image=image, defaults={"number": taken + 1})
        return row
