"""Jobs, automation conditions, schedules and sensors.

The source is observed daily. A subset whose files changed runs again only if the sensor `refresh_changed` is turned on,
since that may take GPU hours. The corpus assets, which combine all subsets, and the DuckDB file follow by themselves.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from visdiv_assets.corpus.tables import NEEDS_OCR, ON_REQUEST
from visdiv_assets.errors import ConfigError, VisdivError
from visdiv_assets.orchestration.corpus_sensor import build_corpus_sensor
from visdiv_assets.orchestration.launchpad import (
    CALIBRATION_RESOURCES,
    CORPUS_RESOURCES,
    MAPS_RESOURCES,
    OCR_RESOURCES,
    SUBSET_RESOURCES,
    launch_config,
)
from visdiv_assets.orchestration.partitions import PARTITIONS, missing_keys
from visdiv_assets.orchestration.resources import SourceResource
from visdiv_assets.settings import variable
from visdiv_assets.sources import Kind

BENCHMARK_JOB = "benchmark_pipeline"
SUBSET_JOB = "subset_pipeline"
CALIBRATION_JOB = "calibration_pipeline"
MAPS_JOB = "maps_pipeline"
OCR_JOB = "ocr_pipeline"
BENCHMARK_OCR_JOB = "benchmark_ocr_pipeline"
JUDGE_JOB = "judge_pipeline"
CORPUS_JOB = "corpus_pipeline"
OBSERVE_SUBSETS_JOB = "observe_subsets"
OBSERVE_BENCHMARKS_JOB = "observe_benchmarks"

#: Tag of a run that a sensor requested.
TRIGGER_TAG = "visdiv/trigger"

BENCHMARK_OCR_ASSETS = dg.AssetSelection.assets("benchmark_image_texts")
BENCHMARK_ASSETS = dg.AssetSelection.groups("2_benchmarks") - BENCHMARK_OCR_ASSETS
CALIBRATION_ASSETS = dg.AssetSelection.assets("calibration")
MAPS_ASSETS = dg.AssetSelection.assets("maps")
OCR_ASSETS = dg.AssetSelection.assets("image_texts", "image_text_leaks", "image_listed_words", "masked_alignment")
JUDGE_ASSETS = dg.AssetSelection.groups("8_judge")
CORPUS_ASSETS = dg.AssetSelection.groups("6_corpus", "7_warehouse")
#: Slow or costly assets that are materialized on request only.
BY_HAND = {dg.AssetKey(name) for name in ON_REQUEST | NEEDS_OCR}
SUBSET_ASSETS = dg.AssetSelection.all() - BENCHMARK_ASSETS - CORPUS_ASSETS - dg.AssetSelection.assets(*BY_HAND)

observe_subsets = dg.define_asset_job(
    OBSERVE_SUBSETS_JOB,
    selection=dg.AssetSelection.assets("subset_files"),
    description="Lists the files of all subsets in one run, without downloading them, and adds new subsets as "
    "partitions.",
)

observe_benchmarks = dg.define_asset_job(
    OBSERVE_BENCHMARKS_JOB,
    selection=dg.AssetSelection.assets("benchmark_files"),
    description="Lists the files of all benchmarks in one run, without downloading them.",
)

#: Requests a materialized partition again when its source or another upstream asset changed. A benchmark that was never
#: materialized does not block a subset, nor does text in images that was never read.
refresh_if_materialized = (
    dg.AutomationCondition.any_deps_match(
        dg.AutomationCondition.data_version_changed() | dg.AutomationCondition.will_be_requested()
    ).since_last_handled()
    & ~dg.AutomationCondition.missing()
    & ~dg.AutomationCondition.any_deps_missing().ignore(BENCHMARK_ASSETS | BENCHMARK_OCR_ASSETS | OCR_ASSETS)
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
).with_label("refresh_if_materialized")


def with_conditions(assets: Iterable[object]) -> list[Any]:
    """Return the assets with the automation condition of partitioned assets.

    Calibration, maps, text in images, masked_alignment and judge_ratings have none, since they are materialized on
    request only; neither have the corpus assets, which a sensor requests together.
    """

    def add_condition(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key in BY_HAND or spec.partitions_def is None:
            return spec
        return spec.replace_attributes(automation_condition=refresh_if_materialized)

    return [
        asset.map_asset_specs(add_condition) if isinstance(asset, dg.AssetsDefinition) else asset for asset in assets
    ]


def pipelines(resources: Mapping[str, Any]) -> list[UnresolvedAssetJobDefinition]:
    """Return the jobs that materialize assets, configured as the resources are.

    Args:
        resources: all resources by name.
    """
    return [
        dg.define_asset_job(
            BENCHMARK_JOB,
            selection=BENCHMARK_ASSETS,
            description="Materializes one benchmark: its images, embeddings and texts. Launch it for all benchmarks "
            "before the subsets.",
        ),
        dg.define_asset_job(
            SUBSET_JOB,
            selection=SUBSET_ASSETS,
            description="Materializes one subset, from its images to its scores and contamination, in one process. "
            "Launch it for one partition, or for all as a backfill; corpus_pipeline follows by itself. Without CLIP "
            "weights, assets that need them make nothing, and their metadata says why.",
            config=launch_config(resources, SUBSET_RESOURCES),
        ),
        dg.define_asset_job(
            CALIBRATION_JOB,
            selection=CALIBRATION_ASSETS,
            description="Measures which copies of a subset's images each threshold and verification find, and their "
            "false positives. Embeds 53 copies of each of 24 images.",
            config=launch_config(resources, CALIBRATION_RESOURCES),
        ),
        dg.define_asset_job(
            MAPS_JOB,
            selection=MAPS_ASSETS,
            description="Draws maps of a subset's images and texts, with named clusters, as a plot and a page. UMAP "
            "takes minutes. The sensor keep_corpus_fresh then publishes them.",
            config=launch_config(resources, MAPS_RESOURCES),
        ),
        dg.define_asset_job(
            BENCHMARK_OCR_JOB,
            selection=BENCHMARK_OCR_ASSETS,
            description="Reads the text in a sample of a benchmark's images, as `visdiv run --ocr` does. Launch it "
            "before ocr_pipeline, which looks for that text in subsets. It needs the extra [ocr].",
            config=launch_config(resources, OCR_RESOURCES),
        ),
        dg.define_asset_job(
            OCR_JOB,
            selection=OCR_ASSETS,
            description="Reads the text in a sample of a subset's images, finds what of benchmarks and which listed "
            "words stand in it, and with CLIP weights "
            "compares the images with their texts again while the text in them is masked, as "
            "`visdiv run --ocr` does. It needs the extra [ocr], and takes 1 to 4 seconds of a core per image.",
            config=launch_config(resources, OCR_RESOURCES),
        ),
        dg.define_asset_job(
            JUDGE_JOB,
            selection=JUDGE_ASSETS,
            description="Rates a subset's turns by a model behind an OpenAI-compatible endpoint (VISDIV_JUDGE_URL), to "
            "which texts and images are sent; VISDIV_JUDGE_BUDGET limits the requests. Then materialize quality_rows, "
            "which applies thresholds to the ratings; `visdiv run` does both.",
        ),
        dg.define_asset_job(
            CORPUS_JOB,
            selection=CORPUS_ASSETS,
            description="Combines all materialized subsets: shared images, clusters, the rows of the clean copy, "
            "contamination reports, and the DuckDB file. The sensor keep_corpus_fresh launches it after subsets were "
            "materialized.",
            config=launch_config(resources, CORPUS_RESOURCES),
        ),
    ]


def schedules(observe_cron: str) -> list[dg.ScheduleDefinition]:
    """Return the schedules that observe the source.

    Args:
        observe_cron: cron expression, in UTC.

    Raises:
        ConfigError: it is not a cron expression.
    """
    try:
        return [
            dg.ScheduleDefinition(
                name=f"{job.name}_schedule",
                job=job,
                cron_schedule=observe_cron,
                default_status=dg.DefaultScheduleStatus.RUNNING,
                description=f"{job.description} Materializes nothing. A changed file is seen at the next tick, "
                f"{observe_cron} in UTC ({variable('observe_cron')}); launch the job {job.name} to see it now. What "
                "has changed is marked as unsynced, and runs again if the sensor refresh_changed is on.",
            )
            for job in OBSERVATIONS
        ]
    except dg.DagsterInvalidDefinitionError:
        raise ConfigError(
            f"invalid value for {variable('observe_cron')}: {observe_cron!r} (use a cron expression, such as 0 5 * * *)"
        ) from None


def failure_cause(failures: Iterable[dg.DagsterEvent]) -> str | None:
    """Return in one line why a run failed, from the events of its failed steps; None if no step failed."""
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
    description="Adds every subset and benchmark of the source as a partition. Starts no run.",
)
def partitions_sensor(context: dg.SensorEvaluationContext, source: SourceResource) -> dg.SensorResult | dg.SkipReason:
    """Add the subsets and benchmarks of the source as partition keys. Keys are never removed.

    A remote source is listed only while there are no keys; after that `observe_subsets` adds new ones, since listing it
    every minute would be too many requests.
    """
    if source.is_remote and context.instance.get_dynamic_partitions(str(PARTITIONS[Kind.SUBSET].name)):
        return dg.SkipReason("observe_subsets checks a remote source")
    try:
        new = missing_keys(context.instance, source.open())
    except VisdivError as error:
        return dg.SkipReason(str(error))
    requests = [PARTITIONS[kind].build_add_request(names) for kind, names in new.items() if names]
    if not requests:
        return dg.SkipReason("the source has no new subsets or benchmarks")
    return dg.SensorResult(dynamic_partitions_requests=requests)


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Logs one line with the cause of every failed run. Extend it to notify your team.",
)
def failure_sensor(context: dg.RunFailureSensorContext) -> None:
    """Log in one line which run failed and why."""
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
    description="Runs materialized subsets and benchmarks again when an observation finds that their files changed. "
    "Off by default, since it may use a GPU for hours. A change is seen when the schedule observe_subsets_schedule has "
    "run, and the runs begin about a minute later.",
)

keep_corpus_fresh = build_corpus_sensor(
    CORPUS_JOB,
    CORPUS_ASSETS,
    ignored=(OBSERVE_SUBSETS_JOB, OBSERVE_BENCHMARKS_JOB),
    tags={TRIGGER_TAG: "subsets materialized"},
)

#: Jobs that materialize nothing.
OBSERVATIONS = (observe_subsets, observe_benchmarks)
SENSORS = (partitions_sensor, refresh_changed, keep_corpus_fresh, failure_sensor)
