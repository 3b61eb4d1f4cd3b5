"""The decoding `finevision` beside that of FineVision's authors: `datasets` opens images, then `convert("RGB")`."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from visdiv_assets.imaging.decode import ImageStatus, decode_image
from visdiv_assets.imaging.limits import DecodeLimits, decoded_model_id
from visdiv_assets.imaging.published import padding_truncated

PUBLISHED = DecodeLimits(decoding="finevision")


@contextmanager
def padding() -> Iterator[None]:
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def theirs(data: bytes) -> np.ndarray:
    """The pixels that FineVision's authors compare."""
    with padding():
        image: Image.Image = Image.open(io.BytesIO(data))
        image.load()
        if image.getexif().get(0x0112) is not None:
            image = ImageOps.exif_transpose(image)
        return np.asarray(image.convert("RGB"))


def ours(data: bytes, limits: DecodeLimits = PUBLISHED) -> np.ndarray:
    decoded = decode_image(data, limits=limits)
    assert decoded.status is ImageStatus.OK, decoded
    assert decoded.pixels is not None
    assert (decoded.width, decoded.height, decoded.pixels.info) == (*decoded.pixels.size, {})
    return np.asarray(decoded.pixels)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def photo(mode: str = "RGB", size: tuple[int, int] = (120, 90)) -> Image.Image:
    random = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
    return Image.fromarray(random).resize(size, Image.Resampling.BICUBIC).convert(mode)


def see_through(mode: str) -> Image.Image:
    """A photo whose opacity rises from left to right."""
    image = photo("RGBA")
    image.putalpha(Image.linear_gradient("L").rotate(90).resize(image.size))
    return image.convert(mode)


def with_orientation(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(photo(), "JPEG", quality=85, exif=exif)


DEEP = (np.arange(64 * 48, dtype=np.uint16) * 21).reshape(48, 64)

FILES = {
    "rgb png": encoded(photo(), "PNG"),
    "gray jpeg": encoded(photo("L"), "JPEG"),
    "cmyk jpeg": encoded(photo("CMYK"), "JPEG"),
    "rgba png": encoded(see_through("RGBA"), "PNG"),
    "la png": encoded(see_through("LA"), "PNG"),
    "rgba webp": encoded(see_through("RGBA"), "WEBP", lossless=True, exact=True),
    "palette png with a transparent color": encoded(photo("P"), "PNG", transparency=3),
    "palette png with opacities": encoded(photo("P"), "PNG", transparency=bytes(range(0, 256))),
    "gif with a transparent color": encoded(photo("P"), "GIF", transparency=0),
    "rgb png with a transparent color": encoded(photo(), "PNG", transparency=(1, 2, 3)),
    "1 bit png": encoded(photo("1"), "PNG"),
    "gray png of 16 bits": encoded(Image.fromarray(DEEP), "PNG"),
    "gray tiff of 16 bits": encoded(Image.fromarray(DEEP), "TIFF"),
    "float tiff": encoded(Image.fromarray(DEEP.astype(np.float32) / 7), "TIFF"),
    "integer tiff": encoded(Image.fromarray(DEEP.astype(np.int32)), "TIFF"),
    "gray pfm": b"Pf\n8 4\n-1.0\n" + np.linspace(-9, 300, 32, dtype="<f4").tobytes(),
}


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_of_a_plain_conversion(name: str) -> None:
    np.testing.assert_array_equal(ours(FILES[name]), theirs(FILES[name]))


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
@pytest.mark.parametrize("name", ["rgba png", "la png", "palette png with opacities", "gray png of 16 bits"])
def test_the_default_decoding_gives_other_pixels(name: str) -> None:
    assert (ours(FILES[name], DecodeLimits()) != theirs(FILES[name])).any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_turned_by_exif_is_upright(orientation: int) -> None:
    data = with_orientation(orientation)
    np.testing.assert_array_equal(ours(data), theirs(data))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", ["rgb png", "gray jpeg", "rgba png"])
def test_truncated_files_are_padded(name: str, share: float) -> None:
    data = FILES[name][: int(len(FILES[name]) * share)]
    np.testing.assert_array_equal(ours(data), theirs(data))
    assert decode_image(data).status is ImageStatus.TRUNCATED


def test_files_without_an_image_stay_unreadable() -> None:
    assert decode_image(FILES["gray jpeg"][:30], limits=PUBLISHED).status is ImageStatus.TRUNCATED
    assert decode_image(b"<html>", limits=PUBLISHED).status is ImageStatus.NOT_AN_IMAGE
    small = DecodeLimits(max_pixels=10, decoding="finevision")
    assert decode_image(FILES["rgb png"], limits=small).status is ImageStatus.TOO_LARGE


def test_pillow_is_left_as_it_was() -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ours, [FILES["rgb png"][:-200]] * 200))
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    with padding():
        ours(FILES["rgb png"])
        assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_other_threads_still_find_truncated_files() -> None:
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with padding_truncated():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(10)
    assert decode_image(FILES["rgb png"][:-200]).status is ImageStatus.TRUNCATED
    done.set()
    thread.join()


def test_vectors_of_other_pixels_have_another_model_id() -> None:
    assert decoded_model_id("sscd/skew_320", "shown") == "sscd/skew_320"
    named = decoded_model_id("sscd/skew_320", "finevision")
    assert named == decoded_model_id(named, "finevision") == "sscd/skew_320_finevision"
