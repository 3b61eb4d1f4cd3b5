"""What a planned run would take: time, memory and disk, from rates that earlier runs recorded, else from new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from visdiv_assets.corpus.access import CONTENT
from visdiv_assets.corpus.tables import (
    CORPUS_PARTITION,
    NEEDS_CLIP,
    NEEDS_OCR_AND_CLIP,
    READS_IMAGES,
    TABLES,
    LakeTable,
    PartitionKind,
)
from visdiv_assets.orchestration.plan.measured import OCR_IMAGES, Measured
from visdiv_assets.orchestration.plan.recorded import Recorded, peak_bytes
from visdiv_assets.orchestration.plan.steps import Step
from visdiv_assets.orchestration.plan.what_runs import NEW, Plan
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake

#: Groups of steps, by the tables that they write; all other steps are FINDINGS.
PASS, JOINS, VERIFICATION, CLIP = "pass over the source", "joins", "verification", "CLIP"
OCR, MASKED, FINDINGS = "text in images", "images with text masked", "findings"
_GROUPS: dict[str, frozenset[str]] = {
    PASS: frozenset(table for kind in Kind for table in (CONTENT[kind].images, CONTENT[kind].embeddings)),
    JOINS: frozenset({LakeTable.NEAR_DUPLICATES, LakeTable.CONTAMINATION, LakeTable.CROSS_SUBSET_DUPLICATES}),
    VERIFICATION: frozenset(
        {LakeTable.VERIFIED_DUPLICATES, LakeTable.VERIFIED_CONTAMINATION, LakeTable.VERIFIED_CROSS_SUBSET}
    ),
    CLIP: NEEDS_CLIP,
    OCR: READS_IMAGES,
    MASKED: NEEDS_OCR_AND_CLIP,
}

#: Pairs of vectors from which the seconds of a join are its product; a smaller join is mostly overhead.
MIN_PAIRS = 1e9

#: Factor above the largest recorded work from which an estimate is called extrapolated.
EXTRAPOLATED = 3.0

#: Pairs to compare per image in each stage of verification, where no earlier run has recorded it.
ASSUMED_PAIRS = 1.0

#: Where a rate comes from.
RECORDED, UNKNOWN = "measured in this lake", "nothing recorded yet"

#: Bytes of memory per image of the corpus, which the stages of all subsets need: 3.3 GB for a million images in the
#: rehearsal.
CORPUS_BYTES = 2700


class Line(NamedTuple):
    """An estimate of a group of steps.

    Attributes:
        group: its name.
        made: number of partitions of steps that would be made.
        images: number of images in them.
        seconds: None if nothing is known.
        basis: where the rate comes from.
    """

    group: str
    made: int
    images: int
    seconds: float | None
    basis: str


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        lines: by group of steps, the ones that would make something.
        peak_bytes: memory.
        peak_basis: where it comes from.
        disk_bytes: bytes that would be written to the lake.
        disk_basis: where they come from.
    """

    lines: list[Line]
    peak_bytes: float
    peak_basis: str
    disk_bytes: float
    disk_basis: str

    @property
    def seconds(self) -> float:
        """Seconds of all groups that are known."""
        return sum(line.seconds or 0.0 for line in self.lines)

    @property
    def is_complete(self) -> bool:
        """Whether the seconds of all groups are known."""
        return all(line.seconds is not None for line in self.lines)


class _Work(NamedTuple):
    """One partition of a step.

    Attributes:
        step: the step.
        partition: kind and name of the partition.
        images: number of images of the partition, or of the sample that the step reads.
        amount: what the time is in proportion to: pairs of vectors for a join, else images.
    """

    step: Step
    partition: tuple[PartitionKind, str]
    images: int
    amount: float


def estimate(plan: Plan, recorded: Recorded, measure: Callable[[], Measured], lake: Lake) -> Estimate:
    """Estimate what a planned run would take.

    Args:
        plan: what would run.
        recorded: what earlier runs have recorded.
        measure: measures rates; called at most once, and only if earlier runs have not recorded all that is needed.
        lake: the lake.
    """
    lake = lake.snapshot()
    estimator = _Estimator(plan, recorded, measure, _images_read(lake))
    lines = list(estimator.lines())
    disk_bytes, disk_basis = estimator.disk(lake)
    return Estimate(lines, *estimator.peak(), disk_bytes, disk_basis)


class _Estimator:
    def __init__(
        self,
        plan: Plan,
        recorded: Recorded,
        measure: Callable[[], Measured],
        images_read: dict[PartitionKind, dict[str, int]],
    ) -> None:
        self._plan, self._recorded, self._measure, self._images_read = plan, recorded, measure, images_read
        self._measured: Measured | None = None
        self._totals = {kind: sum(images.values()) for kind, images in plan.images.items()}

    def lines(self) -> Iterator[Line]:
        """Yield a line for each group of steps that would make something."""
        groups: dict[str, list[_Work]] = {group: [] for group in (*_GROUPS, FINDINGS)}
        for work in self._works():
            groups[group_of(work.step)].append(work)
        for group, works in groups.items():
            if works:
                times = [self._time(group, work) for work in works]
                known = [seconds for seconds, _ in times if seconds is not None]
                bases = "; ".join(dict.fromkeys(basis for _, basis in times))
                yield Line(group, len(works), _count_images(works), sum(known) if known else None, bases)

    def peak(self) -> tuple[float, str]:
        """Return the peak memory and where it comes from."""
        added = sum(part.images for part in self._plan.parts if part.kind is Kind.SUBSET and part.state == NEW)
        base, basis = self._recorded.peak_bytes, RECORDED
        if not base:
            self._rates()
            base, basis = peak_bytes(), "measured now"
        return base + CORPUS_BYTES * added, f"{basis}, extrapolated" if added else basis

    def disk(self, lake: Lake) -> tuple[float, str]:
        """Return the bytes to be written and where they come from."""
        works = list(self._works())
        samples = {table: step.sample for step in self._plan.steps for table in step.versions}
        by_table = {
            table: _bytes_per_image(lake, table, self._plan.images, self._totals, samples.get(table, 0))
            for table in TABLES
        }
        known = {table for table, size in by_table.items() if size is not None}
        total = sum((by_table.get(table) or 0.0) * work.images for work in works for table in work.step.versions)
        new = [work for work in works if group_of(work.step) == PASS and not known & set(work.step.versions)]
        if not new:
            return total, RECORDED
        measured = self._rates()
        size = measured.pass_bytes * _count_images(new)
        return total + size, f"measured now on {measured.images} images, without findings"

    def _works(self) -> Iterator[_Work]:
        for part in self._plan.parts:
            made = (step for step in self._plan.steps if step.name in part.made)
            yield from (self._work(step, part.name, part.images) for step in made)
        corpus = self._totals[PartitionKind.SUBSET]
        made = (step for step in self._plan.steps if step.name in self._plan.corpus)
        yield from (self._work(step, CORPUS_PARTITION, corpus) for step in made)

    def _work(self, step: Step, partition: str, images: int) -> _Work:
        images = min(images, step.sample) if step.sample else images
        amount: float = images**2 / 2 if _is_join(step) else images
        if LakeTable.CONTAMINATION in step.versions:
            amount = images * self._totals[PartitionKind.BENCHMARK]
        return _Work(step, (step.kind, partition), images, amount)

    def _time(self, group: str, work: _Work) -> tuple[float | None, str]:
        known = self._known(work.step)
        if not known:
            return self._time_now(group, work)
        largest = max(amount for amount, _ in known)
        if _is_join(work.step) and largest < MIN_PAIRS:
            overhead = sum(seconds for _, seconds in known) / len(known)
            if work.amount <= EXTRAPOLATED * largest:
                return overhead, RECORDED
            return overhead + work.amount * self._rates().join_seconds, f"{RECORDED}; measured now, extrapolated"
        rate = sum(seconds for _, seconds in known) / sum(amount for amount, _ in known)
        extrapolated = ", extrapolated" if work.amount > EXTRAPOLATED * largest else ""
        return rate * work.amount, f"{RECORDED}{extrapolated}"

    def _time_now(self, group: str, work: _Work) -> tuple[float | None, str]:
        """Return the time of a step that no earlier run has recorded."""
        if group not in (PASS, JOINS, VERIFICATION, OCR):
            return None, UNKNOWN
        rates = self._rates()
        if group == JOINS:
            return work.amount * rates.join_seconds, "measured now, extrapolated"
        if not rates.images:
            return None, "no image could be measured"
        if group == OCR:
            return work.images * rates.ocr_seconds, f"measured now on {OCR_IMAGES} images"
        if group == PASS:
            return work.images * rates.pass_seconds, f"measured now on {rates.images} images"
        pairs = ASSUMED_PAIRS * work.images
        return pairs * rates.verify_seconds, f"measured now, for {ASSUMED_PAIRS:g} candidate pair per image"

    def _known(self, step: Step) -> list[tuple[float, float]]:
        """Return the amount and the seconds of each recorded partition of a step that has images."""
        images = self._plan.images.get(step.kind, {CORPUS_PARTITION: self._totals[PartitionKind.SUBSET]})
        seconds = self._recorded.seconds.get(step.name, {})
        if (READS_IMAGES | NEEDS_OCR_AND_CLIP) & set(step.versions):
            # The sample of an earlier run may have had another size.
            sampled = {name: self._work(step, name, count).images for name, count in images.items()}
            step, images = step._replace(sample=0), {**sampled, **self._images_read.get(step.kind, {})}
        known = [(name, taken) for name, taken in seconds.items() if images.get(name)]
        return [(self._work(step, name, images[name]).amount, taken) for name, taken in known]

    def _rates(self) -> Measured:
        if self._measured is None:
            self._measured = self._measure()
        return self._measured


def _images_read(lake: Lake) -> dict[PartitionKind, dict[str, int]]:
    """Return the number of images of each subset and benchmark whose text was read."""
    return {
        TABLES[table]: {name: int(lake.require(table, name).facts["images_read"]) for name in lake.partitions(table)}
        for table in sorted(READS_IMAGES)
    }


def _count_images(works: list[_Work]) -> int:
    """Return the number of images in subsets and benchmarks, each counted once; else in the corpus."""
    images = {work.partition: work.images for work in works}
    corpus = images.pop((PartitionKind.CORPUS, CORPUS_PARTITION), 0)
    return sum(images.values()) or corpus


def group_of(step: Step) -> str:
    """Return the group of a step."""
    return next((group for group, tables in _GROUPS.items() if tables & set(step.versions)), FINDINGS)


def _is_join(step: Step) -> bool:
    return group_of(step) == JOINS or LakeTable.CLIP_NEAR_DUPLICATES in step.versions


def _bytes_per_image(
    lake: Lake, table: str, images: dict[PartitionKind, dict[str, int]], totals: dict[PartitionKind, int], sample: int
) -> float | None:
    """Return the stored bytes of a table per image that it is about; None if it has no partition with images."""
    counts = images.get(TABLES[table], {CORPUS_PARTITION: totals[PartitionKind.SUBSET]})
    stored, of = 0, 0
    for name in lake.partitions(table):
        if counts.get(name):
            manifest = lake.require(table, name)
            stored += manifest.size_bytes
            of += min(counts[name], sample) if sample else counts[name]
    return stored / of if of else None
