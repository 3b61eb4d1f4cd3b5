"""Copies of an image as the stages would see them: encoded, and with the features and the thumbnail of the pass."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.corpus.image_fetch import Fetch
from visdiv_assets.duplicates.calibration.copies import KINDS, STRENGTHS, make_copy
from visdiv_assets.duplicates.pair_images import Stored
from visdiv_assets.duplicates.verify import Background
from visdiv_assets.duplicates.verify_pairs import ImageAccess
from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.imaging.decode import DecodedImage, decode_image
from visdiv_assets.imaging.pdq import fingerprints
from visdiv_assets.imaging.resize import Reduced
from visdiv_assets.threads import ordered_map

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

#: The seed of all random choices.
SEED = 1
#: Size to which larger images are reduced before they are copied: copies that people share are rarely larger.
MAX_PIXELS = 1_000_000
#: Quality at which copies of JPEG images are saved. Copies of other images are saved without loss, as PNG.
JPEG_QUALITY = 90


@dataclass(frozen=True)
class Copy:
    """A copy of an image.

    Attributes:
        image_id: the image.
        kind: one of `copies.KINDS`.
        strength: one of `copies.STRENGTHS`.
        data: the encoded copy.
        stored: its packed features and its thumbnail.
        preprocessed: what the embedder takes.
        hashes: its PDQ hashes; None if it is too plain to have any.
    """

    image_id: str
    kind: str
    strength: str
    data: bytes
    stored: Stored
    preprocessed: NDArray[np.uint8]
    hashes: bytes | None

    @property
    def name(self) -> str:
        """What stands for an image_id."""
        return f"{self.image_id}/{self.kind}/{self.strength}"


def strength_of(image_id: str, kind: str) -> str:
    """Return the strength at which an image is copied in a way; half of the images are copied at each."""
    return Random(f"{SEED}/{image_id}/{kind}").choice(STRENGTHS)


def choose_kind(image_id: str, other_id: str) -> str:
    """Return the kind of the copy that replaces an image in the pair with another one."""
    return Random(f"{SEED}/{image_id}/{other_id}").choice(KINDS)


def make_copies(
    image_id: str, decoded: DecodedImage, kinds: Sequence[str], embedder: Embedder, *, threads: int
) -> dict[str, Copy]:
    """Make copies of an image, by kind; one with the same pixels as the image is left out.

    Args:
        image_id: the image.
        decoded: the image with its pixels.
        kinds: the kinds, each once.
        embedder: preprocesses.
        threads: number of threads.
    """
    assert decoded.pixels is not None
    pixels = _reduce(decoded.pixels)
    seed = Random(f"{SEED}/{image_id}").getrandbits(32)

    def make(kind: str) -> Copy | None:
        strength = strength_of(image_id, kind)
        edited = make_copy(pixels, kind, strength, seed)
        if edited.size == pixels.size and edited.tobytes() == pixels.tobytes():
            return None
        data = _encode(edited, "JPEG" if decoded.format == "jpeg" else "PNG")
        seen = decode_image(data).pixels
        assert seen is not None
        stored = Stored.of(seen)
        hashes = fingerprints(Reduced(seen).square)
        return Copy(image_id, kind, strength, data, stored, embedder.preprocess(seen), hashes)

    made = ordered_map(make, kinds, threads=threads)
    return {kind: copy for kind, copy in zip(kinds, made, strict=True) if copy is not None}


def _encode(image: Image, encoding: str) -> bytes:
    stream = io.BytesIO()
    if encoding == "JPEG":
        image.save(stream, "JPEG", quality=JPEG_QUALITY)
    else:
        image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _reduce(image: Image) -> Image:
    """Reduce an image to `MAX_PIXELS`; smaller images are returned unchanged."""
    from PIL.Image import Resampling

    factor = (MAX_PIXELS / (image.width * image.height)) ** 0.5
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)


class WithCopies:
    """The images of a subset and copies of some of them, as verification reads them."""

    def __init__(self, images: ImageAccess, copies: Mapping[str, Copy]) -> None:
        """Store the arguments.

        Args:
            images: reads the images of the subset.
            copies: the copies by name.
        """
        self._images = images
        self._copies = copies

    def stored(self, image_ids: Sequence[str]) -> list[tuple[bytes | None, bytes | None]]:
        """Return packed features and encoded thumbnails."""
        real = [name for name in image_ids if name not in self._copies]
        read = dict(zip(real, self._images.stored(real), strict=True))
        return [self._copies[name].stored if name in self._copies else read[name] for name in image_ids]

    def in_order(self, image_ids: Sequence[str]) -> Fetch:
        """Return a function that fetches encoded images; see `ImageFetcher.in_order`."""
        fetch = self._images.in_order([name for name in image_ids if name not in self._copies])

        def fetch_all(names: Sequence[str]) -> list[bytes | None]:
            real = [name for name in names if name not in self._copies]
            read = dict(zip(real, fetch(real), strict=True))
            return [self._copies[name].data if name in self._copies else read[name] for name in names]

        return fetch_all

    def backgrounds(self, image_id_a: str, image_id_b: str) -> Sequence[Background]:
        """Return the backgrounds of a pair; a copy is of the kind of its image."""
        a, b = (self._copies[name].image_id if name in self._copies else name for name in (image_id_a, image_id_b))
        return self._images.backgrounds(a, b)
