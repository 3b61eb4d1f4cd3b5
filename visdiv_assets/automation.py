"""Jobs, schedules and sensors.

Belongs here: what runs, and when. Does not: assets.
"""

import dagster as dg

from visdiv_assets.errors import VisdivError
from visdiv_assets.partitions import missing_keys, subset_partitions
from visdiv_assets.resources import SourceResource

SUBSET_JOB = "subset_pipeline"
WAREHOUSE_JOB = "publish_warehouse"

subset_pipeline = dg.define_asset_job(
    SUBSET_JOB,
    selection=dg.AssetSelection.all() - dg.AssetSelection.groups("warehouse"),
    partitions_def=subset_partitions,
    description="Everything about one subset, from its pictures to its scores, in one process. "
    "Launch it for one partition, or for all of them as a backfill; then run publish_warehouse.",
)

publish_warehouse = dg.define_asset_job(
    WAREHOUSE_JOB,
    selection=dg.AssetSelection.groups("warehouse"),
    description="Build the DuckDB file from all subsets that are materialised, and put it in place.",
)


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes every subset that the source holds a partition; it starts no run.",
)
def subset_partitions_sensor(
    context: dg.SensorEvaluationContext, source: SourceResource
) -> dg.SensorResult | dg.SkipReason:
    """Keep the partition keys equal to what the source holds; keys are never taken away."""
    name = str(subset_partitions.name)
    try:
        new = missing_keys(source.open(), list(context.instance.get_dynamic_partitions(name)))
    except VisdivError as error:
        return dg.SkipReason(str(error))
    if not new:
        return dg.SkipReason("no new subset")
    return dg.SensorResult(dynamic_partitions_requests=[subset_partitions.build_add_request(new)])


JOBS = (subset_pipeline, publish_warehouse)
SENSORS = (subset_partitions_sensor,)
