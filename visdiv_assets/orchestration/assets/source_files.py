"""What the source holds: observed, never written."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import dagster as dg

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.assets.common import user_errors
from visdiv_assets.orchestration.partitions import PARTITIONS, add_missing_keys, benchmark_partitions, subset_partitions
from visdiv_assets.orchestration.resources import SourceResource
from visdiv_assets.sources import Kind


def _observable(partitions: dg.PartitionsDefinition) -> Callable[[Callable[..., Any]], Any]:
    """`dg.observable_source_asset` with the docstring as description, and without the warning that it is in beta."""

    def decorate(observe: Callable[..., Any]) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=dg.BetaWarning)
            described = dg.observable_source_asset(
                partitions_def=partitions, group_name="1_source", description=inspect.getdoc(observe)
            )
            return described(observe)

    return decorate


@_observable(subset_partitions)
def subset_files(context: dg.OpExecutionContext, source: SourceResource) -> dg.DataVersionsByPartition:
    """The files of each subset, as the source has them.

    One observation looks at all subsets. A subset's version is a digest over the names, sizes and checksums (in a
    folder: times of change) of its files, so an edited README changes none. New subsets become partitions; a subset
    that is gone keeps its last version.
    """
    return _observed(context, source, Kind.SUBSET)


@_observable(benchmark_partitions)
def benchmark_files(context: dg.OpExecutionContext, source: SourceResource) -> dg.DataVersionsByPartition:
    """The files of each benchmark, as the source has them; versions as in subset_files."""
    return _observed(context, source, Kind.BENCHMARK)


def observation(kind: Kind, name: str, version: str) -> dg.AssetObservation:
    """The state of its files that a subset or benchmark was listed from.

    Whoever lists the images reports it, so that the first observation after that changes nothing if no file changed.
    """
    files = "subset_files" if kind is Kind.SUBSET else "benchmark_files"
    return dg.AssetObservation(asset_key=files, partition=name, tags={"dagster/data_version": version})


def _observed(context: dg.OpExecutionContext, source: SourceResource, kind: Kind) -> dg.DataVersionsByPartition:
    """The version of every subset or benchmark that can be seen now; of the others none, and a line in the log."""
    with user_errors():
        opened = source.open()
        add_missing_keys(context.instance, opened)
        names = opened.subsets() if kind is Kind.SUBSET else opened.benchmarks()
        versions = {}
        for name in names:
            try:
                versions[name] = opened.observed_version(kind, name)
            except VisdivError as error:
                context.log.warning(f"{name} was not observed: {error}")
        if names and not versions:
            raise VisdivError(f"none of the {len(names)} {kind.value} of {opened.uri} could be observed: see the log")
    gone = set(context.instance.get_dynamic_partitions(str(PARTITIONS[kind].name))) - set(names)
    if gone:
        context.log.warning(f"no longer in the source: {', '.join(sorted(gone))}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=dg.BetaWarning)
        return dg.DataVersionsByPartition(versions)
