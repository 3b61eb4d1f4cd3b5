"""Decode encoded bytes to an RGB image, or to a status that says why this is impossible."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from visdiv_assets.imaging import formats
from visdiv_assets.imaging.color_modes import into_rgb, to_rgb
from visdiv_assets.imaging.limits import DEFAULT_LIMITS, DecodeLimits
from visdiv_assets.imaging.silence_pillow import silence_pillow

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["DecodedImage", "ImageStatus", "decode_image", "to_rgb"]

_ORIENTATION_TAG = 0x0112
_DETAIL_LENGTH = 200
#: Memory of a pixel while an image is decoded and converted.
_PIXEL_BYTES = 8
#: Messages of Pillow for data that ends too early.
_TRUNCATION = re.compile("image file is truncated|Reached EOF|not enough image data")


class ImageStatus(StrEnum):
    """The result of decoding the bytes at an image position."""

    OK = "ok"
    #: There are no bytes, or the value is null.
    EMPTY = "empty"
    #: The bytes are not an image (often HTML), or a format that is not supported.
    NOT_AN_IMAGE = "not_an_image"
    #: The file ends before its image does.
    TRUNCATED = "truncated"
    #: The file is damaged or breaks its format's rules.
    CORRUPT = "corrupt"
    #: The image exceeds the limits on bytes or pixels, or the available memory.
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """The result of decoding one image.

    Attributes:
        status: ok, or why there is no image.
        detail: one line on what went wrong, the same for the same bytes; empty if the status is ok.
        format: "jpeg", "png", "gif", "webp", "bmp", "tiff", "ppm" or "avif"; None if the bytes are none of
            these.
        width: width in pixels after EXIF orientation; if the status is not ok, the width in the header, or None if the
            header is unreadable.
        height: height in pixels, as `width`.
        pixels: the image in mode RGB, upright, without metadata; None if the status is not ok or pixels are not kept.
    """

    status: ImageStatus
    detail: str = ""
    format: str | None = None
    width: int | None = None
    height: int | None = None
    pixels: Image | None = None


def decode_image(
    data: bytes | None, *, limits: DecodeLimits = DEFAULT_LIMITS, keep_pixels: bool = True
) -> DecodedImage:
    """Decode an image completely to upright RGB; invalid data gives a status, never an exception.

    Of an animation or a file of several pages, the first image is decoded. `to_rgb` describes the conversion of colors.
    The function is thread-safe, and Pillow releases the GIL while it decodes.

    Args:
        data: the encoded image, or None.
        limits: an image that exceeds them gets the status `too_large`.
        keep_pixels: False to get only the status and the size. The image is decoded anyway, since only that shows
            whether it is readable.

    Returns:
        The status, the size and format as far as they are known, and the pixels if the status is ok and they are kept.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> from visdiv_assets import decode_image
        >>> file = io.BytesIO()
        >>> Image.new("L", (6, 4)).save(file, "PNG")
        >>> decoded = decode_image(file.getvalue())
        >>> decoded.status.value, decoded.format, decoded.pixels.mode, decoded.pixels.size
        ('ok', 'png', 'RGB', (6, 4))
        >>> decode_image(b"<html>").status.value
        'not_an_image'
    """
    if not data:
        return DecodedImage(ImageStatus.EMPTY, "no bytes")
    name = formats.sniff(data)
    if name is None:
        kind = "text with markup" if data[:64].lstrip()[:1] == b"<" else "no known signature"
        return DecodedImage(ImageStatus.NOT_AN_IMAGE, f"{kind}: begins with {data[:16]!r}")
    if len(data) > limits.max_bytes:
        return DecodedImage(ImageStatus.TOO_LARGE, f"{len(data)} bytes, the limit is {limits.max_bytes}", name)
    if name not in formats.openers():
        return DecodedImage(ImageStatus.NOT_AN_IMAGE, f"the installed Pillow does not read {name}", name)

    size: tuple[int, int] | None = None
    try:
        with silence_pillow():
            size = formats.declared_size(name, data)
            if size is None or size[0] * size[1] <= limits.max_pixels:
                image = formats.openers()[name](io.BytesIO(data))
                size = image.size
                if size[0] * size[1] <= limits.max_pixels:
                    image.load()
                    _require_complete(name, data)
                    pixels = _rotate_upright(into_rgb(image), _read_orientation(image))
                    return DecodedImage(ImageStatus.OK, "", name, *pixels.size, pixels if keep_pixels else None)
    except Exception as error:
        width, height = size or (None, None)
        return DecodedImage(_classify(error, name, data), _describe(error), name, width, height)
    detail = f"{size[0]} x {size[1]} pixels, the limit is {limits.max_pixels}"
    return DecodedImage(ImageStatus.TOO_LARGE, detail, name, *size)


def decoded_bytes(data: bytes | None, *, limits: DecodeLimits = DEFAULT_LIMITS) -> int:
    """Return about how much memory it takes to decode an image, from its header; 0 if it will not be decoded.

    Pillow takes four bytes for a pixel, and conversion to upright RGB holds two images.
    """
    name = formats.sniff(data) if data else None
    if data is None or name not in formats.openers() or len(data) > limits.max_bytes:
        return 0
    try:
        with silence_pillow():
            width, height = formats.declared_size(name, data) or formats.openers()[name](io.BytesIO(data)).size
    except Exception:  # The decoder says why.
        return 0
    pixels = int(width * height)
    return _PIXEL_BYTES * pixels if pixels <= limits.max_pixels else 0


def _require_complete(name: str, data: bytes) -> None:
    """Raise if a file is truncated, even if other code in this process made Pillow pad truncated images with gray."""
    from PIL import ImageFile

    if ImageFile.LOAD_TRUNCATED_IMAGES and formats.is_truncated(name, data):
        raise OSError("image file is truncated")


def _read_orientation(image: Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if there is none, or if Pillow has already applied it (TIFF)."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # Broken metadata raises many types of exceptions and does not make an image unreadable.
        return 1


def _rotate_upright(image: Image, orientation: int) -> Image:
    from PIL.Image import Transpose

    method = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return image if method is None else image.transpose(method)


def _classify(error: Exception, name: str, data: bytes) -> ImageStatus:
    from PIL.Image import DecompressionBombError

    # If a compressed text or profile is too large, Pillow raises a plain ValueError that names its limit.
    if isinstance(error, MemoryError | DecompressionBombError) or "MAX_TEXT_" in str(error):
        return ImageStatus.TOO_LARGE
    if formats.is_truncated(name, data) or _TRUNCATION.search(str(error)):
        return ImageStatus.TRUNCATED
    return ImageStatus.CORRUPT


def _describe(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    text = " ".join(str(error).split())
    if text in ("", "not identified by this driver"):
        text = "no usable header"
    if not isinstance(error, OSError | SyntaxError | ValueError):
        text = f"{type(error).__name__}: {text}"
    # Memory addresses differ between runs.
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)
    return "".join(c if c.isprintable() else "?" for c in text)[:_DETAIL_LENGTH]
