"""The files of the source: observed, never written."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import dagster as dg

from visdiv_assets.errors import SourceError, VisdivError
from visdiv_assets.orchestration.assets.stage import user_errors
from visdiv_assets.orchestration.partitions import PARTITIONS, add_missing_keys, benchmark_partitions, subset_partitions
from visdiv_assets.orchestration.resources import SourceResource
from visdiv_assets.sources import Kind


def _observable(partitions: dg.PartitionsDefinition) -> Callable[[Callable[..., Any]], Any]:
    """Declare a `dg.observable_source_asset` described by its docstring, without the warning that it is in beta."""

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
    """The files of each subset in the source.

    One observation covers all subsets. The version of a subset is a digest of the names, sizes and checksums (in a
    folder: modification times) of its files; other files, such as a README, do not change it. New subsets become
    partitions; a subset that was removed from the source keeps its last version.
    """
    return _observe(context, source, Kind.SUBSET)


@_observable(benchmark_partitions)
def benchmark_files(context: dg.OpExecutionContext, source: SourceResource) -> dg.DataVersionsByPartition:
    """The files of each benchmark in the source; versions as in subset_files."""
    return _observe(context, source, Kind.BENCHMARK)


def observation(kind: Kind, name: str, version: str) -> dg.AssetObservation:
    """Return an observation of the version of a subset's or benchmark's files from which its images were listed.

    The asset that lists the images reports it, so that the next scheduled observation finds no change unless a file
    has changed.
    """
    files = "subset_files" if kind is Kind.SUBSET else "benchmark_files"
    return dg.AssetObservation(asset_key=files, partition=name, tags={"dagster/data_version": version})


def _observe(context: dg.OpExecutionContext, source: SourceResource, kind: Kind) -> dg.DataVersionsByPartition:
    """Return the version of every subset or benchmark that can be observed; log the others."""
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
            raise SourceError(f"none of the {len(names)} {kind.value} of {opened.uri} could be observed: see the log")
    gone = set(context.instance.get_dynamic_partitions(str(PARTITIONS[kind].name))) - set(names)
    if gone:
        context.log.warning(f"no longer in the source: {', '.join(sorted(gone))}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=dg.BetaWarning)
        return dg.DataVersionsByPartition(versions)
