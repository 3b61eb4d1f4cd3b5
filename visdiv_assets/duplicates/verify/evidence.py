"""What comparing two images' pixels shows."""

from __future__ import annotations

from dataclasses import dataclass

#: What kind of copy a verified pair is, the first that fits; `unconfirmed` for all others.
KINDS = (
    "identical_pixels",  # Same size, same RGB.
    "mirrored",  # With or without a turn.
    "rotated",  # By more than `ROTATED_DEGREES`.
    "cropped",  # Each or one shows a part of the other.
    "bordered",  # One has a plain border around the other.
    "captioned",  # One carries a caption, a logo or a watermark that the other lacks.
    "recolored",  # Brightness, contrast, gamma, saturation or color temperature of the whole image differ.
    "aligned",  # Same view: another size, another compression, another sharpness.
    "unconfirmed",
)

UNREADABLE = "unreadable"
TOO_SMALL = "too small"
TOO_LITTLE_TEXTURE = "too little texture"
NO_ALIGNMENT = "no alignment"
CONTENTS_DIFFER = "contents differ"
COLORS_DIFFER = "colors differ"
#: Why a pair is unconfirmed.
REASONS = (UNREADABLE, TOO_SMALL, TOO_LITTLE_TEXTURE, NO_ALIGNMENT, CONTENTS_DIFFER, COLORS_DIFFER)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whether two images are copies of one another, and what shows it.

    Attributes:
        verified: whether they are.
        kind: one of `KINDS`.
        reason: one of `REASONS` if unconfirmed, else empty.
        transform: row-major 2 x 3 affine map that takes places in image b to places in image a, both in units of
            their own width and height, corners at 0 and 1; the best that was found if contents or colors differ; empty
            if there is none.
        overlap: share of the image of smaller area (under the transform) that the other covers, 0 to 1.
        agreement: share of textured windows in the overlap that agree, 0 to 1.
        windows: number of separate textured windows that were compared.
        disagreement: area of the largest disagreeing place that nothing explains, in windows' areas.
        color_difference: what is left of the colors' difference after the best global change of color, at the
            worst place of some size, in levels (0 to 255).
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
    """The evidence of a pair of which there is nothing to compare."""
    return Evidence(False, "unconfirmed", reason)
