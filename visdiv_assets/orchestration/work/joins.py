"""Comparisons of vectors as units of work for any engine: each unit reads the lake and returns the pairs it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import pyarrow as pa

from visdiv_assets.contamination.images import find_leaks
from visdiv_assets.corpus.access import EmbeddedSubset, load_embeddings
from visdiv_assets.devices import resolve_device
from visdiv_assets.duplicates.cross_subset import SubsetComparison, compare_subsets
from visdiv_assets.duplicates.near import NearDuplicates, near_duplicates
from visdiv_assets.orchestration.engines import PerProcess, Worker
from visdiv_assets.progress import Progress
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.vectors.join import Prepared, tiles_of
from visdiv_assets.vectors.join_blocks import Part, compute_part
from visdiv_assets.vectors.lru import LruCache

#: Maximum number of images whose image_ids and projections are cached between units: 100 to 560 bytes each.
MAX_CACHED_IMAGES = 2_000_000


@dataclass(frozen=True)
class _SubsetJoin:
    """Finds the near duplicates of a subset.

    Attributes:
        lake: where its vectors are.
        embeddings: manifest of `sscd_embeddings`.
        floor: smallest similarity of a pair.
        k_best: pairs kept per image.
        count_at: thresholds, by the name of the column that counts the neighbors at each.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = True

    lake: PerProcess[Lake]
    embeddings: Manifest
    floor: float
    k_best: int
    count_at: dict[str, float]


@dataclass(frozen=True)
class WholeSubset(_SubsetJoin):
    """Finds the near duplicates of a subset in one unit, which is its number of images."""

    def open(self, worker: Worker) -> Callable[[int, Progress], NearDuplicates]:
        """Memory-map the vectors."""
        own = load_embeddings(self.lake.get(), self.embeddings)

        def find(images: int, progress: Progress) -> NearDuplicates:
            return near_duplicates(
                own.image_ids,
                own.vectors,
                floor=self.floor,
                k_best=self.k_best,
                count_at=self.count_at,
                device=resolve_device(worker.device),
                progress=progress,
            )

        return find

    def size(self, unit: int) -> int:
        """Return the number of images."""
        return unit


@dataclass(frozen=True)
class BlocksOfSubset(_SubsetJoin):
    """Finds the near duplicates of a large subset by blocks; a unit is one of `join_blocks.split_into_blocks`."""

    def open(self, worker: Worker) -> Callable[[tuple[int, int], Progress], Part]:
        """Project the vectors, once for all blocks that a process compares."""
        vectors = self.lake.get().array(self.embeddings, "vectors")
        tiles = tiles_of(vectors, vectors, self.floor, within=True, device=resolve_device(worker.device))

        def find(block: tuple[int, int], progress: Progress) -> Part:
            return compute_part(
                tiles,
                block,
                len(vectors),
                k_best=self.k_best,
                count_at=list(self.count_at.values()),
                progress=progress,
            )

        return find

    def size(self, unit: tuple[int, int]) -> int:
        """Return the number of images."""
        return unit[1] - unit[0]


@dataclass(frozen=True)
class TwoSubsets:
    """Manifests of two subsets: the embeddings and near duplicates of each."""

    left: tuple[Manifest, Manifest]
    right: tuple[Manifest, Manifest]


@dataclass(frozen=True)
class SubsetTiles:
    """Compares two subsets; a unit is two subsets.

    Attributes:
        lake: where their vectors are.
        floor: smallest similarity of a pair.
        k_best: pairs kept per image.
        thresholds: similarities at which the overlap is counted.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = True

    lake: PerProcess[Lake]
    floor: float
    k_best: int
    thresholds: list[float]

    def open(self, worker: Worker) -> Callable[[TwoSubsets, Progress], SubsetComparison]:
        """Open subsets through a cache: each takes part in as many units as there are others, and most are small."""
        store = self.lake.get()
        device = resolve_device(worker.device)
        cache: LruCache[tuple[EmbeddedSubset, Prepared]] = LruCache(lambda opened: opened[1].rows, MAX_CACHED_IMAGES)

        def prepare(embeddings: Manifest, nearest: Manifest) -> tuple[EmbeddedSubset, Prepared]:
            subset = load_embeddings(store, embeddings, nearest)
            return subset, Prepared(subset.vectors, self.floor, device=device)

        def compare(two: TwoSubsets, progress: Progress) -> SubsetComparison:
            (left, left_prepared), (right, right_prepared) = (
                cache.get(tuple(each.digest for each in side), partial(prepare, *side))
                for side in (two.left, two.right)
            )
            return compare_subsets(
                left,
                right,
                floor=self.floor,
                k_best=self.k_best,
                thresholds=self.thresholds,
                prepared=(left_prepared, right_prepared),
                device=device,
                progress=progress,
            )

        return compare

    def size(self, unit: TwoSubsets) -> int:
        """Return the number of images of the left subset."""
        return unit.left[0].rows("ids")


@dataclass(frozen=True)
class Leaks:
    """Finds the images of a subset that are close to those of a benchmark; a unit is the manifest of its embeddings.

    Attributes:
        lake: where the vectors are.
        embeddings: manifest of `sscd_embeddings` of the subset.
        floor: smallest similarity of a pair.
        k_best: pairs kept per image.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = True

    lake: PerProcess[Lake]
    embeddings: Manifest
    floor: float
    k_best: int

    def open(self, worker: Worker) -> Callable[[Manifest, Progress], pa.Table]:
        """Memory-map the subset's vectors, and project them once for all benchmarks."""
        store = self.lake.get()
        own = load_embeddings(store, self.embeddings)
        device = resolve_device(worker.device)
        prepared = Prepared(own.vectors, self.floor, device=device)

        def find(of_benchmark: Manifest, progress: Progress) -> pa.Table:
            other = load_embeddings(store, of_benchmark)
            found = find_leaks(
                own.image_ids,
                own.vectors,
                other.image_ids,
                other.vectors,
                floor=self.floor,
                k_best=self.k_best,
                prepared=(prepared, None),
                device=device,
            )
            progress(1)
            return found

        return find

    def size(self, unit: Manifest) -> int:
        """Return 1: one benchmark."""
        return 1
