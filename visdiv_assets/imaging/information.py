"""How much there is to see in an image: what blank pages, text pages and plain drawings lack.

Embeddings of images with little in them lie close together whatever they show, so a high similarity says less there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

#: Side of the small copy that is looked at, in pixels.
SIDE = 64
#: Below this standard deviation of brightness (0 to 255) an image is near-constant.
NEAR_CONSTANT = 8.0
#: Up to this many colors an image has few: black text on white takes three or four levels of gray.
FEW_COLORS = 4
#: Share of the pixels that the counted colors cover.
COVERED = 0.99


@dataclass(frozen=True)
class Signals:
    """What a small copy of an image shows.

    Attributes:
        brightness_deviation: standard deviation of the brightness, 0 to 127.5.
        colors: how many of 512 colors (8 levels a channel) cover 99 % of the pixels, 1 to 512.
    """

    brightness_deviation: float
    colors: int

    @property
    def low_information(self) -> bool:
        """Whether the image is near-constant or has few colors."""
        return self.brightness_deviation < NEAR_CONSTANT or self.colors <= FEW_COLORS


def signals(image: Image) -> Signals:
    """Look at an RGB image of any size."""
    from PIL.Image import Resampling

    small = image.resize((SIDE, SIDE), Resampling.BOX, reducing_gap=2.0)
    pixels = np.asarray(small).reshape(-1, 3)
    # ITU-R 601 weights, as Pillow's own conversion to gray.
    brightness = pixels @ np.array([0.299, 0.587, 0.114])
    level = (pixels >> 5).astype(np.int64)
    counts = np.sort(np.bincount(level @ np.array([64, 8, 1]), minlength=512))[::-1]
    colors = int(np.searchsorted(np.cumsum(counts), COVERED * len(pixels))) + 1
    return Signals(float(brightness.std()), colors)
