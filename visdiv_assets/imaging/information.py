"""The amount of visual information in an image, which is low for blank pages, text pages and plain drawings.

Embeddings of images with little information are close to each other, so a high similarity is weaker evidence there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

#: Side of the reduced copy that is measured, in pixels.
SIDE = 64
#: An image whose brightness (0 to 255) has a smaller standard deviation is near-constant.
NEAR_CONSTANT = 8.0
#: An image with at most this number of colors has few colors; black text on white takes three or four levels of gray.
FEW_COLORS = 4
#: Share of the pixels that the counted colors cover.
COVERED = 0.99


@dataclass(frozen=True)
class Signals:
    """Measures of a reduced copy of an image.

    Attributes:
        brightness_deviation: standard deviation of the brightness, 0 to 127.5.
        colors: number of colors, of 512 (8 levels per channel), that cover 99 % of the pixels; 1 to 512.
    """

    brightness_deviation: float
    colors: int

    @property
    def low_information(self) -> bool:
        """Whether the image is near-constant or has few colors."""
        return self.brightness_deviation < NEAR_CONSTANT or self.colors <= FEW_COLORS


def signals(image: Image) -> Signals:
    """Measure the visual information in an RGB image of any size."""
    from PIL.Image import Resampling

    small = image.resize((SIDE, SIDE), Resampling.BOX, reducing_gap=2.0)
    pixels = np.asarray(small).reshape(-1, 3)
    # ITU-R 601 weights, as in Pillow's conversion to gray.
    brightness = pixels @ np.array([0.299, 0.587, 0.114])
    level = (pixels >> 5).astype(np.int64)
    counts = np.sort(np.bincount(level @ np.array([64, 8, 1]), minlength=512))[::-1]
    colors = int(np.searchsorted(np.cumsum(counts), COVERED * len(pixels))) + 1
    return Signals(float(brightness.std()), colors)
