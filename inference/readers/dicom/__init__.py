"""DICOM images: single and multi-frame files, and series of several files, to pixels, preview and technical facts.

`series.read` is what `inference.decoder` calls. Runs only inside the disposable child. One subject, one module:
`opening` (what is refused before a pixel is decoded), `stored` (decompression), `values` (rescale), `windows` (greys of
the preview), `planes` and `geometry` (where frames lie in the patient, and their order), `facts`, `cleaned`.
"""
