"""The join of all subsets as units of work for any engine: a unit is a strip of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.access import load_embeddings
from visdiv_assets.devices import resolve_device
from visdiv_assets.duplicates.candidates import PAIR_SCHEMA, load_hashes
from visdiv_assets.duplicates.corpus_findings import OVERLAP_SCHEMA, candidate_pairs, close_pairs, overlap_table
from visdiv_assets.duplicates.corpus_images import CorpusImages, collect_images
from visdiv_assets.duplicates.corpus_join import (
    Strip,
    StripResult,
    StripRule,
    compute_strip,
    join_images,
    split_into_strips,
)
from visdiv_assets.duplicates.corpus_partners import CorpusPartners, EarlierPartners, find_partners
from visdiv_assets.duplicates.corpus_state import PART_SCHEMAS, earlier_partners, split_into_parts, stored_part
from visdiv_assets.duplicates.near import PAIRS_SCHEMA
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.orchestration.engines import Engine, PerProcess, Worker
from visdiv_assets.orchestration.work.make_units import Late, Planned, make_units
from visdiv_assets.progress import Progress, progress
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.storage.partition_write import PartitionWrite, UnitWrite


def load_images(lake: PerProcess[Lake], subsets: Sequence[tuple[Manifest, Manifest]]) -> CorpusImages:
    """Load the images of all subsets by the manifests of their embeddings and near duplicates, sorted by name."""
    store = lake.get()
    return collect_images([load_embeddings(store, embeddings, nearest) for embeddings, nearest in subsets])


@dataclass(frozen=True)
class CompareStrips:
    """Compares some images with all images; a unit is a strip of `corpus_join.split_into_strips`.

    Attributes:
        images: all images.
        first: bool [n], the images that are compared with all.
        rule: which pairs are kept.
    """

    holds_model: ClassVar[bool] = False
    uses_device: ClassVar[bool] = True

    images: PerProcess[CorpusImages]
    first: np.ndarray
    rule: StripRule

    def open(self, worker: Worker) -> Callable[[Strip, Progress], StripResult]:
        """Load the images, and prepare their vectors for all strips."""
        join = join_images(self.images.get(), self.first, self.rule, device=resolve_device(worker.device))
        return lambda strip, progress: compute_strip(join, strip, progress)

    def size(self, unit: Strip) -> int:
        """Return the number of images."""
        return unit.stop - unit.start


@dataclass
class CorpusSearch:
    """Finds the partners of all images with an engine; finished strips are kept until the partners are committed.

    Attributes:
        store: where images, vectors and candidate pairs of subsets are.
        engine: runs the strips.
        write: the partition that the partners will be written to.
        inputs: digests of what the partners depend on.
        images: all images.
        listed: manifests of the lists of images of all subsets.
        nearest: manifests of the near duplicates of all subsets, by name.
        joined: number of images that were compared with all others.
        strips: the strips of which this was done.
    """

    store: Lake
    engine: Engine
    write: PartitionWrite
    inputs: dict[str, str]
    images: PerProcess[CorpusImages]
    listed: Sequence[Manifest]
    nearest: dict[str, Manifest]
    joined: int = 0
    strips: list[PartitionWrite] = field(default_factory=list)

    def find(self, partners: CorpusPartners) -> None:
        """Find all partners that are not known yet."""
        hashes = load_hashes(self.store, self.listed, IdIndex(self.images.get().image_ids))
        find_partners(partners, hashes, self._own, partial(self._join, partners))

    def remove_strips(self) -> None:
        """Remove the results of strips, once the partners are committed."""
        for scratch in self.strips:
            scratch.remove()

    def _own(self, chosen: np.ndarray) -> Iterator[pa.Table]:
        for subset in self.images.get().subsets_with(chosen):
            yield self.store.read(self.nearest[subset], "candidates")

    def _join(self, partners: CorpusPartners, first: np.ndarray, only: np.ndarray | None) -> None:
        count = int(first.sum())
        inputs = {**self.inputs, "first": hashlib.sha256(np.packbits(first).tobytes()).hexdigest()}
        rows = "rows" if only is None else "rows again"
        planned = [
            Planned(f"{rows} {start} to {stop}", inputs, Late(partial(partners.strip, start, stop, only)))
            for start, stop in split_into_strips(count, len(first))
        ]
        scratch = self.write.scratch()
        known = self.write.scratch()
        for each in planned:
            # What is known already raises the bounds of all other strips.
            if known.reuse(each.name, each.inputs):
                partners.merge(self._read_strip(known.draft()))

        def keep(unit: UnitWrite, strip: Any, found: StripResult) -> None:
            for role, array in found._asdict().items():
                unit.array(role, array)
            partners.merge(found)

        work = CompareStrips(self.images, first, partners.rule.joined)
        with progress("comparing subsets", count, "image") as advance:
            make_units(scratch, self.engine, work, planned, keep, advance)
        self.joined += count
        self.strips.append(scratch)

    def _read_strip(self, draft: Manifest) -> StripResult:
        """Read the last strip of a draft."""
        last = replace(draft, units=draft.units[-1:])
        return StripResult(*(self.store.array(last, role)[:] for role in StripResult._fields))


def reusable(manifest: Manifest | None, write: PartitionWrite) -> Manifest | None:
    """Return an earlier state of a corpus if its partners were found in the same way."""
    plan = write.plan
    if manifest is None or not manifest.files("partners"):
        return None
    same = (manifest.code_version, manifest.model_id, manifest.settings) == (
        plan.code_version,
        plan.model_id,
        plan.settings,
    )
    return manifest if same else None


def read_earlier(store: Lake, earlier: Manifest, inputs: dict[str, dict[str, str]]) -> EarlierPartners:
    """Read the partners of an earlier state of a corpus.

    Args:
        store: the lake.
        earlier: its manifest.
        inputs: digests of what the present subsets consist of, by subset and name in the manifest.
    """
    parts = [partial(store.read, replace(earlier, units=(unit,))) for unit in earlier.units if "partners" in unit.files]
    unchanged = [name for name, digests in inputs.items() if digests.items() <= earlier.inputs.items()]
    return earlier_partners(parts, earlier.facts["subsets"], unchanged)


def write_partners(write: PartitionWrite, inputs: dict[str, str], partners: CorpusPartners) -> None:
    """Write the findings of a corpus, and its partners for a later run."""
    with write.add("findings", inputs) as unit:
        unit.table("pairs", close_pairs(partners), PAIRS_SCHEMA)
        unit.table("candidates", candidate_pairs(partners), PAIR_SCHEMA)
        unit.table("overlap", overlap_table(partners), OVERLAP_SCHEMA)
    for start, stop in split_into_parts(len(partners.images)):
        with write.add(f"images {start} to {stop}", inputs) as unit:
            for role, table in stored_part(partners, start, stop).items():
                unit.table(role, table, PART_SCHEMAS[role])
