"""Geometry, maps and sheet music, drawn with Pillow."""

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
    Content,
    font,
    number,
    other_number,
    other_of,
    page,
    soft,
)


def geometry(template: Random, content: Content) -> Image.Image:
    """One construction with other letters and lengths."""
    width = template.randint(640, 860)
    height = round(width * 0.8)
    image, draw = page(width, height)
    circle, filled = template.random() < 0.5, template.random() < 0.4
    center, radius = (width / 2, height / 2), height * 0.36
    start = template.uniform(0, 2 * math.pi)
    corners = template.choice((3, 3, 4))
    angles = [start + 2 * math.pi * (i + template.uniform(-0.18, 0.18)) / corners for i in range(corners)]
    points = [(center[0] + radius * math.cos(angle), center[1] + radius * math.sin(angle)) for angle in angles]
    letters = content.random.sample("ABCDEFGHKLMNPQRSTUVXYZ", corners)
    labels = (
        letters
        + [f"{number(content.random, 2)} cm" for _ in range(corners)]
        + [f"{content.random.randint(21, 89)}\u00b0"]
    )
    content.alter(
        labels,
        lambda label, random: other_number(label, random) if len(label) > 1 else _other_letter(label, letters, random),
    )
    if circle:
        draw.circle(center, radius, outline=(60, 60, 60), width=3)
        draw.circle(center, 5, fill=INK)
    draw.polygon(points, fill=soft(STRONG_COLORS[1], 0.15) if filled else None, outline=INK, width=4)
    draw.line((points[0], _between(points[1], points[2], 0.5)), fill=(200, 16, 46), width=3)
    size = template.randint(28, 34)
    for i, (x, y) in enumerate(points):
        out = (center[0] + (x - center[0]) * 1.16, center[1] + (y - center[1]) * 1.16)
        draw.text(out, labels[i], INK, font(size, "serif"), anchor="mm")
        middle = _between((x, y), points[(i + 1) % corners], 0.45)
        draw.text(
            middle,
            labels[corners + i],
            (0, 56, 168),
            font(size - 4, "serif"),
            anchor="mm",
            stroke_width=6,
            stroke_fill=WHITE,
        )
    draw.text(_between(points[0], center, 0.4), labels[-1], (0, 122, 61), font(size - 4, "serif"), anchor="mm")
    draw.text((20, 16), f"Fig. {template.randint(1, 60)}", INK, font(22, "serif"))
    return image


def region_map(template: Random, content: Content) -> Image.Image:
    """A map of regions: shaded by a number, or with markers and places."""
    width, height = template.randint(760, 960), template.randint(560, 700)
    regions, shaded = template.randint(12, 18), template.random() < 0.5
    seeds = [(template.uniform(0.1, 0.9) * width, template.uniform(0.1, 0.9) * height) for _ in range(regions)]
    owner, sea = _regions(template, width, height, seeds)
    tint = template.choice((*STRONG_COLORS[:3], (128, 0, 128)))
    if shaded:
        classes = [content.random.randrange(5) for _ in range(regions)]
        on_land = sorted(set(owner[~sea].tolist()), key=lambda region: -int(((owner == region) & ~sea).sum()))
        inland = [classes[region] for region in on_land]
        content.alter(inland, lambda level, random: (level + random.randint(2, 3)) % 5)
        for region, level in zip(on_land, inland, strict=True):
            classes[region] = level
        fills = [soft(tint, 0.15 + 0.2 * level) for level in classes]
    else:
        pastel = [soft(color, 0.25) for color in STRONG_COLORS[:3] + STRONG_COLORS[6:9]]
        fills = [template.choice(pastel) for _ in range(regions)]
    values = np.array(fills, np.uint8)[owner]
    borders = (owner != np.roll(owner, 1, 0)) | (owner != np.roll(owner, 1, 1)) | (sea != np.roll(sea, 1, 1))
    borders |= sea != np.roll(sea, 1, 0)
    values[sea] = (190, 220, 240)
    values[borders & ~(sea & np.roll(sea, 1, 0) & np.roll(sea, 1, 1))] = (90, 90, 90)
    image = Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    if shaded:
        for level in range(5):
            draw.rectangle(
                (20, height - 40 - 30 * level, 50, height - 15 - 30 * level), fill=soft(tint, 0.15 + 0.2 * level)
            )
            draw.text((60, height - 27 - 30 * level), f"{level * 20}-{level * 20 + 20}", INK, font(18), anchor="lm")
    else:
        _markers(draw, template, content, width, height)
    draw.text((20, 16), template.choice(WORDS).capitalize(), INK, font(30, "bold"))
    return image


def sheet_music(template: Random, content: Content) -> Image.Image:
    """Staves with notes; every bar holds four."""
    width, staves, bars = template.randint(760, 920), template.randint(4, 6), template.randint(3, 4)
    gap = template.randint(12, 14)
    height = 120 + staves * gap * 11
    image, draw = page(width, height, template.choice((WHITE, (252, 248, 238))))
    draw.text((width / 2, 45), f"{template.choice(WORDS)} song".title(), INK, font(30, "serif"), anchor="mm")
    bar_width = (width - 150) / bars
    melody = [[content.random.randint(0, 8) for _ in range(4)] for _ in range(staves * bars)]
    content.alter(melody, lambda bar, random: [(note + random.choice((3, 4, 5))) % 9 for note in bar])
    for staff in range(staves):
        top = 110 + staff * gap * 11
        for line in range(5):
            draw.line((30, top + line * gap, width - 30, top + line * gap), fill=INK, width=2)
        _clef(draw, 55, top, gap)
        if staff == 0:
            for i, beats in enumerate("44"):
                draw.text((94, top + gap * (1 + 2 * i)), beats, INK, font(round(gap * 2.4), "bold"), anchor="mm")
        for bar in range(bars):
            left = 120 + bar * bar_width
            draw.line((left + bar_width, top, left + bar_width, top + 4 * gap), fill=INK, width=3)
            for i, pitch in enumerate(melody[staff * bars + bar]):
                x, y = left + (i + 0.5) * bar_width / 4, top + 4 * gap - pitch * gap / 2
                draw.ellipse((x - gap * 0.65, y - gap * 0.48, x + gap * 0.65, y + gap * 0.48), fill=INK)
                stem = (x - gap * 0.6, y + gap * 3) if pitch > 4 else (x + gap * 0.6, y - gap * 3)
                draw.line((stem[0], y, *stem), fill=INK, width=3)
    return image


def _other_letter(letter: str, taken: list[str], random: Random) -> str:
    return random.choice([c for c in "ABCDEFGHKLMNPQRSTUVXYZ" if c not in taken])


def _between(a: tuple[float, float], b: tuple[float, float], share: float) -> tuple[float, float]:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _regions(
    template: Random, width: int, height: int, seeds: list[tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Which region each pixel belongs to, and where the sea is; at half the size, with wavy borders."""
    y, x = np.mgrid[0:height:2, 0:width:2].astype(np.float32)
    wave = [template.uniform(0, 6) for _ in range(4)]
    wx = x + 14 * np.sin(y / 31 + wave[0]) + 9 * np.sin(x / 17 + wave[1])
    wy = y + 14 * np.sin(x / 37 + wave[2]) + 9 * np.sin(y / 19 + wave[3])
    distances = np.stack([(wx - sx) ** 2 + (wy - sy) ** 2 for sx, sy in seeds])
    away = ((wx - width / 2) / (width * 0.46)) ** 2 + ((wy - height / 2) / (height * 0.46)) ** 2
    return np.argmin(distances, axis=0), away > 1


def _markers(draw: ImageDraw.ImageDraw, template: Random, content: Content, width: int, height: int) -> None:
    """Numbered markers at the template's places: which are there, and their names, is the content's."""
    places = []
    for row in range(3):
        for column in range(3):
            x = width * (0.24 + 0.22 * column + template.uniform(-0.03, 0.03))
            places.append((x, height * (0.3 + 0.21 * row + template.uniform(-0.03, 0.03))))
    labels = [(content.random.choice(WORDS).capitalize(), content.random.random() < 0.5) for _ in places]
    content.alter(labels, lambda label, random: (other_of(WORDS)(label[0].lower(), random).capitalize(), not label[1]))
    for (x, y), (name, important) in zip(places, labels, strict=True):
        draw.ellipse((x - 11, y - 11, x + 11, y + 11), fill=(200, 16, 46) if important else WHITE, outline=INK, width=3)
        draw.text((x, y + 28), name, INK, font(20, "bold"), anchor="mm", stroke_width=2, stroke_fill=WHITE)


def _clef(draw: ImageDraw.ImageDraw, x: float, top: float, gap: int) -> None:
    """Something like a treble clef."""
    draw.arc((x - gap, top + gap * 1.6, x + gap * 1.2, top + gap * 4), 0, 330, INK, 3)
    draw.arc((x - gap * 1.4, top - gap * 0.2, x + gap * 1.4, top + gap * 4.2), 60, 250, INK, 3)
    draw.arc((x - gap * 0.5, top - gap * 1.8, x + gap * 0.9, top + gap * 1.2), 150, 420, INK, 3)
    draw.line((x + gap * 0.1, top - gap * 1.7, x + gap * 0.3, top + gap * 5.2), fill=INK, width=3)
    draw.ellipse((x - gap * 0.6, top + gap * 4.8, x + gap * 0.4, top + gap * 5.8), fill=INK)
