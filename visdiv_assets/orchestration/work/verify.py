"""Comparisons of pixels as units of work for any engine: each unit reads the lake and the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import pyarrow as pa

from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.pair_images import PairImages
from visdiv_assets.duplicates.pair_verification import has_prefix, known_verdicts, verify_candidates
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.orchestration.engines import PerProcess, Worker
from visdiv_assets.progress import Progress
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Result of a unit: its pairs with their verdicts, and the number of pairs that were compared now.
Compared = tuple[pa.Table, int]


class PairsUnit(NamedTuple):
    """The candidate pairs whose first image_id begins with some digits, and their number."""

    prefix: str
    pairs: int


@dataclass(frozen=True)
class ComparePairs:
    """Compares the pixels of the candidate pairs of a join; a unit is some of them.

    Attributes:
        lake: where the pairs and the images are listed.
        source: where the images are.
        joined: manifest of a table with candidate pairs in the role `candidates`, sorted by the first of `ids`.
        sets: kind and manifest of the images of all subsets and benchmarks that hold an image of a pair.
        earlier: manifest of a table with known verdicts; None if there is none.
        limits: of images; a larger image is unreadable.
        ids: columns of the pairs, and of the earlier table, with the image_ids of the two images.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = False

    lake: PerProcess[Lake]
    source: PerProcess[Source]
    joined: Manifest
    sets: Sequence[tuple[Kind, Manifest]]
    earlier: Manifest | None
    limits: DecodeLimits
    ids: tuple[str, str] = SIDES

    def open(self, worker: Worker) -> Callable[[PairsUnit, Progress], Compared]:
        """Read the image_ids and their positions."""
        store = self.lake.get()
        images = PairImages(store, self.source.get(), self.sets, self.limits)
        known = known_verdicts(store, self.earlier, self.ids)

        def compare(unit: PairsUnit, progress: Progress) -> Compared:
            return verify_candidates(
                store.read(self.joined, "candidates", where=has_prefix(self.ids[0], unit.prefix)),
                images,
                known(unit.prefix),
                ids=self.ids,
                threads=worker.threads,
                limits=self.limits,
                progress=progress,
            )

        return compare

    def size(self, unit: PairsUnit) -> int:
        """Return the number of pairs."""
        return unit.pairs
