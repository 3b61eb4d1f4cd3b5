"""Encoded bytes to an RGB image, or to a status that says why not."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from visdiv_assets.imaging import formats
from visdiv_assets.imaging.color_modes import into_rgb, to_rgb
from visdiv_assets.imaging.limits import DEFAULT_LIMITS, DecodeLimits
from visdiv_assets.imaging.silence_pillow import quiet

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["DecodedImage", "ImageStatus", "decode_image", "to_rgb"]

_ORIENTATION_TAG = 0x0112
_DETAIL_LENGTH = 200
#: What Pillow says when it runs out of bytes.
_ENDED = re.compile("image file is truncated|Reached EOF|not enough image data")


class ImageStatus(StrEnum):
    """What became of an image position's bytes."""

    OK = "ok"
    #: No bytes, or none given.
    EMPTY = "empty"
    #: The bytes are something else (often HTML), or a format that is not read.
    NOT_AN_IMAGE = "not_an_image"
    #: The file ends before its image does.
    TRUNCATED = "truncated"
    #: The file is damaged or breaks its format's rules.
    CORRUPT = "corrupt"
    #: More bytes or pixels than allowed, or more memory than there is.
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """What decoding gave.

    Attributes:
        status: ok, or why there is no image.
        detail: one line on what went wrong, the same for the same bytes; empty when ok.
        format: "jpeg", "png", "gif", "webp", "bmp", "tiff", "ppm" or "avif"; None if the bytes are none of
            them.
        width: pixels, as shown (after EXIF orientation); if not ok, what the header says, None if it cannot
            be read.
        height: likewise.
        pixels: the image in mode RGB, upright, without metadata; None if not ok or not asked for.
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
    """Decode an image in full, upright and RGB; bad data gives a status, never an exception.

    The first image of an animation or of several pages is taken. `to_rgb` says how colors are converted.
    Safe among threads, and Pillow lets other threads run while it decodes.

    Args:
        data: the encoded image, or None.
        limits: of images; a larger one counts as unreadable.
        keep_pixels: False to learn the status and size only. The image is decoded all the same, as nothing
            less tells whether it can be.

    Returns:
        The status, what is known of the image, and its pixels if it is ok and they are kept.

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
        with quiet():
            size = formats.declared_size(name, data)
            if size is None or size[0] * size[1] <= limits.max_pixels:
                image = formats.openers()[name](io.BytesIO(data))
                size = image.size
                if size[0] * size[1] <= limits.max_pixels:
                    image.load()
                    _refuse_padding(name, data)
                    pixels = _upright(into_rgb(image), _orientation(image))
                    return DecodedImage(ImageStatus.OK, "", name, *pixels.size, pixels if keep_pixels else None)
    except Exception as error:
        width, height = size or (None, None)
        return DecodedImage(_status_of(error, name, data), _one_line(error), name, width, height)
    detail = f"{size[0]} x {size[1]} pixels, the limit is {limits.max_pixels}"
    return DecodedImage(ImageStatus.TOO_LARGE, detail, name, *size)


def _refuse_padding(name: str, data: bytes) -> None:
    """Find truncation although someone in this process told Pillow to pad truncated images with gray."""
    from PIL import ImageFile

    if ImageFile.LOAD_TRUNCATED_IMAGES and formats.is_truncated(name, data):
        raise OSError("image file is truncated")


def _orientation(image: Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none, as in a TIFF, to which Pillow has applied it."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # Broken metadata raise all sorts of things and do not make an image unreadable.
        return 1


def _upright(image: Image, orientation: int) -> Image:
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


def _status_of(error: Exception, name: str, data: bytes) -> ImageStatus:
    from PIL.Image import DecompressionBombError

    # Pillow names its limit on texts and profiles, which is what they inflate to, in a plain ValueError.
    if isinstance(error, MemoryError | DecompressionBombError) or "MAX_TEXT_" in str(error):
        return ImageStatus.TOO_LARGE
    if formats.is_truncated(name, data) or _ENDED.search(str(error)):
        return ImageStatus.TRUNCATED
    return ImageStatus.CORRUPT


def _one_line(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    text = " ".join(str(error).split())
    if text in ("", "not identified by this driver"):
        text = "no usable header"
    if not isinstance(error, OSError | SyntaxError | ValueError):
        text = f"{type(error).__name__}: {text}"
    # Addresses differ from run to run.
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)
    return "".join(c if c.isprintable() else "?" for c in text)[:_DETAIL_LENGTH]
