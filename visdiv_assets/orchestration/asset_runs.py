"""Run assets in this process: single ones on a Dagster instance in memory, and what ends any such run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dagster as dg

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.automation import failure_cause
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.settings import Settings

#: Hide the log of a run, as `visdiv run` does.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def prepare_materialization(settings: Settings, asset: str, partitions: Sequence[str]) -> Callable[[], None]:
    """Prepare to materialize one asset through Dagster.

    Args:
        settings: settings that name the data and the source.
        asset: name of the asset.
        partitions: subsets to materialize, one run each; empty for an asset without partitions.

    Returns:
        A function that runs the asset; it raises VisdivError if a run fails, and KeyboardInterrupt if it is stopped.
    """
    job = build_definitions(settings).resolve_implicit_global_asset_job_def()
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions(str(subset_partitions.name), list(partitions))

    def run() -> None:
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
                raise_interrupt(result)
                failures = (event for event in result.all_events if event.is_step_failure)
                raise VisdivError(f"{asset} of {partition or 'all subsets'} failed: {failure_cause(failures)}")

    return run


def raise_interrupt(result: dg.ExecuteInProcessResult) -> None:
    """Raise KeyboardInterrupt again if it has ended a run: Dagster ends the run and returns a failed result."""
    for event in result.all_events:
        source = event.step_failure_data.error_source if event.is_step_failure else None
        if source and source.value == "INTERRUPT":
            raise KeyboardInterrupt
