"""Models as functions: pixels or text in, scores, masks, sentences or vectors out.

No Django here, and no import of a sibling package. Heavy libraries (torch, transformers, scikit-image) are imported on
first use, inside the one module that owns them, so that importing `inference.types`, `inference.errors` or
`inference.decode` stays cheap enough for a web process.
"""
