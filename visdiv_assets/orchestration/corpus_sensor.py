"""The sensor that combines all subsets once after runs and backfills have ended.

Conditions of single assets would request some corpus assets while a run still makes what others need.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path

import dagster as dg
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionsFilter, BulkActionStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.orchestration import sessions

_UNFINISHED = BulkActionsFilter(
    statuses=[status for status in BulkActionStatus if status not in BULK_ACTION_TERMINAL_STATUSES]
)
_RUNS = dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)


def build_corpus_sensor(
    job: str, corpus: dg.AssetSelection, *, ignored: Iterable[str], tags: dict[str, str]
) -> dg.SensorDefinition:
    """Return the sensor that launches a job after other assets than its own were materialized.

    Args:
        job: name of the job that combines all subsets.
        corpus: its assets.
        ignored: names of jobs that it need not wait for.
        tags: of the runs that it launches.
    """
    others = dg.AssetSelection.all() - corpus
    needless = frozenset(ignored)

    @dg.sensor(
        name="keep_corpus_fresh",
        job_name=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Updates the corpus assets and the DuckDB file once after subsets were materialized. Waits while "
        "runs or backfills are in progress.",
    )
    def keep_corpus_fresh(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Launch the job if anything was materialized since it last began, and nothing is in progress."""
        assert context.repository_def is not None
        instance, graph = context.instance, context.repository_def.asset_graph
        made = _materializations(instance, others.resolve(graph))
        if dg.AssetKey(LakeTable.SUBSET_IMAGES) not in made:
            return dg.SkipReason("no subset is materialized")
        newest = max(made.values())
        if context.cursor and newest <= float(context.cursor):
            return dg.SkipReason("nothing was materialized since the last request")
        if waits_for := _activity(instance, needless):
            return dg.SkipReason(f"waits for {waits_for}")
        context.update_cursor(repr(newest))
        if _began_last(instance, corpus.resolve(graph)) > newest:
            return dg.SkipReason("a run has combined all subsets since the last materialization")
        return dg.RunRequest(tags=tags)

    return keep_corpus_fresh


def _materializations(instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]) -> dict[dg.AssetKey, float]:
    """Return the time of the last materialization of each asset that has one, in seconds since 1970."""
    entries = [record.asset_entry for record in instance.get_asset_records(list(keys))]
    return {entry.asset_key: entry.last_materialization.timestamp for entry in entries if entry.last_materialization}


def _activity(instance: dg.DagsterInstance, ignored: frozenset[str]) -> str:
    """Return what is in progress that may materialize subsets; empty if nothing is."""
    if instance.get_backfills(filters=_UNFINISHED, limit=1):
        return "a backfill"
    if runs := [run for run in instance.get_runs(_RUNS) if run.job_name not in ignored]:
        return f"{len(runs)} runs"
    # `visdiv run` has no run in progress between two subsets, and combines them itself.
    return "`visdiv run`" if sessions.running(Path(instance.root_directory)) else ""


def _began_last(instance: dg.DagsterInstance, corpus: AbstractSet[dg.AssetKey]) -> float:
    """Return when the run began that published last, if it combined all subsets, in seconds since 1970; else 0."""
    event = instance.get_latest_materialization_event(dg.AssetKey("warehouse"))
    record = instance.get_run_record_by_id(event.run_id) if event else None
    if record is None or record.start_time is None:
        return 0.0
    selected = record.dagster_run.asset_selection
    # A run of a whole job has no selection.
    return record.start_time if not selected or selected >= corpus else 0.0
