from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from visdiv_assets.imaging.contact_sheet import ImageTile, PairTile, image_sheet, pair_sheet, thumbnail_data_uri
from visdiv_assets_tests.imaging.images import noise


def opened(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG"
    image.load()
    return image


def noise_pairs(count: int) -> list[PairTile]:
    # Large, and of blocks that stay noise when they are reduced to a tile.
    left, right = (noise(150, 110, n).resize((1500, 1100), Image.Resampling.NEAREST) for n in range(2))
    return [PairTile(left, right, f"row {n} | row {n + 230}   0.973") for n in range(count)]


def test_twelve_large_pairs_of_noise_fit() -> None:
    sheet = pair_sheet(noise_pairs(12))
    assert len(sheet) <= 100_000
    assert opened(sheet).width > opened(sheet).height / 2


@pytest.mark.parametrize("limit", [50_000, 20_000])
def test_the_limit_is_kept(limit: int) -> None:
    assert len(pair_sheet(noise_pairs(12), max_bytes=limit)) <= limit


def test_what_cannot_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="12 pairs do not fit into 1000 bytes"):
        pair_sheet(noise_pairs(12), max_bytes=1000)
    with pytest.raises(ValueError, match="at least one"):
        pair_sheet([])


def test_the_bytes_are_the_same_each_time() -> None:
    assert pair_sheet(noise_pairs(4)) == pair_sheet(noise_pairs(4))


def test_unreadable_images_are_gray() -> None:
    sheet = np.asarray(opened(pair_sheet([PairTile(None, Image.new("RGB", (9, 9), (255, 0, 0)), "?")])))
    left, right = sheet[30, 30].astype(int), sheet[30, -30].astype(int)
    assert np.ptp(left) < 6
    assert 200 < left.mean() < 245
    assert right[0] > 220
    assert right[1:].max() < 40


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_three_pairs_stand_in_a_row(count: int) -> None:
    image = Image.new("RGB", (30, 20), (0, 128, 255))
    one = opened(pair_sheet([PairTile(image, image, "a")]))
    sheet = opened(pair_sheet([PairTile(image, image, "a")] * count))
    assert round(sheet.width / one.width) == min(3, count)
    assert round(sheet.height / one.height) == -(-count // 3)


def test_any_shape_mode_and_caption_is_drawn() -> None:
    pairs = [
        PairTile(Image.new("RGB", (1, 1)), Image.new("RGB", (1, 400)), ""),
        PairTile(Image.new("RGB", (10_000, 1)), Image.new("RGBA", (20, 20), (255, 0, 0, 0)), "two\nlines"),
        PairTile(Image.new("I;16", (20, 20), 40_000), Image.new("P", (3, 3)), "long " * 200 + "0.973"),
        PairTile(None, None, "\u4e2d\u6587 \U0001f600 \0"),
    ]
    opened(pair_sheet(pairs))


def test_a_data_uri_holds_the_bytes() -> None:
    uri = thumbnail_data_uri(b"\xff\xd8\xff")
    head, _, body = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(body) == b"\xff\xd8\xff"


def test_single_images_have_lines_below_them_and_fit() -> None:
    images = [ImageTile(pair.left, ["row 1  0.31", "a red bird sits on a branch " * 9]) for pair in noise_pairs(12)]
    sheet = image_sheet([*images, ImageTile(None, ["row 2"])])
    assert len(sheet) <= 100_000
    one_line = image_sheet([ImageTile(image.image, image.captions[:1]) for image in images[:6]])
    two_lines = image_sheet(images[:6])
    assert opened(one_line).width == opened(two_lines).width
    assert opened(one_line).height < opened(two_lines).height


def test_no_images_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        image_sheet([])
