"""What the composer and the small forms send, checked."""

import uuid
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.http import QueryDict

from assistant import served
from assistant.models import Image
from inference.errors import BadInput
from inference.types import Gate


class MessageForm(forms.Form):
    """A question with its images. After `is_valid`, `images` holds the user's own, in the order they were attached."""

    text = forms.CharField(required=False, strip=True)
    chat_model = forms.CharField(required=False, max_length=300)

    def __init__(self, data: QueryDict, user: User | AnonymousUser) -> None:
        super().__init__(data)
        self.user, self.image_ids = user, data.getlist("images")
        self.images: list[Image] = []

    def clean_chat_model(self) -> str | None:
        """How the chat keeps the choice; None where the form has none."""
        if "chat_model" not in self.data:
            return None
        try:
            return served.kept(self.cleaned_data["chat_model"])
        except BadInput as error:
            raise forms.ValidationError(str(error)) from error

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


MODALITIES = (
    ("", "Not known"),
    ("DX", "Radiograph (X-ray)"),
    ("MG", "Mammogram"),
    ("CT", "CT"),
    ("MR", "MR"),
    ("US", "Ultrasound"),
    ("NM", "Scintigram"),
    ("PT", "PET"),
    ("XA", "Angiogram"),
    ("OP", "Fundus photograph"),
    ("OPT", "Optical coherence tomogram"),
    ("DMS", "Dermoscopy photograph"),
    ("XC", "Other photograph of a patient"),
    ("ES", "Endoscopy"),
    ("SM", "Slide under a microscope"),
    ("DOC", "Document"),
    ("OT", "Not a medical image"),
)
BODY_PARTS = (
    ("", "Not known"),
    *(
        (part, part.capitalize())
        for part in (
            *("HEAD", "NECK", "CHEST", "HEART", "BREAST", "ABDOMEN", "LIVER", "KIDNEY", "PELVIS", "PROSTATE", "SPINE"),
            *("SHOULDER", "ELBOW", "HAND", "HIP", "KNEE", "FOOT", "EXTREMITY", "EYE", "SKIN"),
        )
    ),
)
VIEWS = (
    ("", "Not known"),
    ("PA", "Frontal, back to front (PA)"),
    ("AP", "Frontal, front to back (AP)"),
    ("LL", "Lateral"),
    ("CC", "Craniocaudal (CC)"),
    ("MLO", "Mediolateral oblique (MLO)"),
)


RADIOGRAPHS = {"CR": "DX", "RG": "DX"}
LATERAL = {"LATERAL": "LL", "RL": "LL"}


class KindForm(forms.Form):
    """What its owner says an image is, in DICOM's codes. `kind` is what is known so far: what a header said can be
    kept, listed here or not."""

    modality = forms.ChoiceField(label="Kind of image", choices=MODALITIES, required=False)
    body_part = forms.ChoiceField(choices=BODY_PARTS, required=False)
    view = forms.ChoiceField(choices=VIEWS, required=False)

    def __init__(self, kind: Gate, data: QueryDict | None = None, **more: Any) -> None:
        known = {"modality": RADIOGRAPHS.get(kind.modality, kind.modality), "body_part": kind.body_part}
        known["view"] = LATERAL.get(kind.view, kind.view)
        super().__init__(data, initial=known, **more)
        listed = {"modality": MODALITIES, "body_part": BODY_PARTS, "view": VIEWS}
        for name, value in known.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            if value not in dict(listed[name]):
                field.choices = [*listed[name], (value, value.capitalize())]


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
