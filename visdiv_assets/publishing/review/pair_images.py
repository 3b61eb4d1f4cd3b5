"""The images of a pair at full size, decoded and encoded again: no byte of the source reaches the browser."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from visdiv_assets.corpus.image_lookup import ImagePosition
from visdiv_assets.duplicates.verify.geometry import matrix_of
from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.publishing.reports.badges import VERIFIED, verdict_of
from visdiv_assets.publishing.reports.evidence_view import disagreement, mark_disagreement, shrink, warp_onto
from visdiv_assets.publishing.review.pair_loading import CONTAMINATION
from visdiv_assets.sources import Kind, Source
from visdiv_assets.vectors.lru import LruCache

if TYPE_CHECKING:
    from PIL.Image import Image

#: Bytes of source files, and of encoded images, that are kept in memory; a single one may be larger.
CACHED_BYTES = 64_000_000

#: Pixels up to which an image is sent without loss; larger ones are sent as JPEG.
LOSSLESS_PIXELS = 4_000_000
#: Longest side of an image that is sent; browsers do not draw much larger ones.
MAX_SIDE = 8192
#: Longest side of the image in which disagreements are marked.
_MARKED_SIDE = 1600

_Value = TypeVar("_Value")


class View(StrEnum):
    """What is drawn of a pair."""

    LEFT = "left"
    RIGHT = "right"
    #: The right image in the frame of the left one.
    ALIGNED = "aligned"
    #: The left image, dark, with the regions that disagree in magenta.
    MARKED = "marked"


class NoImageError(VisdivError):
    """An image cannot be shown; the message says why."""


@dataclass(frozen=True)
class EncodedImage:
    """An image for the browser: its bytes and their media type."""

    data: bytes
    media_type: str


class PairImages:
    """Fetches and draws the images of pairs; what was used last is kept. Safe for several threads."""

    def __init__(self, source: Source, limits: DecodeLimits) -> None:
        """Prepare to read.

        Args:
            source: holds the images.
            limits: of images; a larger one is not shown.
        """
        self._source, self._limits = source, limits
        self._fetching, self._caching = threading.Lock(), threading.Lock()
        self._fetched: LruCache[bytes] = LruCache(CACHED_BYTES, size_of=len)
        self._drawn: LruCache[EncodedImage] = LruCache(CACHED_BYTES, size_of=lambda image: len(image.data))

    def draw(self, pair: Mapping[str, Any], view: View) -> EncodedImage:
        """Draw a view of a pair.

        Args:
            pair: as `PairIndex.find` returns it.
            view: what to draw.

        Raises:
            NoImageError: an image cannot be read, has changed, or the pair has no alignment.
            SourceError: the source cannot be read.
        """
        return self._kept(self._drawn, (pair["pair_key"], pair["kind"], view), lambda: self._draw(pair, view))

    def _draw(self, pair: Mapping[str, Any], view: View) -> EncodedImage:
        if view is View.LEFT:
            return encode(self._pixels(pair, left=True))
        right = self._pixels(pair, left=False)
        if view is View.RIGHT:
            return encode(right)
        verdict = verdict_of({**pair, "verified": VERIFIED[pair["verdict"]]}, swapped=pair["swapped"])
        if verdict is None or not verdict.transform:
            raise NoImageError("no alignment of the two images was found")
        left = self._pixels(pair, left=True)
        if view is View.ALIGNED:
            return encode(lay_onto(left, right, verdict.transform))
        left, right = (shrink(image, _MARKED_SIDE) for image in (left, right))
        return encode(mark_disagreement(left, disagreement(left, right, verdict)))

    def _pixels(self, pair: Mapping[str, Any], *, left: bool) -> Image:
        """Return an image of a pair as it is shown; see `sides`."""
        kind, position = sides(pair)[0 if left else 1]
        data = self._kept(self._fetched, (kind, position), lambda: self._fetch(kind, position))
        if image_id(data) != position.image_id:
            raise NoImageError(f"row {position.row} of {position.name} has changed since it was read: run visdiv again")
        decoded = decode_image(data, limits=self._limits)
        if decoded.pixels is None:
            raise NoImageError(f"the image cannot be read: {decoded.status.value}, {decoded.detail}")
        return decoded.pixels

    def _fetch(self, kind: Kind, position: ImagePosition) -> bytes:
        with self._fetching:
            (data,) = self._source.fetch(kind, position.name, [(position.row, position.image_index)])
        if data is None:
            raise NoImageError(f"row {position.row} of {position.name} names an image without its bytes")
        return data

    def _kept(self, cache: LruCache[_Value], key: Hashable, make: Callable[[], _Value]) -> _Value:
        with self._caching:
            if key in cache:
                return cache.get(key, make)
        # Made without the lock, so that two images are drawn at the same time.
        made = make()
        with self._caching:
            return cache.get(key, lambda: made)


def sides(pair: Mapping[str, Any]) -> tuple[tuple[Kind, ImagePosition], tuple[Kind, ImagePosition]]:
    """Return kind and position of the left and the right image of a pair.

    Args:
        pair: as `PairIndex` returns it. The right image of a leak is that of the benchmark.
    """
    a, b = (ImagePosition(**_named(pair[f"position_{side}"]), image_id=pair[f"image_id_{side}"]) for side in "ab")
    if pair["kind"] == CONTAMINATION:
        return (Kind.SUBSET, a), (Kind.BENCHMARK, b)
    left, right = (b, a) if pair["swapped"] else (a, b)
    return (Kind.SUBSET, left), (Kind.SUBSET, right)


def _named(position: Mapping[str, Any]) -> dict[str, Any]:
    """Return a position with the names of `ImagePosition`."""
    return {"name": position["subset"], "row": position["row"], "image_index": position["image_index"]}


def lay_onto(left: Image, right: Image, transform: tuple[float, ...]) -> Image:
    """Return the right image in the frame of the left one, gray where it shows nothing.

    The result has the proportions of the left image, and so many pixels that no detail of the right one is lost.
    """
    matrix = matrix_of(transform)
    # Pixels of the right image for each pixel of the left frame, by area; a unit is a whole side.
    area = abs(float(np.linalg.det(matrix[:2, :2]))) * left.width * left.height
    finer = float(np.sqrt(right.width * right.height / area)) if area > 0 else 1.0
    limit = min(MAX_SIDE / max(left.size), float(np.sqrt(LOSSLESS_PIXELS / (left.width * left.height))))
    scale = max(1.0, min(finer, limit))
    return warp_onto(right, transform, (round(left.width * scale), round(left.height * scale)))


def encode(image: Image) -> EncodedImage:
    """Encode an image of mode RGB as PNG, or as JPEG if it is large; a very large one is reduced."""
    image = shrink(image, MAX_SIDE)
    stream = io.BytesIO()
    if image.width * image.height <= LOSSLESS_PIXELS:
        image.save(stream, "PNG", compress_level=1)
        return EncodedImage(stream.getvalue(), "image/png")
    image.save(stream, "JPEG", quality=92, subsampling=0)
    return EncodedImage(stream.getvalue(), "image/jpeg")
