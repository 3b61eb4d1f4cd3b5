"""Draw images for the tests: natural texture, a table, a flag."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def scene(seed: int = 0, width: int = 480, height: int = 360) -> Image.Image:
    """Draw clouds of color with edges at all scales, like a photograph; each seed is another scene."""
    random = np.random.default_rng(seed)
    canvas = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((3, 1.0), (8, 0.6), (24, 0.35), (70, 0.18)):
        layer = random.normal(0, 1, (cells, cells * 4 // 3, 3)).astype(np.float32)
        channels = [
            np.asarray(Image.fromarray(layer[..., c]).resize((width, height), Image.Resampling.BICUBIC))
            for c in range(3)
        ]
        canvas += weight * np.stack(channels, axis=-1)
    image = Image.fromarray(np.clip(128 + 45 * canvas, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        x, y = random.integers(0, width), random.integers(0, height)
        w, h = random.integers(20, 90, 2)
        fill = tuple(int(v) for v in random.integers(0, 256, 3))
        draw.polygon([(x, y), (x + w, y + h // 3), (x + w // 2, y + h)], fill=fill)
    return image


def table(changed: dict[tuple[int, int], str] | None = None, seed: int = 0) -> Image.Image:
    """Draw a table of numbers, 640 x 480; `changed` replaces the text of cells by (row, column)."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=18)
    for row in range(12):
        for column in range(6):
            text = f"{random.integers(100, 999)}.{random.integers(0, 9)}"
            text = (changed or {}).get((row, column), text)
            draw.text((30 + column * 100, 30 + row * 36), text, fill="black", font=font)
        draw.line((20, 60 + row * 36, 620, 60 + row * 36), fill=(170, 170, 170))
    return image


def flag(colors: tuple[str, str, str]) -> Image.Image:
    """Draw three vertical stripes and a disc."""
    image = Image.new("RGB", (360, 240), colors[1])
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 119, 239), fill=colors[0])
    draw.rectangle((240, 0, 359, 239), fill=colors[2])
    draw.ellipse((150, 90, 210, 150), fill="black")
    return image


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return an image after saving it as JPEG."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")
