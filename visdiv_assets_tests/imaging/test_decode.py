"""Decoding of intact files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageOps

from visdiv_assets.imaging.decode import DecodedImage, ImageStatus, decode_image, decoded_bytes
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets_tests.imaging.images import FORMATS, MAX_PIXELS, encode, encoded_noise, noise, tiff


def decode(data: bytes) -> DecodedImage:
    return decode_image(data, limits=DecodeLimits(MAX_PIXELS))


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_read(name: str) -> None:
    color = (200, 100, 50)
    result = decode(encode(Image.new("RGB", (37, 21), color), **FORMATS[name]))
    assert (result.status, result.detail, result.format) == (ImageStatus.OK, "", name)
    assert (result.width, result.height) == (37, 21)
    assert result.pixels is not None
    assert type(result.pixels) is Image.Image
    assert result.pixels.mode == "RGB"
    assert np.abs(np.asarray(result.pixels).astype(int) - color).max() <= 4


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1)])
@pytest.mark.parametrize("name", FORMATS)
def test_tiny_and_thin_images_are_read(name: str, size: tuple[int, int]) -> None:
    result = decode(encode(Image.new("RGB", size), **FORMATS[name]))
    assert (result.status, result.width, result.height) == (ImageStatus.OK, *size)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    image = noise(5, 3)
    options = {"lossless": True} if kind == "WEBP" else {}
    result = decode(encode(image, kind, exif=exif(orientation), **options))
    tagged = image.copy()
    tagged.getexif()[0x0112] = orientation
    expected = ImageOps.exif_transpose(tagged)
    assert (result.width, result.height) == expected.size == ((3, 5) if orientation > 4 else (5, 3))
    assert np.array_equal(np.asarray(result.pixels), np.asarray(expected))


def test_orientation_6_puts_the_left_edge_on_top() -> None:
    image = Image.new("RGB", (2, 1))
    image.putpixel((0, 0), (255, 0, 0))
    result = decode(encode(image, exif=exif(6)))
    assert np.asarray(result.pixels)[:, :, 0].tolist() == [[255], [0]]


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_impossible_orientation_is_ignored(orientation: int) -> None:
    result = decode(encode(noise(5, 3), exif=exif(orientation)))
    assert (result.status, result.width, result.height) == (ImageStatus.OK, 5, 3)


def test_broken_exif_does_not_make_a_image_unreadable() -> None:
    for junk in (
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\1" * 40,
    ):
        for kind in ("JPEG", "PNG", "WEBP"):
            assert decode(encode(noise(), kind, exif=junk)).status is ImageStatus.OK


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_image_of_several_is_taken(kind: str) -> None:
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(first, kind, save_all=True, append_images=[second], **options)
    assert (np.asarray(decode(data).pixels) == [255, 0, 0]).all()


def test_the_first_image_of_an_mpo_is_read_as_the_jpeg_it_is() -> None:
    data = encode(Image.new("RGB", (8, 8)), "MPO", save_all=True, append_images=[noise(8, 8)])
    result = decode(data)
    assert (result.status, result.format) == (ImageStatus.OK, "jpeg")
    assert np.asarray(result.pixels).max() < 5


def test_pixels_are_dropped_unless_kept() -> None:
    data = encode(noise(), exif=exif(6))
    kept = decode(data)
    dropped = decode_image(data, limits=DecodeLimits(MAX_PIXELS), keep_pixels=False)
    assert dropped == DecodedImage(ImageStatus.OK, "", "png", kept.width, kept.height, None)


def test_threads_see_what_one_thread_sees() -> None:
    files = list(encoded_noise().values())
    files += [data[: len(data) // 2] for data in files] + [b"", b"<html>"]
    files = files * 20
    serial = [decode(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(decode, files)) == serial


@pytest.mark.parametrize("name", FORMATS)
def test_the_memory_of_an_image_follows_from_its_header(name: str) -> None:
    data = encode(Image.new("RGB", (37, 21)), **FORMATS[name])
    assert decoded_bytes(data) == 37 * 21 * 8
    assert decoded_bytes(data, limits=DecodeLimits(37 * 21)) == 37 * 21 * 8


@pytest.mark.parametrize("data", [None, b"", b"<html>", encode(noise())[:12]])
def test_what_is_not_decoded_takes_no_memory(data: bytes | None) -> None:
    assert decoded_bytes(data) == 0


def test_an_image_above_a_limit_takes_no_memory() -> None:
    data = encode(Image.new("RGB", (37, 21)))
    assert decoded_bytes(data, limits=DecodeLimits(37 * 21 - 1)) == 0
    assert decoded_bytes(data, limits=DecodeLimits(MAX_PIXELS, len(data) - 1)) == 0


def test_deep_images_take_more_memory() -> None:
    assert decoded_bytes(encode(Image.new("I;16", (30, 20)))) == 30 * 20 * 24
    assert decoded_bytes(tiff(np.zeros((20, 30, 3), np.uint16))) == 30 * 20 * 24


def test_the_largest_image_of_an_icon_is_read() -> None:
    for kind in ("png", "bmp"):
        result = decode(encode(noise(48, 48).convert("RGBA"), "ICO", sizes=[(16, 16), (48, 48)], bitmap_format=kind))
        assert (result.status, result.format, result.width) == (ImageStatus.OK, "ico", 48)
        assert np.array_equal(np.asarray(result.pixels), np.asarray(noise(48, 48)))


def test_the_limit_holds_for_the_image_within_an_icon() -> None:
    data = encode(noise(64, 64), "ICO", sizes=[(64, 64)])
    inner = encode(Image.new("RGB", (1001, 1000)))
    bomb = data[:14] + len(inner).to_bytes(4, "little") + data[18:22] + inner
    result = decode(bomb)
    assert (result.status, result.width, result.height) == (ImageStatus.TOO_LARGE, 1001, 1000)


@pytest.mark.parametrize("scale", ["-1.0", "1.0"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pfm_is_read(channels: int, scale: str) -> None:
    values = np.random.default_rng(0).random((5, 7, channels)).astype(np.float32)
    body = values[::-1].astype("<f4" if scale[0] == "-" else ">f4").tobytes()
    header = f"P{'F' if channels == 3 else 'f'}\n7 5\n{scale}\n".encode()
    result = decode(header + body)
    assert (result.status, result.format, result.levels) == (ImageStatus.OK, "pfm", (0, 1))
    expected = np.broadcast_to(np.rint(values * 255), (5, 7, 3))
    assert np.array_equal(np.asarray(result.pixels), expected)
    assert decode(header + body[:-1]).status is ImageStatus.TRUNCATED
    assert decode_image(header + body, limits=DecodeLimits(34)).status is ImageStatus.TOO_LARGE


def test_a_bitmap_with_reserved_bytes_is_read() -> None:
    data = bytearray(encode(noise(), "BMP"))
    data[6:10] = b"\1\0\2\0"
    assert decode(bytes(data)).status is ImageStatus.OK


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50), "heif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0heicmif1" + bytes(50), "heif"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "jpeg xl"),
        (b"\xff\x0a" + bytes(50), "jpeg xl"),
        (b"8BPS\0\1" + bytes(50), "psd"),
        (b"%PDF-1.7\n", "pdf"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", "postscript"),
        (b"\n <svg xmlns='http://www.w3.org/2000/svg'/>", "svg"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a -->\n<!DOCTYPE svg>\n<svg width="1"/>', "svg"),
        (encode(noise(), "DDS"), "dds"),
        (encode(noise(), "PCX"), "pcx"),
        (encode(noise(), "SGI"), "sgi"),
        (encode(Image.new("1", (8, 8)), "XBM"), "xbm"),
        (b"qoif" + bytes(50), "qoi"),
        (bytes(128) + b"DICM" + bytes(50), "dicom"),
        (b"\0\0\0\x20ftypisom" + bytes(50), "video"),
        (tiff(np.zeros((4, 4, 3), np.float32)), "tiff"),
        (tiff(np.zeros((4, 4, 3), np.uint8), compression=50002), "tiff"),
        (encode(noise()).replace(b"\0\0\0\x0dIHDR", b"\0\0\0\4CgBI\x50\0\x20\6\0\0\0\0\0\0\0\x0dIHDR", 1), "png"),
        (encode(noise(), "JPEG").replace(b"\xff\xc0", b"\xff\xc3", 1), "jpeg"),
        (encode(noise(), "BMP")[:28] + b"\x40" + encode(noise(), "BMP")[29:], "bmp"),
    ],
)
def test_what_is_not_read_is_unsupported_with_its_format(data: bytes, name: str) -> None:
    result = decode(data)
    assert (result.status, result.format) == (ImageStatus.UNSUPPORTED, name)
    assert result.detail
