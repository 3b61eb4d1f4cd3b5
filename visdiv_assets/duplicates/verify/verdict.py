"""Deciding from pixels whether two images are copies of one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify import evidence as said
from visdiv_assets.duplicates.verify import params
from visdiv_assets.duplicates.verify.evaluate import Evaluation, evaluate_alignment
from visdiv_assets.duplicates.verify.evidence import Evidence, unconfirmed
from visdiv_assets.duplicates.verify.geometry import (
    in_pixels,
    inverse,
    overlap_of,
    plausible,
    turned_degrees,
    uncovered,
)
from visdiv_assets.duplicates.verify.keypoints import aligned_by_keypoints
from visdiv_assets.duplicates.verify.prepared import Prepared, prepare
from visdiv_assets.duplicates.verify.registration import guess_transforms, size_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image


def verify_pair(image_a: Image | None, image_b: Image | None) -> Evidence:
    """Compare two images' pixels; `prepare` and `verify` do it for many pairs with each image prepared once.

    Args:
        image_a: mode RGB; None if it could not be read.
        image_b: likewise.

    Example:
        >>> from PIL import Image
        >>> from visdiv_assets import compare_images
        >>> image = Image.effect_mandelbrot((256, 256), (-2, -1.5, 1, 1.5), 100).convert("RGB")
        >>> evidence = compare_images(image, image.rotate(90))
        >>> evidence.verified, evidence.kind
        (True, 'rotated')
        >>> compare_images(image, Image.radial_gradient("L").convert("RGB")).verified
        False
    """
    return verify(prepare(image_a), prepare(image_b))


def verify(a: Prepared, b: Prepared) -> Evidence:
    """Decide whether two images are copies of one another.

    An alignment is found (a stretch in one of 8 orientations, with or without borders; else keypoints), made exact, and
    the two are compared window by window and color by color under it. The decision does not depend on the order of
    the two, on earlier calls or on threads. Each call computes in one thread if `cv2.setNumThreads(1)` was called, as
    callers that verify many pairs in threads of their own should: OpenCV and numpy let other threads run.

    Args:
        a: a prepared image.
        b: another.

    Returns:
        The evidence. Nothing is raised for odd images.
    """
    refused = _nothing_to_compare(a, b)
    if refused is not None:
        return refused
    if a.size == b.size and a.digest == b.digest:
        identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        return Evidence(True, "identical_pixels", "", identity, overlap=1.0, agreement=1.0)
    # One order for both calls: the larger image first, so that the decision is the same.
    swapped = (a.gray.size, a.digest) < (b.gray.size, b.digest)
    one, two = (b, a) if swapped else (a, b)
    found = _best(one, two)
    if found is None:
        return unconfirmed(said.NO_ALIGNMENT)
    matrix = inverse(found.matrix) if swapped else found.matrix
    return Evidence(
        verified=not found.reason,
        kind="unconfirmed" if found.reason else _kind(one, two, found),
        reason=found.reason,
        transform=tuple(float(value) for value in matrix[:2].ravel()),
        overlap=found.overlap,
        agreement=found.agreement.share,
        windows=round(found.agreement.windows),
        disagreement=found.largest,
        color_difference=found.colors.worst if found.colors is not None else 0.0,
        noise=found.agreement.noise,
        sharpness=found.sharpness,
    )


def _nothing_to_compare(a: Prepared, b: Prepared) -> Evidence | None:
    if not a.readable or not b.readable:
        return unconfirmed(said.UNREADABLE)
    if min(*a.size, *b.size) < params.SMALLEST_SIDE:
        return unconfirmed(said.TOO_SMALL)
    # An extreme aspect leaves nothing of the shorter side at working size.
    if min(*a.gray.shape, *b.gray.shape) < params.SMALLEST_SIDE:
        return unconfirmed(said.TOO_SMALL)
    if min(a.deviation, b.deviation) < params.CONSTANT:
        return unconfirmed(said.TOO_LITTLE_TEXTURE)
    return None


def _best(a: Prepared, b: Prepared) -> Evaluation | None:
    """The first alignment that confirms the pair; else the one under which most agrees."""
    best: Evaluation | None = None
    for matrix in guess_transforms(a, b):
        judged = evaluate_alignment(a, b, matrix)
        best = _better(best, judged)
        if best is not None and (not best.reason or best.decisive):
            return best
    for mirrored in (False, True):
        for matrix in aligned_by_keypoints(a.keypoints, b.keypoints, mirrored):
            if plausible(in_pixels(matrix, size_of(a.gray), size_of(b.gray))):
                best = _better(best, evaluate_alignment(a, b, matrix))
                if best is not None and (not best.reason or best.decisive):
                    return best
    return best


def _better(best: Evaluation | None, other: Evaluation | None) -> Evaluation | None:
    if best is None or other is None:
        return best or other
    return other if _merit(other) > _merit(best) else best


def _merit(judged: Evaluation) -> tuple[bool, bool, float]:
    return not judged.reason, judged.reason != said.TOO_LITTLE_TEXTURE, judged.agreement.share


def _kind(a: Prepared, b: Prepared, found: Evaluation) -> str:
    """The first of `KINDS` that fits a confirmed pair."""
    pixels = in_pixels(found.matrix, a.size, b.size)
    if np.linalg.det(pixels[:2, :2]) < 0:
        return "mirrored"
    if turned_degrees(pixels) > params.ROTATED_DEGREES:
        return "rotated"
    share_b, share_a = overlap_of(found.matrix)
    if min(share_a, share_b) < params.WHOLE:
        if max(share_a, share_b) < params.WHOLE:
            return "cropped"
        outer, seen_in = (a, found.matrix) if share_a < share_b else (b, inverse(found.matrix))
        return _around(outer, seen_in)
    if found.marked:
        return "captioned"
    if found.toned or (found.colors is not None and found.colors.recolored):
        return "recolored"
    return "aligned"


def _around(outer: Prepared, inner: NDArray[np.float64]) -> str:
    """What an image that holds the other whole has around it: a plain border, a caption, or more of the image."""
    around = uncovered(inner, (outer.gray.shape[1], outer.gray.shape[0]))
    if not around.any():
        return "cropped"
    levels = outer.gray[around].astype(np.float32)
    plain = float((np.abs(levels - np.median(levels)) < params.BORDER_TOLERANCE).mean())
    if plain > params.PLAIN_BORDER:
        return "bordered"
    corners = inner @ np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    wide = abs(corners[0, 1] - corners[0, 0]) > params.WHOLE
    return "captioned" if wide and plain > params.PLAIN_CAPTION else "cropped"
