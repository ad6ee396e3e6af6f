import json
from pathlib import Path
from typing import Any

import pytest

from corpus.lexicon import read_facets

DEV = [json.loads(line) for line in Path(__file__).with_name("queries-dev.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("query", "facets"),
    [
        ("LoRA for MRI", {"techniques": ["parameter-efficient-tuning"], "modalities": ["mri"]}),
        ("VQA between 2022 and 2024", {"tasks": ["vqa"], "year_min": 2022, "year_max": 2024}),
        ("CT registration before 2023", {"tasks": ["registration"], "modalities": ["ct"], "year_max": 2022}),
        ("papers after 2023 on anomaly detection", {"tasks": ["anomaly-detection"], "year_min": 2024}),
        ("segmetnation of fundus images", {"tasks": ["segmentation"], "modalities": ["ophthalmology"]}),
        ("papers of 2021", {"year_min": 2021, "year_max": 2021}),
        ("how do radiologists feel when a machine writes their reports", {}),
        ("is the network looking at the CT at all, or guessing from the wording of the prompt", {}),
        ("", {}),
        ("3-D US segmentation", {"tasks": ["segmentation"], "modalities": ["ultrasound"], "dimensions": ["3d"]}),
        ("let us segment", {"tasks": ["segmentation"]}),
        ("MR image generation", {"tasks": ["synthesis"], "modalities": ["mri"]}),
        ("registration, no later than 2024", {"tasks": ["registration"], "year_max": 2024}),
        ("segmentation but not CT", {"tasks": ["segmentation"]}),
        ("CT or MRI segmentation", {"tasks": ["segmentation"]}),
        ("LoRA or other adapters for VQA", {"tasks": ["vqa"], "techniques": ["parameter-efficient-tuning"]}),
        ("without any training, classification", {"tasks": ["classification"], "techniques": ["direct-use"]}),
        ("segmentation of the brain", {"tasks": ["segmentation"], "anatomy": ["brain"]}),
        ("classification of scarred brain on MRI", {"tasks": ["classification"], "modalities": ["mri"]}),
    ],
)  # fmt: skip
def test_what_a_question_states_is_read(query: str, facets: dict[str, Any]) -> None:
    assert read_facets(query).as_dict() == facets


@pytest.mark.parametrize("question", DEV, ids=lambda question: question["id"])
def test_the_dev_questions_are_read_as_annotated(question: dict[str, Any]) -> None:
    read = read_facets(question["query"]).as_dict()
    assert {name: sorted(v) if isinstance(v, list) else v for name, v in read.items()} == {
        name: sorted(v) if isinstance(v, list) else v for name, v in question["facets"].items()
    }
