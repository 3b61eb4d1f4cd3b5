"""What one alignment of two images shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify import evidence as said
from visdiv_assets.duplicates.verify import params
from visdiv_assets.duplicates.verify.agreement import Agreement, compare, largest_region
from visdiv_assets.duplicates.verify.color import ColorChange, compare_colors
from visdiv_assets.duplicates.verify.geometry import in_pixels, overlap_of, plausible
from visdiv_assets.duplicates.verify.overlay import find_overlay, thick, through_watermark
from visdiv_assets.duplicates.verify.photometry import matched_sharpness, matched_tone
from visdiv_assets.duplicates.verify.recolor import clipped, matched_brightness
from visdiv_assets.duplicates.verify.registration import Registered, refine, size_of, warp_into_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visdiv_assets.duplicates.verify.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one alignment shows.

    Attributes:
        matrix: map [3, 3] from b to a in units.
        agreement: the comparison of windows, without what was put over one of the images if that was found.
        largest: area of the largest disagreeing place, in windows' areas.
        overlap: share of the image of smaller area that the other covers.
        tracked: share of tracked points that follow the alignment.
        sharpness: blur that made both equally sharp, pixels.
        colors: the comparison of colors; None if contents differ anyway.
        toned: whether brightness or contrast of the whole image differ.
        marked: whether something was found put over one of the images.
        reason: why the pair is not confirmed under this alignment; empty if it is.
    """

    matrix: NDArray[np.float64]
    agreement: Agreement
    largest: float
    overlap: float
    tracked: float
    sharpness: float
    colors: ColorChange | None
    toned: bool
    marked: bool
    reason: str

    @property
    def decisive(self) -> bool:
        """Whether the alignment is right beyond doubt, so that no other can be."""
        return self.tracked > params.DECISIVE and self.overlap > 0.9


def evaluate_alignment(a: Prepared, b: Prepared, matrix: NDArray[np.float64]) -> Evaluation | None:
    """Make an alignment exact and compare the two images under it.

    Args:
        a: the one.
        b: the other.
        matrix: guessed map [3, 3] from b to a in units.

    Returns:
        None if the guess leads nowhere.
    """
    guess = matrix
    matrix, tracked, count = refine(a, b, guess)
    if count < params.PLENTY_TRACKED or tracked < params.POORLY_TRACKED:
        # Stripes and the like give points nothing to hold on to: the guess may be the better of the two.
        before = _judge(a, b, guess, tracked)
        if before is not None and not before.reason:
            return before
    if count >= params.FEWEST_TRACKED and tracked < params.TRACK_HOPELESS:
        return None
    return _judge(a, b, matrix, tracked)


def _judge(a: Prepared, b: Prepared, matrix: NDArray[np.float64], tracked: float) -> Evaluation | None:
    """Compare two images under an alignment."""
    if not plausible(in_pixels(matrix, size_of(a.gray), size_of(b.gray))):
        return None
    overlap = max(overlap_of(matrix))
    if overlap < params.LEAST_OVERLAP:
        return None
    hopeless = False
    if tracked < params.DECISIVE:
        # A quick look first: most alignments of this kind are wrong.
        laid = warp_into_frame(a, b, matrix, small=True)
        one, two, sharpness = matched(laid)
        agreement = compare(one, two, laid.inside)
        hopeless = agreement.share < params.COARSE_AGREEMENT
    if not hopeless:
        laid = warp_into_frame(a, b, matrix)
        one, two, sharpness = matched(laid)
        agreement = compare(one, two, laid.inside)
    toned = _toned(laid)
    largest = largest_region(agreement.disagrees)
    colors: ColorChange | None = None
    marked = False
    if agreement.windows < params.FEWEST_WINDOWS:
        reason = said.TOO_LITTLE_TEXTURE
    elif hopeless or agreement.share < params.LEAST_MARKED:
        reason = said.CONTENTS_DIFFER
    else:
        colors = compare_colors(a, b, matrix, laid)
        reason = _reason(agreement, largest, _shading(one, two, laid.inside), colors.worst)
        if reason == said.CONTENTS_DIFFER and agreement.share > params.LEAST_RECOLORED:
            leveled = _leveled(one, two, laid, colors)
            if not _reason(leveled, largest_region(leveled.disagrees), 0.0, colors.worst):
                agreement, largest, reason = leveled, largest_region(leveled.disagrees), ""
        if reason:
            without = _without_overlay(one, two, laid, agreement, colors)
            if without is not None:
                agreement, marked, reason = without, True, ""
                largest = largest_region(agreement.disagrees)
    return Evaluation(matrix, agreement, largest, overlap, tracked, sharpness, colors, toned, marked, reason)


def matched(
    laid: Registered, without: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Both images as float32 [h, w], of one tone and sharpness, and the blur that took, in pixels."""
    inside = laid.inside if without is None else laid.inside & ~without
    one, two = matched_tone(laid.frame, laid.other, inside)
    # What lies beyond the other image must not bleed in when the frame's is blurred.
    one = np.where(laid.inside, one, two)
    return matched_sharpness(one, two, inside)


def _toned(laid: Registered) -> bool:
    """Whether the levels of the one are not those of the other."""
    import cv2

    mask = laid.inside.astype(np.uint8)
    (mean1, spread1), (mean2, spread2) = (
        (float(m[0, 0]), float(s[0, 0])) for m, s in (cv2.meanStdDev(i, mask=mask) for i in (laid.frame, laid.other))
    )
    ratio = (spread1 + 1) / (spread2 + 1)
    return abs(mean1 - mean2) > params.TONED_LEVELS or not 1 / params.TONED_RATIO < ratio < params.TONED_RATIO


def _reason(agreement: Agreement, largest: float, shading: float, worst_color: float) -> str:
    if agreement.share < params.AGREEMENT or largest > params.LARGEST_PLACE:
        return said.CONTENTS_DIFFER
    if shading > params.SHADING:
        return said.CONTENTS_DIFFER
    return said.COLORS_DIFFER if worst_color > params.COLOR_DIFFERENCE else ""


def _leveled(one: NDArray[np.float32], two: NDArray[np.float32], laid: Registered, colors: ColorChange) -> Agreement:
    """The comparison with what a global change of color does to the brightness taken into account."""
    import cv2

    size = (one.shape[1], one.shape[0])
    limit = clipped(*colors.views, colors.inside)
    hidden = cv2.resize(limit.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    inside = laid.inside & (cv2.dilate(hidden, np.ones((3, 3), np.uint8)) == 0)
    return compare(matched_brightness(one, two, inside, colors.signals[0]), two, inside)


def _shading(one: NDArray[np.float32], two: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """By how many levels large smooth places differ, which windows with texture do not see.

    The difference of the means of 6 x 6 pixels that only `SHADED_AREA` of all places exceed.
    """
    import cv2

    size = (max(1, one.shape[1] // 6), max(1, one.shape[0] // 6))
    share = cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    there = share > 0.99
    count = int(np.count_nonzero(there))
    if count < 10:
        return 0.0
    values = np.abs(cv2.resize(one - two, size, interpolation=cv2.INTER_AREA))[there]
    rank = count - 1 - max(int(params.SHADED_AREA * count), 3)
    return float(np.partition(values, rank)[rank])


def _without_overlay(
    one: NDArray[np.float32],
    two: NDArray[np.float32],
    laid: Registered,
    agreement: Agreement,
    colors: ColorChange,
) -> Agreement | None:
    """The comparison without what was put over one of the images; None if nothing was, or that is not all."""
    import cv2

    shape = (one.shape[1], one.shape[0])
    remaining = cv2.resize(colors.remaining, shape, interpolation=cv2.INTER_LINEAR)
    colors_differ = remaining > params.COLOR_DIFFERENCE
    place = find_overlay(one, two, laid.inside, agreement.disagrees, colors_differ)
    if place is not None:
        outside = laid.inside & ~place
        one2, two2, _ = matched(laid, place)
        rest = compare(one2, two2, outside)
        shading = _shading(one2, two2, outside)
        worst = colors.worst_outside(cv2.resize(place.astype(np.uint8), colors.valid.shape[::-1]) > 0)
        if rest.windows >= params.FEWEST_WINDOWS and not _reason(rest, largest_region(rest.disagrees), shading, worst):
            return rest
    signals = _enlarged(colors.signals[0], shape), _enlarged(colors.signals[1], shape)
    left = through_watermark(one, two, laid.inside, signals)
    # A field filled with another color is no mark, however little its brightness changed.
    if left is not None and colors.worst < params.MARKED_COLOR and not thick(colors_differ & laid.inside):
        odd = cv2.blur((left > params.MARK_REST).astype(np.float32), (params.WINDOW,) * 2) > 0.12
        odd &= agreement.disagrees
        share = 1.0 - float(np.count_nonzero(odd)) / max(1, int(np.count_nonzero(agreement.textured)))
        if share >= params.AGREEMENT and largest_region(odd) <= params.LARGEST_PLACE:
            return agreement.with_disagreement(odd, share)
    return None


def _enlarged(signal: NDArray[np.complex64], size: tuple[int, int]) -> NDArray[np.complex64]:
    import cv2

    parts = [
        cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_LINEAR)
        for part in (signal.real, signal.imag)
    ]
    return np.asarray(parts[0] + 1j * parts[1], np.complex64)
