"""The steps of `visdiv run`: the assets of its jobs, and the tables of the lake that each writes."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import TopologicalSorter
from typing import NamedTuple

import dagster as dg

from visdiv_assets.corpus.tables import (
    NEEDS_CLIP,
    NEEDS_OCR,
    NEEDS_OCR_AND_CLIP,
    ON_REQUEST,
    READS_IMAGES,
    PartitionKind,
)
from visdiv_assets.orchestration import assets
from visdiv_assets.orchestration.partitions import PARTITIONS
from visdiv_assets.sources import Kind

#: The kind of a step's partitions by the kind of the source's names.
KINDS = {Kind.SUBSET: PartitionKind.SUBSET, Kind.BENCHMARK: PartitionKind.BENCHMARK}


class Step(NamedTuple):
    """A step of a run.

    Attributes:
        name: its name in Dagster.
        kind: what its partitions are.
        versions: the tables that it writes, and the version of their code; also what is no table of the lake, such as
            the DuckDB file.
        inputs: the tables that it reads.
        sample: the number of images of a partition that it reads; 0: all.
    """

    name: str
    kind: PartitionKind
    versions: dict[str, str | None]
    inputs: frozenset[str]
    sample: int = 0


def steps(*, with_clip: bool, with_ocr: bool = False, ocr_sample: int = 0) -> list[Step]:
    """Return the steps of all jobs that `visdiv run` starts, each behind those whose tables it reads.

    Args:
        with_clip: whether there are CLIP weights; without them, steps that need them are skipped.
        with_ocr: whether text in images is read.
        ocr_sample: the number of images of a subset or benchmark whose text is read; 0: all.
    """
    found = [_step(each) for each in dg.load_assets_from_modules(assets.STAGES) if _is_step(each)]
    left_out = ON_REQUEST | (frozenset() if with_ocr else NEEDS_OCR)
    if not with_clip:
        left_out |= NEEDS_CLIP | NEEDS_OCR_AND_CLIP
    kept = [
        step._replace(versions={table: code for table, code in step.versions.items() if table not in left_out})
        for step in found
    ]
    of_sample = READS_IMAGES | NEEDS_OCR_AND_CLIP
    sampled = [step._replace(sample=ocr_sample) if of_sample & set(step.versions) else step for step in kept]
    return _in_order([step for step in sampled if step.versions])


def _is_step(asset: object) -> bool:
    return isinstance(asset, dg.AssetsDefinition) and asset.is_materializable


def _step(asset: object) -> Step:
    assert isinstance(asset, dg.AssetsDefinition)
    partitions = {PARTITIONS[kind].name: KINDS[kind] for kind in Kind}
    used = asset.partitions_def
    kind = partitions[used.name] if isinstance(used, dg.DynamicPartitionsDefinition) else PartitionKind.CORPUS
    return Step(
        asset.node_def.name,
        kind,
        {key.to_user_string(): version for key, version in asset.code_versions_by_key.items()},
        frozenset(dep.asset_key.to_user_string() for spec in asset.specs for dep in spec.deps) - _names(asset),
    )


def _names(asset: dg.AssetsDefinition) -> set[str]:
    return {key.to_user_string() for key in asset.keys}


def _in_order(found: Sequence[Step]) -> list[Step]:
    writers = {table: step for step in found for table in step.versions}
    by_name = {step.name: step for step in found}
    graph = {step.name: {writers[table].name for table in step.inputs if table in writers} for step in found}
    return [by_name[name] for name in TopologicalSorter(graph).static_order()]
