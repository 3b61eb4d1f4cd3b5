"""The values of an image of more than 8 bits that become black and white, chosen by its content.

Label masks, sensors of 12 bits and depth in millimeters use a small part of 16 bits. Scaled from the whole range they
would all become black.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: The white of images of integers that are not negative: 8, 10, 12, 14 or 16 bits.
INTEGER_WHITES = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
#: The white of images of floats that are not negative.
FLOAT_WHITES = (1.0, 255.0, 65535.0)

#: Share of a range, or of the distance of the extremes, that the inner values must cover; else the scale is narrowed.
MIN_COVERED = 0.25
#: Percentiles that bound the inner values.
INNER = (0.5, 99.5)
#: Values from which the percentiles are computed.
SAMPLED = 1 << 18
#: Values that are scaled at once.
_BLOCK = 1 << 20
#: An extreme value is a mark, for example of missing pixels, if it is this many spans of the others away from them.
MARK_DISTANCE = 8


class Levels(NamedTuple):
    """A linear scale to 8 bits.

    Attributes:
        black: this value and smaller ones become 0.
        white: this value and larger ones become 255.
    """

    black: float
    white: float


#: The scale of 16 bits whose upper 8 are kept.
WHOLE_RANGE = Levels(0.0, 65535.0)


def choose_levels(values: NDArray[Any], whites: Sequence[float]) -> Levels:
    """Choose a scale by content.

    It is the narrowest of the usual ranges that contains the values, if the inner 99 % of them cover at least a quarter
    of it. Otherwise the scale goes from the smallest to the largest value; from the first to the last of the inner
    ones if few values are far outside; and from 0 if that is close. A single extreme value far from all others does not
    count: it marks pixels.

    Args:
        values: integers or floats of any shape; those that are not finite do not count.
        whites: ends of the usual ranges, which begin at 0, in rising order.
    """
    known = values.ravel() if values.dtype.kind != "f" else values[np.isfinite(values)]
    if not known.size:
        return Levels(0.0, whites[0])
    low, high = _without_marks(known)
    white = next((end for end in whites if low >= 0 and high <= end), None)
    inner_low, inner_high = _inner(known, low, high)
    spread = inner_high - inner_low
    if white is not None and (low == high or spread >= MIN_COVERED * white):
        return Levels(0.0, white)
    if 0 < spread < MIN_COVERED * (high - low):
        low, high = inner_low, inner_high
    return Levels(0.0 if 0 < low <= high - low else low, high)


def scale_to_8_bits(values: NDArray[Any], levels: Levels) -> NDArray[np.uint8]:
    """Scale values of any shape linearly; NaN becomes 0. From a range of whole bits, the upper 8 are kept."""
    if values.dtype.kind in "iu" and levels.black == 0 and levels.white in INTEGER_WHITES:
        clipped = np.clip(values, 0, int(levels.white))
        upper: NDArray[np.uint8] = (clipped >> (int(levels.white).bit_length() - 8)).astype(np.uint8)
        return upper
    width = max(levels.white - levels.black, np.finfo(np.float64).tiny)
    result = np.empty(values.shape, np.uint8)
    rows = max(1, _BLOCK * len(values) // max(1, values.size))
    for start in range(0, len(values), rows):
        scaled = (values[start : start + rows].astype(np.float64) - levels.black) * (255.0 / width)
        result[start : start + rows] = np.nan_to_num(np.clip(np.rint(scaled), 0, 255))
    return result


def _without_marks(values: NDArray[Any]) -> tuple[float, float]:
    """Return the smallest and the largest of some values that are no marks."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low, high
    next_low = float(values.min(where=values > low, initial=high))
    next_high = float(values.max(where=values < high, initial=low))
    inner = max(next_high - next_low, 0.0)
    high_is_mark = high - next_high > MARK_DISTANCE * (inner or next_high - low) > 0
    low_is_mark = next_low - low > MARK_DISTANCE * (inner or high - next_low) > 0
    return next_low if low_is_mark else low, next_high if high_is_mark else high


def _inner(values: NDArray[Any], low: float, high: float) -> tuple[float, float]:
    sample = values[:: max(1, values.size // SAMPLED)]
    sample = sample[(sample >= low) & (sample <= high)]
    if not sample.size:
        return low, high
    first, last = np.percentile(sample.astype(np.float64), INNER, method="nearest")
    return float(first), float(last)
