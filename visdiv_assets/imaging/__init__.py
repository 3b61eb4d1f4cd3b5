"""Encoded bytes to RGB pixels or the reason why not, quality measures of one image, thumbnails and contact sheets.

Belongs here: the identity of an image's bytes, decoding (which formats are read, what is recorded when an image cannot
be read), conversion to RGB, the resize before a model, and the table of a subset's image positions. Does not: where the
bytes come from (`sources`), models and batches (`embedding`), which images are copies (`duplicates`), or which rows to
keep (`curation`). PIL is imported by the functions that need it, not by this package.
"""
