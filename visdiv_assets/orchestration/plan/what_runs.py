"""What `visdiv run` would make: which subsets and benchmarks are new or changed, and which tables are out of date."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from visdiv_assets.corpus.access import CONTENT
from visdiv_assets.corpus.tables import CORPUS_PARTITION, TABLES, LakeTable, PartitionKind
from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.plan.steps import KINDS, Step
from visdiv_assets.orchestration.status import changed
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.catalog import published
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import DamagedManifestError, Manifest

#: The states of a subset or benchmark.
NEW, CHANGED, DECIDED, UNCHANGED, UNREADABLE = "new", "changed", "decided on", "unchanged", "cannot be read"

#: Tables that hold people's decisions.
_OBEYING = frozenset({LakeTable.VERIFIED_DUPLICATES, LakeTable.VERIFIED_CONTAMINATION})


class Part(NamedTuple):
    """A subset or benchmark that would run.

    Attributes:
        kind: which of the two.
        name: its name.
        state: NEW, CHANGED, DECIDED (people have decided on its pairs since), UNCHANGED or UNREADABLE.
        images: its number of images; an estimate if it is new or changed.
        size_bytes: size of its files.
        made: names of the steps that would make something.
        problem: why it cannot be read; empty if it can.
    """

    kind: Kind
    name: str
    state: str
    images: int
    size_bytes: int
    made: frozenset[str]
    problem: str = ""


@dataclass(frozen=True)
class Plan:
    """What would run.

    Attributes:
        steps: all steps, each behind those whose tables it reads.
        parts: benchmarks, then subsets, in the order in which they would run.
        corpus: names of the steps about all subsets that would make something.
        images: number of images by partition, of the parts and of what is materialized already.
    """

    steps: list[Step]
    parts: list[Part]
    corpus: frozenset[str]
    images: dict[PartitionKind, dict[str, int]]

    @property
    def failing(self) -> list[Part]:
        """The parts that would fail."""
        return [part for part in self.parts if part.state == UNREADABLE]


def plan_run(
    source: Source,
    lake: Lake,
    benchmarks: Sequence[str],
    subsets: Sequence[str],
    steps: Sequence[Step],
    decided: Collection[str] = (),
) -> Plan:
    """Find what a run would make. Only lists of files and manifests are read, and footers of new files.

    A table is out of date if it is missing, its code has changed, or a table that it is made from is newer or would be
    made. Changed settings are not noticed.

    Args:
        source: the source.
        lake: the lake.
        benchmarks: the benchmarks that would run.
        subsets: the subsets that would run.
        steps: the steps, as `steps.steps` returns them.
        decided: those of the subsets on whose pairs people have decided since they ran.
    """
    lake = lake.snapshot()
    names = [*((Kind.BENCHMARK, name) for name in benchmarks), *((Kind.SUBSET, name) for name in subsets)]
    parts: list[Part] = []
    made: set[str] = set()
    with progress("reading the list of files", len(names), "set") as advance:
        for kind, name in names:
            part = _part(source, lake, kind, name, steps, made)
            if kind is Kind.SUBSET and name in decided and part.state == UNCHANGED:
                # Their verdicts stand; what is made from them follows.
                follows = _outdated(lake, KINDS[kind], name, steps, made | _OBEYING)
                part = part._replace(state=DECIDED, made=follows)
            parts.append(part)
            advance(1)
            if kind is Kind.BENCHMARK:
                made |= _tables_of(steps, parts[-1].made)
    for part in parts:
        made |= _tables_of(steps, part.made) | (_OBEYING if part.state == DECIDED else frozenset())
    corpus = _outdated(lake, PartitionKind.CORPUS, CORPUS_PARTITION, steps, made)
    images = {KINDS[kind]: _stored_images(lake, kind) for kind in Kind}
    for part in parts:
        images[KINDS[part.kind]][part.name] = part.images
    return Plan(list(steps), parts, corpus, images)


def _part(source: Source, lake: Lake, kind: Kind, name: str, steps: Sequence[Step], made: set[str]) -> Part:
    listed = _manifest(lake, CONTENT[kind].images, name)
    all_steps = frozenset(step.name for step in steps if step.kind is KINDS[kind])
    try:
        size = source.size_bytes(kind, name)
        if listed is None:
            return Part(kind, name, NEW, _count_images(source, kind, name), size, all_steps)
        images = int(listed.facts["images"])
        if changed(source, listed, kind):
            return Part(kind, name, CHANGED, images, size, all_steps)
        return Part(kind, name, UNCHANGED, images, size, _outdated(lake, KINDS[kind], name, steps, made))
    except VisdivError as error:
        return Part(kind, name, UNREADABLE, 0, 0, frozenset(), str(error))


def _count_images(source: Source, kind: Kind, name: str) -> int:
    """Return the published number of images, else the number of rows."""
    figures = published(name, source.uri) if kind is Kind.SUBSET else None
    return figures.images if figures else sum(shard.rows for shard in source.shards(kind, name))


def _outdated(lake: Lake, kind: PartitionKind, partition: str, steps: Sequence[Step], made: set[str]) -> frozenset[str]:
    """Return the names of the steps of a partition with a table that is out of date.

    Args:
        lake: the lake.
        kind: of the partition.
        partition: its name.
        steps: all steps in order.
        made: tables of other partitions that would be made.
    """
    here = [step for step in steps if step.kind is kind]
    tables = {table for step in here for table in (*step.versions, *step.inputs) if TABLES.get(table) is kind}
    manifests = {table: _manifest(lake, table, partition) for table in tables}
    made, found = set(made), set()
    for step in here:
        if made & step.inputs or not _is_current(step, manifests):
            made |= set(step.versions)
            found.add(step.name)
    return frozenset(found)


def _is_current(step: Step, manifests: dict[str, Manifest | None]) -> bool:
    """Return whether all tables of a step are there, made by the present code and from the present inputs."""
    inputs = [manifest.materialized_at for table, manifest in manifests.items() if manifest and table in step.inputs]
    own = [(manifests[table], code) for table, code in step.versions.items() if table in manifests]
    return all(
        manifest and manifest.code_version == code and manifest.materialized_at >= max(inputs, default="")
        for manifest, code in own
    )


def _tables_of(steps: Sequence[Step], names: frozenset[str]) -> set[str]:
    return {table for step in steps if step.name in names for table in step.versions}


def _stored_images(lake: Lake, kind: Kind) -> dict[str, int]:
    table = CONTENT[kind].images
    manifests = ((name, _manifest(lake, table, name)) for name in lake.partitions(table))
    return {name: int(manifest.facts["images"]) for name, manifest in manifests if manifest}


def _manifest(lake: Lake, table: str, partition: str) -> Manifest | None:
    try:
        return lake.manifest(table, partition)
    except DamagedManifestError:
        return None  # a run replaces it
