"""Edits that cover a part of an image: emoji, text, stripes, squares, other images, captions."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

from visdiv_assets.duplicates.calibration.drawn import (
    choose_color,
    choose_words,
    draw_letters,
    draw_scene,
    paste_letters,
)

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

_YELLOW, _DARK, _RED = (255, 204, 77), (70, 45, 15), (221, 46, 68)
#: Emoji are drawn at so many times their size, and reduced, so that their edges are smooth.
_SUPERSAMPLING = 4


def add_emoji(image: Image, strong: bool, random: Random) -> Image:
    """Draw an emoji anywhere, some of them partly outside."""
    share = random.uniform(0.3, 0.45) if strong else random.uniform(0.12, 0.25)
    side = max(4, round(share * min(image.height, 1.5 * image.width)))
    stamp, mask = _draw_emoji(side, random)
    if random.random() < 0.2:
        mask = mask.point([round(level * 0.6) for level in range(256)])
    result = image.copy()
    left = random.randint(-side // 4, max(0, image.width - 3 * side // 4))
    top = random.randint(-side // 4, max(0, image.height - 3 * side // 4))
    result.paste(stamp, (left, top), mask)
    return result


def _draw_emoji(side: int, random: Random) -> tuple[Image, Image]:
    """Return an emoji and its mask: a face, a heart, a star, a sign in a box, or a speech bubble."""
    from PIL import ImageDraw
    from PIL.Image import Resampling, new

    large = side * _SUPERSAMPLING
    stamp, mask = new("RGB", (large, large), _YELLOW), new("L", (large, large), 0)
    draw, cover = ImageDraw.Draw(stamp), ImageDraw.Draw(mask)
    random.choice((_face, _face, _heart, _star, _sign, _bubble))(draw, cover, float(large), random)
    small = (side, side)
    stamp, mask = stamp.resize(small, Resampling.BOX), mask.resize(small, Resampling.BOX)
    turn = random.choice((0, 0, random.uniform(-30, 30)))
    return stamp.rotate(turn, Resampling.BILINEAR), mask.rotate(turn, Resampling.BILINEAR)


def _face(draw: ImageDraw, cover: ImageDraw, side: float, random: Random) -> None:
    cover.ellipse((0, 0, side - 1, side - 1), fill=255)
    if random.random() < 0.5:
        # Lit from above.
        for step in range(20):
            grown = 0.25 * side * step / 20
            color = (255, 235 - 2 * step, 130 - 4 * step)
            draw.ellipse((grown, grown * 0.6, side - grown, side - grown * 1.4), fill=color)
    eyes = random.choice(("dots", "hearts", "closed", "wide"))
    for x in (0.32, 0.68):
        box = ((x - 0.09) * side, 0.27 * side, (x + 0.09) * side, 0.47 * side)
        if eyes == "hearts":
            _fill_heart(draw, box, _RED)
        elif eyes == "closed":
            draw.arc(box, 200, 340, _DARK, max(1, round(side / 24)))
        else:
            draw.ellipse(box, fill="white" if eyes == "wide" else _DARK)
            if eyes == "wide":
                draw.ellipse(((x - 0.04) * side, 0.33 * side, (x + 0.04) * side, 0.42 * side), fill=_DARK)
    mouth = (0.25 * side, 0.4 * side, 0.75 * side, 0.82 * side)
    style = random.choice(("smile", "laugh", "sad"))
    if style == "laugh":
        draw.chord(mouth, 0, 180, fill=(120, 30, 20))
    elif style == "smile":
        draw.arc(mouth, 20, 160, _DARK, max(1, round(side / 18)))
    else:
        draw.arc((mouth[0], 0.65 * side, mouth[2], 0.95 * side), 200, 340, _DARK, max(1, round(side / 18)))


def _heart(draw: ImageDraw, cover: ImageDraw, side: float, random: Random) -> None:
    box = (0.0, 0.0, side - 1, side - 1)
    _fill_heart(draw, box, random.choice((_RED, (120, 70, 200), (40, 130, 220), (20, 20, 20))))
    _fill_heart(cover, box, 255)


def _fill_heart(draw: ImageDraw, box: tuple[float, float, float, float], fill: tuple[int, int, int] | int) -> None:
    left, top, right, bottom = box
    points = []
    for step in range(60):
        turn = 2 * math.pi * step / 60
        x = 16 * math.sin(turn) ** 3
        y = 13 * math.cos(turn) - 5 * math.cos(2 * turn) - 2 * math.cos(3 * turn) - math.cos(4 * turn)
        points.append((left + (x + 16) / 32 * (right - left), top + (12 - y) / 29 * (bottom - top)))
    draw.polygon(points, fill=fill)


def _star(draw: ImageDraw, cover: ImageDraw, side: float, random: Random) -> None:
    rays, inner = random.choice(((5, 0.42), (4, 0.3), (8, 0.6)))
    points = []
    for step in range(2 * rays):
        radius = side / 2 * (inner if step % 2 else 1.0)
        turn = math.pi * step / rays
        points.append((side / 2 + radius * math.sin(turn), side / 2 - radius * math.cos(turn)))
    draw.rectangle((0, 0, side, side), fill=random.choice((_YELLOW, (255, 120, 30), (90, 200, 250))))
    cover.polygon(points, fill=255)


def _sign(draw: ImageDraw, cover: ImageDraw, side: float, random: Random) -> None:
    draw.rectangle((0, 0, side, side), fill=random.choice(((60, 136, 195), _RED, (92, 145, 59), (20, 20, 20))))
    cover.rounded_rectangle((0, 0, side - 1, side - 1), side / 8, fill=255)
    width = round(side / 9)
    if random.random() < 0.5:
        draw.line([(0.8 * side, 0.5 * side), (0.25 * side, 0.5 * side)], "white", width)
        draw.polygon([(0.15 * side, 0.5 * side), (0.45 * side, 0.25 * side), (0.45 * side, 0.75 * side)], "white")
    else:
        draw.line([(0.2 * side, 0.55 * side), (0.42 * side, 0.77 * side), (0.8 * side, 0.25 * side)], "white", width)


def _bubble(draw: ImageDraw, cover: ImageDraw, side: float, random: Random) -> None:
    draw.rectangle((0, 0, side, side), fill=random.choice(("white", (200, 230, 255), (220, 248, 198))))
    cover.rounded_rectangle((0, 0.1 * side, side - 1, 0.7 * side), side / 6, fill=255)
    cover.polygon([(0.2 * side, 0.65 * side), (0.45 * side, 0.65 * side), (0.15 * side, 0.95 * side)], fill=255)
    for x in (0.3, 0.5, 0.7):
        draw.ellipse(((x - 0.06) * side, 0.34 * side, (x + 0.06) * side, 0.46 * side), fill=(90, 90, 90))


def add_text(image: Image, strong: bool, random: Random) -> Image:
    """Write one to three lines over the image."""
    share = random.uniform(0.14, 0.24) if strong else random.uniform(0.06, 0.12)
    result, ink = image.copy(), random.choice(("white", "black", "red", "any"))
    color = {"white": (255, 255, 255), "black": (0, 0, 0), "red": (255, 0, 0)}.get(ink) or choose_color(random)
    opacity = random.choice((1.0, 1.0, 0.7))
    top = round(random.uniform(0, 0.8) * image.height)
    left = round(random.uniform(0, 0.5) * image.width)
    for _ in range(random.randint(1, 3 if strong else 2)):
        text = choose_words(random, random.randint(1, 3))
        letters = draw_letters(text, share * image.height, image.width - left, random)
        paste_letters(result, letters, (left, top), color, opacity)
        top += round(letters.height * 1.4)
    return result


def add_watermark(image: Image, strong: bool, random: Random) -> Image:
    """Write translucent letters: once across the image or in a corner, or all over it."""
    from PIL.Image import Resampling

    result, text = image.copy(), choose_words(random, random.randint(1, 2))
    share = (0.1 if strong else random.choice((0.06, 0.12))) * image.height
    letters = draw_letters(text, share, image.width * (0.4 if strong else 0.8), random)
    ink, opacity = random.choice(((255, 255, 255), (0, 0, 0), (128, 128, 128))), random.uniform(0.25, 0.6)
    if not strong:
        left = random.randint(0, max(0, image.width - letters.width))
        paste_letters(result, letters, (left, random.randint(0, max(0, image.height - letters.height))), ink, opacity)
        return result
    turned = letters.rotate(random.choice((0, 20, 30, -25)), Resampling.BICUBIC, expand=True)
    for top in range(0, image.height, max(1, round(turned.height * 1.3))):
        for left in range(0, image.width, max(1, round(turned.width * 1.2))):
            paste_letters(result, turned, (left, top), ink, opacity)
    return result


def add_stripes(image: Image, strong: bool, random: Random) -> Image:
    """Draw stripes over the image, whole or dashed, in any direction."""
    from PIL import ImageDraw
    from PIL.Image import Resampling, new

    side = math.ceil(math.hypot(*image.size))
    mask = new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    count = random.randint(3, 7)
    share, opacity = (0.45, random.uniform(0.7, 1.0)) if strong else (0.12, random.uniform(0.4, 1.0))
    dash = random.choice((1, 1, random.randint(3, 8)))
    for index in range(count):
        left = side * index / count
        for part in range(dash):
            top = side * part / dash
            bottom = top + side / dash * (1 if dash == 1 else 0.5)
            draw.rectangle((left, top, left + side * share / count, bottom), fill=round(255 * opacity))
    angle = random.choice((0, 90, random.uniform(0, 180)))
    turned = mask.rotate(angle, Resampling.BILINEAR)
    left, top = (side - image.width) // 2, (side - image.height) // 2
    result = image.copy()
    result.paste(choose_color(random), (0, 0), turned.crop((left, top, left + image.width, top + image.height)))
    return result


def add_squares(image: Image, strong: bool, random: Random) -> Image:
    """Fill rectangles of the image, as random erasing does."""
    from PIL import ImageDraw

    result = image.copy()
    draw = ImageDraw.Draw(result)
    color = random.choice(((0, 0, 0), (127, 127, 127), (255, 255, 255), choose_color(random)))
    for _ in range(random.randint(9, 16) if strong else random.randint(3, 7)):
        wide, high = (random.uniform(0.06, 0.13) for _ in range(2))
        x, y = random.uniform(0, 1 - wide), random.uniform(0, 1 - high)
        box = (x * image.width, y * image.height, (x + wide) * image.width, (y + high) * image.height)
        draw.rectangle(box, fill=color)
    return result


def paste_image(image: Image, strong: bool, random: Random) -> Image:
    """Paste another image over a part."""
    share = random.uniform(0.4, 0.55) if strong else random.uniform(0.2, 0.35)
    size = max(1, round(image.width * share)), max(1, round(image.height * share))
    result = image.copy()
    position = random.randint(0, image.width - size[0]), random.randint(0, image.height - size[1])
    result.paste(draw_scene(size, random), position)
    return result


def edit_part(image: Image, strong: bool, random: Random) -> Image:
    """Blur, darken, gray or pixelate a part: a masked composite of the image and an edited one."""
    from PIL import ImageDraw
    from PIL.Image import Resampling, composite, new
    from PIL.ImageEnhance import Brightness, Color
    from PIL.ImageFilter import GaussianBlur

    edit = random.choice(("blur", "dark", "gray", "pixels"))
    if edit == "blur":
        other = image.filter(GaussianBlur(max(2.0, min(image.size) / 40)))
    elif edit == "dark":
        other = Brightness(image).enhance(0.4)
    elif edit == "gray":
        other = Color(image).enhance(0.0)
    else:
        coarse = max(1, image.width // 14), max(1, image.height // 14)
        other = image.resize(coarse, Resampling.BOX).resize(image.size, Resampling.NEAREST)
    share = random.uniform(0.45, 0.65) if strong else random.uniform(0.25, 0.4)
    wide, high = share * image.width, share * image.height
    x, y = random.uniform(0, image.width - wide), random.uniform(0, image.height - high)
    mask = new("L", image.size)
    draw = ImageDraw.Draw(mask)
    random.choice((draw.ellipse, draw.rectangle))((x, y, x + wide, y + high), fill=255)
    return composite(other, image, mask)


def add_caption(image: Image, strong: bool, random: Random) -> Image:
    """Add a strip with a line of text above or below the image, as memes have."""
    from PIL.Image import new

    share = random.uniform(0.22, 0.35) if strong else random.uniform(0.08, 0.16)
    height = max(1, round(image.height * share))
    ground = random.choice(((255, 255, 255), (255, 255, 255), (0, 0, 0), choose_color(random)))
    above = random.random() < 0.7
    result = new("RGB", (image.width, image.height + height), ground)
    result.paste(image, (0, height if above else 0))
    letters = draw_letters(choose_words(random, random.randint(2, 6)), height * 0.6, image.width * 0.94, random)
    ink = (0, 0, 0) if sum(ground) > 380 else (255, 255, 255)
    top = (0 if above else image.height) + max(0, (height - letters.height) // 2)
    paste_letters(result, letters, ((image.width - letters.width) // 2, top), ink)
    return result
