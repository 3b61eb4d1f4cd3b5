"""Bytes to pixels, or to a reason why not; and thumbnails for people to look at.

Belongs here: the identity of an image's bytes, decoding (which formats are read, what is recorded when one
cannot be), making everything RGB, the resize before a model, contact sheets, and the list of what a subset's
image positions hold. Does not: where the bytes come from (`sources`), models and batches (`embedders`), which
images are alike (`search`), or what is done about it (`curation`). PIL is imported by the functions that
need it, not by this package.
"""
