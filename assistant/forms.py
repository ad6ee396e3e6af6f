"""What the composer and the small forms send, checked."""

import uuid
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.http import QueryDict

from assistant.models import Image


class MessageForm(forms.Form):
    """A question with its images. After `is_valid`, `images` holds the user's own, in the order they were attached."""

    text = forms.CharField(required=False, strip=True)

    def __init__(self, data: QueryDict, user: User | AnonymousUser) -> None:
        super().__init__(data)
        self.user, self.image_ids = user, data.getlist("images")
        self.images: list[Image] = []

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self.images = own_images(self.user, self.image_ids)
        if len(self.images) != len(set(self.image_ids)):
            raise forms.ValidationError("One of the images is no longer there. Remove it and attach it again.")
        if len(self.images) > settings.IMAGES_PER_MESSAGE:
            raise forms.ValidationError(f"A message takes at most {settings.IMAGES_PER_MESSAGE} images. Remove some.")
        if not cleaned.get("text") and not self.images:
            raise forms.ValidationError("Write a question, or attach an image.")
        return cleaned

    @property
    def line(self) -> str:
        """What is wrong, in one line."""
        return " ".join(str(error) for errors in self.errors.values() for error in errors)


class TitleForm(forms.Form):
    title = forms.CharField(
        max_length=120,
        error_messages={
            "required": "A chat needs a title.",
            "max_length": "A title has at most 120 characters.",
        },
    )

    @property
    def line(self) -> str:
        return " ".join(str(error) for errors in self.errors.values() for error in errors)


def own_images(user: User | AnonymousUser, ids: list[str]) -> list[Image]:
    """The images of this user with these ids, in this order; what is not theirs, or no id, is left out."""
    wanted: list[uuid.UUID] = []
    for text in ids:
        try:
            wanted.append(uuid.UUID(text))
        except ValueError:
            continue
    found = Image.objects.visible_to(user).in_bulk(wanted)
    return [found[key] for key in dict.fromkeys(wanted) if key in found]
