"""What the pages of papers show beside the paper itself."""

from __future__ import annotations

from django import template
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from corpus.models import Paper, PaperFile

register = template.Library()


@register.simple_tag
def files_of(paper: Paper, user: AbstractBaseUser | AnonymousUser) -> list[PaperFile]:
    """The PDFs of this paper that the user has, and those shared with everyone; without the text in them."""
    return list(PaperFile.objects.visible_to(user.pk).filter(paper=paper).exclude(file="").defer("text"))


@register.filter
def are_being_read(files: list[PaperFile]) -> bool:
    """True while a worker has one of them still to read."""
    return any(file.is_being_read for file in files)
