"""Every kind of image to 8-bit RGB: the one place where modes are converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_WHITE = (255, 255, 255)
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
#: Modes in which `info["transparency"]` names the transparent color or the palette's alphas.
_KEYED_MODES = ("1", "L", "P", "RGB")


def to_rgb(image: Image) -> Image:
    """Make a new RGB image; the given one is not changed.

    - Transparency, of whatever kind, is laid on white.
    - 16-bit gray keeps its upper 8 bits. 32-bit whole numbers within 0 to 65535 are taken for 16-bit gray.
    - Floats within 0 to 1, 0 to 255 and 0 to 65535 are taken for such scales, the narrowest that fits; what
      is not a number is black.
    - Other 32-bit gray is stretched so that its least value is black and its greatest white.
    - CMYK, YCbCr, LAB, HSV, palettes and 1 bit are converted as Pillow does; embedded color profiles are not
      applied.

    Args:
        image: a loaded image of any mode.

    Returns:
        The image in mode RGB, of the same size, with an empty `info`.

    Raises:
        ValueError: Pillow knows no way from the mode to RGB.
    """
    mode = image.mode
    key = image.info.get("transparency")
    if mode.startswith("I") or mode == "F":
        result = _from_deep_gray(image, key)
    elif mode in _ALPHA_MODES or (mode in _KEYED_MODES and key is not None) or _has_palette_alpha(image):
        result = _on_white(image)
    else:
        result = image.convert("RGB")
    result.info = {}
    return result


def into_rgb(image: Image) -> Image:
    """Do as `to_rgb`, but let an RGB image that needs no change hand over its pixels instead of copying them.

    The copy took longer than decoding a JPEG did: its memory is fresh, and the system clears every page of it.

    Args:
        image: a loaded image of any mode, not to be used for its pixels any more.

    Returns:
        The image in mode RGB, of the same size, with an empty `info`.

    Raises:
        ValueError: Pillow knows no way from the mode to RGB.
    """
    if image.mode != "RGB" or image.info.get("transparency") is not None:
        return to_rgb(image)
    # What Pillow's own methods make their results with; it leaves the file behind.
    result = image._new(image.im)
    result.info = {}
    return result


def _has_palette_alpha(image: Image) -> bool:
    return image.mode == "P" and image.palette is not None and image.palette.mode.endswith(("A", "a"))


def _on_white(image: Image) -> Image:
    from PIL.Image import new

    premultiplied = {"RGBa": "RGBA", "La": "LA"}.get(image.mode)
    rgba = (image.convert(premultiplied) if premultiplied else image).convert("RGBA")
    white = new("RGB", image.size, _WHITE)
    white.paste(rgba, mask=rgba)
    return white


def _from_deep_gray(image: Image, key: Any) -> Image:
    from PIL.Image import fromarray

    values = np.asarray(image)
    if image.mode == "F":
        gray = _float_to_8_bits(values)
    elif image.mode == "I" and (values.min() < 0 or values.max() > 0xFFFF):
        gray = _stretched(values, float(values.min()), float(values.max()))
    else:
        gray = (values >> 8).astype(np.uint8)
    if isinstance(key, int):
        gray[values == key] = 255
    return fromarray(gray).convert("RGB")


def _float_to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low = float(values.min(where=finite, initial=np.inf))
    high = float(values.max(where=finite, initial=-np.inf))
    for white in (1.0, 255.0, 65535.0):
        if low >= 0 and high <= white:
            return _stretched(values, 0.0, white)
    return _stretched(values, low, high)


def _stretched(values: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    """Scale linearly so that `black` becomes 0 and `white` 255; what is not a number becomes 0."""
    scaled = (values.astype(np.float64) - black) * (255.0 / max(white - black, np.finfo(np.float64).tiny))
    gray: NDArray[np.uint8] = np.nan_to_num(np.clip(np.rint(scaled), 0, 255)).astype(np.uint8)
    return gray
