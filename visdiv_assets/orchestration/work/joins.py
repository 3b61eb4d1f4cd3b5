"""Comparisons of vectors as units of work for any engine: each unit reads the lake and returns the pairs it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from visdiv_assets.contamination.benchmark_images import load_benchmark_regions, load_benchmarks
from visdiv_assets.devices import resolve_device
from visdiv_assets.duplicates.regions import Regions, load_regions, ungrouped
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.orchestration.engines import PerProcess, Worker
from visdiv_assets.progress import Progress
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.vectors.join_blocks import Known, OtherSide, Part, block_tiles, compute_part
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.partner_lists import PartnerRule


@dataclass(frozen=True)
class JoinBlocks:
    """Finds the close pairs and candidates of a set of vectors, within it or with another set.

    A unit is one of `join_blocks.split_into_blocks`. The functions must be picklable: functions of a module, or a
    `partial` of one.

    Attributes:
        lake: where the vectors are.
        left: loads the vectors of the set.
        right: loads the other set; None for the pairs within the set.
        inputs: digests of what the vectors are read from, by name.
        rule: which pairs are kept.
        count_at: thresholds at which neighbors are counted, within the set.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = True

    lake: PerProcess[Lake]
    left: Callable[[Lake], Matrix]
    right: Callable[[Lake], OtherSide] | None
    inputs: dict[str, str]
    rule: PartnerRule
    count_at: tuple[float, ...] = ()

    def open(self, worker: Worker) -> Callable[[tuple[int, int], Progress], Part]:
        """Memory-map the vectors, and project them once for all blocks."""
        device = resolve_device(worker.device)
        store = self.lake.get()
        vectors, other = self.left(store), None if self.right is None else self.right(store)
        tiles = block_tiles(vectors, other, self.rule, device=device)
        known = Known.nothing(vectors.shape[0], other.vectors.shape[0] if other else None)

        def find(block: tuple[int, int], progress: Progress) -> Part:
            return compute_part(
                vectors, other, block, self.rule, tiles=tiles, known=known, count_at=self.count_at, progress=progress
            )

        return find

    def size(self, unit: tuple[int, int]) -> int:
        """Return the number of vectors."""
        return unit[1] - unit[0]


def load_whole(embeddings: Manifest, store: Lake) -> Matrix:
    """Load the vectors of the images of a subset."""
    return store.array(embeddings, "vectors")


def load_whole_side(embeddings: Manifest, store: Lake) -> OtherSide:
    """Load the vectors of the images of a subset as the right side of a join."""
    return ungrouped(load_whole(embeddings, store))


def load_subset_regions(regions: Manifest, embeddings: Manifest, store: Lake) -> Regions:
    """Load the regions of the images of a subset, whose images are those of its embeddings, by their index."""
    return load_regions(store, [regions], IdIndex(store.read(embeddings, "ids")["image_id"]))


def load_region_vectors(regions: Manifest, embeddings: Manifest, store: Lake) -> Matrix:
    """Load the vectors of the regions of the images of a subset."""
    return load_subset_regions(regions, embeddings, store).vectors


def load_benchmark_side(benchmarks: Mapping[str, tuple[Manifest, Manifest]], store: Lake) -> OtherSide:
    """Load the images of benchmarks, by the manifests of their images and embeddings, as the right side of a join."""
    return load_benchmarks(store, benchmarks).side


def load_benchmark_region_side(
    benchmarks: Mapping[str, tuple[Manifest, Manifest]], regions: Sequence[Manifest], store: Lake
) -> OtherSide:
    """Load the regions of the images of benchmarks as the right side of a join."""
    return load_benchmark_regions(store, benchmarks, regions).side
