"""Small images and encoded files for the tests of this folder."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, Literal

import numpy as np
from PIL import Image, features

MAX_PIXELS = 1_000_000

#: Options to save each supported format, lossless if the format allows it.
FORMATS: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "png": {"format": "PNG"},
    "gif": {"format": "GIF"},
    "webp": {"format": "WEBP", "lossless": True},
    "bmp": {"format": "BMP"},
    "tiff": {"format": "TIFF", "compression": "tiff_lzw"},
    "ppm": {"format": "PPM"},
    "dib": {"format": "DIB"},
    "tga": {"format": "TGA"},
}
if features.check("jpg_2000"):
    FORMATS["jpeg2000"] = {"format": "JPEG2000"}
if features.check("avif"):
    FORMATS["avif"] = {"format": "AVIF", "quality": 95}


def encode(image: Image.Image, kind: str = "PNG", /, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, options.pop("format", kind), **options)
    return stream.getvalue()


def noise(width: int = 48, height: int = 40, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def encoded_noise() -> dict[str, bytes]:
    """The same noise in every format, and in every variant with a decoder of its own."""
    image = noise()
    files = {name: encode(image, **options) for name, options in FORMATS.items()}
    files["progressive jpeg"] = encode(image, "JPEG", progressive=True)
    files["raw tiff"] = encode(image, "TIFF")
    files["lossy webp"] = encode(image, "WEBP")
    files["rgba png"] = encode(noise().convert("RGBA"))
    return files


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, color: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG from its parts: `rows` with their filter bytes, `extra` as chunks before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def tiff(values: np.ndarray, order: Literal["<", ">"] = "<", *, compression: int = 1) -> bytes:
    """An uncompressed TIFF of color [height, width, 3] of any type of numbers; `order` is "<" or ">"."""
    height, width, channels = values.shape
    body = values.astype(values.dtype.newbyteorder(order)).tobytes()
    of_each = {258: 8 * values.itemsize, 339: 3 if values.dtype.kind == "f" else 1}
    ones = {256: width, 257: height, 259: compression, 262: 2, 273: 0, 277: channels, 278: height, 279: len(body)}
    first = 8 + 2 + 12 * (len(ones) + len(of_each)) + 4
    ones[273] = first + 6 * len(of_each)
    entries = [(tag, 4, 1, value) for tag, value in ones.items()]
    entries += [(tag, 3, channels, first + 6 * index) for index, tag in enumerate(of_each)]
    directory = b"".join(struct.pack(order + "HHII", *entry) for entry in sorted(entries))
    extra = b"".join(struct.pack(f"{order}3H", *[value] * 3) for value in of_each.values())
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    return start + directory + bytes(4) + extra + body
