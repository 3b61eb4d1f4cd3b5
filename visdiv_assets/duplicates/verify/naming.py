"""Name the kind of a confirmed copy by its transform and by what surrounds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.geometry import (
    find_uncovered,
    in_pixels,
    inverse,
    map_points,
    overlap_of,
    slope_of,
    turned_degrees,
)
from visdiv_assets.duplicates.verify.params import VerifyParams
from visdiv_assets.duplicates.verify.registration import Registered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visdiv_assets.duplicates.verify.prepared import PreparedImage


def name_kind(
    one: PreparedImage,
    two: PreparedImage,
    matrix: NDArray[np.float64],
    params: VerifyParams,
    *,
    marked: bool,
    recolored: bool,
) -> str:
    """Return which of `evidence.KINDS` a confirmed pair is.

    A mirror image or a turn comes first, then what surrounds the copy (a border, a caption, more of the image), then
    what was put over it, then its colors.

    Args:
        one: one image.
        two: the other.
        matrix: map [3, 3] from two to one in units.
        params: parameters of the verification.
        marked: whether something was put over one of the images.
        recolored: whether brightness, contrast or colors of the whole image differ.
    """
    slope = slope_of(in_pixels(matrix, one.size, two.size), two.size)
    if np.linalg.det(slope) < 0:
        return "mirrored"
    if turned_degrees(slope) > params.kind.min_turn:
        return "rotated"
    share_two, share_one = overlap_of(matrix)
    if min(share_one, share_two) < params.kind.whole_share:
        if max(share_one, share_two) < params.kind.whole_share:
            return "cropped"
        outer, inner = (one, matrix) if share_one < share_two else (two, inverse(matrix))
        return _kind_by_surroundings(outer, inner, params)
    if marked:
        return "captioned"
    return "recolored" if recolored else "aligned"


def _kind_by_surroundings(outer: PreparedImage, inner: NDArray[np.float64], params: VerifyParams) -> str:
    """Return the kind of a copy by what surrounds it in the outer image: a plain border, a caption, or more image."""
    around = find_uncovered(inner, (outer.gray.shape[1], outer.gray.shape[0]))
    if not around.any():
        return "cropped"
    levels = outer.gray[around].astype(np.float32)
    plain = float((np.abs(levels - np.median(levels)) < params.preparation.border_tolerance).mean())
    if plain > params.kind.plain_border:
        return "bordered"
    corners = map_points(inner, np.array([[0.0, 0.0], [1.0, 1.0]]))
    wide = abs(corners[1, 0] - corners[0, 0]) > params.kind.whole_share
    return "captioned" if wide and plain > params.kind.plain_caption else "cropped"


def is_toned(laid: Registered, params: VerifyParams) -> bool:
    """Return whether brightness or contrast of two registered images differ."""
    import cv2

    mask = laid.inside.astype(np.uint8)
    (mean1, spread1), (mean2, spread2) = (
        (float(m[0, 0]), float(s[0, 0])) for m, s in (cv2.meanStdDev(i, mask=mask) for i in (laid.frame, laid.other))
    )
    ratio = (spread1 + 1) / (spread2 + 1)
    return (
        abs(mean1 - mean2) > params.kind.toned_levels
        or not 1 / params.kind.toned_ratio < ratio < params.kind.toned_ratio
    )
