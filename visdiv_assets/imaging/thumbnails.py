"""Thumbnails: small WebP images that the lake stores, and as a page embeds them, each once."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from visdiv_assets.imaging.decode import DecodedImage, ImageStatus
from visdiv_assets.imaging.resize import reduce_to
from visdiv_assets.threads import ordered_map, thread_count

if TYPE_CHECKING:
    from PIL.Image import Image

#: Default longest side of a stored thumbnail in pixels.
SIDE = 256
#: WebP quality of a stored thumbnail, and effort: methods above 2 take twice the time and save 5 % of the bytes.
QUALITY, METHOD = 75, 2

#: Maximum total size of the thumbnails of a page, in bytes of Base64.
MAX_PAGE_BYTES = 4_000_000

#: Side in pixels and WebP quality, tried in order if the stored thumbnails do not fit in a page.
_STEPS = ((160, 75), (160, 50), (128, 50), (96, 40))

#: Smaller images (longest side in pixels) are enlarged so much that sharp squares are clearer than blurred pixels.
_TINY = 80


@dataclass(frozen=True, slots=True)
class Preview:
    """What a page can show of an image without its source.

    Attributes:
        webp: the thumbnail; None if the image is unreadable.
        about: format and size of the original, such as "png, 640 x 480", or why it is unreadable.
        tiny: whether the original's longest side is shorter than 80 pixels.
    """

    webp: bytes | None
    about: str
    tiny: bool = False

    @property
    def image(self) -> Image | None:
        """The thumbnail in mode RGB; None if the image is unreadable."""
        from PIL import Image

        if self.webp is None:
            return None
        return Image.open(io.BytesIO(self.webp)).convert("RGB")


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An image as a page shows it.

    Attributes:
        name: its CSS class in the page; empty if the image is unreadable.
        encoded: a WebP in Base64; empty if the image is unreadable.
        about: as in `Preview`.
        tiny: as in `Preview`.
    """

    name: str
    encoded: str
    about: str
    tiny: bool = False


def encode_thumbnail(image: Image, side: int) -> bytes:
    """Encode an image as a small WebP, the same for the same pixels and version of libwebp.

    Args:
        image: an image of mode RGB and any size.
        side: longest side of the thumbnail in pixels; smaller images are not enlarged.
    """
    return _encode(image, side, QUALITY)


def preview(webp: bytes, about: DecodedImage) -> Preview:
    """Return the preview of a readable image.

    Args:
        webp: its thumbnail.
        about: its format, width and height.
    """
    size = (about.width or 0, about.height or 0)
    return Preview(webp, f"{about.format}, {size[0]} x {size[1]}", max(size) < _TINY)


def unreadable(about: DecodedImage) -> Preview:
    """Return the preview of an image that cannot be read, from its status and detail."""
    if about.status is ImageStatus.EMPTY:
        return Preview(None, about.detail)
    return Preview(None, f"{about.status.value.replace('_', ' ')} ({about.detail})")


def thumbnails(previews: Iterable[Preview]) -> dict[Preview, Thumbnail]:
    """Prepare the different previews of a page, in the order of first occurrence.

    Stored thumbnails are embedded as they are. If they exceed `MAX_PAGE_BYTES` together, all are encoded again at a
    smaller size.

    Args:
        previews: with repetitions.
    """
    distinct = list(dict.fromkeys(previews))
    encoded = _fit_in_page([each.webp for each in distinct if each.webp is not None])
    result: dict[Preview, Thumbnail] = {}
    for index, each in enumerate(distinct):
        if each.webp is None:
            result[each] = Thumbnail("", "", each.about)
        else:
            data = base64.b64encode(next(encoded)).decode("ascii")
            result[each] = Thumbnail(f"p{index}", data, each.about, each.tiny)
    return result


def styles(small: Iterable[Thumbnail]) -> str:
    """Return a style sheet that sets each readable thumbnail as the background of its CSS class."""
    return "\n".join(
        f".{each.name}{{background-image:url(data:image/webp;base64,{each.encoded})}}" for each in small if each.name
    )


def _fit_in_page(stored: list[bytes]) -> Iterator[bytes]:
    """Return the thumbnails, encoded again if they are too large for a page."""
    found = stored
    for side, quality in _STEPS:
        if sum(map(len, found)) * 4 / 3 <= MAX_PAGE_BYTES:
            break

        def shrink(data: bytes, side: int = side, quality: int = quality) -> bytes:
            image = Preview(data, "").image
            assert image is not None
            return _encode(image, side, quality)

        found = list(ordered_map(shrink, stored, threads=thread_count(0)))
    return iter(found)


def _encode(image: Image, side: int, quality: int) -> bytes:
    stream = io.BytesIO()
    reduce_to(image, side).save(stream, "WEBP", quality=quality, method=METHOD)
    return stream.getvalue()
