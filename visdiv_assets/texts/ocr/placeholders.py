"""Placeholders: images that only say that an image is missing."""

from __future__ import annotations

from collections.abc import Sequence

from visdiv_assets.texts.ngrams import split_words

#: What placeholders say, in words of `split_words`.
PHRASES = (
    "image not found",
    "image not available",
    "image unavailable",
    "image is not available",
    "image is no longer available",
    "image no longer available",
    "image has been removed",
    "image removed",
    "image deleted",
    "image missing",
    "image failed to load",
    "image could not be loaded",
    "image coming soon",
    "image hosted by",
    "no image",
    "no image available",
    "no image found",
    "no photo",
    "no photo available",
    "no picture available",
    "no preview available",
    "no thumbnail available",
    "photo not available",
    "photo unavailable",
    "photo coming soon",
    "picture not available",
    "picture unavailable",
    "preview not available",
    "content not available",
    "content is not available",
    "404 not found",
    "403 forbidden",
)

#: Share of an image's words that a phrase makes up at least: a page that mentions one is no placeholder.
MIN_SHARE = 0.5

_WORDS = tuple(tuple(split_words(phrase)) for phrase in PHRASES)


def is_placeholder(words: Sequence[str]) -> bool:
    """Return whether a phrase of `PHRASES` makes up at least half of the words of an image, in order."""
    read = tuple(words)
    most = max(
        (len(phrase) for phrase in _WORDS if any(read[at : at + len(phrase)] == phrase for at in range(len(read)))),
        default=0,
    )
    return most > 0 and most >= MIN_SHARE * len(read)
