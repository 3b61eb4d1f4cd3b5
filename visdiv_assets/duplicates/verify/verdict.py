"""The verdict of verification: find the best alignment of two images, and say what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.evaluate import Evaluation, evaluate_alignment
from visdiv_assets.duplicates.verify.evidence import (
    NO_ALIGNMENT,
    TOO_LITTLE_TEXTURE,
    TOO_SMALL,
    UNREADABLE,
    Evidence,
    unconfirmed,
)
from visdiv_assets.duplicates.verify.geometry import (
    find_uncovered,
    in_pixels,
    inverse,
    is_plausible,
    overlap_of,
    turned_degrees,
)
from visdiv_assets.duplicates.verify.keypoints import align_by_keypoints
from visdiv_assets.duplicates.verify.params import DEFAULT_PARAMS, VerifyParams
from visdiv_assets.duplicates.verify.prepared import PreparedImage, prepare
from visdiv_assets.duplicates.verify.registration import guess_transforms, size_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image


def verify_pair(image_a: Image | None, image_b: Image | None, params: VerifyParams = DEFAULT_PARAMS) -> Evidence:
    """Decide whether two images are copies; for many pairs, `prepare` each image once and call `verify`.

    Args:
        image_a: image in mode RGB; None if it could not be read.
        image_b: the other image, in the same form.
        params: parameters of the verification.

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
    return verify(prepare(image_a, params), prepare(image_b, params), params)


def verify(a: PreparedImage, b: PreparedImage, params: VerifyParams = DEFAULT_PARAMS) -> Evidence:
    """Decide whether two images are copies of one another.

    An alignment is guessed (one image stretched over the other in one of 8 orientations, with or without borders;
    else from keypoints) and refined, and the two images are compared under it window by window and color by color.
    The decision does not depend on the order of the two images, on earlier calls or on threads. OpenCV and NumPy
    release the GIL; callers that verify pairs in threads of their own should call `cv2.setNumThreads(1)`, which keeps
    each call in one thread.

    Args:
        a: one prepared image.
        b: the other.
        params: parameters of the verification, those that both images were prepared with.

    Returns:
        The evidence. No image that could be prepared makes this function raise.
    """
    refused = _nothing_to_compare(a, b, params)
    if refused is not None:
        return refused
    if a.size == b.size and a.digest == b.digest:
        identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        return Evidence(True, "identical_pixels", "", identity, overlap=1.0, agreement=1.0)
    # The larger image comes first, so that the decision does not depend on the order of the arguments.
    swapped = (a.gray.size, a.digest) < (b.gray.size, b.digest)
    one, two = (b, a) if swapped else (a, b)
    found = _best_alignment(one, two, params)
    if found is None:
        return unconfirmed(NO_ALIGNMENT)
    matrix = inverse(found.matrix) if swapped else found.matrix
    return Evidence(
        verified=not found.reason,
        kind="unconfirmed" if found.reason else _kind(one, two, found, params),
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


def _nothing_to_compare(a: PreparedImage, b: PreparedImage, params: VerifyParams) -> Evidence | None:
    if not a.readable or not b.readable:
        return unconfirmed(UNREADABLE)
    if min(*a.size, *b.size) < params.preparation.min_side:
        return unconfirmed(TOO_SMALL)
    # An extreme aspect ratio leaves little of the shorter side at working size.
    if min(*a.gray.shape, *b.gray.shape) < params.preparation.min_side:
        return unconfirmed(TOO_SMALL)
    if min(a.deviation, b.deviation) < params.preparation.min_deviation:
        return unconfirmed(TOO_LITTLE_TEXTURE)
    return None


def _best_alignment(a: PreparedImage, b: PreparedImage, params: VerifyParams) -> Evaluation | None:
    """Return the first alignment that confirms the pair, else the one with the highest agreement."""
    best: Evaluation | None = None
    for matrix in guess_transforms(a, b, params.registration):
        evaluation = evaluate_alignment(a, b, matrix, params)
        best = _better(best, evaluation)
        if best is not None and (not best.reason or best.decisive):
            return best
    for mirrored in (False, True):
        for matrix in align_by_keypoints(a.keypoints, b.keypoints, mirrored, params.keypoints):
            if is_plausible(in_pixels(matrix, size_of(a.gray), size_of(b.gray))):
                best = _better(best, evaluate_alignment(a, b, matrix, params))
                if best is not None and (not best.reason or best.decisive):
                    return best
    return best


def _better(best: Evaluation | None, other: Evaluation | None) -> Evaluation | None:
    if best is None or other is None:
        return best or other
    return other if _merit(other) > _merit(best) else best


def _merit(evaluation: Evaluation) -> tuple[bool, bool, float]:
    return not evaluation.reason, evaluation.reason != TOO_LITTLE_TEXTURE, evaluation.agreement.share


def _kind(a: PreparedImage, b: PreparedImage, found: Evaluation, params: VerifyParams) -> str:
    """Return the first of `KINDS` that fits a confirmed pair."""
    pixels = in_pixels(found.matrix, a.size, b.size)
    if np.linalg.det(pixels[:2, :2]) < 0:
        return "mirrored"
    if turned_degrees(pixels) > params.kind.min_turn:
        return "rotated"
    share_b, share_a = overlap_of(found.matrix)
    if min(share_a, share_b) < params.kind.whole_share:
        if max(share_a, share_b) < params.kind.whole_share:
            return "cropped"
        outer, seen_in = (a, found.matrix) if share_a < share_b else (b, inverse(found.matrix))
        return _kind_by_surroundings(outer, seen_in, params)
    if found.marked:
        return "captioned"
    if found.toned or (found.colors is not None and found.colors.recolored):
        return "recolored"
    return "aligned"


def _kind_by_surroundings(outer: PreparedImage, inner: NDArray[np.float64], params: VerifyParams) -> str:
    """Return the kind of a copy by what surrounds it in the outer image: a plain border, a caption, or more image."""
    around = find_uncovered(inner, (outer.gray.shape[1], outer.gray.shape[0]))
    if not around.any():
        return "cropped"
    levels = outer.gray[around].astype(np.float32)
    plain = float((np.abs(levels - np.median(levels)) < params.preparation.border_tolerance).mean())
    if plain > params.kind.plain_border:
        return "bordered"
    corners = inner @ np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    wide = abs(corners[0, 1] - corners[0, 0]) > params.kind.whole_share
    return "captioned" if wide and plain > params.kind.plain_caption else "cropped"
