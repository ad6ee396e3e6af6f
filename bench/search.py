"""`python -m bench.search`: warm searches in one process; prints {"p50": seconds, "p95": seconds, "count": n}."""

import json
import os
import sys
import time

import django

QUESTIONS = [
    "parameter-efficient fine-tuning of CLIP for medical image classification",
    "prompt learning for few-shot diagnosis",
    "segment anything model adapted to medical images",
    "retrieval-augmented report generation from chest radiographs",
    "federated learning with vision-language models",
    "test-time adaptation of medical vision-language models",
    "visual question answering in pathology",
    "anomaly detection without labels in brain MRI",
    "instruction tuning of a multimodal assistant for radiology",
    "source-free domain adaptation for fundus segmentation",
]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
    django.setup()
    from corpus.retrieve import search

    search("warm")
    times = []
    for _ in range(10):
        for question in QUESTIONS:
            begun = time.perf_counter()
            search(question)
            times.append(time.perf_counter() - begun)
    times.sort()
    result = {"p50": times[len(times) // 2], "p95": times[int(len(times) * 0.95)], "count": len(times)}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
