"""Jobs, automation conditions, schedules and sensors.

Belongs here: what runs, and when. Does not: assets.

The source is observed daily. A subset whose files changed is run again only if `refresh_changed` is turned on, since
that may take hours of a GPU; what concerns all subsets together, and the DuckDB file, follows by itself.
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.partitions import PARTITIONS, missing_keys
from visdiv_assets.orchestration.resources import SourceResource
from visdiv_assets.settings import variable
from visdiv_assets.sources import Kind

BENCHMARK_JOB = "benchmark_pipeline"
SUBSET_JOB = "subset_pipeline"
CALIBRATION_JOB = "calibration_pipeline"
MAPS_JOB = "maps_pipeline"
CORPUS_JOB = "corpus_pipeline"
OBSERVE_SUBSETS_JOB = "observe_subsets"
OBSERVE_BENCHMARKS_JOB = "observe_benchmarks"

#: Tag of a run that a sensor asked for.
TRIGGER_TAG = "visdiv/trigger"

BENCHMARK_ASSETS = dg.AssetSelection.groups("2_benchmarks")
CALIBRATION_ASSETS = dg.AssetSelection.assets("calibration")
MAPS_ASSETS = dg.AssetSelection.assets("maps")
CORPUS_ASSETS = dg.AssetSelection.groups("6_corpus", "7_warehouse")
SUBSET_ASSETS = dg.AssetSelection.all() - BENCHMARK_ASSETS - CORPUS_ASSETS - CALIBRATION_ASSETS - MAPS_ASSETS

benchmark_pipeline = dg.define_asset_job(
    BENCHMARK_JOB,
    selection=BENCHMARK_ASSETS,
    description="The images and embeddings of one benchmark. Launch it for all of them before the subsets.",
)

subset_pipeline = dg.define_asset_job(
    SUBSET_JOB,
    selection=SUBSET_ASSETS,
    description="Everything about one subset, from its images to its scores and its contamination, in one process. "
    "Launch it for one partition, or for all of them as a backfill; then run corpus_pipeline. Dagster warns that "
    "calibration was not materialized: confirm, it is optional. Without CLIP weights what needs them is skipped, and "
    "Dagster goes on counting the partitions as missing.",
)

calibration_pipeline = dg.define_asset_job(
    CALIBRATION_JOB,
    selection=CALIBRATION_ASSETS,
    description="What each threshold and the comparison of pixels find of copies made of a subset's own images, and "
    "what they wrongly claim. 36 embeddings for each of 24 images.",
)

maps_pipeline = dg.define_asset_job(
    MAPS_JOB,
    selection=MAPS_ASSETS,
    description="Maps of a subset's images and texts, with named clusters, as a plot and a page. UMAP takes minutes.",
)

corpus_pipeline = dg.define_asset_job(
    CORPUS_JOB,
    selection=CORPUS_ASSETS,
    description="What concerns all materialized subsets together: shared images, clusters, the rows of a clean copy, "
    "leak reports, and the DuckDB file. Dagster warns of what was not materialized: confirm, since calibration, maps "
    "and what needs CLIP are optional.",
)


observe_subsets = dg.define_asset_job(
    OBSERVE_SUBSETS_JOB,
    selection=dg.AssetSelection.assets("subset_files"),
    description="Looks at the files of all subsets in one run, downloads none, and adds new subsets as partitions.",
)

observe_benchmarks = dg.define_asset_job(
    OBSERVE_BENCHMARKS_JOB,
    selection=dg.AssetSelection.assets("benchmark_files"),
    description="Looks at the files of all benchmarks in one run, downloads none.",
)

#: What takes long and is looked at by people alone.
BY_HAND = {dg.AssetKey("calibration"), dg.AssetKey("maps")}

#: Asks for a partition again that was materialized before and whose source, or whatever else it is made of, changed.
#: A benchmark or a calibration that was never materialized keeps no subset waiting.
refresh_if_materialized = (
    dg.AutomationCondition.any_deps_match(
        dg.AutomationCondition.data_version_changed() | dg.AutomationCondition.will_be_requested()
    ).since_last_handled()
    & ~dg.AutomationCondition.missing()
    & ~dg.AutomationCondition.any_deps_missing().ignore(BENCHMARK_ASSETS | CALIBRATION_ASSETS)
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
).with_label("refresh_if_materialized")

#: Asks for what concerns all subsets once any of them was materialized, and not while runs or backfills go on.
follow_subsets = (
    dg.AutomationCondition.any_deps_updated().since_last_handled()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
).with_label("follow_subsets")


def with_conditions(assets: Iterable[object]) -> list[Any]:
    """All assets; those that are materialized with a condition, one for assets of a partition, one for the corpus'.

    Calibration and maps have none: they are asked for by hand.
    """

    def conditioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key in BY_HAND:
            return spec
        condition = follow_subsets if spec.partitions_def is None else refresh_if_materialized
        return spec.replace_attributes(automation_condition=condition)

    return [asset.map_asset_specs(conditioned) if isinstance(asset, dg.AssetsDefinition) else asset for asset in assets]


def schedules(observe_cron: str) -> list[dg.ScheduleDefinition]:
    """The schedules: the source is observed at the times of a cron expression, UTC.

    Raises:
        VisdivError: it is no cron expression.
    """
    jobs = (observe_subsets, observe_benchmarks)
    try:
        return [
            dg.ScheduleDefinition(
                name=f"{job.name}_schedule",
                job=job,
                cron_schedule=observe_cron,
                default_status=dg.DefaultScheduleStatus.RUNNING,
                description=f"{job.description} It materializes nothing.",
            )
            for job in jobs
        ]
    except dg.DagsterInvalidDefinitionError:
        raise VisdivError(
            f"{variable('observe_cron')}={observe_cron!r} is impossible: give a cron expression such as 0 5 * * *"
        ) from None


def failure_cause(failures: Iterable[dg.DagsterEvent]) -> str | None:
    """What made a run fail, in one line, from the events of its steps that failed; None if no step did."""
    for event in failures:
        failure = event.step_failure_data
        if failure.user_failure_data and failure.user_failure_data.description:
            return f"{event.step_key}: {failure.user_failure_data.description}"
        if failure.error:
            cause = failure.error.cause or failure.error
            return f"{event.step_key}: {' '.join(cause.message.split())}"
    return None


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes every subset and benchmark that the source holds a partition; it starts no run.",
)
def partitions_sensor(context: dg.SensorEvaluationContext, source: SourceResource) -> dg.SensorResult | dg.SkipReason:
    """Keep the partition keys equal to what the source holds; keys are never taken away.

    A remote source is listed here once, when there is no key yet, and else by the observation: every minute would be
    too many requests.
    """
    if source.is_remote and context.instance.get_dynamic_partitions(str(PARTITIONS[Kind.SUBSET].name)):
        return dg.SkipReason("a remote source is looked at by observe_subsets")
    try:
        new = missing_keys(context.instance, source.open())
    except VisdivError as error:
        return dg.SkipReason(str(error))
    requests = [PARTITIONS[kind].build_add_request(names) for kind, names in new.items() if names]
    if not requests:
        return dg.SkipReason("nothing new in the source")
    return dg.SensorResult(dynamic_partitions_requests=requests)


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Logs one line with the cause of every run that failed; put a message to your team here.",
)
def failure_sensor(context: dg.RunFailureSensorContext) -> None:
    """Say in one line which run failed and why."""
    run = context.dagster_run
    partition = run.tags.get("dagster/partition")
    cause = failure_cause(context.get_step_failure_events()) or context.failure_event.message
    context.log.error(f"{run.job_name}{f' of {partition}' if partition else ''} failed: {cause} (run {run.run_id})")


refresh_changed = dg.AutomationConditionSensorDefinition(
    "refresh_changed",
    target=SUBSET_ASSETS | BENCHMARK_ASSETS,
    default_status=dg.DefaultSensorStatus.STOPPED,
    minimum_interval_seconds=60,
    run_tags={TRIGGER_TAG: "source changed"},
    description="Runs the subsets and benchmarks again that were materialized and whose files were seen to have "
    "changed. Off until you turn it on: it may use the GPU for hours.",
)

keep_corpus_fresh = dg.AutomationConditionSensorDefinition(
    "keep_corpus_fresh",
    target=CORPUS_ASSETS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=60,
    run_tags={TRIGGER_TAG: "subsets materialized"},
    description="Brings what concerns all subsets, and the DuckDB file, up to date after subsets were materialized; "
    "waits while runs or backfills go on.",
)

JOBS = (
    benchmark_pipeline,
    subset_pipeline,
    calibration_pipeline,
    maps_pipeline,
    corpus_pipeline,
    observe_subsets,
    observe_benchmarks,
)
SENSORS = (partitions_sensor, refresh_changed, keep_corpus_fresh, failure_sensor)
