"""The supported image formats: their signatures, their Pillow plugins, and detection of truncated files.

Supported are JPEG (also MPO, a JPEG followed by more images, of which the first is read), PNG, GIF, WebP, BMP, TIFF,
PPM (P1 to P6), and AVIF if the installed Pillow has it. The plugin for a file's signature is called directly, never
through `Image.open`. So other plugins cannot be reached, of which EPS starts Ghostscript, and the process-wide pixel
limit of Pillow does not apply.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import cache
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

Opener = Callable[[IO[bytes]], "ImageFile"]


_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)

#: A marker that ends a JPEG's scan; stuffed zeros, restart markers and fill bytes do not end it.
_JPEG_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

_TIFF_UNIT_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
#: TIFF tags with the offsets and the lengths in bytes of strips, then of tiles.
_TIFF_BLOCKS = ((273, 279), (324, 325))


def sniff(data: bytes) -> str | None:
    """Return the format that the first bytes indicate.

    Args:
        data: the encoded image.

    Returns:
        "jpeg", "png", "gif", "webp", "bmp", "tiff", "ppm" or "avif"; None if it is none of these.
    """
    for signature, name in _SIGNATURES:
        # A file that ends within its signature counts as a truncated image.
        if data.startswith(signature) or (len(data) >= 3 and signature.startswith(data)):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        length = min(max(int.from_bytes(data[:4], "big"), 16), 256)
        return "avif" if b"avif" in data[8:length] or b"avis" in data[8:length] else None
    # The reserved bytes exclude texts that begin with BM.
    if data[:2] == b"BM" and data[6:10] == b"\0\0\0\0":
        return "bmp"
    if re.match(rb"P[1-6][\s#]", data):
        return "ppm"
    return None


@cache
def openers() -> dict[str, Opener]:
    """Return Pillow's plugins by format; each takes a stream and reads only the header."""
    from PIL import (
        BmpImagePlugin,
        GifImagePlugin,
        JpegImagePlugin,
        PpmImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    found: dict[str, Opener] = {
        "jpeg": JpegImagePlugin.JpegImageFile,
        "png": _open_png,
        "gif": GifImagePlugin.GifImageFile,
        "bmp": BmpImagePlugin.BmpImageFile,
        "tiff": TiffImagePlugin.TiffImageFile,
        "ppm": PpmImagePlugin.PpmImageFile,
    }
    if WebPImagePlugin.SUPPORTED:
        found["webp"] = WebPImagePlugin.WebPImageFile
    try:
        from PIL import AvifImagePlugin
    except ImportError:  # Pillow before 11.3
        return found
    if AvifImagePlugin.SUPPORTED:
        found["avif"] = AvifImagePlugin.AvifImageFile
    return found


def _open_png(stream: IO[bytes]) -> ImageFile:
    from PIL import PngImagePlugin

    image = PngImagePlugin.PngImageFile(stream)
    # Pillow scales the pixels to 8 bits but not the transparent color.
    key = image.info.get("transparency")
    raw_mode = image.tile[0].args if image.tile else None
    if isinstance(key, int) and raw_mode in ("L;2", "L;4"):
        image.info["transparency"] = (key & 3) * 85 if raw_mode == "L;2" else (key & 15) * 17
    elif isinstance(key, tuple) and raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image


def declared_size(name: str, data: bytes) -> tuple[int, int] | None:
    """Return the size in the header of a format whose plugin allocates the image when it opens the file.

    Args:
        name: the format.
        data: the encoded image.

    Returns:
        Width and height in pixels; None if the header is invalid, and for the other formats, whose plugins report the
        size before they allocate the image.
    """
    if name != "webp":
        return None
    chunk = data[12:16]
    if chunk == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def is_truncated(name: str, data: bytes) -> bool:
    """Return whether a file is truncated according to its own structure.

    Call it only for files that failed to decode: an image can be complete even if irrelevant bytes at the end are
    missing.

    Args:
        name: the format.
        data: the encoded image.

    Returns:
        True if the end is missing; False if it is present, if the structure is invalid before the end, and for PPM,
        which has no such structure.
    """
    walk = _WALKS.get(name)
    if walk is None:
        return False
    try:
        walk(data)
    except (IndexError, struct.error):
        return True
    return False


# Each walk follows a file's structure and returns at its end, or where the structure is invalid. An IndexError or a
# struct.error means that the structure continues after the last byte.


def _require_length(data: bytes, length: int) -> None:
    if length > len(data):
        raise IndexError


def _walk_jpeg(data: bytes) -> None:
    position = 2
    while data[position] == 0xFF:
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        position += 1
        if marker == 0xD9:
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if length < 2:
            return
        position += length
        if marker == 0xDA:
            end = _JPEG_SCAN_END.search(data, position)
            position = end.start() if end else len(data)


def _walk_png(data: bytes) -> None:
    position = 8
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IEND" or not kind.isalpha():
            return
        position += 12 + length


def _walk_gif(data: bytes) -> None:
    position = 13 + _gif_palette_bytes(data[10])
    while True:
        kind = data[position]
        if kind == 0x21:
            position += 2
        elif kind == 0x2C:
            position += 11 + _gif_palette_bytes(data[position + 9])
        else:
            return
        while data[position]:
            position += 1 + data[position]
        position += 1


def _gif_palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _walk_webp(data: bytes) -> None:
    _require_length(data, struct.unpack_from("<I", data, 4)[0] + 8)


def _walk_bmp(data: bytes) -> None:
    _require_length(data, struct.unpack_from("<I", data, 2)[0])


def _walk_avif(data: bytes) -> None:
    position, kind = 0, b""
    while position < len(data) or kind == b"ftyp":
        size, kind = struct.unpack_from(">I4s", data, position)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
        if size < 8:
            return
        position += size
    _require_length(data, position)


def _walk_tiff(data: bytes) -> None:
    order = "<" if data[0] == 0x49 else ">"
    if data[2:4].strip(b"\0") != b"*":
        return  # BigTIFF
    (start,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, start)
    values: dict[int, tuple[int, ...]] = {}
    for entry in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind, count, offset = struct.unpack_from(order + "HHII", data, entry)
        length = _TIFF_UNIT_BYTES.get(kind, 0) * count
        if length <= 4:
            offset = entry + 8
        _require_length(data, offset + length)
        if kind in (3, 4) and any(tag in pair for pair in _TIFF_BLOCKS):
            values[tag] = struct.unpack_from(f"{order}{count}{'H' if kind == 3 else 'I'}", data, offset)
    for offsets, lengths in _TIFF_BLOCKS:
        for offset, length in zip(values.get(offsets, ()), values.get(lengths, ()), strict=False):
            _require_length(data, offset + length)


_WALKS: dict[str, Callable[[bytes], None]] = {
    "jpeg": _walk_jpeg,
    "png": _walk_png,
    "gif": _walk_gif,
    "webp": _walk_webp,
    "bmp": _walk_bmp,
    "avif": _walk_avif,
    "tiff": _walk_tiff,
}
