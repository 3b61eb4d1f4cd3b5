"""Decode encoded bytes to an RGB image, or to a status that says why this is impossible."""

from __future__ import annotations

import io
import re
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from visdiv_assets.imaging import deep_pixels, formats
from visdiv_assets.imaging.color_modes import Background, Rendered, render, render_deep, to_rgb
from visdiv_assets.imaging.levels import WHOLE_RANGE, Levels
from visdiv_assets.imaging.limits import DEFAULT_LIMITS, DecodeLimits
from visdiv_assets.imaging.published import padding_truncated, render_published
from visdiv_assets.imaging.silence_pillow import silence_pillow
from visdiv_assets.imaging.truncation import is_truncated

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["DecodedImage", "ImageStatus", "decode_image", "to_rgb"]

_ORIENTATION_TAG = 0x0112
_DETAIL_LENGTH = 200
#: Memory of a pixel while an image is decoded and converted; with more than 8 bits per channel.
_PIXEL_BYTES = 8
_DEEP_PIXEL_BYTES = 24
#: Messages of Pillow for data that ends too early.
_TRUNCATION = re.compile("image file is truncated|Reached EOF|not enough image data|but only got")


class ImageStatus(StrEnum):
    """The result of decoding the bytes at an image position."""

    OK = "ok"
    #: There are no bytes, or the value is null.
    EMPTY = "empty"
    #: The row names a file instead of holding bytes, and there is no such file.
    NOT_FOUND = "not_found"
    #: The bytes are not an image (often HTML).
    NOT_AN_IMAGE = "not_an_image"
    #: The format, or this variant of it, is not read; the file may be intact.
    UNSUPPORTED = "unsupported"
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
        format: a name of `formats.sniff`, such as "jpeg"; None if the format is not known.
        width: width in pixels after EXIF orientation; if the status is not ok, the width in the header, or None if the
            header is unreadable.
        height: height in pixels, as `width`.
        pixels: the image in mode RGB, upright, without metadata; None if the status is not ok or pixels are not kept.
        levels: the values that became black and white in an image of more than 8 bits per channel; else None.
        background: what transparent pixels were laid on; None if there are none, or the status is not ok.
    """

    status: ImageStatus
    detail: str = ""
    format: str | None = None
    width: int | None = None
    height: int | None = None
    pixels: Image | None = None
    levels: Levels | None = None
    background: Background | None = None


def decode_image(
    data: bytes | None, *, limits: DecodeLimits = DEFAULT_LIMITS, keep_pixels: bool = True
) -> DecodedImage:
    """Decode an image completely to upright RGB; invalid data gives a status, never an exception.

    Of an animation or a file of several pages, the first image is decoded. `to_rgb` describes the conversion of colors;
    with the decoding `finevision` of the limits, it is that of `published.render_published`.
    The function is thread-safe, and Pillow releases the GIL while it decodes.

    Args:
        data: the encoded image, or None.
        limits: an image that exceeds them gets the status `too_large`; they also say how it becomes RGB.
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
        kind = "text with markup" if data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" else "no known signature"
        return DecodedImage(ImageStatus.NOT_AN_IMAGE, f"{kind}: begins with {data[:16]!r}")
    if not formats.is_read(name):
        return DecodedImage(ImageStatus.UNSUPPORTED, f"{name} is not supported: convert it to PNG or JPEG", name)
    if len(data) > limits.max_bytes:
        return DecodedImage(ImageStatus.TOO_LARGE, f"{len(data)} bytes, the limit is {limits.max_bytes}", name)

    size: tuple[int, int] | None = None
    try:
        with silence_pillow(), padding_truncated() if limits.decoding == "finevision" else nullcontext():
            size = formats.declared_size(name, data)
            if size is None or size[0] * size[1] <= limits.max_pixels:
                image = None if name == "pfm" else formats.openers()[name](io.BytesIO(data))
                size = image.size if image is not None else size
                if size is not None and size[0] * size[1] <= limits.max_pixels:
                    if limits.decoding == "finevision":
                        made = render_published(data, image)
                    elif image is not None:
                        made = _load(name, data, image)
                    else:
                        made = render_deep(deep_pixels.read_pfm(data))
                    pixels = _rotate_upright(made.pixels, _read_orientation(image) if image is not None else 1)
                    return DecodedImage(
                        ImageStatus.OK,
                        "",
                        name,
                        *pixels.size,
                        pixels if keep_pixels else None,
                        made.levels,
                        made.background,
                    )
    except Exception as error:
        width, height = size or (None, None)
        return DecodedImage(_classify(error, name, data), _describe(error), name, width, height)
    if size is None:
        return DecodedImage(ImageStatus.CORRUPT, "no usable header", name)
    detail = f"{size[0]} x {size[1]} pixels, the limit is {limits.max_pixels}"
    return DecodedImage(ImageStatus.TOO_LARGE, detail, name, *size)


def decoded_bytes(data: bytes | None, *, limits: DecodeLimits = DEFAULT_LIMITS) -> int:
    """Return about how much memory it takes to decode an image, from its header; 0 if it will not be decoded.

    Pillow takes four bytes for a pixel, and conversion to upright RGB holds two images.
    """
    name = formats.sniff(data) if data else None
    if data is None or name is None or not formats.is_read(name) or len(data) > limits.max_bytes:
        return 0
    each = _DEEP_PIXEL_BYTES if name == "pfm" else _PIXEL_BYTES
    try:
        with silence_pillow():
            size = formats.declared_size(name, data)
            if size is None:
                image = formats.openers()[name](io.BytesIO(data))
                size = image.size
                if image.mode[0] in "IF" or deep_pixels.loses_bits(deep_pixels.raw_mode(image)):
                    each = _DEEP_PIXEL_BYTES
    except Exception:  # The decoder says why.
        return 0
    pixels = size[0] * size[1]
    return each * pixels if pixels <= limits.max_pixels else 0


def _load(name: str, data: bytes, image: Image) -> Rendered:
    """Load an opened image and convert it to RGB, with all of its bits if the upper 8 do not use their range."""
    from PIL import ImageFile
    from PIL.PngImagePlugin import PngImageFile

    mode = deep_pixels.raw_mode(image)
    may_pad = ImageFile.LOAD_TRUNCATED_IMAGES
    image.load()
    if may_pad or ImageFile.LOAD_TRUNCATED_IMAGES:
        _require_complete(name, data)
    if not deep_pixels.loses_bits(mode):
        return render(image)
    if deep_pixels.uses_its_range(image):
        return render(image)._replace(levels=WHOLE_RANGE)
    reopen = PngImageFile if name == "png" else formats.openers()[name]
    deep = deep_pixels.read_deep_color(image, mode, data, reopen)
    return render_deep(deep.values, deep.transparent, deep.alpha)


def _require_complete(name: str, data: bytes) -> None:
    """Raise if a file is truncated, where other code in this process made Pillow pad truncated images with gray."""
    if is_truncated(name, data):
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
    if formats.unsupported_variant(name, data, str(error)):
        return ImageStatus.UNSUPPORTED
    if is_truncated(name, data) or _TRUNCATION.search(str(error)):
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
