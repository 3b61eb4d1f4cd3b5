"""The partition sets.

Belongs here: what the partitions are called and where their keys come from. Does not: assets.

The keys are dynamic: they are what the source holds, so that loading the definitions reads no source, and a new
subset needs no reload. The sensor `subset_partitions_sensor` and every command of `visdiv` bring them up to date.
"""

from __future__ import annotations

import dagster as dg

from visdiv_assets.sources import Kind, Source

subset_partitions = dg.DynamicPartitionsDefinition(name="subset")


def missing_keys(source: Source, present: list[str]) -> list[str]:
    """Subsets of the source that are not partition keys yet, heaviest first.

    A backfill takes partitions in the order of their keys and ends when its last run ends, so the long runs go first.
    """
    new = set(source.subsets()) - set(present)
    return sorted(new, key=lambda subset: (-source.size_bytes(Kind.SUBSET, subset), subset))


def add_subset_keys(instance: dg.DagsterInstance, source: Source) -> None:
    """Make every subset of the source a partition key of an instance."""
    name = str(subset_partitions.name)
    new = missing_keys(source, list(instance.get_dynamic_partitions(name)))
    if new:
        instance.add_dynamic_partitions(name, new)
