"""Make copies of images in the ways in which images get copied: twelve kinds, each mild, medium and strong.

A strong copy is one that a person would still call the same image. A copy depends only on the image, the kind, the
strength and a seed. `COPY_KINDS` describes the kinds.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.calibration.overlays import add_caption, add_overlay

if TYPE_CHECKING:
    from PIL.Image import Image

STRENGTHS = ("mild", "medium", "strong")

#: Minimum shorter side of a reduced copy; smaller thumbnails show nothing.
MIN_SIDE = 64


@dataclass(frozen=True)
class CopyKind:
    """One way in which images get copied.

    Attributes:
        name: the `kind` argument of `make_copy`.
        description: the change, and what the seed chooses.
        mild: amount of the change at mild strength.
        medium: amount of the change at medium strength.
        strong: amount of the change at strong strength.
    """

    name: str
    description: str
    mild: str
    medium: str
    strong: str


COPY_KINDS = (
    CopyKind("jpeg", "saved as JPEG of a lower quality", "quality 70", "quality 40", "quality 20"),
    CopyKind(
        "resize",
        f"made smaller, no side below {MIN_SIDE} pixels; seed: filter",
        "70 % of the sides",
        "50 %",
        "30 %",
    ),
    CopyKind("crop", "cropped to a part; seed: its position and shape", "90 % of the area kept", "75 %", "60 %"),
    CopyKind(
        "border",
        "padded; seed: white, black, a color, one side only, or the bars of a window as in a screenshot",
        "5 % of the longer side in all",
        "12 %",
        "25 %",
    ),
    CopyKind(
        "caption",
        "one or two lines of text; seed: on a strip above or below the image, or on a band over it",
        "8 % of the height",
        "15 %",
        "22 %",
    ),
    CopyKind("blur", "Gaussian blur", "sigma 0.2 % of the shorter side", "0.5 %", "1 %"),
    CopyKind(
        "rotate",
        "rotated slightly; seed: direction, and corners white or black (all kept) or cut off and filled from the edge",
        "2 degrees",
        "5 degrees",
        "10 degrees",
    ),
    CopyKind("quarter_turn", "rotated by a right angle; three angles instead of strengths", "90 degrees", "180", "270"),
    CopyKind(
        "mirror",
        "mirrored left to right",
        "no other change",
        "and JPEG of quality 50",
        "and 85 % of the area kept, and JPEG of quality 50",
    ),
    CopyKind(
        "grayscale",
        "color removed; a mild or medium copy of an image without color is identical",
        "40 % of the saturation kept",
        "gray",
        "gray with more contrast, toned (seed: sepia or blue), with grain",
    ),
    CopyKind(
        "color",
        "three of brightness, contrast, saturation, gamma, color temperature and hue; seed: which, and up or down",
        "by 10 %, hue by 4 degrees",
        "by 25 %, hue by 9 degrees",
        "by 40 %, hue by 14 degrees",
    ),
    CopyKind(
        "overlay",
        "overlaid; seed: an opaque logo or emoji anywhere, or a translucent watermark",
        "logo or emoji of 2 % of the area; watermark in a corner",
        "5 %; watermark across",
        "10 %; watermark all over",
    ),
)

KINDS: tuple[str, ...] = tuple(kind.name for kind in COPY_KINDS)


def make_copy(image: Image, kind: str, strength: str, seed: int) -> Image:
    """Make a copy of an image.

    Args:
        image: mode RGB, any size from 1 x 1; it is not changed.
        kind: one of `KINDS`.
        strength: one of `STRENGTHS`.
        seed: seed of the random choices: positions, directions, colors, words.

    Returns:
        The copy, mode RGB; the same for the same arguments.

    Raises:
        ValueError: the image is not RGB, or the kind or strength is unknown.

    Example:
        >>> from PIL import Image
        >>> make_copy(Image.new("RGB", (300, 200)), "resize", "medium", seed=0).size
        (150, 100)
    """
    if image.mode != "RGB":
        raise ValueError(f"image is of mode {image.mode!r}; convert it to RGB")
    if kind not in KINDS:
        raise ValueError(f"unknown kind of copy {kind!r}; choose one of {', '.join(KINDS)}")
    if strength not in STRENGTHS:
        raise ValueError(f"unknown strength {strength!r}; choose one of {', '.join(STRENGTHS)}")
    # The seed is a string so that kinds and strengths of one seed do not share their choices.
    return _MAKERS[kind](image, STRENGTHS.index(strength), Random(f"{kind}/{strength}/{seed}"))


def _jpeg(image: Image, level: int, _: Random) -> Image:
    return _as_jpeg(image, (70, 40, 20)[level])


def _as_jpeg(image: Image, quality: int) -> Image:
    from PIL.JpegImagePlugin import JpegImageFile

    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    stream.seek(0)
    return JpegImageFile(stream).convert("RGB")


def _resize(image: Image, level: int, random: Random) -> Image:
    from PIL.Image import Resampling

    shorter = min(image.size)
    factor = max((0.7, 0.5, 0.3)[level], min(1.0, MIN_SIDE / shorter))
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, random.choice((Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS)))


def _crop(image: Image, level: int, random: Random) -> Image:
    return _crop_to(image, (0.9, 0.75, 0.6)[level], random)


def _crop_to(image: Image, area: float, random: Random) -> Image:
    # From both sides cut equally to mostly one side cut.
    share = area ** random.uniform(0.2, 0.8)
    width = max(1, round(image.width * share))
    height = max(1, round(image.height * area / share))
    left, top = random.randint(0, image.width - width), random.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def _border(image: Image, level: int, random: Random) -> Image:
    from PIL import ImageDraw
    from PIL.Image import new

    total = max(1, round(max(image.size) * (0.05, 0.12, 0.25)[level]))
    style = random.choice(("white", "black", "color", "one side", "window"))
    color = {"white": (255, 255, 255), "black": (0, 0, 0), "window": (240, 240, 242)}.get(style)
    if color is None:
        color = (random.randrange(256), random.randrange(256), random.randrange(256))
    half = (total + 1) // 2
    left, top, right, bottom = half, half, half, half
    if style == "one side":
        sides = [0, 0, 0, 0]
        sides[random.randrange(4)] = total
        left, top, right, bottom = sides
    elif style == "window":
        left = right = bottom = max(1, total // 12)
        top = max(1, total - bottom)
    padded = new("RGB", (image.width + left + right, image.height + top + bottom), color)
    padded.paste(image, (left, top))
    if style == "window":
        draw = ImageDraw.Draw(padded)
        dot = top / 5
        for index, fill in enumerate(((237, 106, 94), (245, 191, 79), (98, 197, 84))):
            center = left + top * (0.5 + 0.6 * index)
            draw.ellipse((center - dot, top / 2 - dot, center + dot, top / 2 + dot), fill=fill)
        start = left + 2.4 * top
        if padded.width - right > start:
            draw.rectangle((start, top * 0.25, padded.width - right, top * 0.75), fill=(255, 255, 255))
    return padded


def _blur(image: Image, level: int, _: Random) -> Image:
    from PIL.ImageFilter import GaussianBlur

    return image.filter(GaussianBlur(max(0.4, min(image.size) * (0.002, 0.005, 0.01)[level])))


def _rotate(image: Image, level: int, random: Random) -> Image:
    from PIL.Image import Resampling, fromarray

    angle = (2, 5, 10)[level] * random.choice((-1, 1))
    fill = random.choice(("white", "black", "edge"))
    if fill != "edge":
        return image.rotate(angle, Resampling.BICUBIC, expand=True, fillcolor=fill)
    margin = math.ceil(max(image.size) * math.sin(math.radians(abs(angle)))) + 1
    padded = fromarray(np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
    turned = padded.rotate(angle, Resampling.BICUBIC)
    return turned.crop((margin, margin, margin + image.width, margin + image.height))


def _quarter_turn(image: Image, level: int, _: Random) -> Image:
    from PIL.Image import Transpose

    return image.transpose((Transpose.ROTATE_90, Transpose.ROTATE_180, Transpose.ROTATE_270)[level])


def _mirror(image: Image, level: int, random: Random) -> Image:
    from PIL.Image import Transpose

    mirrored = image.transpose(Transpose.FLIP_LEFT_RIGHT)
    if level == 2:
        mirrored = _crop_to(mirrored, 0.85, random)
    return mirrored if level == 0 else _as_jpeg(mirrored, 50)


def _grayscale(image: Image, level: int, random: Random) -> Image:
    from PIL import ImageOps
    from PIL.Image import fromarray
    from PIL.ImageEnhance import Color, Contrast

    if level == 0:
        return Color(image).enhance(0.4)
    gray = image.convert("L")
    if level == 1:
        return gray.convert("RGB")
    dark, light = random.choice((((45, 25, 10), (255, 244, 220)), ((10, 20, 50), (228, 240, 255))))
    toned = ImageOps.colorize(Contrast(gray).enhance(1.3), dark, light)
    grain = np.random.default_rng(random.getrandbits(64)).normal(0, 5, (image.height, image.width, 1))
    return fromarray(np.clip(np.asarray(toned) + grain, 0, 255).astype(np.uint8))


def _color(image: Image, level: int, random: Random) -> Image:
    from PIL.ImageEnhance import Brightness, Color, Contrast

    amount = (0.10, 0.25, 0.40)[level]
    for change in random.sample(("brightness", "contrast", "saturation", "gamma", "temperature", "hue"), 3):
        up = random.random() < 0.5
        factor = 1 + amount if up else 1 / (1 + amount)
        if change == "brightness":
            image = Brightness(image).enhance(factor)
        elif change == "contrast":
            image = Contrast(image).enhance(factor)
        elif change == "saturation":
            image = Color(image).enhance(factor)
        elif change == "gamma":
            image = image.point([round(255 * (value / 255) ** factor) for value in range(256)] * 3)
        elif change == "temperature":
            # Half of the amount goes to red, and half to blue in the opposite direction.
            red, blue = math.sqrt(factor), 1 / math.sqrt(factor)
            image = image.point([min(255, round(value * gain)) for gain in (red, 1, blue) for value in range(256)])
        else:
            image = _turn_hue(image, (4, 9, 14)[level] * (1 if up else -1))
    return image


def _turn_hue(image: Image, degrees: int) -> Image:
    from PIL.Image import merge

    hue, saturation, value = image.convert("HSV").split()
    shift = round(degrees * 256 / 360)
    turned = hue.point([(level + shift) % 256 for level in range(256)])
    return merge("HSV", (turned, saturation, value)).convert("RGB")


def _caption(image: Image, level: int, random: Random) -> Image:
    return add_caption(image, (0.08, 0.15, 0.22)[level], random)


def _overlay(image: Image, level: int, random: Random) -> Image:
    return add_overlay(image, level, random)


_MAKERS: dict[str, Callable[[Image, int, Random], Image]] = {
    "jpeg": _jpeg,
    "resize": _resize,
    "crop": _crop,
    "border": _border,
    "caption": _caption,
    "blur": _blur,
    "rotate": _rotate,
    "quarter_turn": _quarter_turn,
    "mirror": _mirror,
    "grayscale": _grayscale,
    "color": _color,
    "overlay": _overlay,
}
