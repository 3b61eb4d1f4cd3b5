"""Resizes of an image: before a model embeds it, and to the square that hash and measures share."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

#: The part of a model_id that names this preprocessing.
PREPROCESSING = "skew_320"
SIDE = 320
#: Side in pixels of the square from which PDQ and measures of information are computed.
SQUARE_SIDE = 64


def skew_320(image: Image) -> NDArray[np.uint8]:
    """Resize to 320 x 320 pixels, ignoring the aspect ratio, bilinear with antialiasing, as FineVision does.

    Args:
        image: an image of mode RGB and any size.

    Returns:
        uint8 [320, 320, 3], C-contiguous and writable.

    Raises:
        ValueError: the image is not RGB.
    """
    from PIL.Image import Resampling

    if image.mode != "RGB":
        raise ValueError(f"skew_320 takes images of mode RGB, not {image.mode}")
    # np.array copies, so that the result is writable; torch warns about read-only arrays.
    return np.array(image.resize((SIDE, SIDE), Resampling.BILINEAR), dtype=np.uint8, order="C")


class Reduced:
    """An image averaged over blocks of pixels to about 128 x 128 pixels, from which smaller copies cost little.

    Attributes:
        width: width of the original in pixels.
        height: height of the original in pixels.
    """

    def __init__(self, image: Image) -> None:
        """Reduce an image of mode RGB and any size; one of fewer than 256 pixels a side keeps that side."""
        self.width, self.height = image.size
        factors = [max(1, side // (2 * SQUARE_SIDE)) for side in image.size]
        self._image = image.reduce((factors[0], factors[1])) if max(factors) > 1 else image
        # The last block may be incomplete, so the original ends within the last pixel.
        self._box = (0.0, 0.0, self.width / factors[0], self.height / factors[1])

    @cached_property
    def square(self) -> NDArray[np.uint8]:
        """The image at 64 x 64 pixels, an average of equal areas: uint8 [64, 64, 3]."""
        from PIL.Image import Resampling

        return np.asarray(self._image.resize((SQUARE_SIDE, SQUARE_SIDE), Resampling.BOX, self._box))

    def fit_gray(self) -> NDArray[np.uint8]:
        """Return the luminance at a longest side of 64 pixels, bicubic, never enlarged: uint8 [h, w]."""
        from PIL.Image import Resampling

        size = fit((self.width, self.height), SQUARE_SIDE)
        return np.asarray(self._image.resize(size, Resampling.BICUBIC, self._box).convert("L"))


def fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return a width and height reduced to a longest side in pixels; smaller ones are returned unchanged."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def reduce_to(image: Image, side: int) -> Image:
    """Return an image reduced to a longest side in pixels, bicubic; a smaller one is returned itself."""
    from PIL.Image import Resampling

    size = fit(image.size, side)
    return image if size == image.size else image.resize(size, Resampling.BICUBIC, reducing_gap=2.0)
