"""A pair shown side by side: the one warped onto the other, and where they disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify import params
from visdiv_assets.duplicates.verify.agreement import compare
from visdiv_assets.duplicates.verify.color import compare_colors
from visdiv_assets.duplicates.verify.evaluate import matched
from visdiv_assets.duplicates.verify.registration import size_of, warp, warp_into_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from visdiv_assets.duplicates.verify.evidence import Evidence
    from visdiv_assets.duplicates.verify.prepared import Prepared


@dataclass(frozen=True)
class Explanation:
    """A pair to look at.

    Attributes:
        a: image a at working size, RGB; its colors are of a third of that size.
        b: image b in a's frame, RGB, gray where it shows nothing; None without an alignment.
        disagrees: bool [h, w], of a's view, where contents or colors disagree, what was put over one of the images
            included; None without an alignment.
    """

    a: Image
    b: Image | None
    disagrees: NDArray[np.bool_] | None


def explain(a: Prepared, b: Prepared, evidence: Evidence) -> Explanation:
    """Show what `verify` saw.

    Args:
        a: the image that was the first of the pair.
        b: the second.
        evidence: what `verify` said of them.
    """
    import cv2

    view_a, view_b = _view(a), _view(b)
    if len(evidence.transform) != 6 or not (a.readable and b.readable):
        return Explanation(_image(view_a), None, None)
    matrix = np.vstack([np.reshape(evidence.transform, (2, 3)), [0.0, 0.0, 1.0]])
    size = size_of(a.gray)
    warped, inside = warp(view_b, matrix, size)
    warped[~inside] = 128
    disagrees = np.zeros(a.gray.shape, bool)
    if evidence.kind != "identical_pixels":
        laid = warp_into_frame(a, b, matrix)
        one, two, _ = matched(laid)
        centers = compare(one, two, laid.inside).disagrees.astype(np.uint8)
        # A window disagrees, not its center alone.
        place = cv2.dilate(centers, np.ones((params.WINDOW,) * 2, np.uint8)) > 0
        colors = compare_colors(a, b, matrix, laid)
        odd = (colors.remaining > params.COLOR_DIFFERENCE).astype(np.uint8)
        place |= cv2.resize(odd, size_of(laid.frame), interpolation=cv2.INTER_NEAREST) > 0
        to_a = np.eye(3) if laid.of_a else matrix
        shown, there = warp(place.astype(np.uint8) * np.uint8(255), to_a, size)
        disagrees = (shown[..., 0] > 127) & there
    return Explanation(_image(view_a), _image(warped), disagrees)


def _view(image: Prepared) -> NDArray[np.uint8]:
    """RGB [h, w, 3] at working size: the colors of the small view, the brightness of the large one."""
    import cv2

    size = size_of(image.gray)
    color = cv2.resize(image.color, size, interpolation=cv2.INTER_LINEAR)
    parts = cv2.cvtColor(color, cv2.COLOR_RGB2YCrCb)
    parts[..., 0] = image.gray
    return np.asarray(cv2.cvtColor(parts, cv2.COLOR_YCrCb2RGB), np.uint8)


def _image(pixels: NDArray[np.uint8]) -> Image:
    from PIL.Image import fromarray

    return fromarray(np.ascontiguousarray(pixels))
