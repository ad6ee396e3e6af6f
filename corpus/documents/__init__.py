"""PDFs: read in a disposable process, cut into passages that can be cited, their reference lists matched.

extract    the parent: `read` and `peek` ask the child, `reader`, which alone loads PDFium
glyphs     characters of a page, as PDFium gives them, to words and runs of words
layout     runs to lines in reading order: columns, running heads
flow       lines to one text: paragraphs, broken words, headings, where pages begin
details    title, authors, year and identifiers from the first page
references the entries of a reference list, and which papers of the collection they are
passages   the text to passages
shelf      files in the database: added, read, removed
newcomers  a paper from nothing but its PDF; `forms` corrects what was read
queue      work sent to the library worker, from processes that must not load what does it
"""
