"""Measure how two images agree under an alignment: contents, colors, and what was put over one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.bands import find_bands
from visdiv_assets.duplicates.verify.colors import Colors, compare_colors
from visdiv_assets.duplicates.verify.contents import Contents, compare_contents
from visdiv_assets.duplicates.verify.foreign import find_foreign
from visdiv_assets.duplicates.verify.geometry import inverse
from visdiv_assets.duplicates.verify.params import VerifyParams
from visdiv_assets.duplicates.verify.registration import Registered, size_of, warp, warp_into_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from visdiv_assets.duplicates.verify.prepared import PreparedImage


@dataclass(frozen=True, slots=True)
class Measured:
    """How two images agree under an alignment.

    Attributes:
        matrix: map [3, 3] from the second image to the first in units.
        laid: the two images in one frame.
        contents: the comparison of the contents.
    """

    matrix: NDArray[np.float64]
    laid: Registered
    contents: Contents


@dataclass(frozen=True, slots=True)
class ColorViews:
    """The color views of two images in one frame.

    Attributes:
        one: uint8 [h, w, 3], RGB, of the image whose frame it is.
        two: uint8 [h, w, 3], RGB.
        inside: bool [h, w], where both have pixels.
    """

    one: NDArray[np.uint8]
    two: NDArray[np.uint8]
    inside: NDArray[np.bool_]


def measure(a: PreparedImage, b: PreparedImage, matrix: NDArray[np.float64], params: VerifyParams) -> Measured:
    """Compare the contents of two images under an alignment.

    Args:
        a: one image.
        b: the other.
        matrix: map [3, 3] from b to a in units.
        params: parameters of the verification.
    """
    laid = warp_into_frame(a, b, matrix)
    return Measured(matrix, laid, compare_contents(laid.frame, laid.other, laid.inside, params.content))


def lay_colors(a: PreparedImage, b: PreparedImage, measured: Measured) -> ColorViews:
    """Bring the color views of two images into the frame in which they were measured, at their own size."""
    import cv2

    laid = measured.laid
    frame, other = (a.color, b.color) if laid.of_a else (b.color, a.color)
    to_frame = measured.matrix if laid.of_a else inverse(measured.matrix)
    warped, inside = warp(other, to_frame, size_of(frame))
    # What lies beside the overlap must not count.
    inside = cv2.erode(inside.astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=0) > 0
    return ColorViews(frame, warped, inside)


def measure_colors(views: ColorViews, contents: Contents, params: VerifyParams) -> Colors | None:
    """Compare the colors of two images where their contents agree; None if that is nearly nowhere."""
    import cv2

    odd = cv2.dilate(_at_size_of(views, contents.disagrees), np.ones((5, 5), np.uint8))
    return compare_colors(views.one, views.two, views.inside & (odd == 0), params.color)


def without_marks(views: ColorViews, contents: Contents, params: VerifyParams) -> Iterator[tuple[ColorViews, Contents]]:
    """Yield colors and contents without what may have been put over one image: each band, then each foreign place."""
    for place in _marks(views, contents, params):
        beside = _at_size_of(views, place) == 0
        yield ColorViews(views.one, views.two, views.inside & beside), contents.without(place)


def _marks(views: ColorViews, contents: Contents, params: VerifyParams) -> Iterator[NDArray[np.bool_]]:
    """Yield what may have been put over one of the two images, bool of the shape of `contents.disagrees`."""
    import cv2

    yield from find_bands(contents, params.band)
    shape = contents.disagrees.shape
    odd = _at_size_of(views, contents.disagrees) > 0
    for foreign in find_foreign(views.one, views.two, odd, views.inside, params.foreign):
        small = params.foreign.min_area < foreign.area <= params.foreign.max_area
        if small and foreign.hidden <= params.foreign.max_hidden:
            wide = cv2.dilate(foreign.place.astype(np.uint8), np.ones((5, 5), np.uint8))
            yield cv2.resize(wide, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST) > 0


def _at_size_of(views: ColorViews, windows: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a mask of windows at the size of the color views, uint8 [h, w]; they are of nearly one size."""
    import cv2

    size = (views.inside.shape[1], views.inside.shape[0])
    return np.asarray(cv2.resize(windows.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), np.uint8)
