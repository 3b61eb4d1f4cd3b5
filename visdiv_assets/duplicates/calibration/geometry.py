"""Edits that move pixels: crops, turns, perspective, distortions, borders, sizes."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.calibration.drawn import Color, choose_color

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

#: Minimum shorter side of a reduced copy; smaller ones show nothing.
MIN_SIDE = 48
#: Cells of a grid distortion on each side.
_CELLS = 5


def crop(image: Image, strong: bool, random: Random) -> Image:
    """Crop to a part, from both sides equally to mostly one side cut."""
    area = random.uniform(0.4, 0.55) if strong else random.uniform(0.7, 0.85)
    share = area ** random.uniform(0.3, 0.7)
    width, height = max(1, round(image.width * share)), max(1, round(image.height * area / share))
    left, top = random.randint(0, image.width - width), random.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def rotate(image: Image, strong: bool, random: Random) -> Image:
    """Rotate, with the corners filled, or cut to the largest rectangle of the image's shape inside."""
    from PIL.Image import Resampling

    angle = (random.uniform(15, 30) if strong else random.uniform(3, 10)) * random.choice((-1, 1))
    if random.random() < 0.5:
        return image.rotate(angle, Resampling.BICUBIC, expand=True, fillcolor=_fill(random))
    sine, cosine = math.sin(math.radians(abs(angle))), math.cos(math.radians(angle))
    longer, shorter = max(image.size), min(image.size)
    share = shorter / (longer * sine + shorter * cosine)
    turned = image.rotate(angle, Resampling.BICUBIC)
    wide, high = image.width * share, image.height * share
    left, top = (image.width - wide) / 2, (image.height - high) / 2
    return turned.crop((round(left), round(top), max(round(left) + 1, round(left + wide)), max(1, round(top + high))))


def quarter_turn(image: Image, strong: bool, random: Random) -> Image:
    """Rotate by a right angle or, as a mild copy, by two."""
    from PIL.Image import Transpose

    turns = (Transpose.ROTATE_90, Transpose.ROTATE_270) if strong else (Transpose.ROTATE_180,)
    return image.transpose(random.choice(turns))


def mirror(image: Image, strong: bool, random: Random) -> Image:
    """Mirror left to right; a strong copy is cropped too."""
    from PIL.Image import Transpose

    mirrored = image.transpose(Transpose.FLIP_LEFT_RIGHT)
    return crop(mirrored, False, random) if strong else mirrored


def flip(image: Image, strong: bool, random: Random) -> Image:
    """Mirror top to bottom; a strong copy is cropped too."""
    from PIL.Image import Transpose

    flipped = image.transpose(Transpose.FLIP_TOP_BOTTOM)
    return crop(flipped, False, random) if strong else flipped


def pad(image: Image, strong: bool, random: Random) -> Image:
    """Add a border on all sides."""
    share = random.uniform(0.25, 0.45) if strong else random.uniform(0.04, 0.15)
    x, y = max(1, round(share * image.width)), max(1, round(share * image.height))
    return _on_ground(image, (image.width + 2 * x, image.height + 2 * y), random)


def pad_square(image: Image, strong: bool, random: Random) -> Image:
    """Add borders until the image is square; a strong copy has a border on all sides."""
    side = max(max(image.size) + 1, round(max(image.size) * (random.uniform(1.3, 1.7) if strong else 1.02)))
    return _on_ground(image, (side, side), random)


def _on_ground(image: Image, size: tuple[int, int], random: Random) -> Image:
    from PIL.Image import new

    result = new("RGB", size, random.choice((_fill(random), choose_color(random))))
    result.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return result


def stretch(image: Image, strong: bool, random: Random) -> Image:
    """Change the aspect ratio."""
    factor = (random.uniform(1.5, 2.0) if strong else random.uniform(1.1, 1.35)) ** random.choice((-0.5, 0.5))
    return _resize(image, factor, 1 / factor)


def scale(image: Image, strong: bool, random: Random) -> Image:
    """Make the image smaller, no side under `MIN_SIDE`."""
    factor = random.uniform(0.2, 0.35) if strong else random.uniform(0.4, 0.8)
    factor = max(factor, min(0.95, MIN_SIDE / min(image.size)))
    return _resize(image, factor, factor)


def _resize(image: Image, x: float, y: float) -> Image:
    from PIL.Image import Resampling

    return image.resize((max(1, round(image.width * x)), max(1, round(image.height * y))), Resampling.BICUBIC)


def perspective(image: Image, strong: bool, random: Random) -> Image:
    """Move the four corners, as if a print was photographed."""
    most = random.uniform(0.12, 0.2) if strong else random.uniform(0.04, 0.09)
    moved = [(x + (1 - 2 * x) * random.uniform(0, most), y + (1 - 2 * y) * random.uniform(0, most)) for x, y in _UNIT]
    return _warp(image, moved, random)


def skew(image: Image, strong: bool, random: Random) -> Image:
    """Shear the image along one side."""
    amount = (random.uniform(0.2, 0.35) if strong else random.uniform(0.05, 0.12)) * random.choice((-1, 1))
    along_x = random.random() < 0.5
    moved = []
    for x, y in _UNIT:
        dx, dy = (amount * (y - 0.5), 0.0) if along_x else (0.0, amount * (x - 0.5))
        moved.append((x + dx, y + dy))
    return _warp(image, moved, random)


def affine(image: Image, strong: bool, random: Random) -> Image:
    """Rotate, shrink and move the image within its frame."""
    angle = math.radians(random.uniform(15, 30) if strong else random.uniform(3, 10)) * random.choice((-1, 1))
    factor = random.uniform(0.6, 0.8) if strong else random.uniform(0.85, 1.0)
    shift = [random.uniform(-1, 1) * (0.1 if strong else 0.04) for _ in range(2)]
    ratio = image.height / image.width
    moved = []
    for corner in _UNIT:
        x, y = corner[0] - 0.5, (corner[1] - 0.5) * ratio
        turned = math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y
        moved.append((0.5 + shift[0] + factor * turned[0], 0.5 + shift[1] + factor * turned[1] / ratio))
    return _warp(image, moved, random)


_UNIT = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def _warp(image: Image, moved: list[tuple[float, float]], random: Random) -> Image:
    """Move the corners of an image to points in units of its sides; the frame stays."""
    import cv2
    from PIL.Image import fromarray

    size = np.array(image.size, np.float32)
    corners, aims = np.array(_UNIT, np.float32) * size, np.array(moved, np.float32) * size
    matrix = cv2.getPerspectiveTransform(corners, aims)
    fill = _fill(random)
    warped = cv2.warpPerspective(
        np.asarray(image), matrix, image.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
    )
    return fromarray(np.asarray(warped, np.uint8))


def distort_grid(image: Image, strong: bool, random: Random) -> Image:
    """Stretch and squeeze the columns and rows of a grid."""
    most = 0.3 if strong else 0.12
    axes = []
    for length in image.size:
        steps = np.cumsum([0.0, *(1 + random.uniform(-most, most) for _ in range(_CELLS))])
        at = np.interp(np.arange(length), np.linspace(0, length - 1, _CELLS + 1), steps / steps[-1] * (length - 1))
        axes.append(at.astype(np.float32))
    x, y = np.meshgrid(*axes)
    return _remap(image, x, y)


def distort_elastic(image: Image, strong: bool, random: Random) -> Image:
    """Move pixels by a smooth random field."""
    import cv2

    reach = min(image.size) * (random.uniform(0.012, 0.02) if strong else random.uniform(0.004, 0.008))
    chance = np.random.default_rng(random.getrandbits(64))
    points = random.randint(8, 14)
    x, y = np.meshgrid(*(np.arange(length, dtype=np.float32) for length in image.size))
    for field in (x, y):
        coarse = chance.uniform(-1, 1, (points, points)).astype(np.float32)
        field += np.float32(reach) * cv2.resize(coarse, image.size, interpolation=cv2.INTER_CUBIC)
    return _remap(image, x, y)


def distort_lens(image: Image, strong: bool, random: Random) -> Image:
    """Bend the image as a lens does, like a barrel or a cushion."""
    amount = (random.uniform(0.15, 0.3) if strong else random.uniform(0.04, 0.1)) * random.choice((-1, 1))
    wide, high = image.width / 2, image.height / 2
    x, y = np.meshgrid(*(np.arange(length, dtype=np.float32) * 2 / length - 1 for length in image.size))
    factor = 1 + np.float32(amount) * (x * x + y * y)
    return _remap(image, ((x * factor + 1) * wide).astype(np.float32), ((y * factor + 1) * high).astype(np.float32))


def _remap(image: Image, x: NDArray[np.float32], y: NDArray[np.float32]) -> Image:
    import cv2
    from PIL.Image import fromarray

    moved = cv2.remap(np.asarray(image), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return fromarray(np.asarray(moved, np.uint8))


def _fill(random: Random) -> Color:
    return random.choice(((0, 0, 0), (255, 255, 255)))
