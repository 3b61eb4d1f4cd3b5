"""Conversion of every Pillow image mode, and of deeper pixels that Pillow cannot hold, to 8-bit RGB."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from visdiv_assets.imaging.levels import FLOAT_WHITES, INTEGER_WHITES, Levels, choose_levels, scale_to_8_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
#: Modes in which `info["transparency"]` holds the transparent color or the alpha values of the palette.
_KEYED_MODES = ("1", "L", "P", "RGB")

#: Difference from the background, in levels, at which a pixel shows.
_VISIBLE = 24
#: The background is black if at least this many times as many pixels show on black as on white.
_SHOWS_BETTER = 500


class Background(StrEnum):
    """What the transparent pixels of an image were laid on."""

    WHITE = "white"
    #: On white nothing would show.
    BLACK = "black"
    #: Nothing shows on any background, so the colors are taken without their transparency.
    NONE = "none"


class Rendered(NamedTuple):
    """An image as 8-bit RGB, and what was decided on the way.

    Attributes:
        pixels: the image in mode RGB, with an empty `info`.
        levels: the values that became black and white; None if the image has 8 bits per channel or fewer.
        background: what transparent pixels were laid on; None if the image has none.
    """

    pixels: Image
    levels: Levels | None = None
    background: Background | None = None


def to_rgb(image: Image) -> Image:
    """Return a new RGB image; the given one is not changed.

    - Transparent pixels of all kinds are blended with white; with black if nothing shows on white. If nothing shows on
      black either, because every pixel is transparent, the colors are taken as if they were opaque.
    - Integers and floats of more than 8 bits are scaled by content (`levels.choose_levels`); NaN becomes black.
    - CMYK, YCbCr, LAB, HSV, palettes and 1 bit are converted as Pillow does; embedded color profiles are not
      applied.

    Args:
        image: a loaded image of any mode.

    Returns:
        The image in mode RGB, of the same size, with an empty `info`.

    Raises:
        ValueError: Pillow cannot convert the mode to RGB.
    """
    return render(image.copy() if image.mode == "RGB" else image).pixels


def render(image: Image) -> Rendered:
    """Convert as `to_rgb`, but reuse the pixels of an RGB image that needs no change instead of copying them.

    The copy took longer than the decoding of a JPEG, because the system clears every page of new memory.

    Args:
        image: a loaded image of any mode; its pixels must not be used afterwards.

    Raises:
        ValueError: Pillow cannot convert the mode to RGB.
    """
    mode = image.mode
    key = image.info.get("transparency")
    if mode == "RGB" and key is None:
        # Pillow's own methods make their results with `_new`, which drops the reference to the file.
        result = Rendered(image._new(image.im))
    elif mode.startswith("I") or mode == "F":
        values = np.asarray(image)
        result = render_deep(values, values == key if isinstance(key, int) else None)
    elif mode in _ALPHA_MODES or (mode in _KEYED_MODES and key is not None) or _has_palette_alpha(image):
        premultiplied = {"RGBa": "RGBA", "La": "LA"}.get(mode)
        result = _lay_on_background((image.convert(premultiplied) if premultiplied else image).convert("RGBA"))
    else:
        result = Rendered(image.convert("RGB"))
    result.pixels.info = {}
    return result


def render_deep(
    values: NDArray[Any], transparent: NDArray[np.bool_] | None = None, alpha: NDArray[np.uint8] | None = None
) -> Rendered:
    """Convert pixels of more than 8 bits per channel.

    Args:
        values: integers or floats [height, width] of gray or [height, width, 3] of red, green and blue.
        transparent: the transparent pixels, bool [height, width]; they do not count for the scale.
        alpha: the opacity of each pixel [height, width].
    """
    from PIL.Image import fromarray

    levels = choose_levels(
        values if transparent is None or transparent.all() else values[~transparent],
        FLOAT_WHITES if values.dtype.kind == "f" else INTEGER_WHITES,
    )
    pixels = fromarray(scale_to_8_bits(values, levels)).convert("RGB")
    if transparent is not None:
        alpha = np.where(transparent, 0, 255).astype(np.uint8)
    if alpha is None:
        return Rendered(pixels, levels)
    pixels.putalpha(fromarray(alpha))
    return _lay_on_background(pixels)._replace(levels=levels)


def _has_palette_alpha(image: Image) -> bool:
    return image.mode == "P" and image.palette is not None and image.palette.mode.endswith(("A", "a"))


def _lay_on_background(rgba: Image) -> Rendered:
    from PIL.Image import new

    if rgba.getchannel("A").getextrema() == (255, 255):
        return Rendered(rgba.convert("RGB"))
    white = new("RGB", rgba.size, "white")
    white.paste(rgba, mask=rgba)
    on_white = _count_visible(white, 255)
    if _SHOWS_BETTER * on_white >= rgba.width * rgba.height:
        return Rendered(white, background=Background.WHITE)
    black = new("RGB", rgba.size, "black")
    black.paste(rgba, mask=rgba)
    on_black = _count_visible(black, 0)
    if not on_white and not on_black:
        return Rendered(rgba.convert("RGB"), background=Background.NONE)
    if on_black <= _SHOWS_BETTER * on_white:
        return Rendered(white, background=Background.WHITE)
    return Rendered(black, background=Background.BLACK)


def _count_visible(image: Image, background: int) -> int:
    """Count the pixels of an RGB image that differ visibly from a gray background, 0 or 255."""
    from PIL import ImageChops

    red, green, blue = image.split()
    extreme = ImageChops.lighter if background == 0 else ImageChops.darker
    counts = extreme(extreme(red, green), blue).histogram()
    return sum(counts[_VISIBLE:] if background == 0 else counts[: 256 - _VISIBLE])
