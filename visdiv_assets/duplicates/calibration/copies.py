"""Make copies of images in the ways in which people and programs edit images: 53 kinds, each mild and strong.

The kinds and amounts follow what libraries of augmentations for copy detection and training do (AugLy, albumentations,
imgaug), not what verification is written for. A strong copy is one that a person would still call the same image; edits
beyond that (solarized, cut up and shuffled, redrawn as a cartoon) are not made. A copy depends only on the image, the
kind, the strength and a seed. `COPY_KINDS` describes the kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from visdiv_assets.duplicates.calibration import colors, frames, geometry, overlays, quality

if TYPE_CHECKING:
    from PIL.Image import Image

STRENGTHS = ("mild", "strong")

Edit = Callable[["Image", bool, Random], "Image"]


@dataclass(frozen=True)
class CopyKind:
    """One way in which images are edited.

    Attributes:
        name: the `kind` argument of `make_copy`.
        mild: amount of the change at mild strength.
        strong: amount of the change at strong strength.
        edit: makes the copy from an image of mode RGB, whether the change is strong, and what chooses the rest.
    """

    name: str
    mild: str
    strong: str
    edit: Edit = field(repr=False)

    @property
    def description(self) -> str:
        """What changes, in one sentence."""
        return (self.edit.__doc__ or "").strip()


#: What a chain is made of: one edit after another at mild strength.
_SINGLE = (
    CopyKind("emoji", "12 to 25 % of the height", "30 to 45 %", overlays.add_emoji),
    CopyKind("text", "letters of 6 to 12 % of the height", "14 to 24 %", overlays.add_text),
    CopyKind("watermark", "once", "all over", overlays.add_watermark),
    CopyKind("stripes", "12 % of the area, translucent or not", "45 %", overlays.add_stripes),
    CopyKind("squares", "3 to 7 rectangles of about 1 % of the area", "9 to 16", overlays.add_squares),
    CopyKind("pasted_image", "20 to 35 % of the sides", "40 to 55 %", overlays.paste_image),
    CopyKind("edited_part", "25 to 40 % of the sides", "45 to 65 %", overlays.edit_part),
    CopyKind("caption", "8 to 16 % of the height", "22 to 35 %", overlays.add_caption),
    CopyKind("crop", "70 to 85 % of the area kept", "40 to 55 %", geometry.crop),
    CopyKind("rotate", "3 to 10 degrees", "15 to 30", geometry.rotate),
    CopyKind("quarter_turn", "180 degrees", "90 or 270", geometry.quarter_turn),
    CopyKind("mirror", "no other change", "and cropped to 70 to 85 %", geometry.mirror),
    CopyKind("flip", "no other change", "and cropped to 70 to 85 %", geometry.flip),
    CopyKind("pad", "4 to 15 % on every side", "25 to 45 %", geometry.pad),
    CopyKind("pad_square", "to a square", "and 30 to 70 % larger", geometry.pad_square),
    CopyKind("stretch", "by 1.1 to 1.35", "1.5 to 2", geometry.stretch),
    CopyKind("scale", "to 40 to 80 % of the sides", "20 to 35 %", geometry.scale),
    CopyKind("perspective", "corners moved by up to 4 to 9 %", "12 to 20 %", geometry.perspective),
    CopyKind("skew", "by 5 to 12 %", "20 to 35 %", geometry.skew),
    CopyKind("affine", "3 to 10 degrees, to 85 % or more", "15 to 30 degrees, 60 to 80 %", geometry.affine),
    CopyKind("grid_distortion", "cells 12 % larger or smaller", "30 %", geometry.distort_grid),
    CopyKind("elastic_distortion", "by up to 0.8 % of the shorter side", "2 %", geometry.distort_elastic),
    CopyKind("lens_distortion", "by 4 to 10 % at the sides", "15 to 30 %", geometry.distort_lens),
    CopyKind("jpeg", "quality 25 to 55", "6 to 18", quality.save_jpeg),
    CopyKind("downscale", "to 40 to 60 % of the sides and back", "20 to 30 %", quality.downscale),
    CopyKind("pixelate", "to 40 to 60 % of the sides", "20 to 30 %", quality.pixelate),
    CopyKind("blur", "0.2 to 0.5 % of the shorter side", "0.8 to 1.4 %", quality.blur),
    CopyKind("motion_blur", "0.6 to 1.4 % of the shorter side", "2 to 3.5 %", quality.blur_motion),
    CopyKind("sharpen", "2 to 4 times", "6 to 14", quality.sharpen),
    CopyKind("noise", "8 to 18 levels", "25 to 42", quality.add_noise),
    CopyKind("grain", "5 to 10 %", "14 to 25 %", quality.add_grain),
    CopyKind("shuffled_pixels", "1 to 4 %", "8 to 15 %", quality.shuffle_pixels),
    CopyKind("fog", "15 to 35 %", "45 to 65 %", quality.add_fog),
    CopyKind("snow", "60 to 180 flakes", "250 to 500", quality.add_snow),
    CopyKind("rain", "80 to 200 streaks", "300 to 600, and darker", quality.add_rain),
    CopyKind("brightness", "by 0.7 to 1.4", "0.35 to 0.5, or 1.8", colors.change_brightness),
    CopyKind("contrast", "by 0.7 to 1.5", "0.35 to 0.5, or 2", colors.change_contrast),
    CopyKind("saturation", "by 0.5 to 1.7", "0.2, or 2.2 to 3", colors.change_saturation),
    CopyKind("gamma", "by 1.2 to 1.5 or the inverse", "1.8 to 2.6", colors.change_gamma),
    CopyKind("color_jitter", "by 20 % each", "50 %", colors.jitter_colors),
    CopyKind("hue", "8 to 20 degrees", "30 to 60", colors.turn_hue),
    CopyKind("channel_shuffle", "two of three", "all three", colors.shuffle_channels),
    CopyKind("grayscale", "luminance", "one of red, green and blue", colors.make_gray),
    CopyKind("sepia", "50 to 80 %", "whole", colors.make_sepia),
    CopyKind("invert", "no other change", "and 60 to 80 % of the contrast", colors.invert),
    CopyKind("posterize", "16 or 32 levels", "4 or 8", colors.posterize),
    CopyKind("equalize", "by half", "whole", colors.equalize),
    CopyKind("local_contrast", "limit of 1.5 to 3", "4 to 8", colors.raise_local_contrast),
    CopyKind("fade", "60 to 85 % opaque", "30 to 45 %", colors.fade),
)


def _chain(image: Image, strong: bool, random: Random) -> Image:
    """Make one mild edit after another."""
    for kind in random.sample(_SINGLE, 3 if strong else 2):
        image = kind.edit(image, False, random)
    return image


COPY_KINDS = (
    *_SINGLE,
    CopyKind("chain", "two edits", "three", _chain),
    CopyKind("screenshot", "40 to 60 % of the sides or less", "25 to 35 %", frames.frame_screenshot),
    CopyKind("on_image", "60 to 75 % of the sides", "35 to 50 %", frames.lay_on_image),
    CopyKind("collage", "of two", "of four", frames.join_collage),
)
KINDS: tuple[str, ...] = tuple(kind.name for kind in COPY_KINDS)
_EDITS: dict[str, Edit] = {kind.name: kind.edit for kind in COPY_KINDS}


def make_copy(image: Image, kind: str, strength: str, seed: int) -> Image:
    """Make a copy of an image.

    Args:
        image: mode RGB, any size from 1 x 1; it is not changed.
        kind: one of `KINDS`.
        strength: one of `STRENGTHS`.
        seed: seed of the random choices: positions, directions, colors, words, amounts.

    Returns:
        The copy, mode RGB; the same for the same arguments.

    Raises:
        ValueError: the image is not RGB, or the kind or strength is unknown.

    Example:
        >>> from PIL import Image
        >>> make_copy(Image.new("RGB", (300, 200)), "quarter_turn", "strong", seed=0).size
        (200, 300)
    """
    if image.mode != "RGB":
        raise ValueError(f"image is of mode {image.mode!r}; convert it to RGB")
    if kind not in KINDS:
        raise ValueError(f"unknown kind of copy {kind!r}; choose one of {', '.join(KINDS)}")
    if strength not in STRENGTHS:
        raise ValueError(f"unknown strength {strength!r}; choose one of {', '.join(STRENGTHS)}")
    # The seed is a string so that kinds and strengths of one seed do not share their choices.
    return _EDITS[kind](image, strength == "strong", Random(f"{kind}/{strength}/{seed}"))
