"""The partition sets of subsets and of benchmarks.

Their keys are dynamic, so that loading the definitions does not read the source, and a new subset needs no reload. The
sensor `partitions_sensor`, `visdiv run` and `visdiv ui` add the keys of the source.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import dagster as dg

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import Kind, Source

subset_partitions = dg.DynamicPartitionsDefinition(name="subset")
benchmark_partitions = dg.DynamicPartitionsDefinition(name="benchmark")

PARTITIONS = {Kind.SUBSET: subset_partitions, Kind.BENCHMARK: benchmark_partitions}


def missing_keys(instance: dg.DagsterInstance, source: Source) -> dict[Kind, list[str]]:
    """Return the names in the source that are not partition keys yet: largest subsets first, benchmarks by name.

    A backfill runs partitions in the order of their keys, so starting with the longest runs shortens it. Benchmarks are
    not sorted by size, because on the Hub each is a dataset of its own, which may be missing.
    """

    def new(kind: Kind, names: list[str]) -> set[str]:
        return set(names) - set(instance.get_dynamic_partitions(str(PARTITIONS[kind].name)))

    def size(name: str) -> int:
        try:
            return source.size_bytes(Kind.SUBSET, name)
        except VisdivError:
            return 0  # its own run says why it cannot be read

    largest_first = sorted((-size(name), name) for name in new(Kind.SUBSET, source.subsets()))
    return {
        Kind.SUBSET: [name for _, name in largest_first],
        Kind.BENCHMARK: sorted(new(Kind.BENCHMARK, source.benchmarks())),
    }


def vanished_keys(instance: dg.DagsterInstance, known: Collection[str]) -> dict[Kind, list[str]]:
    """Return the partition keys that are not among the names of the subsets and benchmarks of the source."""
    keys = {kind: instance.get_dynamic_partitions(str(PARTITIONS[kind].name)) for kind in PARTITIONS}
    return {kind: [name for name in names if name not in known] for kind, names in keys.items()}


def remove_keys(instance: dg.DagsterInstance, keys: Mapping[Kind, Collection[str]]) -> None:
    """Remove partition keys from an instance."""
    for kind, names in keys.items():
        for name in names:
            instance.delete_dynamic_partition(str(PARTITIONS[kind].name), name)


def add_missing_keys(instance: dg.DagsterInstance, source: Source) -> None:
    """Add every subset and benchmark of the source as a partition key to an instance."""
    for kind, names in missing_keys(instance, source).items():
        if names:
            instance.add_dynamic_partitions(str(PARTITIONS[kind].name), names)
