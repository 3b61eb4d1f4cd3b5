"""Jobs, schedules and sensors.

Belongs here: what runs, and when. Does not: assets.
"""

import dagster as dg

from visdiv_assets.errors import VisdivError
from visdiv_assets.partitions import PARTITIONS, missing_keys
from visdiv_assets.resources import SourceResource

BENCHMARK_JOB = "benchmark_pipeline"
SUBSET_JOB = "subset_pipeline"
CALIBRATION_JOB = "calibration_pipeline"
CORPUS_JOB = "corpus_pipeline"

_BENCHMARK_ASSETS = dg.AssetSelection.groups("benchmarks")
_CALIBRATION_ASSETS = dg.AssetSelection.assets("calibration")
_CORPUS_ASSETS = dg.AssetSelection.groups("corpus", "warehouse")

benchmark_pipeline = dg.define_asset_job(
    BENCHMARK_JOB,
    selection=_BENCHMARK_ASSETS,
    description="The pictures and embeddings of one benchmark. Launch it for all of them before the subsets.",
)

subset_pipeline = dg.define_asset_job(
    SUBSET_JOB,
    selection=dg.AssetSelection.all() - _BENCHMARK_ASSETS - _CORPUS_ASSETS - _CALIBRATION_ASSETS,
    description="Everything about one subset, from its pictures to its scores and its contamination, in one process. "
    "Launch it for one partition, or for all of them as a backfill; then run corpus_pipeline.",
)

calibration_pipeline = dg.define_asset_job(
    CALIBRATION_JOB,
    selection=_CALIBRATION_ASSETS,
    description="What each threshold and the comparison of pixels find of copies made of a subset's own pictures, and "
    "what they wrongly claim. 36 embeddings for each of 24 pictures.",
)

corpus_pipeline = dg.define_asset_job(
    CORPUS_JOB,
    selection=_CORPUS_ASSETS,
    description="What concerns all materialised subsets together: shared pictures, clusters, the rows of a clean copy, "
    "leak reports, and the DuckDB file.",
)


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes every subset and benchmark that the source holds a partition; it starts no run.",
)
def partitions_sensor(context: dg.SensorEvaluationContext, source: SourceResource) -> dg.SensorResult | dg.SkipReason:
    """Keep the partition keys equal to what the source holds; keys are never taken away."""
    try:
        new = missing_keys(context.instance, source.open())
    except VisdivError as error:
        return dg.SkipReason(str(error))
    requests = [PARTITIONS[kind].build_add_request(names) for kind, names in new.items() if names]
    if not requests:
        return dg.SkipReason("nothing new in the source")
    return dg.SensorResult(dynamic_partitions_requests=requests)


JOBS = (benchmark_pipeline, subset_pipeline, calibration_pipeline, corpus_pipeline)
SENSORS = (partitions_sensor,)
