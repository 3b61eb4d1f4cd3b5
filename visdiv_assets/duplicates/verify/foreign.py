"""Find what was put over one of two aligned images: an area in colors that the other image has nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.decision_params import ForeignParams

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEVELS = 16


@dataclass(frozen=True, slots=True)
class Foreign:
    """What was put over one of two images.

    Attributes:
        place: bool [h, w].
        area: its share of the overlap.
        hidden: share of it where what it hides has colors that the marked image has nowhere else: then it is no
            overlay, but other contents.
    """

    place: NDArray[np.bool_]
    area: float
    hidden: float


def find_foreign(
    one: NDArray[np.uint8],
    two: NDArray[np.uint8],
    disagrees: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    params: ForeignParams,
) -> tuple[Foreign, Foreign]:
    """Find what was put over the first image, and what was put over the second.

    Changed contents (a digit, a bar, a word) have the colors of other contents of the same image; a sticker, a stripe,
    a caption or a pasted image has colors, or areas of a color, that the clean image does not have.

    Args:
        one: uint8 [h, w, 3], RGB.
        two: uint8 [h, w, 3], RGB, in the same frame.
        disagrees: bool [h, w], where contents disagree.
        inside: bool [h, w], where both have pixels.
        params: parameters.
    """
    import cv2

    apart = np.abs(one.astype(np.int16) - two).max(2) > params.min_difference
    differs = ((apart | disagrees) & inside).astype(np.uint8)
    closed = cv2.morphologyEx(differs, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    number, label, found, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    place, area, total = closed > 0, found[:, cv2.CC_STAT_AREA], max(1, int(np.count_nonzero(inside)))
    unknown = [_unknown(marked, clean, place, params) for marked, clean in ((one, two), (two, one))]
    outline = cv2.morphologyEx(closed, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    bounds = np.asarray(cv2.dilate(label.astype(np.uint16), np.ones((3, 3), np.uint8)), np.uint16)
    results = []
    for of_marked, of_clean, clean in ((*unknown, two), (*unknown[::-1], one)):
        share = np.bincount(label.ravel(), weights=of_marked.ravel(), minlength=number) / np.maximum(area, 1)
        chosen = share >= params.min_share
        framed = (
            _mean_by_label(_edges(np.asarray(clean, np.uint8), params), bounds, outline, number) > params.max_framed
        )
        chosen &= (area < params.framed_area * total) | ~framed
        chosen[0] = False
        explained = chosen[label]
        count = int(np.count_nonzero(explained))
        hidden = float(np.count_nonzero(of_clean & explained)) / max(1, count)
        results.append(Foreign(explained, count / total, hidden))
    return results[0], results[1]


def _edges(image: NDArray[np.uint8], params: ForeignParams) -> NDArray[np.bool_]:
    """Return where neighboring pixels differ, bool [h, w]."""
    import cv2

    range_ = cv2.morphologyEx(image, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    return np.asarray(range_.max(2) > params.edge)


def _mean_by_label(
    values: NDArray[np.bool_], label: NDArray[np.uint16], where: NDArray[np.bool_], number: int
) -> NDArray[np.float64]:
    """Return the share of the places of each label at which values hold, float64 [number]."""
    labels = label[where]
    count = np.bincount(labels, minlength=number)
    return np.asarray(np.bincount(labels, weights=values[where], minlength=number) / np.maximum(count, 1), np.float64)


def _unknown(
    marked: NDArray[np.uint8], clean: NDArray[np.uint8], place: NDArray[np.bool_], params: ForeignParams
) -> NDArray[np.bool_]:
    """Return where in a place the marked image has colors, at some scale, that the clean image has nowhere."""
    import cv2
    from scipy.ndimage import maximum_filter

    result = np.zeros(place.shape, bool)
    for side in params.scales:
        # An average over an area tells a thick stroke from a thin one of the same color.
        ours, theirs = (np.asarray(cv2.blur(image, (side, side)), np.uint8) for image in (marked, clean))
        bins = _bins(ours)
        known = np.bincount(_bins(theirs).ravel(), minlength=_LEVELS**3).reshape((_LEVELS,) * 3)
        count = np.bincount(bins[place], minlength=_LEVELS**3)
        result |= maximum_filter(known, 3).ravel()[bins] <= params.known_share * count[bins]
    return result & place


def _bins(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the number of the bin of each color, [h, w], of 16 levels per channel."""
    levels = image.astype(np.int64) >> 4
    return np.asarray(levels[..., 0] * _LEVELS**2 + levels[..., 1] * _LEVELS + levels[..., 2], np.int64)
