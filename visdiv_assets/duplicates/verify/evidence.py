"""The evidence of a pair: what comparing the local features and pixels of two images shows."""

from __future__ import annotations

from dataclasses import dataclass

#: Kinds of copies, of which `naming.name_kind` chooses; `unconfirmed` if the pair is not confirmed.
KINDS = (
    "identical_pixels",  # Same size, same RGB.
    "mirrored",  # With or without a turn.
    "rotated",  # By more than `KindParams.min_turn`.
    "cropped",  # One shows a part of the other, or each a part of a larger image.
    "bordered",  # One has a plain border around the other.
    "captioned",  # One has a caption, a logo or a watermark that the other lacks.
    "recolored",  # Brightness, contrast, gamma, saturation or color temperature of the whole image differ.
    "aligned",  # Same view in another size, compression or sharpness.
    "unconfirmed",
)

UNREADABLE = "unreadable"
TOO_SMALL = "too small"
TOO_LITTLE_TEXTURE = "too little texture"
NO_ALIGNMENT = "no alignment"
CONTENTS_DIFFER = "contents differ"
COLORS_DIFFER = "colors differ"
TEXTS_DIFFER = "texts differ"  # The pixels agree, but text that was read at one place does not: see `text_differences`.
NOTHING_RARE = "nothing rare"  # They agree in what other images show too, and not exactly.
LOW_CONFIDENCE = "low confidence"  # They agree, but look-alikes do so too often.
COLORS_LOST = "colors lost"  # They agree except that one lacks the colors that tell such images apart.

#: Minimum confidence of a confirmed pair: of these, at most one in a hundred was wrong on images that were held out.
MIN_CONFIDENCE = 0.5

#: Reasons why a pair is undecided: it may be copies.
UNDECIDED = (UNREADABLE, TOO_SMALL, TOO_LITTLE_TEXTURE, NOTHING_RARE, COLORS_LOST, LOW_CONFIDENCE)
#: Reasons why a pair is unconfirmed: undecided or rejected.
REASONS = (*UNDECIDED, NO_ALIGNMENT, CONTENTS_DIFFER, COLORS_DIFFER, TEXTS_DIFFER)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whether two images are copies of one another, and the measurements behind it.

    Attributes:
        verified: true if the pair is confirmed, false if it is rejected, None if it is undecided.
        kind: one of `KINDS`.
        reason: one of `REASONS` if unconfirmed, else empty.
        transform: row-major map from points of image b to points of image a, both in units of their own width and
            height, corners at 0 and 1: 2 x 3 if affine, 3 x 3 if a homography; the best one found if contents or colors
            differ; empty if there is none.
        overlap: share of the image of smaller area (under the transform) that the other covers, 0 to 1.
        agreement: share of textured windows in the overlap that agree, 0 to 1.
        windows: number of separate textured windows that were compared.
        disagreement: area of the largest disagreeing region that nothing explains, in areas of a window.
        color_difference: difference of red, green or blue where contents agree, in levels (0 to 255); 99 % of the
            pixels have less. 0 if colors were not compared.
        inliers: number of local features that agree on the alignment.
        bits: how rarely other images show these features together, -log2.
        photographic: whether features may decide, see `decision.is_photographic`; None if nothing was compared.
        weighed: whether a background told what is rare.
        confidence: probability that the images are copies of one another, 0 to 1; None if it was not estimated.
    """

    verified: bool | None
    kind: str
    reason: str
    transform: tuple[float, ...] = ()
    overlap: float = 0.0
    agreement: float = 0.0
    windows: int = 0
    disagreement: float = 0.0
    color_difference: float = 0.0
    inliers: int = 0
    bits: float = 0.0
    photographic: bool | None = None
    weighed: bool = False
    confidence: float | None = None


def verified_by(reason: str) -> bool | None:
    """Return `Evidence.verified` of a reason of `REASONS`, or of the empty one of a confirmed pair."""
    if not reason:
        return True
    return None if reason in UNDECIDED else False


def unconfirmed(reason: str) -> Evidence:
    """Return the evidence of a pair that cannot be compared."""
    return Evidence(verified_by(reason), "unconfirmed", reason)
