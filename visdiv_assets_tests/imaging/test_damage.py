"""Damaged files and files that are no images get a status quickly, without warnings or exceptions."""

from __future__ import annotations

import logging
import re
import struct
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin

from visdiv_assets.imaging.decode import DecodedImage, ImageStatus, decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.silence_pillow import silence_pillow
from visdiv_assets_tests.imaging.images import MAX_PIXELS, encode, encoded_noise, noise, png, png_chunk

FILES = encoded_noise()

#: libtiff writes to stderr past Python.
LIBTIFF = re.compile(r"(_?TIFF|LZW|ZIP|JPEG|tempfile\.tif)\w*: ")


def decode(data: bytes | None) -> DecodedImage:
    return decode_image(data, limits=DecodeLimits(MAX_PIXELS))


def check(data: bytes) -> DecodedImage:
    """Decode twice and hold what is true of every result."""
    result = decode(data)
    assert decode(data) == result
    is_ok = result.status is ImageStatus.OK
    assert (result.pixels is not None) == is_ok == (result.detail == "")
    assert len(result.detail.splitlines()) <= 1
    assert "0x0" not in result.detail
    assert "object at" not in result.detail
    if result.pixels is not None:
        assert result.pixels.mode == "RGB"
        assert result.pixels.size == (result.width, result.height)
    return result


@pytest.fixture(autouse=True)
def silence(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing in this module may print, log or warn, not even a C library other than libtiff."""
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("error")
        yield
    out, err = capfd.readouterr()
    assert out == ""
    assert [line for line in err.splitlines() if not LIBTIFF.match(line)] == []
    assert caplog.records == []


def test_no_bytes_are_empty() -> None:
    assert decode(b"").status is decode(None).status is ImageStatus.EMPTY


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html><html></html>",
        b"\xef\xbb\xbf<html>",
        b"BMW is a brand and no bitmap",
        b"Page 1",
        b"x",
    ],
)
def test_other_things_are_not_images(data: bytes) -> None:
    result = check(data)
    assert (result.status, result.format, result.width) == (ImageStatus.NOT_AN_IMAGE, None, None)


@pytest.mark.parametrize("tenth", range(1, 10))
@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_is_truncated(name: str, tenth: int) -> None:
    data = FILES[name]
    assert check(data).status is ImageStatus.OK
    assert check(data[: len(data) * tenth // 10]).status is ImageStatus.TRUNCATED


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_anywhere_in_its_header_is_not_ok(name: str) -> None:
    for length in range(1, 60):
        assert check(FILES[name][:length]).status in (ImageStatus.TRUNCATED, ImageStatus.NOT_AN_IMAGE)


def test_missing_bytes_that_do_not_matter_do_no_harm() -> None:
    without_end_chunk = FILES["png"][:-12]
    without_trailer = FILES["gif"][:-1]
    assert check(without_end_chunk).status is check(without_trailer).status is ImageStatus.OK


def test_what_the_header_said_of_a_truncated_image_is_kept() -> None:
    result = decode(FILES["png"][:-500])
    assert (result.format, result.width, result.height) == ("png", 48, 40)


def test_truncation_is_found_although_pillow_was_told_to_pad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for name in ("jpeg", "png", "gif", "raw tiff", "bmp"):
        assert decode(FILES[name]).status is ImageStatus.OK
        assert decode(FILES[name][:-500]).status is ImageStatus.TRUNCATED


def test_damage_within_a_whole_file_is_corrupt() -> None:
    data = FILES["png"]
    middle = len(data) // 2
    assert check(data[:middle] + bytes(64) + data[middle + 64 :]).status is ImageStatus.CORRUPT
    assert check(b"\xff\xd8\xff\xe0" + bytes(200)).status is ImageStatus.CORRUPT


def test_a_image_without_area_is_corrupt() -> None:
    assert check(png(0, 0, 8, 2, b"")).status is ImageStatus.CORRUPT
    assert check(b"P6\n0 5\n255\n").status is ImageStatus.CORRUPT


def huge_webp() -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xfe\x3f\0" * 2 + b"VP8L" + struct.pack("<I", 0)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def huge_gif() -> bytes:
    """The screen is one pixel, the first image in it is huge."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, 30_000, 30_000, 0) + b"\x02\x01\x00\x00;"


@pytest.mark.parametrize(
    "data",
    [
        png(50_000, 50_000, 8, 2, b"\0"),
        png(12_000, 9_000, 8, 2, b"\0"),
        b"P6\n50000 50000\n255\n",
        huge_webp(),
        huge_gif(),
    ],
    ids=["png", "png below Pillow's own limit", "ppm", "webp", "gif"],
)
def test_a_huge_image_is_refused_from_its_header(data: bytes) -> None:
    tracemalloc.start()
    begin = time.perf_counter()
    result = check(data)
    seconds = time.perf_counter() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.status is ImageStatus.TOO_LARGE
    assert seconds < 0.5
    assert peak < 5_000_000


def test_the_limit_is_inclusive_and_reports_the_header() -> None:
    data = encode(noise(40, 30))
    assert decode_image(data, limits=DecodeLimits(1200)).status is ImageStatus.OK
    result = decode_image(data, limits=DecodeLimits(1199))
    assert (result.status, result.width, result.height) == (ImageStatus.TOO_LARGE, 40, 30)
    assert result.detail == "40 x 30 pixels, the limit is 1199"


def test_pillows_own_limit_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode(FILES["png"]).status is ImageStatus.OK


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_an_inflating_chunk_is_too_large(kind: bytes) -> None:
    bomb = zlib.compress(bytes(50_000_000))
    head = b"key\0\1\0\0\0" if kind == b"iTXt" else b"key\0\0"
    data = png(1, 1, 8, 0, b"\0\0", png_chunk(kind, head + bomb))
    assert check(data).status is ImageStatus.TOO_LARGE


def test_running_out_of_memory_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    result = decode(FILES["png"])
    assert (result.status, result.width, result.height) == (ImageStatus.TOO_LARGE, 48, 40)
    assert result.detail == "not enough memory to decode it"


def test_warnings_of_pillow_do_not_leak() -> None:
    # Two control chunks make an APNG invalid, of which Pillow warns; the fixture turns warnings into errors.
    control = png_chunk(b"acTL", struct.pack(">II", 2, 0)) * 2
    assert check(png(1, 1, 8, 0, b"\0\0", control)).status is ImageStatus.OK


def test_warnings_of_other_threads_are_still_heard() -> None:
    with silence_pillow(), ThreadPoolExecutor(1) as pool:
        warnings.warn("of this thread", stacklevel=1)
        with pytest.raises(UserWarning, match="of another"):
            pool.submit(warnings.warn, "of another").result()
    with pytest.raises(UserWarning, match="of this thread"):
        warnings.warn("of this thread", stacklevel=1)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", *sorted({data[:12] for data in FILES.values()})]))
def test_random_bytes_never_raise(data: bytes, start: bytes) -> None:
    check(start + data)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    st.booleans(),
    st.floats(0, 1),
)
def test_mutated_files_never_raise(name: str, changes: list[tuple[float, int]], in_header: bool, kept: float) -> None:
    data = bytearray(FILES[name])
    for place, value in changes:
        data[int(place * (min(200, len(data)) if in_header else len(data)))] = value
    check(bytes(data[: len(data) if kept > 0.5 else int(kept * 2 * len(data))]))
