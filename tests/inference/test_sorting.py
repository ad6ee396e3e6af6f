"""What is sent together becomes series; an archive is doubted in all it claims; one bad file costs itself only."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import pytest
from PIL import Image as Pillow

from inference.decode import Limits
from inference.sorting import Received, Sorted, sort
from tests.inference import files
from tests.inference.test_malformed import mutate

AXIAL = [1, 0, 0, 0, 1, 0]
SAGITTAL = [0, 1, 0, 0, 0, -1]


def a_slice(folder: Path, name: str, z: float = 0, series: str = "1.2.3", **elements: object) -> Path:
    return files.write_dicom(
        folder / name,
        files.ramp(side=16),
        **{
            "SeriesInstanceUID": series,
            "ImageOrientationPatient": AXIAL,
            "ImagePositionPatient": [0, 0, z],
            "PixelSpacing": [1, 1],
            **elements,
        },
    )


def sorted_(folder: Path, *paths: Path, limits: Limits | None = None) -> Sorted:
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    return sort([Received(path, path.name) for path in paths], unpacked, limits)


def zipped(folder: Path, entries: dict[str, bytes], name: str = "study.zip") -> Path:
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return folder / name


def test_slices_sent_together_are_one_series(tmp_path: Path) -> None:
    found = sorted_(tmp_path, *(a_slice(tmp_path, f"{z}.dcm", z) for z in range(4)))
    assert [len(series.sources) for series in found.series] == [4]
    assert found.refused == ()


def test_two_series_a_scout_and_a_photograph_are_four(tmp_path: Path) -> None:
    first = [a_slice(tmp_path, f"a{z}.dcm", z) for z in range(3)]
    other = [a_slice(tmp_path, f"b{z}.dcm", z, series="9.9") for z in range(2)]
    scout = a_slice(tmp_path, "scout.dcm", ImageOrientationPatient=SAGITTAL)
    Pillow.new("L", (8, 8)).save(tmp_path / "photo.png")
    found = sorted_(tmp_path, first[0], other[0], tmp_path / "photo.png", first[1], scout, other[1], first[2])
    assert sorted(len(series.sources) for series in found.series) == [1, 1, 2, 3]
    told = [len(series.sources) for series in found.series if any("several sizes" in note for note in series.notes)]
    assert sorted(told) == [1, 3]  # the scout has the UID of the first series
    assert {series.kind for series in found.series} == {"dicom", "png"}


def test_projections_of_one_series_stay_apart(tmp_path: Path) -> None:
    """Two views of a chest share a series and are no stack."""
    views = [a_slice(tmp_path, f"{view}.dcm", ImageOrientationPatient=None, ViewPosition=view) for view in ("PA", "LL")]
    assert [len(series.sources) for series in sorted_(tmp_path, *views).series] == [1, 1]


def test_a_zip_of_slices_is_the_series_within(tmp_path: Path) -> None:
    contents = {f"CT/{z}": a_slice(tmp_path, f"{z}.dcm", z).read_bytes() for z in range(5)}
    clutter = {"__MACOSX/._0": b"x", "DICOMDIR": b"y", "CT/.DS_Store": b"z"}
    found = sorted_(tmp_path, zipped(tmp_path, contents | clutter))
    assert [len(series.sources) for series in found.series] == [5]
    assert found.refused == ()


@pytest.mark.parametrize("name", ["../../evil.dcm", "/etc/evil.dcm", "a/../../b.dcm", "..\\..\\evil.dcm", "C:\\x.dcm"])
def test_a_name_that_leads_outside_is_refused_and_the_rest_read(tmp_path: Path, name: str) -> None:
    good = a_slice(tmp_path, "good.dcm").read_bytes()
    before = {path for path in tmp_path.parent.rglob("*") if path.is_file()}
    found = sorted_(tmp_path, zipped(tmp_path, {name: good, "good.dcm": good}))
    assert [refused.reason for refused in found.refused] == [
        "Its name points outside the archive, so it was not unpacked."
    ]
    assert len(found.series) == 1
    new = {path for path in tmp_path.parent.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(tmp_path) for path in new)
    assert not any("evil" in path.name for path in new)


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("secrets.dcm")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    found = sorted_(tmp_path, tmp_path / "a.zip")
    assert "It is a link" in found.refused[0].reason
    assert found.series == ()


def test_an_archive_in_an_archive_is_refused_by_name(tmp_path: Path) -> None:
    inner = zipped(tmp_path, {"a.txt": b"hello"}, "inner.zip").read_bytes()
    found = sorted_(
        tmp_path, zipped(tmp_path, {"more/inner.zip": inner, "good.dcm": a_slice(tmp_path, "g.dcm").read_bytes()})
    )
    assert [(one.name, "archive within an archive" in one.reason) for one in found.refused] == [("inner.zip", True)]
    assert len(found.series) == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: zipped(folder, {"zeros.dcm": bytes(60_000_000)}), "as only a bomb does"),
        (lambda folder: zipped(folder, {f"{i}": os.urandom(900_000) for i in range(70)}), "grows beyond"),
        (lambda folder: zipped(folder, {f"{i}": b"" for i in range(10_001)}), "at most 10000 are read"),
        (lambda folder: zipped(folder, {}), "holds no files"),
        (lambda folder: _cut(zipped(folder, {"a.dcm": os.urandom(5000)})), "damaged or incomplete"),
        (lambda folder: _locked(zipped(folder, {"a.dcm": b"x" * 500})), "encrypted"),
    ],
    ids=["ratio", "size", "count", "empty", "cut", "locked"],
)
def test_an_archive_as_a_whole_is_refused_in_one_line(tmp_path: Path, make, said: str) -> None:
    archive = make(tmp_path)
    found = sorted_(tmp_path, archive, limits=Limits(file_bytes=15_000_000))
    assert found.series == ()
    assert len(found.refused) == 1
    assert said in found.refused[0].reason
    assert found.refused[0].name == "study.zip"


def _cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-30])
    return path


def _locked(path: Path) -> Path:
    """The flag that says a password is needed, in both headers."""
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    return path


def test_overlapping_entries_cannot_multiply(tmp_path: Path) -> None:
    """A bomb whose entries share one body (Fifield 2019): what comes out is counted, not what is claimed."""
    archive = zipped(tmp_path, {f"{i}": bytes(900_000) for i in range(200)})
    found = sorted_(tmp_path, archive, limits=Limits(file_bytes=20_000_000))
    assert "grows beyond" in found.refused[0].reason


@pytest.mark.timeout(300)
def test_mutated_archives_are_read_or_refused(tmp_path: Path) -> None:
    content = zipped(tmp_path, {f"{z}": a_slice(tmp_path, f"{z}.dcm", z).read_bytes() for z in range(3)}).read_bytes()
    results = []
    for seed in range(25):
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "a.zip").write_bytes(mutate(content, seed))
        results.append(sorted_(folder, folder / "a.zip"))
    assert any(found.refused for found in results)
    assert all(found.series or found.refused for found in results)
    reasons = [one.reason for found in results for one in found.refused]
    assert [reason for reason in reasons if not reason or "\n" in reason or "Traceback" in reason] == []


def test_a_header_that_kills_its_reader_costs_itself_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the child dies on one of the files, as native code does."""
    from inference import disposable

    (tmp_path / "dying" / "inference").mkdir(parents=True)
    (tmp_path / "dying" / "inference" / "sorting.py").write_text(
        "import json, os, sys\nasked = json.load(sys.stdin)['sources']\n"
        "if any('bad' in source for source in asked): os.abort()\n"
        "print(json.dumps({'answer': {'keys': ['one series'] * len(asked)}}))\n"
    )
    monkeypatch.setattr(disposable, "ROOT", tmp_path / "dying")
    paths = [a_slice(tmp_path, f"{name}.dcm", z) for z, name in enumerate(["a", "b", "bad", "c"])]
    found = sorted_(tmp_path, *paths)
    assert [refused.name for refused in found.refused] == ["bad.dcm"]
    assert [len(series.sources) for series in found.series] == [3]


def test_a_damaged_file_in_an_archive_costs_itself_only(tmp_path: Path) -> None:
    good, other = (a_slice(tmp_path, f"{z}.dcm", z).read_bytes() for z in (0, 5))
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as made:
        made.writestr("good.dcm", good)
        made.writestr("spoilt.dcm", other)
    data = bytearray(archive.read_bytes())
    data[data.rindex(other[-40:])] ^= 0xFF
    archive.write_bytes(data)
    found = sorted_(tmp_path, archive)
    assert [series.name for series in found.series] == ["good.dcm"]
    assert [(one.name, "damaged" in one.reason) for one in found.refused] == [("spoilt.dcm", True)]


def test_files_that_lie_over_one_another_are_a_bomb(tmp_path: Path) -> None:
    """Two entries of the directory point at the same bytes."""
    archive = zipped(tmp_path, {"a.dcm": bytes(2000), "b.dcm": bytes(2000)})
    with zipfile.ZipFile(archive, "a") as made:
        made.filelist[1].header_offset = made.filelist[0].header_offset
        made.writestr("c.txt", b"c")
    found = sorted_(tmp_path, archive)
    assert found.series == ()
    assert "lie over one another" in found.refused[0].reason
