"""Comparisons of pixels as units of work for any engine: each unit reads the lake and the source."""

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

#: Result of a unit: its pairs with their verdicts, and the number of pairs that were compared now.
Compared = tuple[pa.Table, int]


class Listed(NamedTuple):
    """Manifests of a subset or benchmark: its images and its embeddings."""

    images: Manifest
    embeddings: Manifest


@dataclass(frozen=True)
class Rule:
    """Selects candidate pairs; see `candidates.candidates` for the parameters."""

    floor: float
    k_best: int
    pdq_distance: int

    def candidates(self, left: Images, right: Images | None, worker: Worker) -> pa.Table:
        """Find the candidate pairs of one set, or of two; see `candidate_pairs`."""
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
    """Finds the candidate pairs of a subset; the unit is its manifests.

    Attributes:
        lake: where its vectors and hashes are.
        rule: selects the pairs.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = True

    lake: PerProcess[Lake]
    rule: Rule

    def open(self, worker: Worker) -> Callable[[Listed, Progress], pa.Table]:
        """Return the function; units share nothing."""
        store = self.lake.get()
        return lambda unit, progress: self.rule.candidates(load_images(store, *unit), None, worker)

    def size(self, unit: Listed) -> int:
        """Return 0: finding candidates is no progress."""
        return 0


@dataclass(frozen=True)
class Pixels:
    """Access to the images that are compared, and to known verdicts.

    Attributes:
        lake: where the images are listed.
        source: where the images are.
        earlier: manifest of a table with known verdicts; None if there is none.
        limits: of images; a larger image is unreadable.
        ids: columns of that table with the image_ids of the two images.
    """

    lake: PerProcess[Lake]
    source: PerProcess[Source]
    earlier: Manifest | None
    limits: DecodeLimits
    ids: tuple[str, str] = SIDES

    def fetch(self, kind: Kind, images: Manifest) -> Fetch:
        """Return a function that fetches images by image_id; see `corpus.access.make_fetch`."""
        return make_fetch(self.lake.get(), self.source.get(), kind, images)

    def comparison(self, worker: Worker) -> Callable[[str, pa.Table, Fetch, Fetch, Progress], Compared]:
        """Return a function that compares the pairs of a unit.

        Its arguments are the name of the unit, the pairs, the functions that fetch their left and right images, and
        a progress callback.
        """
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
    """Pairs of a subset, table of `PAIR_SCHEMA`, and the name of the unit that they form."""

    name: str
    pairs: pa.Table


@dataclass(frozen=True)
class ComparePairs:
    """Compares pairs of one subset; a unit is some of them.

    Attributes:
        pixels: access to the images.
        images: manifest of the subset's images.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = False

    pixels: Pixels
    images: Manifest

    def open(self, worker: Worker) -> Callable[[PairsUnit, Progress], Compared]:
        """Read the positions of the images."""
        fetch, compare = self.pixels.fetch(Kind.SUBSET, self.images), self.pixels.comparison(worker)
        return lambda unit, progress: compare(unit.name, unit.pairs, fetch, fetch, progress)

    def size(self, unit: PairsUnit) -> int:
        """Return the number of pairs."""
        return int(unit.pairs.num_rows)


class SetsUnit(NamedTuple):
    """Two sets of images that are compared, and the name of the unit that they form."""

    name: str
    left: Listed
    right: Listed


@dataclass(frozen=True)
class CompareSets:
    """Finds and compares pairs of a subset and another subset or a benchmark. A unit is two sets.

    Attributes:
        pixels: access to the images.
        rule: selects the pairs.
        right_kind: whether the right set is a subset or a benchmark. An image that two subsets share is not a pair, and
            of a pair of two subsets the image with the lower image_id comes first.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = True

    pixels: Pixels
    rule: Rule
    right_kind: Kind

    def open(self, worker: Worker) -> Callable[[SetsUnit, Progress], Compared]:
        """Cache the two sets used last; the hashes of all images of a large corpus would take gigabytes."""
        store, compare = self.pixels.lake.get(), self.pixels.comparison(worker)
        cache: LruCache[tuple[Images, Fetch]] = LruCache()

        def side(kind: Kind, listed: Listed) -> tuple[Images, Fetch]:
            return cache.get(
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
        """Return 1: two sets."""
        return 1
