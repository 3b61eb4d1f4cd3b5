"""Runs of single assets for the rehearsal of FineVision's size: in this process, on a Dagster instance in memory.

Belongs here: what Dagster does of `benchmarking.rehearsal`. Does not: the made-up lake, and what is told of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dagster as dg

from visdiv_assets.definitions import build_definitions
from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.automation import failure_cause
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.perf.measuring import own_mb
from visdiv_assets.settings import Settings

#: As in `visdiv run`: the log of a run is not for the shell.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def materialise(settings: Settings, asset: str, partitions: Sequence[str]) -> Callable[[], float | None]:
    """Prepare to materialise one asset through Dagster; see `benchmarking.rehearsal.stages.Materialise`."""
    job = build_definitions(settings).resolve_implicit_global_asset_job_def()
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions(str(subset_partitions.name), list(partitions))
    before = own_mb()

    def run() -> float | None:
        chosen: list[str | None] = [*partitions] if partitions else [None]
        for partition in chosen:
            result = job.execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey(asset)],
                partition_key=partition,
                raise_on_error=False,
                run_config=_QUIET,
            )
            if not result.success:
                failures = (event for event in result.all_events if event.is_step_failure)
                raise VisdivError(f"{asset} of {partition or 'all subsets'} failed: {failure_cause(failures)}")
        return before

    return run
