"""Flags, icons and codes, drawn with Pillow."""

from __future__ import annotations

import math
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from visdiv_assets_tests.testing.corpora.shared import (
    INK,
    STRONG_COLORS,
    WHITE,
    WORDS,
    Color,
    Content,
    font,
    other_of,
    page,
    soft,
)

#: Colors of flags, each with what it becomes when a flag's one color changes: no color is in both columns, so that
#: a changed flag is never that of another group. Dark stays dark and light stays light.
_DARK: tuple[tuple[Color, Color], ...] = (
    ((200, 16, 46), (25, 25, 95)),
    ((0, 56, 168), (120, 20, 20)),
    ((0, 122, 61), (200, 0, 120)),
    ((128, 0, 128), (95, 95, 0)),
    ((120, 70, 20), (70, 60, 210)),
    ((90, 100, 110), (165, 50, 75)),
    ((0, 130, 140), (175, 80, 25)),
)
_LIGHT: tuple[tuple[Color, Color], ...] = (
    ((252, 209, 22), (165, 240, 205)),
    ((255, 255, 255), (255, 200, 160)),
    ((255, 150, 40), (110, 225, 225)),
    ((110, 180, 230), (215, 195, 130)),
    ((240, 150, 190), (190, 185, 60)),
    ((150, 210, 80), (205, 160, 245)),
)


def flag(template: Random, content: Content) -> Image.Image:
    """One pattern in other colors: dark, light, and dark again."""
    width = template.randint(660, 960)
    height = round(width * template.choice((0.5, 0.6, 0.667)))
    pattern = template.choice(("rows", "columns", "cross", "disc", "triangle", "canton"))
    places = content.triple(len(_DARK), len(_LIGHT))
    chosen = [(table[i], False) for table, i in zip((_DARK, _LIGHT, _DARK), places, strict=True)]
    content.alter(chosen, lambda choice, _: (choice[0], True))
    first, second, third = (pair[changed] for pair, changed in chosen)
    image, draw = page(width, height, first)
    if pattern in ("rows", "triangle"):
        draw.rectangle((0, height / 3, width, height * 2 / 3), fill=second)
        draw.rectangle((0, height * 2 / 3, width, height), fill=third if pattern == "rows" else first)
        if pattern == "triangle":
            draw.polygon(((0, 0), (width * 0.4, height / 2), (0, height)), fill=third)
    elif pattern == "columns":
        draw.rectangle((width / 3, 0, width * 2 / 3, height), fill=second)
        draw.rectangle((width * 2 / 3, 0, width, height), fill=third)
    elif pattern == "cross":
        for thickness, color in ((0.26, second), (0.12, third)):
            half = height * thickness / 2
            draw.rectangle((width * 0.36 - half, 0, width * 0.36 + half, height), fill=color)
            draw.rectangle((0, height / 2 - half, width, height / 2 + half), fill=color)
    elif pattern == "disc":
        draw.rectangle((0, height / 2, width, height), fill=second)
        draw.circle((width / 2, height / 2), height * 0.28, fill=third)
    else:
        for row in range(1, 9, 2):
            draw.rectangle((0, height * row / 9, width, height * (row + 1) / 9), fill=second)
        draw.rectangle((0, 0, width * 0.4, height * 5 / 9), fill=third)
    _emblem(draw, template, width, height, pattern)
    return image


_GLYPHS = tuple(
    "ABDEGHKMNPQRSTWXZ23456789&@#?!%\u2605\u2660\u2665\u2663\u2602\u260e\u266b\u2708\u2709\u270e\u2714\u2716"
)


def icon(template: Random, content: Content) -> Image.Image:
    """A sheet of icons: their shape and size are the template's, glyphs and colors the content's."""
    columns, rows, side = template.randint(3, 5), template.randint(2, 4), template.randint(150, 190)
    image, draw = page(columns * side, rows * side, template.choice((WHITE, (238, 240, 244), (30, 34, 44))))
    shape, glyph_share = template.choice(("round", "disc", "square")), template.uniform(0.4, 0.55)
    light = template.random() < 0.75
    # One color for all: an icon with a color of its own would be the most of what a model sees.
    tint = template.choice(STRONG_COLORS[:3] + STRONG_COLORS[8:11])
    icons = [(content.random.choice(_GLYPHS), tint) for _ in range(columns * rows)]
    content.alter(icons, _other_icon)
    for i, (glyph, color) in enumerate(icons):
        x, y = (i % columns + 0.5) * side, (i // columns + 0.5) * side
        half = side * 0.4
        box = (x - half, y - half, x + half, y + half)
        ground, ink = (color, WHITE) if light else (soft(color, 0.25), color)
        if shape == "disc":
            draw.ellipse(box, fill=ground)
        else:
            draw.rounded_rectangle(box, half * 0.4 if shape == "round" else 0, fill=ground)
        draw.text((x, y), glyph, ink, font(round(side * glyph_share), "bold"), anchor="mm")
    return image


def qr_code(template: Random, content: Content) -> Image.Image:
    """Finder patterns with modules between them, on a label."""
    modules, module = template.choice((25, 29, 33)), template.randint(18, 22)
    side, margin = modules * module, template.randint(60, 110)
    tint = template.choice((INK, INK, STRONG_COLORS[1], STRONG_COLORS[8]))
    image, draw = page(side + 2 * margin, side + 2 * margin + 60, template.choice((WHITE, (245, 245, 240))))
    cells = np.random.default_rng(content.random.getrandbits(64)).random((modules, modules)) < 0.5
    blocks = [cells[row : row + 5, column : column + 5] for row in range(9, modules - 5, 5) for column in (9, 14)]
    kept = [block.copy() for block in blocks]
    content.alter(kept, lambda block, _: ~block)
    for block, new in zip(blocks, kept, strict=True):
        block[:] = new
    for row, column in ((0, 0), (0, modules - 8), (modules - 8, 0)):
        cells[row : row + 8, column : column + 8] = False
    for row, column in ((0, 0), (0, modules - 7), (modules - 7, 0)):
        cells[row : row + 7, column : column + 7] = True
        cells[row + 1 : row + 6, column + 1 : column + 6] = False
        cells[row + 2 : row + 5, column + 2 : column + 5] = True
    stamp = Image.fromarray(np.where(cells, 0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
    image.paste(tint, (margin, margin), stamp.point(lambda level: 255 - level))
    words = template.choice(("SCAN ME", "MENU", "TICKET", "PAY HERE"))
    draw.text((image.width / 2, side + 1.3 * margin + 20), words, tint, font(40, "bold"), anchor="mm")
    return image


#: Bars of the digits in the left half of an EAN-13, 1 for black.
_LEFT_BITS = "0001101 0011001 0010011 0111101 0100011 0110001 0101111 0111011 0110111 0001011"
_LEFT = tuple(_LEFT_BITS.split())


def barcode(template: Random, content: Content) -> Image.Image:
    """A label with a product, a price and an EAN-13 whose first digit is 0."""
    module, high = template.randint(6, 7), template.randint(220, 320)
    width = 95 * module + 120
    image, draw = page(width, high + 230, template.choice((WHITE, (255, 250, 225))))
    draw.rectangle((10, 10, width - 10, image.height - 10), outline=INK, width=3)
    draw.text(
        (60, 60), f"{template.choice(WORDS)} {template.choice(WORDS)}".upper(), INK, font(34, "bold"), anchor="lm"
    )
    digits = [content.random.randrange(10) for _ in range(12)]
    content.alter(digits, other_of(tuple(range(10))))
    draw.text((60, 108), f"Art. {template.randint(1000, 9999)}", INK, font(24), anchor="lm")
    right = ["".join("10"[int(bit)] for bit in _LEFT[digit]) for digit in digits[6:]]
    bars = "101" + "".join(_LEFT[digit] for digit in digits[:6]) + "01010" + "".join(right) + "101"
    for i, bar in enumerate(bars):
        if bar == "1":
            draw.rectangle((60 + i * module, 140, 60 + (i + 1) * module - 1, 140 + high), fill=INK)
    for i, digit in enumerate(digits):
        x = 60 + (6.5 + 7 * i + (5 if i > 5 else 0)) * module
        draw.text((x, 165 + high), str(digit), INK, font(38, "mono"), anchor="mm")
    return image


def _other_icon(value: tuple[str, Color], random: Random) -> tuple[str, Color]:
    """Another glyph, or another color."""
    glyph, color = value
    if random.random() < 0.5:
        return other_of(_GLYPHS)(glyph, random), color
    return glyph, random.choice([c for c in STRONG_COLORS[:3] + STRONG_COLORS[8:12] if c != color])


def _emblem(draw: ImageDraw.ImageDraw, template: Random, width: int, height: int, pattern: str) -> None:
    """Stars, always the same, where the pattern has room for them."""
    x, y = {"canton": (0.2, 0.28), "triangle": (0.13, 0.5), "cross": (0.36, 0.5)}.get(pattern, (0.5, 0.5))
    stars, size = template.choice((1, 3, 5, 12)), height * template.uniform(0.2, 0.24)
    if pattern in ("canton", "cross", "triangle"):
        size *= 0.75
    for i in range(stars):
        turn = 2 * math.pi * i / stars
        middle = (width * x + (stars > 1) * size * math.sin(turn), height * y - (stars > 1) * size * math.cos(turn))
        radius = size if stars == 1 else size * 1.6 / max(stars, 4)
        corners = [(math.pi * j / 5, radius if j % 2 == 0 else radius * 0.4) for j in range(10)]
        points = [(middle[0] + r * math.sin(angle), middle[1] - r * math.cos(angle)) for angle, r in corners]
        draw.polygon(points, fill=WHITE, outline=INK, width=2)
