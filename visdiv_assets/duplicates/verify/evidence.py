"""The evidence of a pair: what comparing the pixels of two images shows."""

from __future__ import annotations

from dataclasses import dataclass

#: Kinds of copies, in the order in which they are tried; `unconfirmed` if the pair is not confirmed.
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
#: Reasons why a pair is unconfirmed.
REASONS = (UNREADABLE, TOO_SMALL, TOO_LITTLE_TEXTURE, NO_ALIGNMENT, CONTENTS_DIFFER, COLORS_DIFFER)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whether two images are copies of one another, and the measurements behind it.

    Attributes:
        verified: whether the images are copies.
        kind: one of `KINDS`.
        reason: one of `REASONS` if unconfirmed, else empty.
        transform: row-major 2 x 3 affine map from points of image b to points of image a, both in units of their own
            width and height, corners at 0 and 1; the best one found if contents or colors differ; empty if there is
            none.
        overlap: share of the image of smaller area (under the transform) that the other covers, 0 to 1.
        agreement: share of textured windows in the overlap that agree, 0 to 1.
        windows: number of separate textured windows that were compared.
        disagreement: area of the largest disagreeing region that nothing explains, in areas of a window.
        color_difference: difference of colors that remains after the best global change of color, in the worst area
            of some size, in levels (0 to 255).
        noise: estimated noise of the pair (compression, grain, misalignment), in gray levels.
        sharpness: Gaussian blur that brought the sharper image to the other's sharpness, in pixels of the comparison.
    """

    verified: bool
    kind: str
    reason: str
    transform: tuple[float, ...] = ()
    overlap: float = 0.0
    agreement: float = 0.0
    windows: int = 0
    disagreement: float = 0.0
    color_difference: float = 0.0
    noise: float = 0.0
    sharpness: float = 0.0


def unconfirmed(reason: str) -> Evidence:
    """Return the evidence of a pair that cannot be compared."""
    return Evidence(False, "unconfirmed", reason)
