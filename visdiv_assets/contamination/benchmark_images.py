"""The images of all benchmarks as one set, each once, with the benchmarks that hold it."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.access import readable_positions
from visdiv_assets.duplicates.candidates import Images, load_images
from visdiv_assets.duplicates.hash_bands import WORDS
from visdiv_assets.duplicates.pdq_join import Hashes
from visdiv_assets.duplicates.regions import Regions, load_regions
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.imaging.pdq import ORIENTATIONS
from visdiv_assets.storage.arrays import RowsOf, StackedArray
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.vectors.join_blocks import OtherSide
from visdiv_assets.vectors.lru import LruCache

#: The benchmarks used last: all subsets of a run are compared with the same ones.
_loaded: LruCache[BenchmarkImages] = LruCache(1)
_regions: LruCache[Regions] = LruCache(1)
_positions: LruCache[Mapping[str, pa.Table]] = LruCache(1)
_lock = threading.Lock()


@dataclass(frozen=True)
class BenchmarkImages:
    """The distinct images of some benchmarks.

    Images that are in the same benchmarks are of one kind.

    Attributes:
        names: names of the benchmarks.
        images: the images, in order of benchmark and first position.
        kind: int32 [m], the kind of each image.
        holders: bool [kinds, benchmarks], the benchmarks that hold the images of a kind.
    """

    names: list[str]
    images: Images
    kind: np.ndarray
    holders: np.ndarray

    @cached_property
    def side(self) -> OtherSide:
        """The images as the right side of a join; the best partner in each kind includes that in each benchmark."""
        return OtherSide(self.images.vectors, self.kind)

    def holders_of(self, images: np.ndarray) -> tuple[np.ndarray, pa.Array]:
        """Return the benchmarks that hold each of some images, int64 [p]: indices into `images`, and names."""
        number = self.holders.sum(axis=1)
        of_kind, benchmark = np.nonzero(self.holders)
        first = np.searchsorted(of_kind, np.arange(len(number)))
        count = number[self.kind[images]]
        index = np.repeat(np.arange(len(images)), count)
        rank = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
        held = benchmark[first[self.kind[images]][index] + rank]
        return index, pa.array(self.names, pa.string()).take(pa.array(held))


def collect_benchmarks(benchmarks: Mapping[str, Images]) -> BenchmarkImages:
    """Return the distinct images of benchmarks; of an image in several, the vector and hash of the first."""
    sides = list(benchmarks.values())
    sizes = [len(side.image_ids) for side in sides]
    listed = [side.image_ids.to_numpy(zero_copy_only=False).astype("S32") for side in sides]
    rows = np.concatenate([np.empty(0, "S32"), *listed])
    image_ids, first, index = np.unique(rows, return_index=True, return_inverse=True)
    # In the order in which the vectors are stored.
    order = np.argsort(first)
    image_ids, first = image_ids[order], first[order]
    held = np.zeros((len(image_ids), len(sides)), bool)
    held[np.argsort(order)[index], np.repeat(np.arange(len(sides)), sizes)] = True
    holders, kind = np.unique(held, axis=0, return_inverse=True)
    parts = [part for side in sides for part in getattr(side.vectors, "parts", [side.vectors])]
    starts = np.cumsum([0, *sizes])[:-1]
    hashed_rows = [side.hashes.rows + start for side, start in zip(sides, starts, strict=True)]
    hashed = np.concatenate([np.empty(0, np.int64), *hashed_rows])
    words = np.concatenate([np.empty((0, ORIENTATIONS, WORDS), np.uint64), *(side.hashes.words for side in sides)])
    at = np.searchsorted(hashed, first)
    has_hash = at < len(hashed)
    has_hash[has_hash] = hashed[at[has_hash]] == first[has_hash]
    images = Images(
        pa.array(image_ids.astype(np.str_), pa.string()),
        RowsOf(StackedArray(parts), first),
        Hashes(np.flatnonzero(has_hash), words[at[has_hash]]),
    )
    return BenchmarkImages(list(benchmarks), images, kind.reshape(-1).astype(np.int32), holders)


def load_benchmarks(lake: Lake, benchmarks: Mapping[str, tuple[Manifest, Manifest]]) -> BenchmarkImages:
    """Load benchmarks by the manifests of their images and embeddings; vectors are memory-mapped.

    The process keeps them for the next call.
    """
    with _lock:
        return _loaded.get(
            _key(lake, benchmarks),
            lambda: collect_benchmarks({name: load_images(lake, *of_one) for name, of_one in benchmarks.items()}),
        )


def load_benchmark_regions(
    lake: Lake, benchmarks: Mapping[str, tuple[Manifest, Manifest]], regions: Sequence[Manifest]
) -> Regions:
    """Load the regions of the images of benchmarks by the manifests of their regions, as `load_benchmarks`.

    The images are those of the benchmarks together, by their index.
    """
    images = load_benchmarks(lake, benchmarks).images
    with _lock:
        return _regions.get(
            (_key(lake, benchmarks), *(manifest.digest for manifest in regions)),
            lambda: load_regions(lake, regions, IdIndex(images.image_ids)),
        )


def load_positions(lake: Lake, benchmarks: Mapping[str, tuple[Manifest, Manifest]]) -> Mapping[str, pa.Table]:
    """Read the readable positions of benchmarks (`corpus.access.readable_positions`), by name, as `load_benchmarks`."""
    with _lock:
        return _positions.get(
            _key(lake, benchmarks),
            lambda: {name: readable_positions(lake, listed) for name, (listed, _) in benchmarks.items()},
        )


def _key(lake: Lake, benchmarks: Mapping[str, tuple[Manifest, Manifest]]) -> Hashable:
    """Return what identifies the content of benchmarks."""
    digests = tuple((name, *(manifest.digest for manifest in of_one)) for name, of_one in benchmarks.items())
    return lake.files.full_path(""), digests
