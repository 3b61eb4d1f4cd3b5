"""Pixels of more than 8 bits per channel that Pillow reads as 8 bits: color of 16 bits, and PFM.

Pillow keeps the upper byte of each value. Decoding the same file again with the byte order swapped gives the lower one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from visdiv_assets.imaging.levels import INNER, SAMPLED

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_PFM = re.compile(rb"P([Ff])\s+(\d{1,9})\s+(\d{1,9})\s+([-+]?[0-9.]+(?:[eE][-+]?\d+)?)\s")

#: Raw modes of Pillow that drop the lower byte of each value, and those that take it instead.
_OTHER_BYTE = {f"{mode};16B": f"{mode};16L" for mode in ("RGB", "RGBX", "RGBA")}
_OTHER_BYTE |= {low: high for high, low in _OTHER_BYTE.items()}
_NATIVE_LOWER = "B" if sys.byteorder == "little" else "L"
_OTHER_BYTE |= {f"{mode};16N": f"{mode};16{_NATIVE_LOWER}" for mode in ("RGB", "RGBX", "RGBA")}
#: Gray and alpha of 16 bits: as four channels of 8 bits they are both bytes of each.
_OTHER_BYTE["LA;16B"] = "RGBA"

#: The inner values of the upper bytes that show that the image uses its range.
_MIN_SPREAD, _MIN_HIGH = 64, 64


class DeepColor(NamedTuple):
    """Color of 16 bits.

    Attributes:
        values: uint16 [height, width, 3], or [height, width] of gray.
        alpha: the upper byte of the opacity [height, width]; None if there is none.
        transparent: the pixels of the transparent color, bool [height, width]; None if there is none.
    """

    values: NDArray[np.uint16]
    alpha: NDArray[np.uint8] | None
    transparent: NDArray[np.bool_] | None


def is_pfm(data: bytes) -> bool:
    """Return whether a file begins as a PFM does."""
    return _PFM.match(data[:128]) is not None


def pfm_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PFM in pixels; None if its header is invalid."""
    header = _PFM.match(data[:128])
    return (int(header[2]), int(header[3])) if header else None


def read_pfm(data: bytes) -> NDArray[np.float32]:
    """Return the pixels of a PFM, float32 [height, width], or [height, width, 3] in color.

    Raises:
        ValueError: the header is invalid.
        OSError: the file is truncated.
    """
    header = _PFM.match(data[:128])
    if header is None or not int(header[2]) or not int(header[3]):
        raise ValueError("no usable header")
    width, height, channels = int(header[2]), int(header[3]), 3 if header[1] == b"F" else 1
    count = width * height * channels
    if len(data) - header.end() < 4 * count:
        raise OSError("image file is truncated")
    kind = "<f4" if float(header[4]) < 0 else ">f4"
    shape = (height, width, 3) if channels == 3 else (height, width)
    rows = np.frombuffer(data, kind, count, header.end()).reshape(shape)[::-1]
    return np.ascontiguousarray(rows, np.float32)


def raw_mode(image: Image) -> str:
    """Return how Pillow will read the pixels of an image that is not loaded yet; empty if it is not known."""
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    args = tiles[0].args
    mode = args[0] if isinstance(args, tuple) and args else args
    if tiles[0].codec_name == "ppm" and image.mode == "RGB" and isinstance(args, tuple) and args[-1] > 255:
        return "ppm"
    return mode if isinstance(mode, str) else ""


def loses_bits(mode: str) -> bool:
    """Return whether Pillow drops bits of pixels that it reads in a raw mode."""
    return mode == "ppm" or mode in _OTHER_BYTE


def uses_its_range(image: Image) -> bool:
    """Return whether the upper bytes of a loaded image are enough: its inner values cover a quarter of the range."""
    upper = np.asarray(image)[..., :3].reshape(-1)
    sample = upper[:: max(1, upper.size // SAMPLED)]
    low, high = np.percentile(sample, INNER)
    return bool(high - low >= _MIN_SPREAD and upper.max() >= _MIN_HIGH)


def read_deep_color(image: Image, mode: str, data: bytes, reopen: Callable[[IO[bytes]], Any]) -> DeepColor:
    """Return all 16 bits of each value.

    Args:
        image: the loaded image.
        mode: its `raw_mode` before it was loaded.
        data: the encoded image.
        reopen: opens it again.
    """
    import io

    again = reopen(io.BytesIO(data))
    if mode == "ppm":
        tile = again.tile[0]
        count = image.width * image.height * 3
        values = np.frombuffer(data, ">u2", count, tile.offset).astype(np.uint16)
        # The largest value that the header allows is white.
        scaled = (values.astype(np.uint32) * 65535 // int(tile.args[-1])).clip(0, 65535).astype(np.uint16)
        return DeepColor(scaled.reshape(image.height, image.width, 3), None, None)
    key = again.info.get("transparency")
    again.tile = [tile._replace(args=_with_other_byte(tile.args)) for tile in again.tile]
    again.load()
    upper, lower = np.asarray(image), np.asarray(again)
    if mode.startswith("LA"):
        gray = (lower[..., 0].astype(np.uint16) << 8) | lower[..., 1]
        return DeepColor(gray, lower[..., 2], None)
    values = (upper[..., :3].astype(np.uint16) << 8) | lower[..., :3]
    is_key = (values == np.array(key, np.uint16)).all(axis=2) if isinstance(key, tuple) else None
    return DeepColor(values, upper[..., 3] if upper.shape[2] == 4 else None, is_key)


def _with_other_byte(args: Any) -> Any:
    return (_OTHER_BYTE[args[0]], *args[1:]) if isinstance(args, tuple) else _OTHER_BYTE[args]
