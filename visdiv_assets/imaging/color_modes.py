"""Conversion of every Pillow image mode to 8-bit RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_WHITE = (255, 255, 255)
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
#: Modes in which `info["transparency"]` holds the transparent color or the alpha values of the palette.
_KEYED_MODES = ("1", "L", "P", "RGB")


def to_rgb(image: Image) -> Image:
    """Return a new RGB image; the given one is not changed.

    - Transparent pixels of all kinds are blended with white.
    - 16-bit gray keeps its upper 8 bits. 32-bit integers within 0 to 65535 count as 16-bit gray.
    - Floats are scaled from the narrowest of the ranges 0 to 1, 0 to 255 and 0 to 65535 that contains them; NaN
      becomes black.
    - Other 32-bit gray is scaled so that its minimum becomes black and its maximum white.
    - CMYK, YCbCr, LAB, HSV, palettes and 1 bit are converted as Pillow does; embedded color profiles are not
      applied.

    Args:
        image: a loaded image of any mode.

    Returns:
        The image in mode RGB, of the same size, with an empty `info`.

    Raises:
        ValueError: Pillow cannot convert the mode to RGB.
    """
    mode = image.mode
    key = image.info.get("transparency")
    if mode.startswith("I") or mode == "F":
        result = _convert_deep_gray(image, key)
    elif mode in _ALPHA_MODES or (mode in _KEYED_MODES and key is not None) or _has_palette_alpha(image):
        result = _blend_with_white(image)
    else:
        result = image.convert("RGB")
    result.info = {}
    return result


def into_rgb(image: Image) -> Image:
    """Convert as `to_rgb`, but reuse the pixels of an RGB image that needs no change instead of copying them.

    The copy took longer than the decoding of a JPEG, because the system clears every page of new memory.

    Args:
        image: a loaded image of any mode; its pixels must not be used afterwards.

    Returns:
        The image in mode RGB, of the same size, with an empty `info`.

    Raises:
        ValueError: Pillow cannot convert the mode to RGB.
    """
    if image.mode != "RGB" or image.info.get("transparency") is not None:
        return to_rgb(image)
    # Pillow's own methods make their results with `_new`, which drops the reference to the file.
    result = image._new(image.im)
    result.info = {}
    return result


def _has_palette_alpha(image: Image) -> bool:
    return image.mode == "P" and image.palette is not None and image.palette.mode.endswith(("A", "a"))


def _blend_with_white(image: Image) -> Image:
    from PIL.Image import new

    premultiplied = {"RGBa": "RGBA", "La": "LA"}.get(image.mode)
    rgba = (image.convert(premultiplied) if premultiplied else image).convert("RGBA")
    white = new("RGB", image.size, _WHITE)
    white.paste(rgba, mask=rgba)
    return white


def _convert_deep_gray(image: Image, key: Any) -> Image:
    from PIL.Image import fromarray

    values = np.asarray(image)
    if image.mode == "F":
        gray = _scale_floats(values)
    elif image.mode == "I" and (values.min() < 0 or values.max() > 0xFFFF):
        gray = _scale_to_8_bits(values, float(values.min()), float(values.max()))
    else:
        gray = (values >> 8).astype(np.uint8)
    if isinstance(key, int):
        gray[values == key] = 255
    return fromarray(gray).convert("RGB")


def _scale_floats(values: NDArray[Any]) -> NDArray[np.uint8]:
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low = float(values.min(where=finite, initial=np.inf))
    high = float(values.max(where=finite, initial=-np.inf))
    for white in (1.0, 255.0, 65535.0):
        if low >= 0 and high <= white:
            return _scale_to_8_bits(values, 0.0, white)
    return _scale_to_8_bits(values, low, high)


def _scale_to_8_bits(values: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    """Scale linearly so that `black` becomes 0 and `white` 255; NaN becomes 0."""
    scaled = (values.astype(np.float64) - black) * (255.0 / max(white - black, np.finfo(np.float64).tiny))
    gray: NDArray[np.uint8] = np.nan_to_num(np.clip(np.rint(scaled), 0, 255)).astype(np.uint8)
    return gray
