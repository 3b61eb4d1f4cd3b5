"""Show a pair: one image warped onto the other, and where the two disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.geometry import matrix_of
from visdiv_assets.duplicates.verify.measure import lay_colors, measure
from visdiv_assets.duplicates.verify.params import DEFAULT_PARAMS, VerifyParams
from visdiv_assets.duplicates.verify.registration import size_of, warp

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from visdiv_assets.duplicates.verify.evidence import Evidence
    from visdiv_assets.duplicates.verify.prepared import PreparedImage


@dataclass(frozen=True)
class Explanation:
    """Images that show what verification compared.

    Attributes:
        a: image a at working size, RGB; its colors have a third of that resolution.
        b: image b in the frame of a, RGB, gray where b shows nothing; None without an alignment.
        disagrees: bool [h, w] in the frame of a, where contents or colors disagree, overlays included; None without an
            alignment.
    """

    a: Image
    b: Image | None
    disagrees: NDArray[np.bool_] | None


def explain(
    a: PreparedImage, b: PreparedImage, evidence: Evidence, params: VerifyParams = DEFAULT_PARAMS
) -> Explanation:
    """Show what `verify` compared.

    Args:
        a: the first image of the pair.
        b: the second image.
        evidence: the result of `verify` for them.
        params: parameters of the verification.
    """
    import cv2

    view_a, view_b = a.view, b.view
    if not evidence.transform or not (a.readable and b.readable):
        return Explanation(_image(view_a), None, None)
    matrix = matrix_of(evidence.transform)
    size = size_of(a.gray)
    warped, inside = warp(view_b, matrix, size)
    warped[~inside] = 128
    disagrees = np.zeros(a.gray.shape, bool)
    if evidence.kind != "identical_pixels":
        found = measure(a, b, matrix, params)
        laid = found.laid
        # The comparison marks only the centers of windows that disagree.
        centers = cv2.dilate(found.contents.disagrees.astype(np.uint8), np.ones((3, 3), np.uint8))
        place = cv2.resize(centers, size_of(laid.frame), interpolation=cv2.INTER_NEAREST) > 0
        if evidence.kind not in ("recolored", "mirrored", "rotated"):
            views = lay_colors(a, b, found)
            one, two = (cv2.blur(view, (3, 3)).astype(np.int16) for view in (views.one, views.two))
            odd = (np.abs(one - two).max(2) > params.foreign.min_difference) & views.inside
            place |= cv2.resize(odd.astype(np.uint8), size_of(laid.frame), interpolation=cv2.INTER_NEAREST) > 0
        to_a = np.eye(3) if laid.of_a else matrix
        shown, there = warp(place.astype(np.uint8) * np.uint8(255), to_a, size)
        disagrees = (shown[..., 0] > 127) & there
    return Explanation(_image(view_a), _image(warped), disagrees)


def _image(pixels: NDArray[np.uint8]) -> Image:
    from PIL.Image import fromarray

    return fromarray(np.ascontiguousarray(pixels))
