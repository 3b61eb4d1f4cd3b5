"""Edits that lose or add detail: compression, reduction, blur, noise, weather."""

from __future__ import annotations

import io
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.calibration.drawn import smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image


def save_jpeg(image: Image, strong: bool, random: Random) -> Image:
    """Save as JPEG of low quality."""
    from PIL.JpegImagePlugin import JpegImageFile

    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=random.randint(6, 18) if strong else random.randint(25, 55))
    stream.seek(0)
    return JpegImageFile(stream).convert("RGB")


def downscale(image: Image, strong: bool, random: Random) -> Image:
    """Make smaller, and large again."""
    from PIL.Image import Resampling

    return _coarse(image, random.uniform(0.2, 0.3) if strong else random.uniform(0.4, 0.6), Resampling.BILINEAR)


def pixelate(image: Image, strong: bool, random: Random) -> Image:
    """Make squares of pixels equal."""
    from PIL.Image import Resampling

    return _coarse(image, random.uniform(0.2, 0.3) if strong else random.uniform(0.4, 0.6), Resampling.NEAREST)


def _coarse(image: Image, factor: float, enlarged_by: int) -> Image:
    from PIL.Image import Resampling

    small = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(small, Resampling.BOX).resize(image.size, Resampling(enlarged_by))


def blur(image: Image, strong: bool, random: Random) -> Image:
    """Blur evenly in all directions."""
    from PIL.ImageFilter import GaussianBlur

    share = random.uniform(0.008, 0.014) if strong else random.uniform(0.002, 0.005)
    return image.filter(GaussianBlur(max(0.6, min(image.size) * share)))


def blur_motion(image: Image, strong: bool, random: Random) -> Image:
    """Blur in one direction."""
    import cv2
    from PIL.Image import fromarray

    share = random.uniform(0.02, 0.035) if strong else random.uniform(0.006, 0.014)
    side = 2 * max(1, round(min(image.size) * share / 2)) + 1
    kernel = np.zeros((side, side), np.float32)
    kernel[side // 2] = 1
    turn = cv2.getRotationMatrix2D((side // 2, side // 2), random.uniform(0, 180), 1.0)
    kernel = np.asarray(cv2.warpAffine(kernel, turn, (side, side)), np.float32)
    return fromarray(np.asarray(cv2.filter2D(np.asarray(image), -1, kernel / kernel.sum()), np.uint8))


def sharpen(image: Image, strong: bool, random: Random) -> Image:
    """Sharpen edges."""
    from PIL.ImageEnhance import Sharpness

    return Sharpness(image).enhance(random.uniform(6, 14) if strong else random.uniform(2, 4))


def add_noise(image: Image, strong: bool, random: Random) -> Image:
    """Add Gaussian noise to red, green and blue alike or apart."""
    sigma = random.uniform(25, 42) if strong else random.uniform(8, 18)
    noise = _chance(random).normal(0, sigma, (image.height, image.width, random.choice((1, 3))))
    return _clipped(np.asarray(image, np.float32) + noise)


def add_grain(image: Image, strong: bool, random: Random) -> Image:
    """Add the grain of a camera at high sensitivity: noise that is stronger where it is light, and specks of color."""
    amount = random.uniform(0.14, 0.25) if strong else random.uniform(0.05, 0.1)
    pixels, chance = np.asarray(image, np.float32), _chance(random)
    light = chance.normal(0, amount, (image.height, image.width, 1)) * (pixels * 0.6 + 60)
    color = chance.normal(0, amount * 60, pixels.shape)
    return _clipped(pixels + light + color)


def shuffle_pixels(image: Image, strong: bool, random: Random) -> Image:
    """Exchange some pixels, which puts specks of other colors everywhere."""
    share = random.uniform(0.08, 0.15) if strong else random.uniform(0.01, 0.04)
    pixels, chance = np.array(image).reshape(-1, 3), _chance(random)
    moved = chance.choice(len(pixels), max(2, round(share * len(pixels))) if len(pixels) > 1 else 1, replace=False)
    pixels[moved] = pixels[chance.permutation(moved)]
    return _clipped(pixels.reshape(image.height, image.width, 3))


def add_fog(image: Image, strong: bool, random: Random) -> Image:
    """Lay white clouds over the image."""
    density = random.uniform(0.45, 0.65) if strong else random.uniform(0.15, 0.35)
    clouds = smooth_noise(image.size, (4, 10), random).mean(2, dtype=np.float32)[:, :, None] / 255
    cover = np.clip(density * (0.5 + clouds), 0, 0.85)
    return _clipped(np.asarray(image, np.float32) * (1 - cover) + 245 * cover)


def add_snow(image: Image, strong: bool, random: Random) -> Image:
    """Draw white flakes."""
    import cv2
    from PIL.Image import fromarray

    pixels = np.array(image)
    unit = max(1.0, min(image.size) / 400)
    for _ in range(random.randint(250, 500) if strong else random.randint(60, 180)):
        center = random.randrange(image.width), random.randrange(image.height)
        cv2.circle(pixels, center, round(unit * random.uniform(0.5, 2.5)), (250, 250, 250), -1, cv2.LINE_AA)
    return fromarray(pixels)


def add_rain(image: Image, strong: bool, random: Random) -> Image:
    """Draw gray streaks on the image, which is darker and less sharp."""
    import cv2
    from PIL.Image import fromarray

    pixels = np.array(image)
    unit = max(1.0, min(image.size) / 400)
    slant, length = random.uniform(-0.4, 0.4), random.uniform(10, 22) * unit
    for _ in range(random.randint(300, 600) if strong else random.randint(80, 200)):
        x, y = random.randrange(image.width), random.randrange(image.height)
        end = round(x + slant * length), round(y + length)
        cv2.line(pixels, (x, y), end, (200, 200, 200), max(1, round(unit)), cv2.LINE_AA)
    side = (5 if strong else 3) if min(image.size) > 100 else 1
    dimmed = cv2.blur(pixels, (side, side)).astype(np.float32) * (0.7 if strong else 0.85)
    return fromarray(dimmed.astype(np.uint8))


def _chance(random: Random) -> np.random.Generator:
    return np.random.default_rng(random.getrandbits(64))


def _clipped(values: NDArray[np.generic]) -> Image:
    from PIL.Image import fromarray

    return fromarray(np.clip(values, 0, 255).astype(np.uint8))
