"""Features of an image by which its type, such as photo or chart, can be told without a model.

They are measured on the stored thumbnail, so that no image is read again. The quality measures of the pass
(`imaging.measures`) are used beside them.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Differences of the gray levels of neighbors: at most this one is flat, from this one on an edge, a strong edge.
FLAT, EDGE, STRONG_EDGE = 3, 32, 48
#: Maximum difference of a channel to the background's color of a pixel of the background.
BACKGROUND = 20
#: A background is dark if each of its channels is below this level.
DARK = 100
#: Difference of the gray levels of neighbors from which on a line is a line, and its minimum length in units of a side.
LINE, LINE_LENGTH = 12, 0.3
#: Maximum side of a small part, such as a letter, in units of the longest side.
SMALL = 0.12
#: Share of the pixels that the counted colors cover.
COVERED = 0.95

#: The features in order.
FEATURES = (
    "flat",
    "texture",
    "edges",
    "axis_parallel",
    "background",
    "top_colors",
    "border",
    "saturated",
    "colored",
    "gray",
    "dark_background",
    "horizontal_lines",
    "vertical_lines",
    "small_parts",
    "bands",
    "elongation",
    "log_colors",
    "hues",
    "pale",
)


def type_features(webp: bytes) -> NDArray[np.float32]:
    """Measure a thumbnail.

    Args:
        webp: an encoded image of any size.

    Returns:
        float32 [features], in the order of `FEATURES`:

        - flat, texture, edges: shares of the pixels that hardly differ from the next one, differ somewhat, and much.
        - axis_parallel: share of the edges that are horizontal or vertical.
        - background: share of the pixels with the color that is most frequent.
        - top_colors: share of the eight most frequent colors.
        - border: share of the outermost pixels that are background.
        - saturated, colored, gray, pale: shares of the pixels that have much, some and no color, and are near white.
        - dark_background: whether the background is dark.
        - horizontal_lines, vertical_lines: share of the rows, columns with a straight line of 0.3 of the side.
        - small_parts: share of what is not background that lies in parts of the size of letters.
        - bands: how often rows with and without content alternate, by the height in pixels.
        - elongation: absolute binary logarithm of the aspect ratio.
        - log_colors: binary logarithm of the number of colors that cover 95 % of the pixels.
        - hues: Shannon entropy of the hues in bits.
    """
    import cv2
    from PIL import Image

    with Image.open(io.BytesIO(webp)) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    height, width = pixels.shape[:2]
    colors, background, dark = _colors(pixels)
    content = ~background
    across, down, strength = _differences(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8))
    edge = strength >= EDGE
    red, green, blue = cv2.split(pixels)
    most, least = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    chroma = np.asarray(most - least, np.uint8)
    border = np.concatenate([background[0], background[-1], background[:, 0], background[:, -1]])
    filled = content.mean(axis=1) > 0.02
    values = (
        _share(strength <= FLAT),
        _share((strength > FLAT) & (strength < EDGE)),
        _share(strength >= STRONG_EDGE),
        _share(np.minimum(across, down)[edge] <= 8),
        _share(background),
        colors[:8].sum() / colors.sum(),
        _share(border),
        _share(chroma > 96),
        _share(chroma > 24),
        _share(chroma <= 10),
        float(dark),
        _lines(down >= LINE),
        _lines((across >= LINE).T),
        _small_parts(content),
        np.count_nonzero(filled[1:] != filled[:-1]) / height,
        abs(np.log2(width / height)),
        np.log2(np.searchsorted(np.cumsum(colors), COVERED * colors.sum()) + 1),
        _hues(pixels, chroma),
        _share(least > 200),
    )
    return np.array(values, np.float32)


def _share(mask: NDArray[np.bool_]) -> float:
    return np.count_nonzero(mask) / max(mask.size, 1)


def _colors(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_], bool]:
    """Return the counts of 4,096 colors, highest first, which pixels have the first, and whether it is dark."""
    import cv2

    counts = cv2.calcHist([pixels], [0, 1, 2], None, [16, 16, 16], [0, 256] * 3).ravel().astype(np.int64)
    code = int(counts.argmax())
    center = [16 * (code >> shift & 15) + 8 for shift in (8, 4, 0)]
    near = cv2.inRange(pixels, *(np.array([c + sign * BACKGROUND for c in center], np.float64) for sign in (-1, 1)))
    return np.sort(counts)[::-1], near > 0, max(center) < DARK


def _differences(gray: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return absolute differences to the next pixel across and down, and the larger; the last row and column lack."""
    import cv2

    if min(gray.shape) < 2:
        nothing = np.zeros((1, 1), np.uint8)
        return nothing, nothing, nothing
    here, right, below = gray[:-1, :-1], gray[:-1, 1:], gray[1:, :-1]
    across, down = (np.asarray(cv2.absdiff(here, there), np.uint8) for there in (right, below))
    return across, down, np.maximum(across, down)


def _lines(edges: NDArray[np.bool_]) -> float:
    """Return the share of the rows in which edges touch each other over `LINE_LENGTH` of the row."""
    import cv2

    length = max(1, round(LINE_LENGTH * edges.shape[1]))
    long = cv2.erode(
        edges.astype(np.uint8), np.ones((1, length), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    return float(np.mean(long.any(axis=1)))


def _small_parts(content: NDArray[np.bool_]) -> float:
    import cv2

    _, _, parts, _ = cv2.connectedComponentsWithStats(content.astype(np.uint8), connectivity=8)
    found = parts[1:]
    limit = SMALL * max(content.shape)
    small = (found[:, cv2.CC_STAT_WIDTH] <= limit) & (found[:, cv2.CC_STAT_HEIGHT] <= limit)
    area = found[:, cv2.CC_STAT_AREA]
    return float(area[small].sum() / max(area.sum(), 1))


def _hues(pixels: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> float:
    """Return the entropy of 18 hues of pixels with color; 0 if hardly any has one."""
    import cv2

    colored = chroma > 48
    if _share(colored) < 0.005:
        return 0.0
    hue = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., 0][colored]
    shares = np.bincount(hue // 10, minlength=18) / len(hue)
    shares = shares[shares > 0]
    return abs(float(shares @ np.log2(shares)))
