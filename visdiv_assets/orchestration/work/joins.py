"""Comparisons of vectors as units of work for any engine: each unit reads the lake and returns the pairs it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from visdiv_assets.contamination.benchmark_images import load_benchmarks
from visdiv_assets.devices import resolve_device
from visdiv_assets.orchestration.engines import PerProcess, Worker
from visdiv_assets.progress import Progress
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.vectors.join_blocks import Known, Part, block_tiles, compute_part
from visdiv_assets.vectors.partner_lists import PartnerRule


@dataclass(frozen=True)
class JoinBlocks:
    """Finds the close pairs and candidates of a subset, within it or with benchmarks.

    A unit is one of `join_blocks.split_into_blocks`.

    Attributes:
        lake: where the vectors are.
        embeddings: manifest of the subset's `sscd_embeddings`.
        benchmarks: images and embeddings of the benchmarks, by name; None for the pairs within the subset.
        rule: which pairs are kept.
        count_at: thresholds at which neighbors are counted, within the subset.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = True

    lake: PerProcess[Lake]
    embeddings: Manifest
    benchmarks: dict[str, tuple[Manifest, Manifest]] | None
    rule: PartnerRule
    count_at: tuple[float, ...] = ()

    def open(self, worker: Worker) -> Callable[[tuple[int, int], Progress], Part]:
        """Memory-map the vectors, and project them once for all blocks."""
        store, device = self.lake.get(), resolve_device(worker.device)
        vectors = store.array(self.embeddings, "vectors")
        other = None if self.benchmarks is None else load_benchmarks(store, self.benchmarks).side
        tiles = block_tiles(vectors, other, self.rule, device=device)
        known = Known.nothing(len(vectors), other.vectors.shape[0] if other else None)

        def find(block: tuple[int, int], progress: Progress) -> Part:
            return compute_part(
                vectors, other, block, self.rule, tiles=tiles, known=known, count_at=self.count_at, progress=progress
            )

        return find

    def size(self, unit: tuple[int, int]) -> int:
        """Return the number of images."""
        return unit[1] - unit[0]
