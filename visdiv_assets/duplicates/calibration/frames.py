"""Edits that put an image into a larger one: screenshots, other images, collages."""

from __future__ import annotations

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


def frame_screenshot(image: Image, strong: bool, random: Random) -> Image:
    """Show the image in a drawn page of a browser or telephone; it takes a part of it."""
    from PIL import ImageDraw
    from PIL.Image import new

    share = random.uniform(0.25, 0.35) if strong else random.uniform(0.4, 0.6)
    tall = random.random() < 0.5
    dark = random.random() < 0.25
    width = round(image.width / share)
    height = round(max(image.height / share, width * (1.4 if tall else 0.5)))
    ground, faint = ((24, 24, 28), (60, 60, 66)) if dark else ((255, 255, 255), (226, 228, 232))
    ink = (225, 225, 225) if dark else (50, 50, 54)
    page = new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(page)
    bar = max(4, height // 18)
    draw.rectangle((0, 0, width, bar), fill=random.choice((faint, choose_color(random))))
    left = round((width - image.width) * random.choice((0.5, 0.5, 0.8)))
    top = round(bar + (height - bar - image.height) * random.uniform(0.3, 0.7))
    line = max(5, height // 45)
    for y in range(bar + line, height - line, 2 * line):
        # Text where the image is not.
        beside = top - line <= y <= top + image.height
        room = left - 2 * line if beside else width - 2 * line
        if random.random() < 0.7 and room > 6 * line:
            letters = draw_letters(choose_words(random, random.randint(3, 7)), line * 0.9, room, random)
            paste_letters(page, letters, (line, y), ink)
    for _ in range(random.randint(2, 5)):
        x, y = random.randrange(width), round(bar * random.uniform(1.2, 2))
        draw.ellipse((x, y, x + bar, y + bar), fill=choose_color(random))
    page.paste(image, (left, top))
    return page


def lay_on_image(image: Image, strong: bool, random: Random) -> Image:
    """Lay the image on another, larger one."""
    share = random.uniform(0.35, 0.5) if strong else random.uniform(0.6, 0.75)
    size = round(image.width / share), round(image.height / share)
    result = draw_scene(size, random)
    result.paste(image, (random.randint(0, size[0] - image.width), random.randint(0, size[1] - image.height)))
    return result


def join_collage(image: Image, strong: bool, random: Random) -> Image:
    """Put the image beside one other image, or into one corner of four."""
    from PIL.Image import new

    columns, rows = (2, 2) if strong else random.choice(((2, 1), (1, 2)))
    gap = random.choice((0, max(image.size) // 60))
    wide, high = image.width + gap, image.height + gap
    result = new("RGB", (columns * wide - gap, rows * high - gap), random.choice(("white", "black")))
    own = random.randrange(columns * rows)
    for index in range(columns * rows):
        part = image if index == own else draw_scene(image.size, random)
        result.paste(part, (index % columns * wide, index // columns * high))
    return result
