"""Small JPEGs of the images of a report, each distinct image once."""

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

#: For all images of a page together, in bytes of Base64.
IMAGE_BYTES = 4_000_000

#: Side and quality, tried in turn until the images fit. Only noise and very busy images need more than the first.
_STEPS = ((SIDE, 70), (SIDE, 50), (128, 50), (96, 40))

#: Images smaller than this are enlarged so much that pixels are better shown as squares than as fog.
_TINY = 80


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An image as the page shows it.

    Attributes:
        name: its class in the page; empty if it cannot be read.
        encoded: a JPEG in Base64; empty if it cannot be read.
        about: its format and size as published: "png, 640 x 480"; or why it cannot be read.
        tiny: whether it has few pixels.
    """

    name: str
    encoded: str
    about: str
    tiny: bool = False


def thumbnails(images: Iterable[bytes | None], *, limits: DecodeLimits) -> dict[str | None, Thumbnail]:
    """Draw every distinct image once.

    Args:
        images: encoded images, repeated ones too, readable or not.
        limits: of images; a larger one counts as unreadable.

    Returns:
        By the identity of the bytes (see `key_of`), in the order in which they first occur.
    """
    distinct: dict[str | None, bytes | None] = {}
    for data in images:
        distinct.setdefault(key_of(data), data)

    def draw(data: bytes | None) -> tuple[Image | None, str]:
        return _small(data, limits)

    drawn = dict(zip(distinct, ordered_map(draw, distinct.values(), threads=thread_count(0)), strict=True))
    encoded: dict[str | None, str] = {}
    for side, quality in _STEPS:
        encoded = {key: _encode(image, side, quality) for key, (image, _) in drawn.items() if image is not None}
        if sum(map(len, encoded.values())) <= IMAGE_BYTES:
            break
    result: dict[str | None, Thumbnail] = {}
    for number, (key, (image, about)) in enumerate(drawn.items()):
        if image is None:
            result[key] = Thumbnail("", "", about)
        else:
            result[key] = Thumbnail(f"p{number}", encoded[key], about, max(image.size) < _TINY)
    return result


def styles(small: Iterable[Thumbnail]) -> str:
    """The style sheet that gives each image that can be read to the class of its name."""
    return "\n".join(
        f".{each.name}{{background-image:url(data:image/jpeg;base64,{each.encoded})}}" for each in small if each.name
    )


def key_of(data: bytes | None) -> str | None:
    """What tells one image from another: its bytes, whatever image_id the report gives it."""
    return None if data is None else image_id(data)


def _small(data: bytes | None, limits: DecodeLimits) -> tuple[Image | None, str]:
    """The image fitted to `SIDE` and never enlarged, and what to say about it."""
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
