"""Thumbnails that are stored, and as a page embeds them."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from visdiv_assets.imaging import thumbnails as module
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.thumbnails import SIDE, Preview, encode_thumbnail, preview, styles, thumbnails, unreadable
from visdiv_assets_tests.imaging.images import encode, noise


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((800, 400), 256, (256, 128)),
        ((400, 800), 100, (50, 100)),
        ((30, 20), 256, (30, 20)),
        ((1, 1), 256, (1, 1)),
        ((5000, 2), 256, (256, 1)),
        ((256, 256), 256, (256, 256)),
    ],
)
def test_a_thumbnail_fits_and_is_never_enlarged(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    found = opened(encode_thumbnail(Image.new("RGB", size, "red"), side))
    assert (found.format, found.size) == ("WEBP", expected)


def test_a_thumbnail_is_the_same_every_time() -> None:
    assert encode_thumbnail(noise(300, 200), SIDE) == encode_thumbnail(noise(300, 200), SIDE)


def test_a_thumbnail_shows_the_image() -> None:
    smooth = noise(12, 9).resize((600, 450), Image.Resampling.BICUBIC)
    found = Preview(encode_thumbnail(smooth, SIDE), "").image
    assert found is not None
    assert found.mode == "RGB"
    expected = np.asarray(smooth.resize(found.size, Image.Resampling.LANCZOS), np.int16)
    assert np.abs(np.asarray(found, np.int16) - expected).mean() < 6


@pytest.mark.parametrize(("side", "tiny"), [(79, True), (80, False)])
def test_a_preview_tells_format_and_size(side: int, tiny: bool) -> None:
    decoded = decode_image(encode(noise(side, 40)))
    found = preview(b"webp", decoded)
    assert (found.about, found.tiny) == (f"png, {side} x 40", tiny)


@pytest.mark.parametrize(
    ("data", "about"),
    [(None, "no bytes"), (b"<html>", "not an image (text with markup: begins with b'<html>')")],
)
def test_the_preview_of_an_unreadable_image_tells_why(data: bytes | None, about: str) -> None:
    found = unreadable(decode_image(data))
    assert (found.webp, found.image, found.about) == (None, None, about)


def test_equal_previews_are_embedded_once() -> None:
    one, other, gone = Preview(b"one", "a"), Preview(b"other", "a"), Preview(None, "gone")
    found = thumbnails([one, gone, other, Preview(b"one", "a"), gone])
    assert [(each.name, base64.b64decode(each.encoded)) for each in found.values()] == [
        ("p0", b"one"),
        ("", b""),
        ("p2", b"other"),
    ]
    assert styles(found.values()).count("data:image/webp;base64,") == 2


def test_thumbnails_that_fit_are_embedded_as_they_are() -> None:
    stored = Preview(encode_thumbnail(noise(300, 300), SIDE), "png, 300 x 300")
    assert base64.b64decode(thumbnails([stored])[stored].encoded) == stored.webp


def test_too_many_bytes_are_reduced_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = [Preview(encode_thumbnail(noise(300, 300, seed), SIDE), "png, 300 x 300") for seed in range(4)]
    total = sum(len(each.webp or b"") for each in stored)
    monkeypatch.setattr(module, "MAX_PAGE_BYTES", total // 3)
    found = [thumbnails(stored)[each].encoded for each in stored]
    assert 0 < sum(map(len, found)) <= total // 3
    assert {max(opened(base64.b64decode(data)).size) for data in found} <= {96, 128, 160}
