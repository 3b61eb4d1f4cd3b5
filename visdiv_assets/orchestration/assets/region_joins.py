"""The joins of regions with whole images that near_duplicates and contamination add to theirs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from visdiv_assets.contamination.benchmark_images import load_benchmark_regions
from visdiv_assets.corpus.access import current_regions, digests_by_partition
from visdiv_assets.duplicates.candidates import CandidateRule
from visdiv_assets.duplicates.regions import Regions, pairs_of_images
from visdiv_assets.orchestration.assets.join_shared import join_parts
from visdiv_assets.orchestration.engines import Engine, PerProcess
from visdiv_assets.orchestration.work.joins import (
    JoinBlocks,
    load_benchmark_region_side,
    load_benchmark_side,
    load_region_vectors,
    load_subset_regions,
    load_whole,
    load_whole_side,
)
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.storage.partition_write import PartitionWrite
from visdiv_assets.vectors.join_blocks import OtherSide, merge_parts, split_into_blocks
from visdiv_assets.vectors.matrix import Matrix

#: Manifests of the images and embeddings of benchmarks, by name.
Benchmarks = Mapping[str, tuple[Manifest, Manifest]]


def benchmark_regions(store: Lake, benchmarks: Benchmarks) -> list[Manifest]:
    """Return the regions of benchmarks; see `corpus.access.current_regions`."""
    return [current_regions(store, embeddings, Kind.BENCHMARK) for _, embeddings in benchmarks.values()]


@dataclass(frozen=True)
class RegionSearch:
    """Finds the pairs of images of which one is close to a region of the other.

    Its methods return tables of `join.PAIR_SCHEMA` of images by their index, as `regions.region_pairs` takes them.

    Attributes:
        store: the lake.
        lake: opens it in each process.
        write: the partition that the pairs will be written to.
        engine: runs the joins.
        rule: which pairs are candidates.
        subset: name of the subset.
        embeddings: manifest of its embeddings.
        regions: manifest of its regions.
    """

    store: Lake
    lake: PerProcess[Lake]
    write: PartitionWrite
    engine: Engine
    rule: CandidateRule
    subset: str
    embeddings: Manifest
    regions: Manifest

    def within(self) -> pa.Table:
        """Return the pairs of an image of the subset, on the left, and one that it shows."""
        return self._join(
            f"regions of {self.subset}",
            partial(load_region_vectors, self.regions, self.embeddings),
            partial(load_whole_side, self.embeddings),
            [self.embeddings, self.regions],
            (self._own_regions(), None),
        )

    def with_benchmarks(self, benchmarks: Benchmarks, regions: Sequence[Manifest]) -> pa.Table:
        """Return the pairs of an image of the subset and one of benchmarks of which either shows the other."""
        listed = [embeddings for _, embeddings in benchmarks.values()]
        shown = self._join(
            f"regions of {self.subset} with benchmarks",
            partial(load_region_vectors, self.regions, self.embeddings),
            partial(load_benchmark_side, benchmarks),
            [self.embeddings, self.regions, *listed],
            (self._own_regions(), None),
        )
        showing = self._join(
            f"{self.subset} with regions of benchmarks",
            partial(load_whole, self.embeddings),
            partial(load_benchmark_region_side, benchmarks, regions),
            [self.embeddings, *listed, *regions],
            (None, load_benchmark_regions(self.store, benchmarks, regions)),
        )
        return pairs_of_images(pa.concat_tables([shown, showing]), None, None)

    def _own_regions(self) -> Regions:
        return load_subset_regions(self.regions, self.embeddings, self.store)

    def _join(
        self,
        what: str,
        left: Callable[[Lake], Matrix],
        right: Callable[[Lake], OtherSide],
        read: Sequence[Manifest],
        sides: tuple[Regions | None, Regions | None],
    ) -> pa.Table:
        """Join regions with whole images; the regions of each side, or None, tell the images of the pairs."""
        work = JoinBlocks(self.lake, left, right, digests_by_partition(read), self.rule.of_regions())
        vectors, other = left(self.store), right(self.store)
        rows = vectors.shape[0]
        blocks = split_into_blocks(rows, other.vectors.shape[0])
        with (
            progress(f"comparing {what}", rows, "vector") as advance,
            join_parts(self.store, self.write, self.engine, work, blocks, advance) as parts,
        ):
            found = merge_parts(vectors, other, parts, work.rule)
        return pairs_of_images(found.candidates, *sides)
