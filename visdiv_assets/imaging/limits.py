"""Limits on the size of images, which protect a machine from images that are too large to decode."""

from __future__ import annotations

from dataclasses import dataclass

#: Default maximum of pixels in an image.
MAX_PIXELS = 64_000_000
#: Default maximum of bytes in an encoded image; images of datasets are far smaller.
MAX_IMAGE_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Maximum size of an image; a larger image gets the status `too_large` and is not decoded.

    Attributes:
        max_pixels: maximum of width times height.
        max_bytes: maximum size of the encoded image in bytes.
    """

    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_IMAGE_BYTES


#: The limits that apply unless a caller passes others.
DEFAULT_LIMITS = DecodeLimits()
