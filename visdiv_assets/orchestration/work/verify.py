"""Comparisons of pixels as units of work that any engine can do: each reads the lake and the source itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import make_fetch
from visdiv_assets.devices import resolve_device
from visdiv_assets.duplicates.candidates import Images
from visdiv_assets.duplicates.pair_verification import (
    SIDES,
    candidate_pairs,
    fetch_from_either,
    known_verdicts,
    load_images,
    order_sides,
    verify_candidates,
)
from visdiv_assets.duplicates.verify_pairs import Fetch
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.orchestration.engines import PerProcess, Worker
from visdiv_assets.progress import Progress
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.vectors.lru import LruCache

#: What a unit gives: its pairs with their verdicts, and how many were not known before.
Compared = tuple[pa.Table, int]


class Listed(NamedTuple):
    """Manifests of a subset or benchmark: its images and its embeddings."""

    images: Manifest
    embeddings: Manifest


@dataclass(frozen=True)
class Rule:
    """Which pairs are compared; see `candidates.candidates`."""

    floor: float
    k_best: int
    pdq_distance: int

    def candidates(self, left: Images, right: Images | None, worker: Worker) -> pa.Table:
        """As `candidate_pairs`."""
        return candidate_pairs(
            left,
            right,
            floor=self.floor,
            k_best=self.k_best,
            pdq_distance=self.pdq_distance,
            device=resolve_device(worker.device),
        )


@dataclass(frozen=True)
class FindCandidates:
    """The pairs of a subset whose pixels are to be compared; the unit is its manifests.

    Attributes:
        lake: where its vectors and hashes are.
        rule: which pairs.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = True

    lake: PerProcess[Lake]
    rule: Rule

    def open(self, worker: Worker) -> Callable[[Listed, Progress], pa.Table]:
        """Nothing is shared by all units."""
        store = self.lake.get()
        return lambda unit, progress: self.rule.candidates(load_images(store, *unit), None, worker)

    def size(self, unit: Listed) -> int:
        """It is not counted."""
        return 0


@dataclass(frozen=True)
class Pixels:
    """Where images are compared.

    Attributes:
        lake: where they are listed.
        source: where they are.
        earlier: manifest of a table with verdicts that are known, if there is one.
        limits: of images; a larger one counts as unreadable.
        ids: the columns of the two images' image_ids in the table.
    """

    lake: PerProcess[Lake]
    source: PerProcess[Source]
    earlier: Manifest | None
    limits: DecodeLimits
    ids: tuple[str, str] = SIDES

    def fetch(self, kind: Kind, images: Manifest) -> Fetch:
        """As `make_fetch`."""
        return make_fetch(self.lake.get(), self.source.get(), kind, images)

    def comparison(self, worker: Worker) -> Callable[[str, pa.Table, Fetch, Fetch, Progress], Compared]:
        """A function that compares the pairs of a unit, by its name, where their images are fetched, progress."""
        known = known_verdicts(self.lake.get(), self.earlier, self.ids)

        def compare(name: str, pairs: pa.Table, fetch_a: Fetch, fetch_b: Fetch, progress: Progress) -> Compared:
            return verify_candidates(
                pairs,
                fetch_a,
                fetch_b,
                known(name),
                threads=worker.threads,
                limits=self.limits,
                progress=progress,
            )

        return compare


class PairsUnit(NamedTuple):
    """Some pairs of a subset, table of `PAIR_SCHEMA`, and the name that they have as a unit."""

    name: str
    pairs: pa.Table


@dataclass(frozen=True)
class ComparePairs:
    """Pairs of one subset; a unit is some of them.

    Attributes:
        pixels: where they are compared.
        images: manifest of the subset's images.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = False

    pixels: Pixels
    images: Manifest

    def open(self, worker: Worker) -> Callable[[PairsUnit, Progress], Compared]:
        """Read where the images are."""
        fetch, compare = self.pixels.fetch(Kind.SUBSET, self.images), self.pixels.comparison(worker)
        return lambda unit, progress: compare(unit.name, unit.pairs, fetch, fetch, progress)

    def size(self, unit: PairsUnit) -> int:
        """Pairs."""
        return int(unit.pairs.num_rows)


class SetsUnit(NamedTuple):
    """Two sets of images that are compared, and the name that they have as a unit."""

    name: str
    left: Listed
    right: Listed


@dataclass(frozen=True)
class CompareSets:
    """Pairs of a subset and another, or a benchmark: found and compared. A unit is two sets.

    Attributes:
        pixels: where they are compared.
        rule: which pairs.
        right_kind: whether the right set is a subset or a benchmark. Between two subsets an image that both hold is no
            pair, and of the two images of a pair the one with the lower image_id stands first.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = True

    pixels: Pixels
    rule: Rule
    right_kind: Kind

    def open(self, worker: Worker) -> Callable[[SetsUnit, Progress], Compared]:
        """Keep the two sets used last: the hashes of all images of a large corpus would take gigabytes."""
        store, compare = self.pixels.lake.get(), self.pixels.comparison(worker)
        kept: LruCache[tuple[Images, Fetch]] = LruCache()

        def side(kind: Kind, listed: Listed) -> tuple[Images, Fetch]:
            return kept.get(
                (kind, listed.images.partition),
                lambda: (load_images(store, *listed), self.pixels.fetch(kind, listed.images)),
            )

        def compare_sets(unit: SetsUnit, progress: Progress) -> Compared:
            left, fetch_left = side(Kind.SUBSET, unit.left)
            right, fetch_right = side(self.right_kind, unit.right)
            pairs = self.rule.candidates(left, right, worker)
            if self.right_kind is Kind.SUBSET:
                pairs = order_sides(pairs.filter(pc.not_equal(pairs["image_id_a"], pairs["image_id_b"])))
                fetch_left = fetch_right = fetch_from_either(left.image_ids, fetch_left, fetch_right)
            found = compare(unit.name, pairs, fetch_left, fetch_right, lambda done: None)
            progress(1)
            return found

        return compare_sets

    def size(self, unit: SetsUnit) -> int:
        """Two sets."""
        return 1
