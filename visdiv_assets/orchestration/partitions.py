"""The partition sets.

Belongs here: what the partitions are called and where their keys come from. Does not: assets.

The keys are dynamic: they are what the source holds, so that loading the definitions reads no source, and a new subset
needs no reload. The sensor `partitions_sensor` and every command of `visdiv` bring them up to date.
"""

from __future__ import annotations

import dagster as dg

from visdiv_assets.sources import Kind, Source

subset_partitions = dg.DynamicPartitionsDefinition(name="subset")
benchmark_partitions = dg.DynamicPartitionsDefinition(name="benchmark")

PARTITIONS = {Kind.SUBSET: subset_partitions, Kind.BENCHMARK: benchmark_partitions}


def missing_keys(instance: dg.DagsterInstance, source: Source) -> dict[Kind, list[str]]:
    """What the source holds and is no partition key yet: subsets heaviest first, benchmarks by name.

    A backfill takes partitions in the order of their keys and ends when its last run ends, so the long runs go first.
    The size of a benchmark is not asked for: on the Hub each is a dataset of its own, which may not even be there.
    """

    def new(kind: Kind, names: list[str]) -> set[str]:
        return set(names) - set(instance.get_dynamic_partitions(str(PARTITIONS[kind].name)))

    heaviest_first = sorted(
        (-source.size_bytes(Kind.SUBSET, name), name) for name in new(Kind.SUBSET, source.subsets())
    )
    return {
        Kind.SUBSET: [name for _, name in heaviest_first],
        Kind.BENCHMARK: sorted(new(Kind.BENCHMARK, source.benchmarks())),
    }


def add_missing_keys(instance: dg.DagsterInstance, source: Source) -> None:
    """Make every subset and benchmark of the source a partition key of an instance."""
    for kind, names in missing_keys(instance, source).items():
        if names:
            instance.add_dynamic_partitions(str(PARTITIONS[kind].name), names)
