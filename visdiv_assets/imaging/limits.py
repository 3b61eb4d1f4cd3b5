"""Limits that protect a machine from images that are too large to decode."""

from __future__ import annotations

from dataclasses import dataclass

#: Pixels: an image with more is not decoded.
MAX_PIXELS = 64_000_000
#: What an encoded image may have at most unless something else is set. Those of data sets stay far below it.
MAX_IMAGE_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What an image may have at most; a larger one gets the status `too_large` and is not decoded.

    Attributes:
        max_pixels: width times height.
        max_bytes: size of the encoded image.
    """

    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_IMAGE_BYTES


#: The limits of a call that names no others.
DEFAULT_LIMITS = DecodeLimits()
