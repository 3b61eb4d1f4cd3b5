"""Edits of colors and brightness of the whole image."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

#: Sepia tones of red, green and blue (the matrix that browsers use).
_SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], np.float32)


def change_brightness(image: Image, strong: bool, random: Random) -> Image:
    """Make darker or brighter."""
    from PIL.ImageEnhance import Brightness

    factor = random.choice((0.35, 0.5, 1.8)) if strong else random.choice((0.7, 0.8, 1.25, 1.4))
    return Brightness(image).enhance(factor * random.uniform(0.93, 1.07))


def change_contrast(image: Image, strong: bool, random: Random) -> Image:
    """Lower or raise the contrast."""
    from PIL.ImageEnhance import Contrast

    factor = random.choice((0.35, 0.5, 2.0)) if strong else random.choice((0.7, 0.8, 1.3, 1.5))
    return Contrast(image).enhance(factor * random.uniform(0.93, 1.07))


def change_saturation(image: Image, strong: bool, random: Random) -> Image:
    """Lower or raise the saturation."""
    from PIL.ImageEnhance import Color

    factor = random.choice((0.2, 2.2, 3.0)) if strong else random.choice((0.5, 0.7, 1.4, 1.7))
    return Color(image).enhance(factor * random.uniform(0.93, 1.07))


def change_gamma(image: Image, strong: bool, random: Random) -> Image:
    """Make dark tones darker or brighter."""
    power = (random.uniform(1.8, 2.6) if strong else random.uniform(1.2, 1.5)) ** random.choice((-1, 1))
    return image.point([round(255 * (level / 255) ** power) for level in range(256)] * 3)


def jitter_colors(image: Image, strong: bool, random: Random) -> Image:
    """Change brightness, contrast and saturation, each at random."""
    from PIL.ImageEnhance import Brightness, Color, Contrast

    most = 0.5 if strong else 0.2
    for enhance in random.sample((Brightness, Contrast, Color), 3):
        image = enhance(image).enhance(1 + random.uniform(-most, most))
    return image


def turn_hue(image: Image, strong: bool, random: Random) -> Image:
    """Turn all hues."""
    from PIL.Image import merge

    degrees = (random.uniform(30, 60) if strong else random.uniform(8, 20)) * random.choice((-1, 1))
    hue, saturation, value = image.convert("HSV").split()
    shift = round(degrees * 256 / 360)
    return merge("HSV", (hue.point([(level + shift) % 256 for level in range(256)]), saturation, value)).convert("RGB")


def shuffle_channels(image: Image, strong: bool, random: Random) -> Image:
    """Exchange two of red, green and blue, or all three."""
    from PIL.Image import merge

    orders = ((1, 2, 0), (2, 0, 1)) if strong else ((1, 0, 2), (0, 2, 1), (2, 1, 0))
    bands = image.split()
    return merge("RGB", [bands[index] for index in random.choice(orders)])


def make_gray(image: Image, strong: bool, random: Random) -> Image:
    """Remove the colors; a strong copy has the brightness of one of red, green and blue."""
    from PIL.Image import merge

    gray = random.choice(image.split()) if strong else image.convert("L")
    return merge("RGB", [gray] * 3)


def make_sepia(image: Image, strong: bool, random: Random) -> Image:
    """Tone the image brown; a mild copy keeps some of its colors."""
    from PIL.Image import fromarray

    pixels = np.asarray(image, np.float32)
    share = np.float32(1.0 if strong else random.uniform(0.5, 0.8))
    toned = np.minimum(pixels @ _SEPIA.T, 255) * share + pixels * (1 - share)
    return fromarray(toned.astype(np.uint8))


def invert(image: Image, strong: bool, random: Random) -> Image:
    """Return the negative; that of a strong copy has less contrast."""
    from PIL import ImageOps
    from PIL.ImageEnhance import Contrast

    negative = ImageOps.invert(image)
    return Contrast(negative).enhance(random.uniform(0.6, 0.8)) if strong else negative


def posterize(image: Image, strong: bool, random: Random) -> Image:
    """Keep few levels of red, green and blue."""
    from PIL import ImageOps

    return ImageOps.posterize(image, random.choice((2, 3)) if strong else random.choice((4, 5)))


def equalize(image: Image, strong: bool, random: Random) -> Image:
    """Use all levels equally; a mild copy is half equalized."""
    from PIL import ImageOps
    from PIL.Image import blend

    equalized = ImageOps.equalize(image)
    return equalized if strong else blend(image, equalized, random.uniform(0.4, 0.7))


def raise_local_contrast(image: Image, strong: bool, random: Random) -> Image:
    """Equalize tiles of the brightness (CLAHE)."""
    import cv2
    from PIL.Image import fromarray

    clip = random.uniform(4, 8) if strong else random.uniform(1.5, 3)
    parts = np.array(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2LAB), np.uint8)
    parts[..., 0] = cv2.createCLAHE(clip, (8, 8)).apply(np.ascontiguousarray(parts[..., 0]))
    return fromarray(np.asarray(cv2.cvtColor(parts, cv2.COLOR_LAB2RGB), np.uint8))


def fade(image: Image, strong: bool, random: Random) -> Image:
    """Make the image translucent on white."""
    from PIL.Image import blend, new

    opacity = random.uniform(0.3, 0.45) if strong else random.uniform(0.6, 0.85)
    return blend(new("RGB", image.size, "white"), image, opacity)
