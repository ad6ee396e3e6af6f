"""Whatever is uploaded as a PDF, one readable line comes back in bounded time, and the next file still works."""

from __future__ import annotations

import io
import random
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from corpus.documents import extract, reader
from corpus.documents.document import Limits
from inference import disposable
from inference.errors import BadInput, Exhausted, InferenceError
from tests.corpus.documents import papers, typeset
from tests.inference.test_malformed import one_line

MUTATIONS = 300
TIGHT = Limits(cpu_s=10, wall_s=15.0)


def saved(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "a.pdf").write_bytes(content)
    return tmp_path / "a.pdf"


def scan(pages: int = 2, text: str = "") -> bytes:
    """Pages that are pictures, as a scanner makes them; `text` on the last one."""
    picture = Image.effect_noise((120, 160), 60)
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=True)
    for number in range(pages):
        canvas.drawImage(ImageReader(picture), 0, 0, *A4)
        if text and number == pages - 1:
            canvas.drawString(100, 500, text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def encrypted(user: str, owner: str = "owner") -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, encrypt=StandardEncryption(user, owner, strength=128))
    canvas.drawString(100, 500, "Nobody but the addressee may read this sentence.")
    canvas.save()
    return out.getvalue()


def raw_pdf(*objects: str, encoding: str = "utf-8") -> bytes:
    """A PDF written by hand: object 1 is the catalogue."""
    out = b"%PDF-1.7\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode(encoding)
    start = len(out)
    rows = "".join(f"{place:010} 00000 n \n" for place in places)
    table = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{rows}"
    return out + f"{table}trailer\n<</Size {len(objects) + 1} /Root 1 0 R>>\nstartxref\n{start}\n%%EOF".encode()


NO_PAGES = raw_pdf("<</Type /Catalog /Pages 2 0 R>>", "<</Type /Pages /Kids [] /Count 0>>")
LOOP = raw_pdf("<</Type /Catalog /Pages 2 0 R>>", "<</Type /Pages /Kids [2 0 R] /Count 1>>")
ACTIVE = raw_pdf(
    "<</Type /Catalog /Pages 2 0 R /Names <</JavaScript <</Names [(a) 4 0 R]>> /EmbeddedFiles <</Names [(b) 5 0 R]>>>>"
    " /OpenAction 4 0 R>>",
    "<</Type /Pages /Kids [3 0 R] /Count 1>>",
    "<</Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 7 0 R /Resources <</Font <</F 8 0 R>>>>>>",
    "<</Type /Action /S /JavaScript /JS (app.alert\\(1\\))>>",
    "<</Type /Filespec /F (b.exe) /EF <</F 6 0 R>>>>",
    "<</Type /EmbeddedFile /Length 2>>\nstream\nMZ\nendstream",
    "<</Length 53>>\nstream\nBT /F 12 Tf 20 100 Td (A sentence to be read here.) Tj ET\nendstream",
    "<</Type /Font /Subtype /Type1 /BaseFont /Helvetica>>",
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", reader.EMPTY),
        (b"Dear colleague, please find attached", reader.NOT_PDF),
        (b"PK\x03\x04" + bytes(500), reader.NOT_PDF),
        (b"%PDF-1.7 and so on", reader.DAMAGED),
        (b"%PDF-1.7\n" + bytes(4000), reader.DAMAGED),
        (typeset.pdf(papers.paper())[:2000], reader.DAMAGED),
        (encrypted("secret"), reader.LOCKED),
        (NO_PAGES, reader.NO_PAGES),
    ],
    ids=["empty", "text", "zip", "only the mark", "zeros", "cut", "password", "no pages"],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str):
    with pytest.raises(BadInput) as caught:
        extract.read(saved(tmp_path, content), TIGHT)
    assert str(caught.value) == said
    assert one_line(caught.value)


def test_pages_that_contain_themselves_end(tmp_path: Path):
    with pytest.raises(InferenceError) as caught:
        extract.read(saved(tmp_path, LOOP), TIGHT)
    assert one_line(caught.value)


def test_a_scan_says_so(tmp_path: Path):
    document = extract.read(saved(tmp_path, scan()))
    assert (document.pages, document.text, document.notes) == (2, "", (reader.SCANNED,))


def test_pages_without_text_among_others_are_counted(tmp_path: Path):
    document = extract.read(saved(tmp_path, scan(3, "A page with a sentence on it.")))
    assert document.notes == (reader.PARTLY.format(count=2, pages=3),)
    assert document.page_starts == (0, 0, 0)
    assert document.text == "A page with a sentence on it."


def test_a_file_that_only_its_author_may_change_can_be_read(tmp_path: Path):
    assert "Nobody but the addressee" in extract.read(saved(tmp_path, encrypted(""))).text


def test_scripts_and_attached_files_are_named_and_left_alone(tmp_path: Path):
    document = extract.read(saved(tmp_path, ACTIVE))
    assert document.text == "A sentence to be read here."
    assert document.notes == (reader.ACTIVE.format(what="scripts and attached files"),)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(wall_s=0.05), "longer than 0.05 seconds"),
        (Limits(file_bytes=1000), "at most 0 MB"),
    ],
    ids=["time", "bytes"],
)
def test_each_limit_stops_a_good_file_and_says_so(tmp_path: Path, limits: Limits, said: str):
    with pytest.raises(InferenceError, match=said) as caught:
        extract.read(saved(tmp_path, typeset.pdf(papers.paper())), limits)
    assert one_line(caught.value)


def bomb(megabytes: int, operator: bytes) -> bytes:
    """A page whose content is `operator` again and again: a thousandth of its size on the disk."""
    squeezer = zlib.compressobj(9)
    piece = operator * (1_000_000 // len(operator))
    body = b"".join(squeezer.compress(piece) for _ in range(megabytes)) + squeezer.flush()
    stream = f"<</Length {len(body)} /Filter /FlateDecode>>\nstream\n{body.decode('latin-1')}\nendstream"
    page = "<</Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources <</Font <</F 5 0 R>>>>>>"
    pages, font = "<</Type /Pages /Kids [3 0 R] /Count 1>>", "<</Type /Font /Subtype /Type1 /BaseFont /Helvetica>>"
    return raw_pdf("<</Type /Catalog /Pages 2 0 R>>", pages, page, stream, font, encoding="latin-1")


@pytest.mark.parametrize("operator", [b"q ", b"BT /F 1 Tf (abcdefgh) Tj ET "], ids=["states", "text"])
def test_a_small_file_that_becomes_gigabytes_is_stopped(tmp_path: Path, operator: bytes):
    source = saved(tmp_path, bomb(200, operator))
    assert source.stat().st_size < 2_000_000
    with pytest.raises(InferenceError) as caught:
        extract.read(source, Limits(memory=400_000_000, cpu_s=5, wall_s=8.0))
    assert one_line(caught.value)


def test_too_long_a_document_is_read_as_far_as_allowed(tmp_path: Path):
    source = saved(tmp_path, typeset.pdf(papers.paper(sections=papers.paper().sections * 3)))
    whole = extract.read(source)
    fewer = extract.read(source, Limits(pages=2))
    assert fewer.notes == (reader.CUT.format(read=2, pages=whole.pages),)
    assert len(fewer.text) < len(whole.text)
    shorter = extract.read(source, Limits(characters=3000))
    assert 2000 < len(shorter.text) <= 3000
    assert shorter.notes == (reader.CUT.format(read=1, pages=whole.pages),)


def mutate(content: bytes, seed: int) -> bytes:
    """Flip, remove or double a few bytes anywhere: a PDF has its structure throughout and its index at the end."""
    random_ = random.Random(seed)
    data = bytearray(content)
    for _ in range(random_.randint(1, 20)):
        place, action = random_.randrange(len(data)), random_.random()
        if action < 0.6:
            data[place] = random_.randrange(256)
        elif action < 0.8:
            del data[place : place + random_.randint(1, 64)]
        else:
            data[place:place] = data[place : place + random_.randint(1, 64)]
    return bytes(data)


@pytest.mark.timeout(300)
def test_mutated_files_are_read_or_refused_in_one_line(tmp_path: Path):
    samples = [typeset.pdf(papers.paper(columns=2)), ACTIVE, scan(1, "A sentence."), encrypted("")]
    sources = [tmp_path / str(seed) for seed in range(MUTATIONS)]
    for seed, source in enumerate(sources):
        source.write_bytes(mutate(samples[seed % len(samples)], seed))

    def ending(source: Path) -> InferenceError | None:
        try:
            document = extract.read(source, TIGHT)
        except InferenceError as error:
            return error
        assert all(0 <= start <= len(document.text) for start in document.page_starts)
        assert all(section.start <= section.end <= len(document.text) for section in document.sections)
        assert "\0" not in document.text
        document.text.encode()  # no lone halves of pairs
        return None

    with ThreadPoolExecutor(2) as pool:
        refusals = list(pool.map(ending, sources))
    assert any(refusals)
    assert not all(refusals)
    assert [error for error in refusals if error and not one_line(error)] == []
    assert extract.read(saved(tmp_path, samples[0])).text


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", BadInput),
        ("os.kill(os.getpid(), signal.SIGKILL)", Exhausted),
        ("print('{\"answer\": {}}'); sys.exit(0)", BadInput),
        ("time.sleep(60)", Exhausted),
    ],
    ids=["segfault", "killed", "nothing written", "hang"],
)
def test_every_death_of_the_reader_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, kind: type):
    """A stand-in for the child dies as native parsers do."""
    folder = tmp_path / "dying" / "corpus" / "documents"
    folder.mkdir(parents=True)
    (folder / "reader.py").write_text(f"import os, signal, sys, time\n{end}\n")
    monkeypatch.setattr(disposable, "ROOT", tmp_path / "dying")
    with pytest.raises(kind) as caught:
        extract.read(saved(tmp_path, b"%PDF-"), Limits(wall_s=1))
    assert one_line(caught.value)


def test_a_file_that_is_gone_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="no longer there"):
        extract.read(tmp_path / "gone.pdf")
