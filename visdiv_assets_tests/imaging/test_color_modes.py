"""Conversion of every mode to RGB, with pixel values computed by hand."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from PIL import Image, ImageCms

from visdiv_assets.imaging.decode import ImageStatus, decode_image, to_rgb
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets_tests.imaging.images import MAX_PIXELS, encode, png, png_chunk, tiff

Pixel = tuple[int, int, int]


def first_pixel(image: Image.Image) -> Pixel:
    assert image.mode == "RGB"
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel  # type: ignore[return-value]


def decoded_pixels(data: bytes) -> np.ndarray:
    result = decode_image(data, limits=DecodeLimits(MAX_PIXELS))
    assert result.status is ImageStatus.OK, result.detail
    return np.asarray(result.pixels)


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("1", 0, (0, 0, 0)),
        ("RGBA", (255, 0, 0, 128), (255, 127, 127)),
        ("RGBA", (70, 0, 0, 0), (70, 0, 0)),
        ("RGBA", (9, 8, 7, 255), (9, 8, 7)),
        ("LA", (0, 128), (127, 127, 127)),
        ("La", (64, 128), (191, 191, 191)),
        ("RGBa", (128, 0, 0, 128), (255, 127, 127)),
        ("RGBX", (4, 5, 6, 0), (4, 5, 6)),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", (255, 0, 0, 0), (0, 255, 255)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("YCbCr", (128, 128, 128), (128, 128, 128)),
        ("HSV", (85, 255, 255), (0, 255, 0)),
        ("I;16", 0x8000, (128, 128, 128)),
        ("I;16", 0xFFFF, (255, 255, 255)),
        ("I;16", 0x00FF, (255, 255, 255)),
        ("I;16B", 0x8000, (128, 128, 128)),
        ("I", 0x8000, (128, 128, 128)),
        ("F", 0.5, (128, 128, 128)),
        ("F", 200.0, (200, 200, 200)),
        ("F", 65535.0, (255, 255, 255)),
        ("F", float("nan"), (0, 0, 0)),
        ("F", float("inf"), (255, 255, 255)),
    ],
)
def test_a_mode_becomes_rgb(mode: str, value: object, expected: Pixel) -> None:
    image = Image.new(mode, (3, 2), value)  # type: ignore[arg-type]
    result = to_rgb(image)
    assert result.size == (3, 2)
    assert np.abs(np.subtract(first_pixel(result), expected)).max() <= 1
    assert image.mode == mode


def test_wide_ranges_of_32_bit_gray_are_stretched() -> None:
    for dtype, values in ((np.int32, [-100_000, 0, 100_000]), (np.float32, [-1.0, 0.0, 1.0])):
        image = Image.fromarray(np.array([values], dtype))
        assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [0, 128, 255]


def test_a_float_that_is_not_a_number_does_not_spoil_the_others() -> None:
    image = Image.fromarray(np.array([[np.nan, np.inf, -np.inf, 0.0, 1.0]], np.float32))
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [0, 255, 0, 0, 255]


def test_huge_floats_do_not_overflow() -> None:
    image = Image.fromarray(np.array([[-3e38, 3e38]], np.float32))
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [0, 255]


def test_lab_becomes_rgb() -> None:
    red = Image.new("RGB", (2, 2), (200, 30, 40))
    lab = ImageCms.profileToProfile(
        red, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert np.abs(np.subtract(first_pixel(to_rgb(lab)), (200, 30, 40))).max() <= 3


def test_the_given_image_is_not_changed_and_not_shared() -> None:
    image = Image.new("RGB", (2, 2), (10, 20, 30))
    image.info["comment"] = "kept"
    result = to_rgb(image)
    result.putpixel((0, 0), (0, 0, 0))
    assert image.getpixel((0, 0)) == (10, 20, 30)
    assert image.info == {"comment": "kept"}
    assert result.info == {}


def test_palette_alpha_is_laid_on_white() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    data = encode(image, transparency=bytes([128, 0, 255]))
    assert decoded_pixels(data)[0].tolist() == [[255, 127, 127], [255, 255, 255], [0, 0, 255]]


def test_one_transparent_palette_entry_is_laid_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 0, 255, 0])
    image.putdata([0, 1])
    for kind in ("PNG", "GIF"):
        data = encode(image, kind, transparency=0)
        assert decoded_pixels(data)[0].tolist() == [[255, 255, 255], [0, 255, 0]]


def test_a_palette_with_alpha_of_its_own_is_laid_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 128, 0, 0, 255, 255], "RGBA")
    image.putdata([0, 1])
    assert np.asarray(to_rgb(image))[0].tolist() == [[255, 127, 127], [0, 0, 255]]
    assert np.asarray(to_rgb(image.convert("PA")))[0].tolist() == [[255, 127, 127], [0, 0, 255]]


@pytest.mark.parametrize(
    ("depth", "color", "row", "key", "expected"),
    [
        # Two pixels each, one of which has the transparent color.
        (8, 2, bytes([9, 9, 9, 5, 6, 7]), bytes([0, 9, 0, 9, 0, 9]), [[255] * 3, [5, 6, 7]]),
        (16, 2, b"\x90\x00" * 3 + b"\x10\x00" * 3, b"\x90\x00" * 3, [[255] * 3, [16] * 3]),
        (8, 0, bytes([50, 60]), b"\x00\x32", [[255] * 3, [60] * 3]),
        (16, 0, b"\x12\x34\x80\x00", b"\x12\x34", [[255] * 3, [128] * 3]),
        (4, 0, b"\x05", b"\x00\x00", [[255] * 3, [85] * 3]),
        (4, 0, b"\x50", b"\x00\x05", [[255] * 3, [0] * 3]),
        (2, 0, b"\x60", b"\x00\x01", [[255] * 3, [170] * 3]),
        (2, 0, b"\x20", b"\x00\x02", [[0] * 3, [255] * 3]),
        (1, 0, b"\x00", b"\x00\x00", [[0] * 3, [0] * 3]),
    ],
)
def test_the_transparent_color_of_a_png_is_found_at_every_depth(
    depth: int, color: int, row: bytes, key: bytes, expected: list[list[int]]
) -> None:
    data = png(2, 1, depth, color, b"\0" + row, png_chunk(b"tRNS", key))
    assert decoded_pixels(data)[0].tolist() == expected


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_gray_keeps_its_upper_bits(kind: str) -> None:
    values = np.array([[0, 0x0100, 0x8000, 0xFFFF]], np.uint16)
    image = Image.fromarray(values if kind != "PPM" else values.astype(np.int32))
    assert decoded_pixels(encode(image, kind))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_16_bit_color_with_alpha_is_laid_on_white() -> None:
    data = png(1, 1, 16, 6, b"\0" + b"\xff\xff\x00\x00\x00\x00\x80\x00")
    assert decoded_pixels(data)[0].tolist() == [[255, 127, 127]]


def test_float_tiff_is_read() -> None:
    image = Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    assert decoded_pixels(encode(image, "TIFF"))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_not_inverted(kind: str) -> None:
    data = encode(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), kind)
    assert np.abs(decoded_pixels(data).astype(int) - [0, 255, 255]).max() <= 2


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_half_transparent_red_is_pink(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(Image.new("RGBA", (8, 8), (255, 0, 0, 128)), kind, **options)
    assert (decoded_pixels(data) == [255, 127, 127]).all()


def faint_color() -> np.ndarray:
    """16-bit color within 10 bits, different in each channel: uint16 [20, 30, 3]."""
    return np.random.default_rng(3).integers(0, 1024, (20, 30, 3)).astype(np.uint16)


def png_16(values: np.ndarray, color: int) -> bytes:
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(width, height, 16, color, rows)


def test_faint_16_bit_color_is_not_black() -> None:
    values = faint_color()
    expected = (values >> 2).astype(np.uint8)
    assert np.array_equal(decoded_pixels(png_16(values, 2)), expected)
    assert np.array_equal(decoded_pixels(b"P6 30 20 65535\n" + values.astype(">u2").tobytes()), expected)


def test_faint_16_bit_color_with_alpha_is_not_black() -> None:
    values = faint_color()
    opaque = np.full((20, 30, 1), 0xFFFF, np.uint16)
    assert np.array_equal(decoded_pixels(png_16(np.dstack([values, opaque]), 6)), (values >> 2).astype(np.uint8))
    gray = np.dstack([values[..., :1], opaque])
    assert np.array_equal(decoded_pixels(png_16(gray, 4))[..., 0], (values[..., 0] >> 2).astype(np.uint8))


@pytest.mark.parametrize("order", ["<", ">"])
def test_faint_16_bit_color_tiff_is_not_black(order: Literal["<", ">"]) -> None:
    values = faint_color()
    assert np.array_equal(decoded_pixels(tiff(values, order)), (values >> 2).astype(np.uint8))


def test_the_transparent_color_counts_all_16_bits() -> None:
    values = faint_color()
    values[0, 0], values[0, 1] = (1, 2, 3), (1, 2, 4)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    key = png_chunk(b"tRNS", np.array([1, 2, 3], ">u2").tobytes())
    pixels = decoded_pixels(png(30, 20, 16, 2, rows, key))
    assert pixels[0, 0].tolist() == [255] * 3
    assert pixels[0, 1].tolist() == [0, 0, 1]


def test_the_scale_of_a_deep_image_is_recorded() -> None:
    values = (np.arange(600).reshape(20, 30) % 256 * 16).astype(np.uint16)
    assert decode_image(encode(Image.fromarray(values))).levels == (0, 4095)
    assert decode_image(encode(Image.new("L", (4, 4)))).levels is None
    whole = np.random.default_rng(0).integers(0, 65536, (20, 30, 3)).astype(np.uint16)
    assert decode_image(png_16(whole, 2)).levels == (0, 65535)


def drawing(color: tuple[int, int, int], alpha: int = 255) -> Image.Image:
    image = Image.new("RGBA", (60, 40), (*color, 0))
    image.paste((*color, alpha), (10, 10, 30, 20))
    return image


@pytest.mark.parametrize(
    ("color", "alpha", "background"),
    [
        ((255, 255, 255), 255, "black"),
        ((240, 245, 240), 255, "black"),
        ((255, 255, 255), 120, "black"),
        ((0, 0, 0), 255, "white"),
        ((200, 200, 200), 255, "white"),
        ((255, 255, 0), 255, "white"),
        ((90, 10, 10), 0, "none"),
    ],
)
def test_something_shows_on_the_background(color: tuple[int, int, int], alpha: int, background: str) -> None:
    result = decode_image(encode(drawing(color, alpha)))
    assert result.background == background
    pixels = np.asarray(result.pixels).astype(int)
    if alpha:
        assert np.abs(pixels[15, 15] - pixels[0, 0]).max() >= 50
    assert not pixels[0, 0].any() if background == "black" else pixels[0, 0].any()


def test_specks_do_not_keep_a_white_drawing_on_white() -> None:
    image = Image.new("RGBA", (200, 100), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (10, 10, 150, 90))
    image.putpixel((50, 50), (0, 0, 0, 255))
    assert decode_image(encode(image)).background == "black"


def test_the_colors_of_a_fully_transparent_image_are_kept() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)).convert("RGBA")
    image.putalpha(0)
    result = decode_image(encode(image))
    assert result.background == "none"
    assert np.array_equal(np.asarray(result.pixels), np.asarray(image)[..., :3])


def test_an_opaque_image_has_no_background() -> None:
    assert decode_image(encode(Image.new("RGBA", (4, 4), "white"))).background is None
    assert decode_image(encode(Image.new("RGB", (4, 4), "white"))).background is None
