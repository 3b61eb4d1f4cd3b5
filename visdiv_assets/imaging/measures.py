"""Quality measures of one image: brightness, contrast, sharpness, entropy, grayscale and the amount of information.

All are measured on reduced copies, so that a large image costs hardly more than a small one. CleanVision's issue types
are computed from them when the tables are published (`publishing.warehouse.image_issues`).

Embeddings of images with little information are close to each other, so a high similarity is weaker evidence there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.imaging.resize import Reduced, fit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

#: Maximum side, in pixels, of the sample of pixels from which levels of brightness are counted.
SAMPLE_SIDE = 128
#: An image whose luminance (0 to 255) has a smaller standard deviation is near-constant.
NEAR_CONSTANT = 8.0
#: An image with at most this number of colors has few colors; black text on white takes three or four levels of gray.
FEW_COLORS = 4
#: Share of the pixels that the counted colors cover.
COVERED = 0.99
#: Maximum difference of the red, green and blue of a reduced pixel of a grayscale image, in levels.
MAX_GRAY_SPREAD = 8

#: The sum of the differences to the 8 neighbors, a discrete Laplacian; Pillow calls it FIND_EDGES.
_LAPLACIAN = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float32)
#: Weights of squared red, green and blue in the perceived brightness (HSP color model, as in CleanVision).
_PERCEIVED = np.array([0.241, 0.691, 0.068], np.float32)
#: ITU-R 601 weights, as in Pillow's conversion to gray.
_LUMINANCE = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, slots=True)
class Measures:
    """Quality measures of an image. Levels and brightness are 0 to 255.

    The brightness of a pixel is sqrt(0.241 R^2 + 0.691 G^2 + 0.068 B^2), rounded. It is counted at a regular grid of
    at most 128 x 128 pixels.

    Attributes:
        brightness: mean brightness.
        brightness_p5: the level that 5 % of the pixels do not exceed.
        brightness_p99: the level that 99 % of the pixels do not exceed.
        contrast: standard deviation of the brightness, 0 to 127.5.
        entropy: Shannon entropy of the brightness levels in bits, 0 to 8.
        sharpness: variance of the Laplacian, clipped to 0 to 255, of the luminance at 64 pixels or less.
        histogram_deviation: standard deviation of the 256 counts of luminance levels at 64 pixels or less; high for
            graphics, which have few levels.
        grayscale: whether the image has no color at 64 x 64 pixels.
        brightness_deviation: standard deviation of the luminance at 64 x 64 pixels, 0 to 127.5.
        colors: number of colors, of 512 (8 levels per channel), that cover 99 % of the 64 x 64 pixels; 1 to 512.
    """

    brightness: float
    brightness_p5: float
    brightness_p99: float
    contrast: float
    entropy: float
    sharpness: float
    histogram_deviation: float
    grayscale: bool
    brightness_deviation: float
    colors: int

    @property
    def low_information(self) -> bool:
        """Whether the image is near-constant or has few colors."""
        return self.brightness_deviation < NEAR_CONSTANT or self.colors <= FEW_COLORS


def measure(image: Image, reduced: Reduced) -> Measures:
    """Measure an image of mode RGB and any size, given a reduced copy of it."""
    square = reduced.square
    counts = _brightness_levels(image)
    levels, total = np.arange(256), counts.sum()
    mean = float(counts @ levels) / total
    share = counts[counts > 0] / total
    p5, p99 = np.searchsorted(np.cumsum(counts), np.ceil(np.array([0.05, 0.99]) * total))
    sharpness, histogram_deviation = _sharpness(reduced)
    brightness_deviation, colors = _information(square)
    return Measures(
        brightness=mean,
        brightness_p5=float(p5),
        brightness_p99=float(p99),
        contrast=float(counts @ (levels - mean) ** 2 / total) ** 0.5,
        # An image of one level has 0 bits, not -0.
        entropy=abs(float(share @ np.log2(share))),
        sharpness=sharpness,
        histogram_deviation=histogram_deviation,
        grayscale=int(np.ptp(square, axis=2).max()) <= MAX_GRAY_SPREAD,
        brightness_deviation=brightness_deviation,
        colors=colors,
    )


def _brightness_levels(image: Image) -> NDArray[np.int64]:
    """Count the pixels of each level of brightness in a sample of the image: int64 [256]."""
    from PIL.Image import Resampling

    sample = image.resize(fit(image.size, SAMPLE_SIDE), Resampling.NEAREST)
    squares = np.asarray(sample).reshape(-1, 3).astype(np.float32) ** 2
    return np.bincount(np.rint(np.sqrt(squares @ _PERCEIVED)).astype(np.uint8), minlength=256)


def _sharpness(reduced: Reduced) -> tuple[float, float]:
    """Return `sharpness` and `histogram_deviation`."""
    import cv2

    gray = reduced.fit_gray()
    edges = cv2.filter2D(gray, cv2.CV_8U, _LAPLACIAN, borderType=cv2.BORDER_REPLICATE)
    return float(edges.var()), float(np.bincount(gray.ravel(), minlength=256).std())


def _information(square: NDArray[np.uint8]) -> tuple[float, int]:
    """Return `brightness_deviation` and `colors`."""
    pixels = square.reshape(-1, 3)
    level = (pixels >> 5).astype(np.int64)
    counts = np.sort(np.bincount(level @ np.array([64, 8, 1]), minlength=512))[::-1]
    colors = int(np.searchsorted(np.cumsum(counts), COVERED * len(pixels))) + 1
    return float((pixels @ _LUMINANCE).std()), colors
