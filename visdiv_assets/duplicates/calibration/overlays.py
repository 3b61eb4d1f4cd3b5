"""Draw captions, logos, emojis and watermarks on copies, in the font that Pillow includes."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

#: Limits of the font size of captions and watermarks.
_MAX_FONT_SIZE = 200
_MIN_FONT_SIZE = 4

_TEXT = (
    "when you see it at last the whole story here today only for friends of this place never before "
    "good morning everyone look what they did again source unknown photo by archive read more below "
    "part two best of the year nobody expected that result"
)
_OWNERS = ("sample.example", "Stock Archive", "PREVIEW", "images.example", "(c) Photo Desk", "DRAFT")


def add_caption(image: Image, share: float, random: Random) -> Image:
    """Add one or two lines of text on a strip above or below an image, or on a band over it.

    Args:
        image: mode RGB.
        share: height of the strip or band, as a share of the height of the image.
        random: chooses the position, the words and the colors.
    """
    from PIL import ImageDraw
    from PIL.Image import blend, new

    place = random.choice(("above", "below", "over the top", "over the bottom"))
    ground, ink = random.choice((("white", "black"), ("black", "white"), ((28, 60, 110), "white")))
    lines = [
        " ".join(random.sample(_TEXT.split(), random.randint(4, 7))).capitalize() for _ in range(random.randint(1, 2))
    ]
    height = max(1, round(image.height * share))
    added = 0 if place.startswith("over") else height
    result = new("RGB", (image.width, image.height + added), ground)
    result.paste(image, (0, height if place == "above" else 0))
    top = 0 if place in ("above", "over the top") else result.height - height
    if not added:
        band = (0, top, result.width, top + height)
        behind = result.crop(band)
        result.paste(blend(behind, new("RGB", behind.size, ground), 0.7), band)
    font = _fitting_font(lines, image.width * 0.94, height / len(lines) * 0.7)
    if font is not None:
        draw = ImageDraw.Draw(result)
        for index, line in enumerate(lines):
            middle = (result.width / 2, top + height * (index + 0.5) / len(lines))
            draw.text(middle, line, fill=ink, font=font, anchor="mm")
    return result


def add_overlay(image: Image, level: int, random: Random) -> Image:
    """Draw a logo, an emoji or a watermark over an image.

    Args:
        image: mode RGB.
        level: strength of the copy: 0 is mild, 1 medium, 2 strong.
        random: chooses the overlay, its position and its colors.
    """
    style = random.choice(("logo", "emoji", "watermark"))
    if style == "watermark":
        return _add_watermark(image, level, random)
    side = max(1.0, math.sqrt(image.width * image.height * (0.02, 0.05, 0.10)[level]))
    # A logo is half as high as wide. Both shrink to fit into very flat images.
    width, height = (side * math.sqrt(2), side / math.sqrt(2)) if style == "logo" else (side * 1.13, side * 1.13)
    shrink = min(1.0, image.width / width, image.height / height)
    size = (max(1, int(width * shrink)), max(1, int(height * shrink)))
    stamp, mask = _draw_logo(size, random) if style == "logo" else _draw_emoji(size[0], random)
    result = image.copy()
    place = (random.randint(0, image.width - stamp.width), random.randint(0, image.height - stamp.height))
    result.paste(stamp, place, mask)
    return result


def _draw_logo(size: tuple[int, int], random: Random) -> tuple[Image, Image]:
    """Return a rounded box with three letters, and its mask."""
    from PIL import ImageDraw
    from PIL.Image import new

    color = (random.randrange(200), random.randrange(200), random.randrange(200))
    stamp, mask = new("RGB", size, color), new("L", size, 0)
    box = (0, 0, size[0] - 1, size[1] - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius=size[1] // 5, fill=255)
    letters = "".join(random.choices("ABCDEFGHKLMNPRSTVWXZ", k=3))
    font = _fitting_font([letters], size[0] * 0.85, size[1] * 0.8)
    if font is not None:
        ImageDraw.Draw(stamp).text((size[0] / 2, size[1] / 2), letters, fill="white", font=font, anchor="mm")
    return stamp, mask


def _draw_emoji(side: int, random: Random) -> tuple[Image, Image]:
    """Return a round face, smiling or not, and its mask."""
    from PIL import ImageDraw
    from PIL.Image import new

    stamp, mask = new("RGB", (side, side), (255, 205, 66)), new("L", (side, side), 0)
    ImageDraw.Draw(mask).ellipse((0, 0, side - 1, side - 1), fill=255)
    draw = ImageDraw.Draw(stamp)
    for x in (0.33, 0.67):
        draw.ellipse(((x - 0.07) * side, 0.27 * side, (x + 0.07) * side, 0.45 * side), fill=(80, 50, 20))
    start, end, top = (20, 160, 0.35) if random.random() < 0.7 else (200, 340, 0.62)
    draw.arc((0.25 * side, top * side, 0.75 * side, (top + 0.45) * side), start, end, (80, 50, 20), max(1, side // 16))
    return stamp, mask


def _add_watermark(image: Image, level: int, random: Random) -> Image:
    """Draw translucent letters: in a corner, once across the image, or all over it."""
    from PIL import ImageDraw, ImageStat
    from PIL.Image import Resampling, new

    text = random.choice(_OWNERS)
    width = image.width * (0.3, 0.8, 0.35)[level]
    font = _fitting_font([text], width, image.height * (0.08, 0.25, 0.1)[level])
    if font is None:
        return image.copy()
    left, top, right, bottom = font.getbbox(text)
    word = new("L", (max(1, math.ceil(right - left)), max(1, math.ceil(bottom - top))))
    ImageDraw.Draw(word).text((-left, -top), text, fill=(150, 95, 95)[level], font=font)
    mask = new("L", image.size)
    if level == 0:
        gap = min(image.size) // 50
        mask.paste(word, (image.width - word.width - gap, image.height - word.height - gap))
    else:
        turned = word.rotate(random.choice((15, 20, 25)), Resampling.BICUBIC, expand=True)
        if level == 1:
            mask.paste(turned, ((image.width - turned.width) // 2, (image.height - turned.height) // 2))
        else:
            for y in range(0, image.height, turned.height):
                for x in range(0, image.width, round(turned.width * 1.15) + 1):
                    mask.paste(turned, (x, y))
    result = image.copy()
    # White does not show on a page, and black not on a dark image.
    brightness = ImageStat.Stat(image.convert("L")).mean[0]
    result.paste("black" if brightness > 150 else "white", (0, 0), mask)
    return result


def _fitting_font(lines: list[str], width: float, height: float) -> FreeTypeFont | ImageFont | None:
    """Return the largest font in which every line fits; None if even the smallest is too large."""
    from PIL import ImageFont

    size = int(min(height, _MAX_FONT_SIZE))
    if size < _MIN_FONT_SIZE:
        return None
    font = ImageFont.load_default(size=size)
    longest = max(font.getlength(line) for line in lines)
    if longest > width:
        size = int(size * width / longest)
        if size < _MIN_FONT_SIZE:
            return None
        font = ImageFont.load_default(size=size)
    return font
