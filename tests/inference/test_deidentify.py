"""Nothing that tells a person survives in a cleaned file, and what belongs together still does."""

from __future__ import annotations

import random
import re
import secrets
import struct
from collections.abc import Iterator
from datetime import date
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from inference import terms
from inference.deidentify import day_shift, deidentify, mapped_uid, pseudonym, table, write_clean
from inference.deidentify.walk import UNREADABLE
from inference.errors import BadInput
from inference.types import Cleaning
from tests.inference import files
from tests.inference.canaries import TEXT_VRS, Canaries, canary_file, read

ALICE = Cleaning(key="a1" * 32)
BOB = Cleaning(key="b0" * 32)
NO_DATES = Cleaning(key=ALICE.key, dates="remove")


def real_files() -> list[Path]:
    found = sorted([*files.WHEEL_IMAGES.rglob("*"), *files.PYDICOM_IMAGES.rglob("*")])
    return [path for path in found if path.is_file() and path.read_bytes()[128:132] == b"DICM"]


def written(dataset: Dataset, pixels: bool = True) -> bytes:
    out = BytesIO()
    if not pixels:
        dataset.pop("PixelData", None)
    dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def cleaned(path: Path, cleaning: Cleaning = ALICE) -> Dataset:
    dataset = dcmread(path)
    deidentify(dataset, cleaning)
    return read(written(dataset))


def make(**elements: object) -> Dataset:
    """A small grey image as a data set with these elements."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        dataset = dcmread(files.write_dicom(Path(folder) / "a.dcm", files.ramp(), **elements))
        assert len(dataset.PixelData)
    return dataset


def clean_copy_of(cleaning: Cleaning = ALICE, **elements: object) -> Dataset:
    dataset = make(**elements)
    deidentify(dataset, cleaning)
    return read(written(dataset))


@pytest.mark.parametrize("cleaning", [ALICE, NO_DATES], ids=["dates shifted", "dates removed"])
def test_no_canary_survives_in_any_element_at_any_depth(cleaning: Cleaning) -> None:
    canaries = Canaries()
    dirty = canary_file(canaries)
    assert len(canaries.survivors(dirty)) > 9_000
    dataset = read(dirty)
    deidentify(dataset, cleaning)
    assert canaries.survivors(written(dataset)) == []


def texts(dataset: Dataset, identifying: bool = False) -> Iterator[str]:
    """Every text of the private elements, and of those that the profile's table names, at any depth."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            values = element.value if element.VM > 1 and element.VR != "SQ" else [element.value]
        except (ValueError, TypeError, AttributeError, NotImplementedError):
            continue
        named = identifying or tag.is_private or table.action(tag) is not None
        if element.VR == "SQ":
            # an image that is referred to is named by the table, but what it holds is judged one by one
            inside = named and table.action(tag) != "recurse"
            for item in element.value:
                yield from texts(item, inside)
        elif named and element.VR in TEXT_VRS and element.VR not in ("DS", "IS", "TM", "CS"):
            yield from (str(value).strip(" \0") for value in values if value)


def is_telling(text: str) -> bool:
    """Long enough to be looked for, and neither a word of the standard nor what we or pydicom write ourselves."""
    ours = ("ANONYMIZED", "1.2.840.10008.", "Lightbox", "DICOM", "UCUM", "Date")
    return len(text) >= 4 and not text.startswith(ours) and not terms.is_term("", text) and text not in "0000000000"


def test_no_identifying_text_of_a_real_file_survives() -> None:
    looked_for = 0
    for path in real_files():
        try:
            before = dcmread(path)
            telling = {text for text in texts(before) if is_telling(text)}
        except UNREADABLE:
            continue  # as in the reader, which refuses it
        after = cleaned(path)
        header = written(after, pixels=False)
        kept = " ".join(str(before.get(name, "")) for name in ("Manufacturer", "ManufacturerModelName", "PatientAge"))
        found = [text for text in telling if text.encode("utf-8", "replace") in header and text not in kept]
        # A number may stand elsewhere for something else: a series number that is also the patient's id.
        assert [text for text in found if not re.fullmatch(r"[\d.]{1,6}", text)] == [], path.name
        assert not any(element.tag.is_private for element in after.iterall()), path.name
        looked_for += len(telling)
    assert looked_for > 3000


def test_the_pixels_of_a_real_file_stay_what_they_are() -> None:
    compared = 0
    for path in (path for path in real_files() if path.stat().st_size < 2_000_000):
        try:
            expected = dcmread(path).pixel_array
        except (RuntimeError, *UNREADABLE):
            continue  # no pixels, or none that are decoded here
        assert np.array_equal(cleaned(path).pixel_array, expected), path.name
        compared += 1
    assert compared > 120


def test_a_patient_without_an_id_is_known_by_the_study() -> None:
    first = clean_copy_of(PatientID="", StudyInstanceUID="1.2.3", StudyDate="20190403")
    later = clean_copy_of(PatientID=None, StudyInstanceUID="1.2.3", StudyDate="20190405")
    other = clean_copy_of(PatientID="", StudyInstanceUID="1.2.4")
    assert first.PatientID == later.PatientID != other.PatientID
    assert (as_date(later.StudyDate) - as_date(first.StudyDate)).days == 2


@pytest.mark.parametrize("path", real_files()[::5], ids=lambda path: path.name)
def test_a_clean_file_that_is_cleaned_again_stays_as_it_is(path: Path) -> None:
    once = cleaned(path)
    twice = read(written(once))
    deidentify(twice, ALICE)
    assert written(twice) == written(once)


def test_uids_are_the_same_for_one_owner_and_others_for_another() -> None:
    uid = "1.3.12.2.1107.5.2.30.1234"
    assert mapped_uid(uid, ALICE) == mapped_uid(uid + "\0", ALICE) != mapped_uid(uid, BOB)
    assert mapped_uid(uid, ALICE) != mapped_uid(uid + "5", ALICE)
    assert re.fullmatch(r"2\.25\.\d{1,39}", mapped_uid(uid, ALICE))
    assert int(mapped_uid(uid, ALICE)[5:]) < 1 << 128
    assert mapped_uid(mapped_uid(uid, ALICE), ALICE) == mapped_uid(uid, ALICE)
    assert mapped_uid(mapped_uid(uid, ALICE), BOB) != mapped_uid(uid, ALICE)
    assert mapped_uid("2.25.17", ALICE) != "2.25.17"


def test_uids_of_the_standard_are_not_mapped_and_a_private_kind_of_file_stays_its_kind() -> None:
    assert mapped_uid("1.2.840.10008.5.1.4.1.1.2", ALICE) == "1.2.840.10008.5.1.4.1.1.2"
    assert mapped_uid("1.2.840.10008.999.19450608", ALICE).startswith("2.25.")
    after = clean_copy_of(SOPClassUID="1.3.46.670589.11.0.0.12.1")
    assert after.SOPClassUID == "1.3.46.670589.11.0.0.12.1"


def test_a_weak_key_is_refused() -> None:
    for key in ("", "ab", "no hex at all"):
        with pytest.raises(ValueError, match=r"key|hexadecimal"):
            mapped_uid("1.2.3", Cleaning(key=key))


def as_date(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def test_the_dates_of_one_patient_move_together_and_keep_their_intervals() -> None:
    first = clean_copy_of(StudyDate="20190403", AcquisitionDateTime="20190405101112.5+0200", StudyTime="101112")
    later = clean_copy_of(StudyDate="20200402")
    other = clean_copy_of(StudyDate="20190403", PatientID="somebody else")
    assert (as_date(later.StudyDate) - as_date(first.StudyDate)).days == 365
    assert (as_date(first.AcquisitionDateTime) - as_date(first.StudyDate)).days == 2
    assert first.AcquisitionDateTime[8:] == "101112.5"
    assert first.StudyTime == "101112"
    assert other.StudyDate != first.StudyDate
    assert 30 <= (date(2019, 4, 3) - as_date(first.StudyDate)).days <= 3650
    assert first.LongitudinalTemporalInformationModified == "MODIFIED"
    assert day_shift("SECRET-17", ALICE) != day_shift("SECRET-17", BOB)
    assert day_shift(pseudonym("SECRET-17", ALICE), ALICE) == 0


def test_partial_dates_ranges_and_what_is_no_date() -> None:
    days = day_shift("SECRET-17", ALICE)
    moved = date.fromordinal(date(2004, 1, 19).toordinal() + days).strftime("%Y%m%d")
    end = date.fromordinal(date(2004, 3, 1).toordinal() + days).strftime("%Y%m%d")
    said = {
        "20040119": moved,
        "2004.01.19": moved,
        "20040119-20040301": f"{moved}-{end}",
        "200401": date.fromordinal(date(2004, 1, 15).toordinal() + days).strftime("%Y%m"),
        "2004": date.fromordinal(date(2004, 7, 1).toordinal() + days).strftime("%Y"),
        "20041399": "",
        "Tuesday": "",
        "00010101": "",
    }
    assert {text: clean_copy_of(StudyDate=text).StudyDate for text in said} == said
    assert clean_copy_of(AcquisitionDateTime="200401").AcquisitionDateTime == said["200401"]


def test_dates_are_taken_out_where_that_is_chosen() -> None:
    after = clean_copy_of(NO_DATES, StudyTime="101112", SeriesDate="20200103", ContentDate="20200104")
    assert (after.StudyDate, after.StudyTime) == ("", "")
    assert after.SeriesDate == after.ContentDate == "19000101"  # required in some kinds of file: a dummy
    assert after.LongitudinalTemporalInformationModified == "REMOVED"
    assert b"2020" not in written(after, pixels=False)


def test_the_person_is_a_pseudonym_with_sex_and_an_age_of_at_most_ninety() -> None:
    after = clean_copy_of(PatientBirthDate="19290304", PatientSex="F", PatientAge="091Y", PatientWeight="61")
    assert after.PatientID == after.PatientName == pseudonym("SECRET-17", ALICE)
    assert (after.PatientBirthDate, after.PatientSex, after.PatientAge) == ("", "F", "090Y")
    assert "PatientWeight" not in after
    assert clean_copy_of(PatientAge="045Y").PatientAge == "045Y"
    assert "PatientAge" not in clean_copy_of(PatientAge="old")
    assert clean_copy_of(PatientSex="Jane").PatientSex == ""


def test_what_was_done_is_declared() -> None:
    after = clean_copy_of()
    assert after.PatientIdentityRemoved == "YES"
    codes = [item.CodeValue for item in after.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113105", "113108", "113107"]
    assert len(after.DeidentificationMethod) <= 64
    assert "BurnedInAnnotation" not in after  # what nobody looked at is not declared clean
    assert clean_copy_of(BurnedInAnnotation="YES").BurnedInAnnotation == "YES"


def test_technical_elements_stay_and_words_typed_into_them_go() -> None:
    known = clean_copy_of(ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], ViewPosition="PA", KVP="120", Manufacturer="ACME")
    assert (known.Modality, known.BodyPartExamined, known.ViewPosition, known.KVP) == ("DX", "CHEST", "PA", 120)
    assert known.ImageType == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert known.Manufacturer == "ACME"
    typed = clean_copy_of(
        BodyPartExamined="JANE DOE CHEST",
        ImageType=["ORIGINAL", "PRIMARY", "DOE"],
        Manufacturer="for Doe",
        ManufacturerModelName="tel. 0301234567",
        WindowCenter=[1, 2],
        WindowWidth=[3, 4],
        WindowCenterWidthExplanation=["Lung 2", "as Dr. Smith likes it"],
    )
    assert typed.BodyPartExamined == ""
    assert typed.ImageType == ["ORIGINAL", "PRIMARY", "OTHER"]
    assert "Manufacturer" not in typed
    assert "ManufacturerModelName" not in typed
    assert typed.WindowCenterWidthExplanation == ["Lung 2", "WINDOW2"]


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def test_codes_of_public_schemes_stay_with_the_schemes_own_meaning() -> None:
    codes = [code("39607008", "SCT", "Jane's lung"), code("T-28000", "SRT", "Lung"), code("4711", "99HOSPITAL", "Doe")]
    after = clean_copy_of(AnatomicRegionSequence=codes)
    said = [(item.CodeValue, item.CodeMeaning) for item in after.AnatomicRegionSequence]
    assert said == [("39607008", "Lung"), ("T-28000", "Lung"), ("261665006", "Unknown")]


def test_labels_of_regions_stay_when_they_name_nobody() -> None:
    def labelled(number: int, label: str) -> Dataset:
        item = Dataset()
        item.SegmentNumber, item.SegmentLabel = number, label
        return item

    labels = ["Liver", "PTV 60Gy", "Jane's liver", "SECRET-17", "born 19450608", "(Schröder)"]
    after = clean_copy_of(SegmentSequence=[labelled(n, label) for n, label in enumerate(labels, start=1)])
    said = [item.SegmentLabel for item in after.SegmentSequence]
    assert said == ["Liver", "PTV 60Gy", "Segment 3", "Segment 4", "Segment 5", "Segment 6"]


def test_a_segmentation_still_refers_to_its_source_after_both_are_cleaned() -> None:
    path = files.PYDICOM_IMAGES / "liver_1frame.dcm"
    before, after = dcmread(path), cleaned(path)
    old = before.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID
    source = make(SOPInstanceUID=old, SeriesInstanceUID=before.ReferencedSeriesSequence[0].SeriesInstanceUID)
    deidentify(source, ALICE)
    referred = after.ReferencedSeriesSequence[0]
    assert referred.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID != old
    assert referred.SeriesInstanceUID == source.SeriesInstanceUID
    assert after.SegmentSequence[0].SegmentLabel == "Liver"
    frame = after.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    assert frame.ReferencedSOPInstanceUID.startswith("2.25.")


def test_private_overlay_curve_and_icon_are_gone() -> None:
    dataset = make()
    dataset.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "Doe")
    dataset.add_new(0x60000010, "US", 4)
    dataset.add_new(0x60003000, "OW", b"Doe^Jane")
    dataset.add_new(0x50003000, "OW", b"Doe^Jane")
    dataset.IconImageSequence = [Dataset()]
    deidentify(dataset, ALICE)
    assert {element.tag.group for element in dataset}.isdisjoint({0x0011, 0x5000, 0x6000})
    assert "IconImageSequence" not in dataset


def test_the_preamble_and_what_stands_behind_the_pixels_are_gone() -> None:
    dataset = dcmread(files.CHEST)
    assert any(dataset.preamble)
    dataset.PixelData += b"Doe^Jane"
    deidentify(dataset, ALICE)
    content = written(dataset)
    assert content[:128] == bytes(128)
    assert b"Doe^Jane" not in content


def test_an_overlay_in_the_unused_bits_of_pixels_is_cleared_and_no_pixel_changes() -> None:
    stored = files.ramp(top=4000)
    dataset = make(BitsStored=12, HighBit=11)
    dataset.PixelData = (stored | 0x1000).tobytes()
    dataset.add_new(0x60000100, "US", 16)
    dataset.add_new(0x60000102, "US", 12)
    deidentify(dataset, ALICE)
    assert dataset.PixelData == stored.tobytes()


def test_comments_and_exif_in_compressed_pixels_are_overwritten() -> None:
    frame = BytesIO()
    exif = Pillow.Exif()
    exif[0x010E] = "Doe^Jane in EXIF"
    Pillow.fromarray(files.ramp(np.uint8, 255)).save(frame, "JPEG", comment=b"Doe^Jane in a comment", exif=exif)
    behind = frame.getvalue() + b"Doe^Jane behind"
    dataset = make(BitsAllocated=8, BitsStored=8, HighBit=7)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([behind])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    before = dataset.pixel_array
    deidentify(dataset, ALICE)
    content = written(dataset)
    assert b"Doe^Jane" not in content
    assert np.array_equal(read(content).pixel_array, before)


def test_the_comment_of_a_jpeg_2000_encoder_is_overwritten() -> None:
    assert b"Kakadu" in files.JPEG2000.read_bytes() or b"\xff\x64" in files.JPEG2000.read_bytes()
    after = cleaned(files.JPEG2000)
    assert b"Kakadu" not in written(after)


def test_clean_files_are_named_by_us_and_a_series_is_an_archive(tmp_path: Path) -> None:
    dataset = make()
    deidentify(dataset, ALICE)
    assert write_clean([dataset], tmp_path) == "clean.dcm"
    assert write_clean([dataset, dataset], tmp_path) == "clean.zip"
    with ZipFile(tmp_path / "clean.zip") as archive:
        assert archive.namelist() == ["0001.dcm", "0002.dcm"]
        assert read(archive.read("0002.dcm")).PatientIdentityRemoved == "YES"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean.dcm", "clean.zip"]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The header with some bytes changed, cut or repeated."""
    data, place = bytearray(content), rng.randrange(132, min(len(content), 3000))
    kind = rng.randrange(4)
    if kind == 0:
        for _ in range(rng.randrange(1, 30)):
            data[rng.randrange(132, min(len(data), 3000))] = rng.randrange(256)
    elif kind == 1:
        del data[place : place + rng.randrange(1, 60)]
    elif kind == 2:
        data[place:place] = data[place - 60 : place]
    else:
        data[place : place + 4] = struct.pack("<I", rng.choice([0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFEE000]))
    return bytes(data)


def test_a_damaged_header_is_cleaned_or_refused_and_never_leaks(tmp_path: Path) -> None:
    rng, done = random.Random(7), 0
    names = (
        "examples_overlay.dcm",
        "liver_1frame.dcm",
        "MR_small.dcm",
        "rtstruct.dcm",
        "JPEG2000.dcm",
        "nested_priv_SQ.dcm",
    )
    contents = [(files.PYDICOM_IMAGES / name).read_bytes() for name in names]
    for number in range(300):
        content = mutated(contents[number % len(contents)], rng)
        try:
            dataset = dcmread(BytesIO(content), force=True)
        except (EOFError, OSError, *UNREADABLE):
            continue  # nothing to clean: the reader refuses it
        patient = re.sub(r"\W", "", str(dataset.get("PatientName", "")))
        deidentify(dataset, ALICE)
        try:
            write_clean([dataset], tmp_path)
        except BadInput:
            continue
        done += 1
        if len(patient) > 5 and patient.isascii():
            assert patient.encode() not in (tmp_path / "clean.dcm").read_bytes()
    assert done > 150


def test_a_sequence_nested_without_end_is_cut(tmp_path: Path) -> None:
    dataset = inner = make()
    for _ in range(200):
        item = Dataset()
        item.PatientComments = "Doe^Jane"
        inner.FrameContentSequence = [item]
        inner = item
    deidentify(dataset, ALICE)
    write_clean([dataset], tmp_path)
    assert b"Doe^Jane" not in (tmp_path / "clean.dcm").read_bytes()


def test_an_empty_data_set_is_cleaned() -> None:
    dataset = Dataset()
    deidentify(dataset, Cleaning(key=secrets.token_hex(32)))
    assert dataset.PatientIdentityRemoved == "YES"
