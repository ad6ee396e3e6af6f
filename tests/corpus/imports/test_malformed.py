"""Broken and hostile files are read, refused record by record, or refused as a whole in one line; none hangs."""

import contextlib
import random
import time

import pytest

from corpus.imports import doctor, formats, identity, merge, topics
from corpus.imports.decoding import decode
from corpus.imports.records import MAX_RECORD, Record
from inference.errors import BadInput
from tests.corpus.imports.test_formats import FILES, FORMS

MUTATIONS = 300
SECONDS = 20.0  # for the worst file of ten megabytes on a busy machine


def survives(data: bytes, form: str) -> None:
    try:
        entries = formats.read(decode(data), form)
    except BadInput as error:
        said: str = str(error)
        entries = []
    else:
        said = "read"
    assert said
    assert "\n" not in said
    for entry in entries:
        if isinstance(entry, Record):
            assert entry.csl.get("title") or entry.csl.get("DOI") or entry.csl.get("archive_location")
            assert "\0" not in str(entry.csl)
            identity.work_of(entry.csl)
            topics.of_keywords(entry.csl)
            merge.fields_of(entry.csl)
        else:
            assert entry.reason
            assert "\n" not in entry.reason + entry.what


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The file with a few bytes changed, dropped, doubled or cut off."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(out))
        length = chance.choice((1, 2, 7, 60, 400))
        match chance.randrange(6):
            case 0:
                out[at] = chance.randrange(256)
            case 1:
                del out[at : at + length]
            case 2:
                out[at:at] = out[at : at + length]
            case 3:
                out[at:at] = bytes(chance.choice(b'{}[]()"\\@#|<>&%$,:=\n\0') for _ in range(length))
            case 4:
                del out[max(at, 1) :]
            case 5:
                other = chance.randrange(len(out))
                out[at : at + length], out[other : other + length] = out[other : other + length], out[at : at + length]
        out = out or bytearray(b"x")
    return bytes(out)


@pytest.mark.parametrize(("name", "form"), FORMS.items())
def test_a_few_hundred_mutations_of_each_format(name: str, form: str) -> None:
    data = (FILES / name).read_bytes()
    chance = random.Random(name)
    for number in range(MUTATIONS):
        survives(mutated(data, chance), form if number % 2 else "")


@pytest.mark.parametrize("read_as", list(FORMS.values()))
@pytest.mark.parametrize("name", list(FORMS))
def test_a_file_read_as_another_format(name: str, read_as: str) -> None:
    survives((FILES / name).read_bytes(), read_as)


MEGABYTES = 2_000_000
HOSTILE = {
    "braces": ("{" * MEGABYTES, formats.BIBTEX),
    "braces in a title": ("@misc{a, title={" + "{" * 200_000 + "\\x" + "}" * 200_000 + "}}", formats.BIBTEX),
    "closing braces": ("@misc{a, title={x}}" + "}" * MEGABYTES, formats.BIBTEX),
    "entries never closed": ("@misc{a,\n" * 15_000, formats.BIBTEX),
    "at signs": ("@" * MEGABYTES, formats.BIBTEX),
    "at signs and spaces": ("@a " * (MEGABYTES // 3), formats.BIBTEX),
    "a key of megabytes": ("@misc{" + "a" * MEGABYTES + ", title={x}}", formats.BIBTEX),
    "quotes": ('@misc{a, title="' + '"' * MEGABYTES, formats.BIBTEX),
    "macros": ("@misc{a, title={" + "\\'" * 100_000 + "}}", formats.BIBTEX),
    "thousands of authors": ("@misc{a, title={T}, author={" + "A and " * 300_000 + "B}}", formats.BIBTEX),
    "spaces before and": ("@misc{a, title={T}, author={A" + " " * 1_000_000 + "B}}", formats.BIBTEX),
    "deep json": ("[" * MEGABYTES, formats.CSL),
    "deep json in an item": ('[{"title": ' + "[" * 500 + "]" * 500 + "}]", formats.CSL),
    "nearly too deep json": ('[{"title": "x", "a": ' + "[" * 900 + "]" * 900 + "}]", formats.CSL),
    "numbers without end": ('[{"title": ' + "9" * 1_000_000 + "}]", formats.CSL),
    "not a number": ('[{"title": "x", "volume": NaN, "issue": 1e999}]', formats.CSL),
    "one long string": ('[{"title": "' + "a" * MEGABYTES + '"}]', formats.CSL),
    "many small fields": ('[{"title": "x",' + ",".join(f'"f{n}": 1' for n in range(300_000)) + "}]", formats.CSL),
    "tags in json": ('[{"title": "' + "<a" * 1_000_000 + '"}]', formats.CSL),
    "ris without end": ("TY  - JOUR\n" + "AU  - A, B\n" * 200_000, formats.RIS),
    "ris beginnings": ("TY  - JOUR\n" * 15_000, formats.RIS),
    "ris in one line": ("TY  - JOUR" + "A" * MEGABYTES, formats.RIS),
    "entities": ('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>', formats.RDF),
    "deep xml": ("<?xml version='1.0'?>" + "<a>" * 300_000, formats.RDF),
    "brackets": ("# List\n[" * 20_000, formats.LIST),
    "brackets in one line": ("- " + "[" * 19_000 + "](https://e.org)", formats.LIST),
    "quotes in quotes": (">" * 15_000 + "\n# A\n- [a b c](https://e.org)", formats.LIST),
    "emphasis": ("- " + "*a_" * 6_000 + " [a b c](https://e.org)", formats.LIST),
    "nested lists": ("\n".join(" " * n + "- [a title here](https://e.org)" for n in range(400)), formats.LIST),
    "pipes": ("|" * 19_000 + "\n" + "|-" * 9_000 + "\n" + "|" * 19_000, formats.LIST),
    "a row of megabytes": ("| a " * 1_000_000, formats.LIST),
    "identifiers in one line": ("10.1000/" + "a" * MEGABYTES, formats.IDENTIFIERS),
    "blank lines": ("x" + "\n" * MEGABYTES, formats.IDENTIFIERS),
    "spaces": ("x" + " " * MEGABYTES, formats.BIBTEX),
    "spaces in a bullet": (("- a" + " " * 19_000 + "b [c](https://e.org)\n") * 50, formats.LIST),
    "commas in a bullet": (("- " + ",'" * 9_000 + " [a title here](https://e.org)\n") * 50, formats.LIST),
    "brackets in a bullet": (("- " + "( " * 9_000 + " [a title here](https://e.org)\n") * 50, formats.LIST),
    "hyphens": ("@misc{a, title={T}, journal={arxiv " + "a-" * 500_000 + "}}", formats.BIBTEX),
    "brackets in keywords": ("@misc{a, title={T}, keywords={" + "(" * 50_000 + "}}", formats.BIBTEX),
    "closing brackets of an identifier": ("10.1000/" + ")" * 15_000, formats.IDENTIFIERS),
    "commas": (("10.1000/a," * 1500 + "\n") * 10, formats.IDENTIFIERS),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_files_end_soon(name: str) -> None:
    text, form = HOSTILE[name]
    begun = time.process_time()
    survives(text.encode(), form)
    survives(text.encode(), "")
    assert time.process_time() - begun < SECONDS


def test_the_list_doctor_survives_mutated_lists() -> None:
    data = (FILES / "reading-list.md").read_bytes()
    chance = random.Random(3)
    for _ in range(100):
        with contextlib.suppress(BadInput):
            found = doctor.examine(decode(mutated(data, chance)))
            assert all(finding.said for finding in found.findings)


def test_a_record_of_megabytes_is_refused_and_its_neighbours_are_kept() -> None:
    fields = ", ".join(f'"f{n}": "{"a" * 1000}"' for n in range(MAX_RECORD // 1000))
    entries = formats.read(f'[{{"title": "One"}}, {{"title": "Large", {fields}}}, {{"title": "Three"}}]')
    assert [isinstance(entry, Record) for entry in entries] == [True, False, True]
