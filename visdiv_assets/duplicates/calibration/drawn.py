"""Draw what edits put on, under or around an image: letters, and scenes that stand for other images."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

Color = tuple[int, int, int]

#: Font sizes of Pillow's own font; a smaller one shows no letters.
_MIN_FONT_SIZE, _MAX_FONT_SIZE = 6, 200
_TEXT = (
    "when you see it at last the whole story here today only for friends of this place never before good morning "
    "everyone look what they did again source unknown by archive read more below part two best of the year nobody "
    "expected that result 2019 $5 #1 50 %"
)


def choose_words(random: Random, count: int) -> str:
    """Return some words, in small letters, with a capital, or in capitals."""
    text = " ".join(random.sample(_TEXT.split(), count))
    return random.choice((text, text.capitalize(), text.upper()))


def choose_color(random: Random) -> Color:
    """Return any color."""
    return random.randrange(256), random.randrange(256), random.randrange(256)


def draw_letters(text: str, height: float, width: float, random: Random) -> Image:
    """Return a mask of a line of text, mode L, trimmed, in one of several fonts.

    Args:
        text: the line.
        height: height of the letters in pixels, about; less if the line would be wider than `width`.
        width: maximum width in pixels.
        random: chooses the font: that of Pillow, plain or bold, or one of the Hershey fonts of OpenCV.
    """
    style = random.choice(("plain", "plain", "bold", "duplex", "triplex", "script"))
    mask = _by_opencv(text, height, style) if style in ("duplex", "triplex", "script") else None
    if mask is None:
        mask = _by_pillow(text, height, bold=style == "bold")
    trimmed = mask.crop(mask.getbbox())
    shrink = min(1.0, width / trimmed.width)
    if shrink == 1.0:
        return trimmed
    return trimmed.resize((max(1, round(trimmed.width * shrink)), max(1, round(trimmed.height * shrink))))


def _by_pillow(text: str, height: float, *, bold: bool) -> Image:
    from PIL import ImageDraw, ImageFont
    from PIL.Image import new

    size = min(max(round(height), _MIN_FONT_SIZE), _MAX_FONT_SIZE)
    font = ImageFont.load_default(size=size)
    stroke = size // 16 if bold else 0
    left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
    mask = new("L", (max(1, round(right - left) + 2), max(1, round(bottom - top) + 2)))
    ImageDraw.Draw(mask).text((1 - left, 1 - top), text, fill=255, font=font, stroke_width=stroke)
    return mask


def _by_opencv(text: str, height: float, style: str) -> Image:
    import cv2
    from PIL.Image import fromarray

    fonts = {"duplex": cv2.FONT_HERSHEY_DUPLEX, "triplex": cv2.FONT_HERSHEY_TRIPLEX}
    font = fonts.get(style, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)
    scale = max(height, float(_MIN_FONT_SIZE)) / 30
    thickness = max(1, round(scale * 1.5))
    (wide, high), below = cv2.getTextSize(text, font, scale, thickness)
    mask = np.zeros((high + 2 * below + 2 * thickness, wide + 2 * thickness), np.uint8)
    cv2.putText(mask, text, (thickness, high + below), font, scale, 255, thickness, cv2.LINE_AA)
    return fromarray(mask)


def draw_scene(size: tuple[int, int], random: Random) -> Image:
    """Return an image of soft colors at several scales with some shapes on it, which stands for another photograph.

    Args:
        size: width and height in pixels.
        random: chooses everything.
    """
    from PIL import ImageDraw
    from PIL.Image import fromarray

    noise = smooth_noise(size, (3, 9, 27, 81), random)
    # Photographs have few colors.
    gray = noise.mean(2, keepdims=True)
    image = fromarray(np.asarray(gray + 0.35 * (noise - gray), np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(random.randint(2, 6)):
        x, y = random.uniform(0, size[0]), random.uniform(0, size[1])
        wide, high = random.uniform(0.05, 0.3) * size[0], random.uniform(0.05, 0.3) * size[1]
        shape = random.choice((draw.ellipse, draw.rectangle))
        shape((x - wide, y - high, x + wide, y + high), fill=choose_color(random))
    return image


def smooth_noise(size: tuple[int, int], scales: tuple[int, ...], random: Random) -> NDArray[np.uint8]:
    """Return noise, uint8 [h, w, 3], that is smooth between so many points on each side; finer scales are fainter."""
    import cv2

    chance = np.random.default_rng(random.getrandbits(64))
    total = np.zeros((size[1], size[0], 3), np.float32)
    for index, points in enumerate(scales):
        coarse = chance.normal(0, 70 / 1.5**index, (points, points, 3)).astype(np.float32)
        total += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(total + chance.uniform(60, 200, 3), 0, 255), np.uint8)


def paste_letters(image: Image, letters: Image, position: tuple[int, int], ink: Color, opacity: float = 1.0) -> None:
    """Write letters on an image, in place.

    Args:
        image: mode RGB.
        letters: a mask, as `draw_letters` returns it.
        position: left and upper edge in pixels.
        ink: the color.
        opacity: 0 to 1.
    """
    mask = letters if opacity == 1.0 else letters.point([round(level * opacity) for level in range(256)])
    image.paste(ink, (*position, position[0] + mask.width, position[1] + mask.height), mask)
