"""Thumbnails for a report: small JPEGs, one for each distinct image."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from visdiv_assets.imaging.decode import ImageStatus, decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.threads import ordered_map, thread_count

if TYPE_CHECKING:
    from PIL.Image import Image

#: Longest side in pixels.
SIDE = 160

#: Maximum total size of the thumbnails of a page, in bytes of Base64.
MAX_PAGE_BYTES = 4_000_000

#: Side in pixels and JPEG quality, tried in order until the thumbnails fit; most pages need only the first.
_STEPS = ((SIDE, 70), (SIDE, 50), (128, 50), (96, 40))

#: Smaller images (longest side in pixels) are enlarged so much that sharp squares are clearer than blurred pixels.
_TINY = 80


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An image as a page shows it.

    Attributes:
        name: its CSS class in the page; empty if the image is unreadable.
        encoded: a JPEG in Base64; empty if the image is unreadable.
        about: format and size of the original, such as "png, 640 x 480", or why it is unreadable.
        tiny: whether the original's longest side is shorter than 80 pixels.
    """

    name: str
    encoded: str
    about: str
    tiny: bool = False


def thumbnails(images: Iterable[bytes | None], *, limits: DecodeLimits) -> dict[str | None, Thumbnail]:
    """Make a thumbnail of every distinct image.

    Args:
        images: encoded images, with repetitions; they may be unreadable.
        limits: an image that exceeds them counts as unreadable.

    Returns:
        Thumbnails by `key_of` the image's bytes, in the order of first occurrence.
    """
    distinct: dict[str | None, bytes | None] = {}
    for data in images:
        distinct.setdefault(key_of(data), data)

    def draw(data: bytes | None) -> tuple[Image | None, str]:
        return _reduce(data, limits)

    drawn = dict(zip(distinct, ordered_map(draw, distinct.values(), threads=thread_count(0)), strict=True))
    encoded: dict[str | None, str] = {}
    for side, quality in _STEPS:
        encoded = {key: _encode(image, side, quality) for key, (image, _) in drawn.items() if image is not None}
        if sum(map(len, encoded.values())) <= MAX_PAGE_BYTES:
            break
    result: dict[str | None, Thumbnail] = {}
    for index, (key, (image, about)) in enumerate(drawn.items()):
        if image is None:
            result[key] = Thumbnail("", "", about)
        else:
            result[key] = Thumbnail(f"p{index}", encoded[key], about, max(image.size) < _TINY)
    return result


def styles(small: Iterable[Thumbnail]) -> str:
    """Return a style sheet that sets each readable thumbnail as the background of its CSS class."""
    return "\n".join(
        f".{each.name}{{background-image:url(data:image/jpeg;base64,{each.encoded})}}" for each in small if each.name
    )


def key_of(data: bytes | None) -> str | None:
    """Return the key of an image in `thumbnails`: the image_id of its bytes, or None if there are none."""
    return None if data is None else image_id(data)


def _reduce(data: bytes | None, limits: DecodeLimits) -> tuple[Image | None, str]:
    """Return the image reduced to `SIDE` (never enlarged), or None if it is unreadable, and its description."""
    from PIL.Image import Resampling

    decoded = decode_image(data, limits=limits)
    if decoded.pixels is None:
        status = decoded.status.value.replace("_", " ")
        return None, decoded.detail if decoded.status is ImageStatus.EMPTY else f"{status} ({decoded.detail})"
    image = decoded.pixels
    about = f"{decoded.format}, {image.width} x {image.height}"
    scale = SIDE / max(image.size)
    if scale < 1:
        fitted = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(fitted, Resampling.LANCZOS, reducing_gap=3.0)
    return image, about


def _encode(image: Image, side: int, quality: int) -> str:
    from PIL.Image import Resampling

    if max(image.size) > side:
        scale = side / max(image.size)
        fitted = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(fitted, Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")
