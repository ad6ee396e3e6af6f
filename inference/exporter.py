"""The disposable child of `inference.export`: writes one mask file."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import disposable
from inference.errors import BadInput
from inference.export import MASK, Region
from inference.types import Decoded

NO_PLACE = "A DICOM segmentation of several frames needs their place in the patient, and this file gives none."
FAULT = "The mask could not be written: the image's file does not say what such a file must."
MUST_BE_THERE = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName"),
    *("StudyID", "StudyDate", "StudyTime", "StudyInstanceUID"),
)
ELSEWHERE = "The mask does not fit the DICOM files of this image."


def main() -> None:
    """Read the request, write the file."""
    disposable.answer(_work, lambda: FAULT)


def _work(request: dict[str, Any]) -> dict[str, Any]:
    folder, decoded = Path(request["folder"]), Decoded.from_dict(request["decoded"])
    with np.load(folder / MASK, allow_pickle=False) as kept:
        mask = kept["mask"]
    _write_seg(mask, decoded, Path(request["source"]), Region(**request["region"]), folder / request["name"])
    return {}


def _write_seg(mask: NDArray[np.uint8], decoded: Decoded, source: Path, region: Region, target: Path) -> None:
    import highdicom
    from highdicom.seg import Segmentation, SegmentationTypeValues

    sources = [_complete(dataset) for dataset in _sources(source, decoded)]
    frames = int(sources[0].get("NumberOfFrames") or 1) if len(sources) == 1 else len(sources)
    if mask.shape != (frames, int(sources[0].Rows), int(sources[0].Columns)):
        raise BadInput(ELSEWHERE)
    if not _is_placed(sources[0]):
        if frames > 1:
            raise BadInput(NO_PLACE)
        for dataset in sources:  # a frame of reference without a place in it is none
            dataset.pop("FrameOfReferenceUID", None)
    segmentation = Segmentation(
        source_images=sources,
        pixel_array=(mask > 127).astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(region)],
        series_instance_uid=highdicom.UID(),
        series_number=1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="Lightbox",
        manufacturer_model_name="Lightbox",
        software_versions="0.1",
        device_serial_number="0",
        content_label="MASK",
        content_description="Research use only, not for diagnosis.",
    )
    _drop_partial_measures(segmentation)
    segmentation.save_as(target)


def _complete(dataset: Any) -> Any:
    """With every element that a file of any image must have, if only empty: writers leave them out."""
    for name in MUST_BE_THERE:
        if name not in dataset:
            setattr(dataset, name, "")
    return dataset


def _drop_partial_measures(segmentation: Any) -> None:
    """highdicom writes pixel measures in part for a source that has them in part, and then cannot read them."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    measures = shared.get("PixelMeasuresSequence")
    if measures and not all(name in measures[0] for name in ("PixelSpacing", "SliceThickness")):
        del shared.PixelMeasuresSequence


def _is_placed(dataset: Any) -> bool:
    """Whether the file says where its pixels lie: in its own header, or in those of its frames."""
    if "SharedFunctionalGroupsSequence" in dataset:
        return True
    return all(dataset.get(name) for name in ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"))


def _sources(source: Path, decoded: Decoded) -> list[Any]:
    """The data sets in the order of the image's frames."""
    from pydicom import dcmread

    if source.suffix != ".zip":
        return [dcmread(source)]
    with zipfile.ZipFile(source) as archive:
        datasets = [dcmread(BytesIO(archive.read(entry))) for entry in archive.infolist()]
    by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in datasets}
    try:
        return [by_uid[uid] for uid in decoded.uids.get("instances", [])]
    except KeyError as error:
        raise BadInput(ELSEWHERE) from error


def _description(region: Region) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    kind, what = codes.SCT.Tissue, codes.SCT.Tissue
    if "lung" in region.label.lower():
        kind, what = codes.SCT.AnatomicalStructure, codes.SCT.Lung
    identified = None
    if region.by != "MANUAL":
        classical = "classical" in region.algorithm.lower()
        family = codes.cid7162.MorphologicalOperations if classical else codes.cid7162.ArtificialIntelligence
        identified = AlgorithmIdentificationSequence(name=region.algorithm or "Lightbox", version="0.1", family=family)
    return SegmentDescription(
        segment_number=1,
        segment_label=region.label[:64] or "region",
        segmented_property_category=kind,
        segmented_property_type=what,
        algorithm_type=SegmentAlgorithmTypeValues(region.by),
        algorithm_identification=identified,
    )


if __name__ == "__main__":
    main()
