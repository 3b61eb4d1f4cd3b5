"""Detection of truncated files from the structure of their formats."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

#: A marker that ends a JPEG's scan; stuffed zeros, restart markers and fill bytes do not end it.
_JPEG_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

_TIFF_UNIT_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
#: TIFF tags with the offsets and the lengths in bytes of strips, then of tiles.
_TIFF_BLOCKS = ((273, 279), (324, 325))


def is_truncated(name: str, data: bytes) -> bool:
    """Return whether a file is truncated according to its own structure.

    Call it only for files that failed to decode: an image can be complete even if irrelevant bytes at the end are
    missing.

    Args:
        name: the format.
        data: the encoded image.

    Returns:
        True if the end is missing; False if it is present, if the structure is invalid before the end, and for formats
        without such a structure.
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


def _walk_boxes(data: bytes) -> None:
    """Walk the boxes of AVIF and JPEG 2000; a box of size 0 extends to the end of the file."""
    position, kind = 0, b""
    while position < len(data) or kind == b"ftyp":
        size, kind = struct.unpack_from(">I4s", data, position)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
        if size == 0 and kind == b"jp2c":
            _require_codestream_end(data)
        if size < 8:
            return
        position += size
    _require_length(data, position)


def _walk_jpeg2000(data: bytes) -> None:
    if data[:4] == b"\xff\x4f\xff\x51":
        _require_codestream_end(data)
    else:
        _walk_boxes(data)


def _require_codestream_end(data: bytes) -> None:
    if not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise IndexError


def _walk_ico(data: bytes) -> None:
    (count,) = struct.unpack_from("<H", data, 4)
    for entry in range(6, 6 + 16 * count, 16):
        size, offset = struct.unpack_from("<II", data, entry + 8)
        _require_length(data, offset + size)


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
    "avif": _walk_boxes,
    "jpeg2000": _walk_jpeg2000,
    "ico": _walk_ico,
    "tiff": _walk_tiff,
}
