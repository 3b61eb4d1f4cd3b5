"""Show a pair: one image warped onto the other, and where the two disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.agreement import compare_windows
from visdiv_assets.duplicates.verify.color import compare_colors
from visdiv_assets.duplicates.verify.evaluate import match_appearance
from visdiv_assets.duplicates.verify.params import DEFAULT_PARAMS, VerifyParams
from visdiv_assets.duplicates.verify.registration import size_of, warp, warp_into_frame

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
        evidence: the result of `verify(a, b, params)`.
        params: parameters of the verification.
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
        one, two, _ = match_appearance(laid, params)
        centers = compare_windows(one, two, laid.inside, params.window).disagrees.astype(np.uint8)
        # `compare_windows` marks only the centers of windows that disagree.
        place = cv2.dilate(centers, np.ones((params.window.side,) * 2, np.uint8)) > 0
        colors = compare_colors(a, b, matrix, laid, params.color)
        odd = (colors.remaining > params.color.max_difference).astype(np.uint8)
        place |= cv2.resize(odd, size_of(laid.frame), interpolation=cv2.INTER_NEAREST) > 0
        to_a = np.eye(3) if laid.of_a else matrix
        shown, there = warp(place.astype(np.uint8) * np.uint8(255), to_a, size)
        disagrees = (shown[..., 0] > 127) & there
    return Explanation(_image(view_a), _image(warped), disagrees)


def _view(image: PreparedImage) -> NDArray[np.uint8]:
    """Return RGB [h, w, 3] at working size, of the colors of the color view and the brightness of the gray view."""
    import cv2

    size = size_of(image.gray)
    color = cv2.resize(image.color, size, interpolation=cv2.INTER_LINEAR)
    parts = cv2.cvtColor(color, cv2.COLOR_RGB2YCrCb)
    parts[..., 0] = image.gray
    return np.asarray(cv2.cvtColor(parts, cv2.COLOR_YCrCb2RGB), np.uint8)


def _image(pixels: NDArray[np.uint8]) -> Image:
    from PIL.Image import fromarray

    return fromarray(np.ascontiguousarray(pixels))
