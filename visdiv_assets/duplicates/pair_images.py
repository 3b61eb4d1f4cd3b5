"""What verification reads of the images of pairs: stored features and thumbnails, originals, and backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow.compute as pc

from visdiv_assets.corpus.access import CONTENT
from visdiv_assets.corpus.image_fetch import Fetch, ImageFetcher
from visdiv_assets.duplicates.verify import Background, make_background
from visdiv_assets.duplicates.verify.matching import feature_set
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.local_features import extract_features, unpack_features
from visdiv_assets.imaging.thumbnails import SIDE, encode_thumbnail
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.vectors.lru import LruCache

if TYPE_CHECKING:
    from PIL.Image import Image

#: Images of a background. An image_id is a hash, so that the lowest ones are a random sample that new images hardly
#: change.
BACKGROUND_IMAGES = 64
#: Backgrounds that are kept, of 14 MB each.
BACKGROUNDS_KEPT = 8


class Stored(NamedTuple):
    """Packed local features and encoded thumbnail of an image; None and None if it cannot be read."""

    features: bytes | None
    thumbnail: bytes | None

    @classmethod
    def of(cls, pixels: Image) -> Stored:
        """Return what the pass stores of an RGB image."""
        return cls(extract_features(pixels), encode_thumbnail(pixels, SIDE))


class PairImages:
    """The images of some subsets and benchmarks, as verification reads them."""

    def __init__(self, lake: Lake, source: Source, sets: Sequence[tuple[Kind, Manifest]], limits: DecodeLimits) -> None:
        """Read the image_ids.

        Args:
            lake: where features and thumbnails are stored; what is not stored is made from the originals.
            source: where the originals are.
            sets: kind and manifest of the list of images of each subset or benchmark.
            limits: of originals that are decoded.
        """
        self._fetcher = ImageFetcher(lake, source, sets)
        self._limits = limits
        self._features = _Blobs(lake, [_stored(lake, kind, images, "features") for kind, images in sets], "features")
        self._thumbnails = _Blobs(
            lake, [_stored(lake, kind, images, "thumbnails") for kind, images in sets], "thumbnails"
        )
        self._samples = [_lowest(lake, images) for _, images in sets]
        self._backgrounds: LruCache[Background] = LruCache(BACKGROUNDS_KEPT)

    def in_order(self, image_ids: Sequence[str]) -> Fetch:
        """Return a function that fetches originals; see `ImageFetcher.in_order`."""
        return self._fetcher.in_order(image_ids)

    def stored(self, image_ids: Sequence[str]) -> list[Stored]:
        """Return what is stored of some images; what is not stored is made from the original."""
        features, thumbnails = self._features.read(image_ids), self._thumbnails.read(image_ids)
        missing = [name for name, *both in zip(image_ids, features, thumbnails, strict=True) if None in both]
        made = dict(zip(missing, map(self._make, self._fetcher.fetch(missing)), strict=True))
        pairs = zip(image_ids, features, thumbnails, strict=True)
        return [made[name] if name in made else Stored(of, thumbnail) for name, of, thumbnail in pairs]

    def backgrounds(self, image_id_a: str, image_id_b: str) -> list[Background]:
        """Return the backgrounds of a pair: a sample of each set that holds one of the two images."""
        owners = dict.fromkeys(self._fetcher.owner(name) for name in (image_id_a, image_id_b))
        return [self._background(owner) for owner in owners if owner >= 0]

    def _background(self, owner: int) -> Background:
        def load() -> Background:
            return stored_background(self._samples[owner], self.stored(self._samples[owner]))

        return self._backgrounds.get(owner, load)

    def _make(self, data: bytes | None) -> Stored:
        pixels = decode_image(data, limits=self._limits).pixels
        if pixels is None:
            return Stored(None, None)
        return Stored.of(pixels)


def stored_background(image_ids: Sequence[str], stored: Sequence[Stored]) -> Background:
    """Return the background of what is stored of some images; unreadable ones are left out."""
    readable = [(name, of.features) for name, of in zip(image_ids, stored, strict=True) if of.features is not None]
    return make_background([name for name, _ in readable], [feature_set(unpack_features(of)) for _, of in readable])


def _stored(lake: Lake, kind: Kind, images: Manifest, name: str) -> Manifest | None:
    manifest = lake.manifest(getattr(CONTENT[kind], name), images.partition)
    return manifest if manifest is not None and manifest.files("ids") else None


def _lowest(lake: Lake, images: Manifest) -> list[str]:
    """Return the lowest image_ids of the readable images of a subset or benchmark."""
    listed = lake.read(images, columns=["image_id", "status"], where=pc.field("status") == "ok")
    lowest = np.unique(listed["image_id"].to_numpy().astype("S32"))[:BACKGROUND_IMAGES]
    return [name.decode() for name in lowest.tolist()]


class _Blobs:
    """The blobs of several partitions by image_id."""

    def __init__(self, lake: Lake, manifests: Sequence[Manifest | None], role: str) -> None:
        there = [manifest for manifest in manifests if manifest is not None]
        ids = [
            lake.read(manifest, "ids", columns=["image_id"])["image_id"].to_numpy().astype("S32") for manifest in there
        ]
        self._blobs = [lake.blobs(manifest, role) for manifest in there]
        self._starts = np.cumsum([0, *(len(of) for of in ids)])
        self._index = IdIndex(np.concatenate([np.empty(0, "S32"), *ids]))

    def read(self, image_ids: Sequence[str]) -> list[bytes | None]:
        """Return the blobs of images; None for those that are not stored."""
        found: list[bytes | None] = [None] * len(image_ids)
        rows = self._index.rows(np.array(image_ids, "S32"))
        owner = np.searchsorted(self._starts, rows, side="right") - 1
        for index, blobs in enumerate(self._blobs):
            chosen = np.flatnonzero((owner == index) & (rows >= 0))
            if len(chosen):
                for slot, item in zip(chosen.tolist(), blobs.read(rows[chosen] - self._starts[index]), strict=True):
                    found[slot] = item
        return found
