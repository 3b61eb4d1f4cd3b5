"""Copies are confirmed, with their kind and their transform."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from visdiv_assets.duplicates.verify import KINDS, REASONS, verify_pair
from visdiv_assets_tests.duplicates.verify.images import as_jpeg, scene, table

Change = Callable[[Image.Image], Image.Image]


def padded(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, (40, 60, 50, 30), fill=(20, 40, 90))


def captioned(image: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(image := image.copy())
    draw.rectangle((0, image.height - 44, image.width, image.height), fill="black")
    draw.text((20, image.height - 38), "what they found", fill="white", font=ImageFont.load_default(size=26))
    return image


def stamped(image: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(image := image.copy())
    draw.rectangle((200, 120, 320, 180), fill=(10, 90, 60))
    draw.text((215, 130), "LOGO", fill="white", font=ImageFont.load_default(size=36))
    return image


def watermarked(image: Image.Image) -> Image.Image:
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).text((60, 150), "PREVIEW", fill=90, font=ImageFont.load_default(size=80))
    result = image.copy()
    result.paste("black", (0, 0), mask)
    return result


def cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((round(0.2 * width), round(0.05 * height), round(0.95 * width), round(0.9 * height)))


COPIES: dict[str, tuple[Change, set[str]]] = {
    "jpeg": (lambda p: as_jpeg(p, 25), {"aligned", "recolored"}),
    "half the size": (lambda p: p.resize((p.width // 2, p.height // 2)), {"aligned"}),
    "another aspect": (lambda p: p.resize((p.width, p.height * 3 // 4)), {"aligned"}),
    "blurred": (lambda p: p.filter(ImageFilter.GaussianBlur(2)), {"aligned", "recolored"}),
    "gray": (lambda p: p.convert("L").convert("RGB"), {"recolored", "identical_pixels", "aligned"}),
    "darker": (lambda p: ImageEnhance.Brightness(p).enhance(0.7), {"recolored"}),
    "less contrast": (lambda p: ImageEnhance.Contrast(p).enhance(0.6), {"recolored"}),
    "gamma": (lambda p: p.point([round(255 * (v / 255) ** 1.5) for v in range(256)] * 3), {"recolored", "aligned"}),
    "turned by 7 degrees": (
        lambda p: p.rotate(7, Image.Resampling.BICUBIC, expand=True, fillcolor="white"),
        {"rotated"},
    ),
    "turned by 90 degrees": (lambda p: p.transpose(Image.Transpose.ROTATE_90), {"rotated"}),
    "turned by 180 degrees": (lambda p: p.transpose(Image.Transpose.ROTATE_180), {"rotated"}),
    "mirrored": (lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT), {"mirrored"}),
    "mirrored and cropped": (lambda p: cropped(ImageOps.mirror(p)), {"mirrored"}),
    "cropped": (cropped, {"cropped"}),
    "bordered": (padded, {"bordered"}),
    "captioned": (captioned, {"captioned"}),
    "stamped": (stamped, {"captioned"}),
    "watermarked": (watermarked, {"captioned", "recolored"}),
}


#: A translucent mark over a page is not told from changed contents.
NOT_FOUND = {("table", "watermarked")}


@pytest.mark.parametrize("source", [scene, table])
@pytest.mark.parametrize("change", COPIES)
def test_a_copy_is_confirmed_with_its_kind(source: Callable[[], Image.Image], change: str) -> None:
    make, kinds = COPIES[change]
    image = source()
    evidence = verify_pair(image, make(image))
    if (source.__name__, change) in NOT_FOUND:
        assert evidence.verified is not True
        return
    assert evidence.verified, evidence
    assert evidence.kind in kinds, evidence
    assert evidence.reason == ""
    assert evidence.agreement > 0.75


@pytest.mark.parametrize(
    "change", ["cropped", "mirrored and cropped", "bordered", "turned by 7 degrees", "half the size"]
)
def test_the_order_of_the_two_does_not_matter(change: str) -> None:
    image = scene(3)
    copy = COPIES[change][0](image)
    there, back = verify_pair(image, copy), verify_pair(copy, image)
    assert (there.verified, there.kind, there.agreement) == (back.verified, back.kind, back.agreement)
    forth = np.vstack([np.reshape(there.transform, (2, 3)), [0, 0, 1]])
    return_ = np.vstack([np.reshape(back.transform, (2, 3)), [0, 0, 1]])
    np.testing.assert_allclose(forth @ return_, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("source", [scene, table])
def test_the_transform_of_a_crop_is_where_it_was_cut(source: Callable[[], Image.Image]) -> None:
    image = source()
    width, height = image.size
    box = (90, 30, width - 40, height - 60)
    part = image.crop(box)
    part = part.resize((part.width * 2 // 3, part.height * 2 // 3))
    evidence = verify_pair(image, part)
    assert evidence.kind == "cropped"
    matrix = np.reshape(evidence.transform, (2, 3))
    corners = matrix @ np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    expected = np.array([[box[0], box[2], box[2], box[0]], [box[1], box[1], box[3], box[3]]])
    assert np.abs(corners * np.array([[width], [height]]) - expected).max() < 1.5
    assert evidence.overlap == pytest.approx(1, abs=0.02)


def test_equal_pixels_need_no_comparison() -> None:
    evidence = verify_pair(scene(), scene())
    assert (evidence.verified, evidence.kind, evidence.transform) == (True, "identical_pixels", (1, 0, 0, 0, 1, 0))


def test_kinds_and_reasons_do_not_overlap() -> None:
    assert not set(KINDS) & set(REASONS)
    assert "unconfirmed" in KINDS
