"""The pixels of a JPEG for the embedding stage: identical to a full decode, without needless copies.

There is no draft (libjpeg's decode at half the size): the vectors did not stay the same, as `embedders.stream` tells.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from visdiv_assets.imaging.color_modes import render
from visdiv_assets.imaging.decode import ImageStatus, decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.resize import skew_320
from visdiv_assets_tests.imaging.images import encode, noise

MAX_PIXELS = 2_000_000
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("RGB", {}),
    "4:4:4": ("RGB", {"subsampling": 0}),
    "progressive": ("RGB", {"progressive": True}),
    "grayscale": ("L", {}),
    "cmyk": ("CMYK", {}),
}


def photograph() -> Image.Image:
    """Smooth enough for JPEG, and large enough for a draft of half the size."""
    return noise(40, 30).resize((1400, 1300), Image.Resampling.BICUBIC)


def oriented(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_large_jpeg_keeps_every_bit_of_the_full_decode(kind: str, orientation: int) -> None:
    mode, options = KINDS[kind]
    data = encode(photograph().convert(mode), "JPEG", exif=oriented(orientation), **options)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    result = decode_image(data, limits=DecodeLimits(MAX_PIXELS))
    assert result.pixels is not None
    assert (result.width, result.height) == expected.size
    assert np.array_equal(np.asarray(result.pixels), np.asarray(expected))
    assert np.array_equal(skew_320(result.pixels), np.asarray(expected.resize((320, 320), Image.Resampling.BILINEAR)))


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_large_jpeg_that_ends_too_early_is_noticed(options: dict[str, bool]) -> None:
    data = encode(photograph(), "JPEG", **options)
    result = decode_image(data[: len(data) * 9 // 10], limits=DecodeLimits(MAX_PIXELS))
    assert (result.status, result.pixels) == (ImageStatus.TRUNCATED, None)


def test_an_rgb_image_hands_over_its_pixels_without_the_file() -> None:
    with Image.open(io.BytesIO(encode(noise(9, 7), "PNG"))) as image:
        image.load()
        image.info["comment"] = "of the file"
        taken = render(image).pixels
        assert taken.im is image.im
    assert type(taken) is Image.Image
    assert (taken.mode, taken.size, taken.info) == ("RGB", (9, 7), {})
    assert np.array_equal(np.asarray(taken), np.asarray(noise(9, 7)))


def test_a_transparent_color_is_still_laid_on_white() -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    image.info["transparency"] = (1, 2, 3)
    assert render(image).pixels.getpixel((0, 0)) == (255, 255, 255)
    assert image.getpixel((0, 0)) == (1, 2, 3)


def test_what_is_drawn_on_a_decoded_image_stays_in_it() -> None:
    data = encode(noise(8, 8), "PNG")
    first, second = (decode_image(data, limits=DecodeLimits(MAX_PIXELS)).pixels for _ in range(2))
    assert first is not None
    assert second is not None
    first.putpixel((0, 0), (0, 0, 0))
    assert np.array_equal(np.asarray(second), np.asarray(noise(8, 8)))
