"""Evaluate one alignment of two images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.agreement import Agreement, compare_windows, largest_region
from visdiv_assets.duplicates.verify.color import ColorChange, compare_colors
from visdiv_assets.duplicates.verify.evidence import COLORS_DIFFER, CONTENTS_DIFFER, TOO_LITTLE_TEXTURE
from visdiv_assets.duplicates.verify.geometry import in_pixels, is_plausible, overlap_of
from visdiv_assets.duplicates.verify.overlay import find_overlay, is_thick, unexplained_by_watermark
from visdiv_assets.duplicates.verify.params import VerifyParams
from visdiv_assets.duplicates.verify.photometry import match_sharpness, match_tone
from visdiv_assets.duplicates.verify.recolor import find_clipped, match_brightness
from visdiv_assets.duplicates.verify.registration import Registered, refine, size_of, warp_into_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visdiv_assets.duplicates.verify.prepared import PreparedImage


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of comparing two images under one alignment.

    Attributes:
        matrix: map [3, 3] from b to a in units.
        agreement: the comparison of windows, without the overlay if one was found.
        largest: area of the largest disagreeing region, in areas of a window.
        overlap: share of the image of smaller area that the other covers.
        tracked: share of tracked points that follow the alignment.
        decisive: whether the alignment is right beyond doubt, so that no other one needs to be tried.
        sharpness: blur that made both equally sharp, pixels.
        colors: the comparison of colors; None if contents differ.
        toned: whether brightness or contrast of the whole image differ.
        marked: whether one of the images has an overlay.
        reason: why the pair is not confirmed under this alignment; empty if it is.
    """

    matrix: NDArray[np.float64]
    agreement: Agreement
    largest: float
    overlap: float
    tracked: float
    decisive: bool
    sharpness: float
    colors: ColorChange | None
    toned: bool
    marked: bool
    reason: str


def evaluate_alignment(
    a: PreparedImage, b: PreparedImage, matrix: NDArray[np.float64], params: VerifyParams
) -> Evaluation | None:
    """Refine an alignment and compare the two images under it.

    Args:
        a: one image.
        b: the other.
        matrix: guessed map [3, 3] from b to a in units.
        params: parameters of the verification.

    Returns:
        The evaluation; None if the guess is wrong.
    """
    guess = matrix
    matrix, tracked, count = refine(a, b, guess, params.registration)
    if count < params.registration.plenty_points or tracked < params.registration.poor_share:
        # Points slide along stripes, so the guess may be better than the refined map.
        before = _evaluate(a, b, guess, tracked, params)
        if before is not None and not before.reason:
            return before
    if count >= params.registration.min_points and tracked < params.registration.hopeless_share:
        return None
    return _evaluate(a, b, matrix, tracked, params)


def _evaluate(
    a: PreparedImage, b: PreparedImage, matrix: NDArray[np.float64], tracked: float, params: VerifyParams
) -> Evaluation | None:
    """Compare two images under an alignment; None if the alignment is implausible."""
    if not is_plausible(in_pixels(matrix, size_of(a.gray), size_of(b.gray))):
        return None
    overlap = max(overlap_of(matrix))
    if overlap < params.registration.min_overlap:
        return None
    hopeless = False
    if tracked < params.registration.decisive_share:
        # Compare at the small size first: most alignments of this kind are wrong.
        laid = warp_into_frame(a, b, matrix, small=True)
        one, two, sharpness = match_appearance(laid, params)
        agreement = compare_windows(one, two, laid.inside, params.window)
        hopeless = agreement.share < params.decision.min_coarse_agreement
    if not hopeless:
        laid = warp_into_frame(a, b, matrix)
        one, two, sharpness = match_appearance(laid, params)
        agreement = compare_windows(one, two, laid.inside, params.window)
    toned = _is_toned(laid, params)
    largest = largest_region(agreement.disagrees, params.window)
    colors: ColorChange | None = None
    marked = False
    if agreement.windows < params.decision.min_windows:
        reason = TOO_LITTLE_TEXTURE
    elif hopeless or agreement.share < params.decision.min_overlay_agreement:
        reason = CONTENTS_DIFFER
    else:
        colors = compare_colors(a, b, matrix, laid, params.color)
        reason = _find_reason(agreement, largest, _shading(one, two, laid.inside, params), colors.worst, params)
        if reason == CONTENTS_DIFFER and agreement.share > params.decision.min_recolored_agreement:
            leveled = _compare_recolored(one, two, laid, colors, params)
            if not _find_reason(leveled, largest_region(leveled.disagrees, params.window), 0.0, colors.worst, params):
                agreement, largest, reason = leveled, largest_region(leveled.disagrees, params.window), ""
        if reason:
            without = _without_overlay(one, two, laid, agreement, colors, params)
            if without is not None:
                agreement, marked, reason = without, True, ""
                largest = largest_region(agreement.disagrees, params.window)
    decisive = tracked > params.registration.decisive_share and overlap > 0.9
    return Evaluation(matrix, agreement, largest, overlap, tracked, decisive, sharpness, colors, toned, marked, reason)


def match_appearance(
    laid: Registered, params: VerifyParams, without: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Bring two registered images to one tone and sharpness.

    Args:
        laid: the two images in one frame.
        params: parameters of the verification.
        without: bool [h, w], an area that is ignored.

    Returns:
        Both images, float32 [h, w], and the standard deviation of the blur, in pixels.
    """
    inside = laid.inside if without is None else laid.inside & ~without
    one, two = match_tone(laid.frame, laid.other, inside, params)
    # Pixels outside the other image must not bleed in when the frame's image is blurred.
    one = np.where(laid.inside, one, two)
    return match_sharpness(one, two, inside, params)


def _is_toned(laid: Registered, params: VerifyParams) -> bool:
    """Return whether brightness or contrast of the two images differ."""
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


def _find_reason(agreement: Agreement, largest: float, shading: float, worst_color: float, params: VerifyParams) -> str:
    if agreement.share < params.decision.min_agreement or largest > params.decision.max_region:
        return CONTENTS_DIFFER
    if shading > params.decision.max_shading:
        return CONTENTS_DIFFER
    return COLORS_DIFFER if worst_color > params.color.max_difference else ""


def _compare_recolored(
    one: NDArray[np.float32], two: NDArray[np.float32], laid: Registered, colors: ColorChange, params: VerifyParams
) -> Agreement:
    """Compare windows after undoing what a global change of color does to the brightness."""
    import cv2

    size = (one.shape[1], one.shape[0])
    limit = find_clipped(*colors.views, colors.inside, params.color)
    hidden = cv2.resize(limit.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    inside = laid.inside & (cv2.dilate(hidden, np.ones((3, 3), np.uint8)) == 0)
    return compare_windows(
        match_brightness(one, two, inside, colors.signals[0], params.color), two, inside, params.window
    )


def _shading(
    one: NDArray[np.float32], two: NDArray[np.float32], inside: NDArray[np.bool_], params: VerifyParams
) -> float:
    """Return by how many levels large smooth areas differ, which windows with texture do not show.

    This is the difference of the means of 6 x 6 pixels that a share of only `shaded_area` exceeds.
    """
    import cv2

    size = (max(1, one.shape[1] // 6), max(1, one.shape[0] // 6))
    share = cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    there = share > 0.99
    count = int(np.count_nonzero(there))
    if count < 10:
        return 0.0
    values = np.abs(cv2.resize(one - two, size, interpolation=cv2.INTER_AREA))[there]
    rank = count - 1 - max(int(params.decision.shaded_area * count), 3)
    return float(np.partition(values, rank)[rank])


def _without_overlay(
    one: NDArray[np.float32],
    two: NDArray[np.float32],
    laid: Registered,
    agreement: Agreement,
    colors: ColorChange,
    params: VerifyParams,
) -> Agreement | None:
    """Compare windows without the overlay on one of the images; None if there is none, or more than that differs."""
    import cv2

    shape = (one.shape[1], one.shape[0])
    remaining = cv2.resize(colors.remaining, shape, interpolation=cv2.INTER_LINEAR)
    colors_differ = remaining > params.color.max_difference
    place = find_overlay(one, two, laid.inside, agreement.disagrees, colors_differ, params)
    if place is not None:
        outside = laid.inside & ~place
        one2, two2, _ = match_appearance(laid, params, without=place)
        rest = compare_windows(one2, two2, outside, params.window)
        shading = _shading(one2, two2, outside, params)
        worst = colors.worst_outside(cv2.resize(place.astype(np.uint8), colors.valid.shape[::-1]) > 0, params.color)
        if rest.windows >= params.decision.min_windows and not _find_reason(
            rest, largest_region(rest.disagrees, params.window), shading, worst, params
        ):
            return rest
    signals = _enlarge(colors.signals[0], shape), _enlarge(colors.signals[1], shape)
    left = unexplained_by_watermark(one, two, laid.inside, signals, params)
    # An area filled with another color is not a mark, even if its brightness hardly changed.
    if (
        left is not None
        and colors.worst < params.overlay.marked_color
        and not is_thick(colors_differ & laid.inside, params)
    ):
        odd = cv2.blur((left > params.overlay.mark_rest).astype(np.float32), (params.window.side,) * 2) > 0.12
        odd &= agreement.disagrees
        share = 1.0 - float(np.count_nonzero(odd)) / max(1, int(np.count_nonzero(agreement.textured)))
        if share >= params.decision.min_agreement and largest_region(odd, params.window) <= params.decision.max_region:
            return agreement.with_disagreement(odd, share)
    return None


def _enlarge(signal: NDArray[np.complex64], size: tuple[int, int]) -> NDArray[np.complex64]:
    import cv2

    parts = [
        cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_LINEAR)
        for part in (signal.real, signal.imag)
    ]
    return np.asarray(parts[0] + 1j * parts[1], np.complex64)
