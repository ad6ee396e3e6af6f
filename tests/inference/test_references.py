"""A reference opens one file for a while, and nothing that anybody made up or changed."""

from pathlib import Path

import pytest

from inference import references
from inference.errors import BadInput
from inference.references import Reference


@pytest.fixture
def signed() -> str:
    return references.sign("key", Reference("call/in-0.npz", ends=100.0))


def test_what_was_signed_is_read_back(signed):
    assert references.verify("key", signed, now=99.0) == Reference("call/in-0.npz", 100.0)


@pytest.mark.parametrize("change", ["", ".", "a.b", "é.é", "{}x", "x{}", "{}.{}", "=.=", "\x00"])
def test_what_was_changed_is_refused(signed, change):
    with pytest.raises(BadInput, match="not valid"):
        references.verify("key", change.format(signed, signed) if "{}" in change else change, now=99.0)


def test_every_changed_character_is_refused(signed):
    for place, old in enumerate(signed):
        other = signed[:place] + ("A" if old != "A" else "B") + signed[place + 1 :]
        try:
            found = references.verify("key", other, now=99.0)
        except BadInput:
            continue
        assert found == Reference("call/in-0.npz", 100.0)  # the last character of base64 holds bits that say nothing


def test_after_its_end_with_another_key_without_a_key_or_to_write_it_is_refused(signed):
    for key, now, write in (("key", 101.0, False), ("other", 99.0, False), ("", 99.0, False), ("key", 99.0, True)):
        with pytest.raises(BadInput):
            references.verify(key, signed, write=write, now=now)


@pytest.mark.parametrize("path", ["../settings.py", "/etc/passwd", "call/../../x", ""])
def test_a_path_out_of_the_exchange_is_refused_even_when_signed(path, tmp_path: Path):
    with pytest.raises(BadInput):
        references.located(tmp_path, Reference(path, 1.0))
