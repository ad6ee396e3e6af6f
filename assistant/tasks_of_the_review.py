"""The eleven tasks of the review (corpus/data/vocabulary.json), and the tools that do them (docs/tasks.md)."""

# A task by its label in the vocabulary; its tools by name, the main one first.
TOOLS_OF: dict[str, tuple[str, ...]] = {
    "report-generation": ("draft_report", "report_findings"),
    "vqa": ("ask_image",),
    "segmentation": ("segment",),
    "anomaly-detection": ("find_anomalies",),
    "classification": ("classify",),
    "synthesis": ("synthesise_image",),
    "image-text-retrieval": ("find_similar_images", "find_images_by_text"),
    "multi-task": ("ask_image",),
    "super-resolution": ("enlarge_image",),
    "registration": ("register_images",),
    "object-detection": ("ground", "detect_objects"),
}
