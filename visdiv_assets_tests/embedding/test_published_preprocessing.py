"""What SSCD sees of an image, beside a plain form of what FineVision's authors let it see."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.resize import skew_320


def theirs(data: bytes) -> np.ndarray:
    """Upright as `datasets` decodes, RGB, and a resize to a square, bilinear with antialiasing."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return np.asarray(image.convert("RGB").resize((320, 320), Image.Resampling.BILINEAR))


def ours(data: bytes) -> np.ndarray:
    pixels = decode_image(data).pixels
    assert pixels is not None
    return skew_320(pixels)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def photo(mode: str = "RGB", size: tuple[int, int] = (517, 233)) -> Image.Image:
    random = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
    return Image.fromarray(random).resize(size, Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_opaque_png_is_seen_as_theirs(mode: str) -> None:
    data = encoded(photo(mode), "PNG")
    np.testing.assert_array_equal(ours(data), theirs(data))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_turned_by_exif_is_seen_as_theirs(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photo(), "JPEG", quality=85, exif=exif)
    np.testing.assert_array_equal(ours(data), theirs(data))


@pytest.mark.parametrize("size", [(1, 1), (40, 700), (320, 320), (1600, 90)])
def test_images_of_any_shape_are_seen_as_theirs(size: tuple[int, int]) -> None:
    data = encoded(photo(size=size), "WEBP", lossless=True)
    np.testing.assert_array_equal(ours(data), theirs(data))


def test_transparency_is_laid_on_white_here_only() -> None:
    drawing = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    drawing.paste((0, 0, 0, 255), (50, 60, 150, 140))
    flat = Image.new("RGB", (200, 200), "white")
    flat.paste(drawing, mask=drawing)
    transparent, flattened = encoded(drawing, "PNG"), encoded(flat, "PNG")
    np.testing.assert_array_equal(ours(transparent), ours(flattened))
    assert not theirs(transparent).any()
