"""Automation: the source is observed, changed partitions are requested again, and the corpus follows."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.events import StepMaterializationData
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from visdiv_assets.corpus.tables import NEEDS_CLIP, NEEDS_OCR
from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration import automation, sessions
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets_tests.conftest import QUIET, Pipeline, Ran, Row, image, near_copy, one_each

OF_A_SUBSET = NEEDS_CLIP | {
    "subset_images",
    "subset_turns",
    "subset_thumbnails",
    "subset_features",
    "subset_regions",
    "quality_rows",
    "sscd_embeddings",
    "sscd_index",
    "near_duplicates",
    "subset_diversity",
    "rarefied_diversity",
    "contamination",
    "text_contamination",
    "text_signatures",
    "text_quality",
    "listed_words",
    "image_types",
    "verified_duplicates",
    "verified_contamination",
    "duplicates_report",
}


class Automation:
    """The automation conditions of some assets, evaluated tick by tick as the daemon does."""

    def __init__(self, pipeline: Pipeline, target: dg.AssetSelection) -> None:
        self._pipeline = pipeline
        self._definitions = build_definitions(pipeline.settings)
        self._target = target
        self._cursor: AssetDaemonCursor | None = None

    def tick(self) -> dict[str, set[str | None]]:
        """Return the requested partitions by asset; {None} for an asset without partitions."""
        instance = self._pipeline.instance
        with pytest.MonkeyPatch.context() as patch:
            # Conditions ask for the same names thousands of times, and none are added while they are evaluated.
            patch.setattr(instance, "get_dynamic_partitions", cache(instance.get_dynamic_partitions))
            result = dg.evaluate_automation_conditions(
                defs=self._definitions, instance=instance, asset_selection=self._target, cursor=self._cursor
            )
        self._cursor = result.cursor
        asked: dict[str, set[str | None]] = {}
        for spec in self._definitions.resolve_all_asset_specs():
            if partitions := result.get_requested_partitions(spec.key):
                asked[spec.key.to_user_string()] = set(partitions)
        return asked


def partitioned(pipeline: Pipeline) -> Automation:
    return Automation(pipeline, automation.SUBSET_ASSETS | automation.BENCHMARK_ASSETS)


def observe(pipeline: Pipeline, kind: Kind = Kind.SUBSET) -> Ran:
    name = automation.OBSERVE_SUBSETS_JOB if kind is Kind.SUBSET else automation.OBSERVE_BENCHMARKS_JOB
    job = build_definitions(pipeline.settings).resolve_job_def(name)
    return Ran(job.execute_in_process(instance=pipeline.instance, raise_on_error=False, run_config=QUIET))


def observed(pipeline: Pipeline, kind: Kind = Kind.SUBSET) -> dict[str, str]:
    """Return the versions of one observation by subset."""
    ran = observe(pipeline, kind)
    assert ran.success, ran.failures
    events = [event.asset_observation_data.asset_observation for event in ran.result.get_asset_observation_events()]
    return {str(event.partition): event.tags["dagster/data_version"] for event in events}


def materialize(pipeline: Pipeline, subsets: Sequence[str]) -> None:
    for subset in subsets:
        assert pipeline.run(subset).success


# Observation ---------------------------------------------------------------------------------------------------------


def test_one_observation_adds_all_subsets_as_partitions(pipeline: Pipeline) -> None:
    for name in ("one", "two", "geoqa+(mathv360k)"):
        pipeline.write(name, one_each([1]))
    assert set(observed(pipeline)) == {"one", "two", "geoqa+(mathv360k)"}
    assert set(pipeline.instance.get_dynamic_partitions("subset")) == {"one", "two", "geoqa+(mathv360k)"}


def test_a_version_changes_with_its_own_files_alone(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([1]))
    pipeline.write("two", one_each([2]))
    before = observed(pipeline)
    (Path(pipeline.settings.source) / "README.md").write_text("A new word.", encoding="utf-8")
    assert observed(pipeline) == before
    pipeline.write("two", one_each([2, 3]))
    after = observed(pipeline)
    assert after["one"] == before["one"]
    assert after["two"] != before["two"]


def test_a_version_is_the_same_wherever_the_folder_lies(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.write("one", one_each([1]))
    shutil.copytree(pipeline.settings.source, tmp_path / "moved")
    assert observed(pipeline.changed(source=str(tmp_path / "moved"))) == observed(pipeline)


def test_a_vanished_subset_is_named_and_others_are_observed(pipeline: Pipeline) -> None:
    for name in ("one", "two"):
        pipeline.write(name, one_each([1]))
    observed(pipeline)
    shutil.rmtree(Path(pipeline.settings.source) / "subsets" / "one")
    assert set(observed(pipeline)) == {"two"}


def test_a_source_that_cannot_be_opened_is_one_line(pipeline: Pipeline) -> None:
    ran = observe(pipeline.changed(source="/no/such/folder"))
    assert "there is no folder '/no/such/folder'" in str(ran.failures["subset_files"])


# Changed partitions --------------------------------------------------------------------------------------------------


def test_the_first_observation_asks_for_nothing(pipeline: Pipeline) -> None:
    for name in ("one", "two"):
        pipeline.write(name, one_each([1]))
    automated = partitioned(pipeline)
    assert automated.tick() == {}
    observed(pipeline)
    assert automated.tick() == {}


def test_the_first_observation_after_a_run_asks_for_nothing(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([1]))
    materialize(pipeline, ["one"])
    automated = partitioned(pipeline)
    assert automated.tick() == {}
    observed(pipeline)
    assert automated.tick() == {}


def test_a_change_before_the_first_observation_is_noticed(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([1]))
    materialize(pipeline, ["one"])
    automated = partitioned(pipeline)
    assert automated.tick() == {}
    pipeline.write("one", one_each([1, 2]))
    observed(pipeline)
    assert automated.tick() == {asset: {"one"} for asset in OF_A_SUBSET}


@pytest.mark.nightly
def test_a_changed_subset_is_asked_for_whole_once_and_no_other(pipeline: Pipeline) -> None:
    for number, name in enumerate(("one", "two", "never")):
        pipeline.write(name, one_each([number]))
    observed(pipeline)
    materialize(pipeline, ["one", "two"])
    automated = partitioned(pipeline)
    assert automated.tick() == {}
    pipeline.write("one", one_each([0, 5]))
    pipeline.write("never", one_each([2, 6]))
    observed(pipeline)
    assert automated.tick() == {asset: {"one"} for asset in OF_A_SUBSET}
    assert automated.tick() == {}
    materialize(pipeline, ["one"])
    assert automated.tick() == {}
    observed(pipeline)
    assert automated.tick() == {}


@pytest.mark.nightly
def test_a_changed_benchmark_is_requested_before_comparisons(pipeline: Pipeline) -> None:
    pipeline.write("bench", one_each([9]), kind=Kind.BENCHMARK)
    pipeline.write("never", one_each([10]), kind=Kind.BENCHMARK)
    pipeline.write("one", one_each([1]))
    observed(pipeline)
    observed(pipeline, Kind.BENCHMARK)
    assert pipeline.run("bench", kind=Kind.BENCHMARK).success
    materialize(pipeline, ["one"])
    automated = partitioned(pipeline)
    assert automated.tick() == {}
    pipeline.write("bench", one_each([9, 1]), kind=Kind.BENCHMARK)
    observed(pipeline, Kind.BENCHMARK)
    products = ("images", "strings", "thumbnails", "features", "embeddings", "regions", "texts")
    made = [f"benchmark_{product}" for product in products]
    assert automated.tick() == {asset: {"bench"} for asset in made}
    assert pipeline.run("bench", kind=Kind.BENCHMARK).success
    # Its texts are the same as before, so text_contamination is not asked for.
    assert automated.tick() == {"contamination": {"one"}, "verified_contamination": {"one"}}


# What concerns all subsets -------------------------------------------------------------------------------------------


class CorpusSensor:
    """The sensor of the corpus, evaluated tick by tick as the daemon does."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._instance = pipeline.instance
        self._definitions = build_definitions(pipeline.settings)
        self._cursor: str | None = None

    def tick(self) -> str:
        """Return the name of the job that is requested, or why none is."""
        context = dg.build_sensor_context(
            instance=self._instance, cursor=self._cursor, repository_def=self._definitions.get_repository_def()
        )
        asked = automation.keep_corpus_fresh(context)
        self._cursor = context.cursor
        if isinstance(asked, dg.SkipReason):
            return str(asked.skip_message)
        assert isinstance(asked, dg.RunRequest)
        assert asked.tags == {automation.TRIGGER_TAG: "subsets materialized"}
        return str(automation.keep_corpus_fresh.job_name)


REQUESTED = automation.CORPUS_JOB
NOTHING_NEW = "nothing was materialized since the last request"


def begin(pipeline: Pipeline, subset: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """Create a run of a subset as a backfill does."""
    pipeline.instance.add_dynamic_partitions("subset", [subset])
    job = build_definitions(pipeline.settings).resolve_job_def(automation.SUBSET_JOB)
    return pipeline.instance.create_run_for_job(job, tags={"dagster/partition": subset}, status=status)


def backfill_of(subsets: Sequence[str], status: BulkActionStatus) -> PartitionBackfill:
    return PartitionBackfill(
        "backfill", status, from_failure=False, tags={}, backfill_timestamp=0.0, partition_names=subsets
    )


def test_the_corpus_waits_for_a_materialized_subset(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([1]))
    observed(pipeline)
    pipeline.write("bench", one_each([9]), kind=Kind.BENCHMARK)
    assert pipeline.run("bench", kind=Kind.BENCHMARK).success
    assert CorpusSensor(pipeline).tick() == "no subset is materialized"


def test_the_corpus_follows_a_subset_once(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([1]))
    sensor = CorpusSensor(pipeline)
    materialize(pipeline, ["one"])
    assert sensor.tick() == REQUESTED
    assert sensor.tick() == NOTHING_NEW
    assert pipeline.publish().success
    assert sensor.tick() == NOTHING_NEW
    materialize(pipeline, ["one"])
    assert sensor.tick() == REQUESTED


def test_the_corpus_does_not_follow_what_was_combined_before(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([1]))
    materialize(pipeline, ["one"])
    assert pipeline.publish().success
    sensor = CorpusSensor(pipeline)
    assert sensor.tick() == "a run has combined all subsets since the last materialization"
    assert sensor.tick() == NOTHING_NEW
    materialize(pipeline, ["one"])
    publish_only = build_definitions(pipeline.settings).resolve_implicit_global_asset_job_def()
    assert publish_only.execute_in_process(
        instance=pipeline.instance, asset_selection=[dg.AssetKey("warehouse")], run_config=QUIET
    ).success
    assert sensor.tick() == REQUESTED


def test_the_corpus_waits_for_the_last_stage_of_the_last_run(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([1]))
    sensor = CorpusSensor(pipeline)
    materialize(pipeline, ["one"])
    two = begin(pipeline, "two", dg.DagsterRunStatus.STARTED)
    three = begin(pipeline, "three", dg.DagsterRunStatus.NOT_STARTED)
    # All that some corpus assets need of the second subset is there, before its run ends.
    for asset in OF_A_SUBSET - {"duplicates_report"}:
        made = StepMaterializationData(dg.AssetMaterialization(asset, partition="two"))
        event = dg.DagsterEvent("ASSET_MATERIALIZATION", two.job_name, event_specific_data=made)
        pipeline.instance.report_dagster_event(event, two.run_id)
    assert sensor.tick() == "waits for 2 runs"
    pipeline.instance.report_run_failed(two)
    assert sensor.tick() == "waits for 1 runs"
    pipeline.instance.report_run_canceled(three)
    assert sensor.tick() == REQUESTED
    assert sensor.tick() == NOTHING_NEW


def test_the_corpus_waits_for_a_suspended_run(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([1]))
    materialize(pipeline, ["one"])
    two = begin(pipeline, "two", dg.DagsterRunStatus.SUSPENDED)
    sensor = CorpusSensor(pipeline)
    assert sensor.tick() == "waits for 1 runs"
    pipeline.instance.report_run_canceled(two)
    assert sensor.tick() == REQUESTED


@pytest.mark.nightly
def test_the_corpus_follows_a_backfill_once(pipeline: Pipeline) -> None:
    for number, name in enumerate(("one", "two")):
        pipeline.write(name, one_each([number]))
    sensor = CorpusSensor(pipeline)
    pipeline.instance.add_backfill(backfill_of(("one", "two"), BulkActionStatus.REQUESTED))
    asked = []
    for name in ("one", "two"):
        materialize(pipeline, [name])
        asked.append(sensor.tick())
    assert asked == ["waits for a backfill"] * 2
    pipeline.instance.update_backfill(backfill_of(("one", "two"), BulkActionStatus.COMPLETED_SUCCESS))
    assert sensor.tick() == REQUESTED
    assert pipeline.publish().success
    assert sensor.tick() == NOTHING_NEW


def test_the_corpus_does_not_wait_for_observations(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([1]))
    materialize(pipeline, ["one"])
    job = build_definitions(pipeline.settings).resolve_job_def(automation.OBSERVE_SUBSETS_JOB)
    pipeline.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert CorpusSensor(pipeline).tick() == REQUESTED


def test_the_corpus_leaves_visdiv_run_to_combine_its_subsets(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([1]))
    materialize(pipeline, ["one"])
    session = sessions.Session(Path(pipeline.instance.root_directory))
    sensor = CorpusSensor(pipeline)
    assert sensor.tick() == "waits for `visdiv run`"
    del session
    assert sensor.tick() == REQUESTED


@pytest.mark.nightly
def test_a_vanished_subset_leaves_the_tables(pipeline: Pipeline) -> None:
    with_pixels = pipeline.changed(copies_by="pixels")
    pipeline.write("bench", [Row([image(1)])], kind=Kind.BENCHMARK)
    assert pipeline.run("bench", kind=Kind.BENCHMARK).success
    pipeline.write("one", one_each([1, 2]))
    pipeline.write("two", [Row([near_copy(1)]), Row([image(2)])])
    materialize(with_pixels, ["one", "two"])
    assert with_pixels.publish().success
    shutil.rmtree(Path(pipeline.settings.source) / "subsets" / "one")
    pipeline.write("two", [Row([near_copy(1)]), Row([image(2)]), Row([image(3)])])
    materialize(with_pixels, ["two"])
    ran = with_pixels.publish()
    assert ran.success, ran.failures
    assert with_pixels.query("SELECT subset, images FROM subsets ORDER BY subset") == [("two", 3)]
    assert with_pixels.query("SELECT count(*) FROM close_pairs") == [(0,)]
    assert "one" in with_pixels.lake.partitions("subset_images")


# Schedules, sensors, failures ----------------------------------------------------------------------------------------


def test_only_the_sensor_that_may_use_a_gpu_is_off() -> None:
    loaded = build_definitions(Settings())
    states = {sensor.name: sensor.default_status for sensor in loaded.sensors or []}
    on, off = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    assert states == {"partitions_sensor": on, "refresh_changed": off, "keep_corpus_fresh": on, "failure_sensor": on}
    schedules = {schedule.name: schedule for schedule in loaded.schedules or []}
    assert set(schedules) == {"observe_subsets_schedule", "observe_benchmarks_schedule"}
    assert {schedule.default_status for schedule in schedules.values()} == {dg.DefaultScheduleStatus.RUNNING}


def test_costly_assets_run_on_request_only() -> None:
    specs = {spec.key.to_user_string(): spec for spec in build_definitions(Settings()).resolve_all_asset_specs()}
    partitioned = {name for name, spec in specs.items() if spec.partitions_def is not None}
    without = {name for name in partitioned if specs[name].automation_condition is None}
    assert without == {"calibration", *NEEDS_OCR, "judge_ratings", "maps", "subset_files", "benchmark_files"}
    assert all(specs[name].automation_condition is None for name in set(specs) - partitioned)


def test_the_time_of_observation_is_a_setting() -> None:
    (first, _) = build_definitions(Settings(observe_cron="15 3 * * 1")).schedules or []
    assert isinstance(first, dg.ScheduleDefinition)
    assert first.cron_schedule == "15 3 * * 1"
    with pytest.raises(VisdivError, match=r"invalid value for VISDIV_OBSERVE_CRON: 'daily' \(use a cron expression"):
        build_definitions(Settings(observe_cron="daily"))


def test_a_failed_run_is_logged_in_one_line(pipeline: Pipeline, capfd: pytest.CaptureFixture[str]) -> None:
    path = pipeline.write("broken", one_each([1]))[0]
    path.write_bytes(path.read_bytes()[:-50])
    ran = pipeline.run("broken")
    run = ran.result.dagster_run
    (event,) = [event for event in ran.result.all_events if event.event_type == dg.DagsterEventType.RUN_FAILURE]
    context = dg.build_run_status_sensor_context(
        sensor_name="failure_sensor",
        dagster_instance=pipeline.instance,
        dagster_run=run,
        dagster_event=event,
    ).for_run_failure()
    automation.failure_sensor(context)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "failed:" in line]
    assert "subset_pipeline of broken failed: subset_pass: " in line
    assert "train-00000.parquet is not a readable Parquet file" in line
    assert run.run_id in line


# One row changed -----------------------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_after_a_change_only_the_new_image_is_processed(pipeline: Pipeline) -> None:
    with_pixels = pipeline.changed(copies_by="pixels")
    pipeline.write("one", one_each(range(6)), one_each(range(6, 12)))
    pipeline.write("two", one_each(range(20, 26)))
    materialize(with_pixels, ["one", "two"])
    assert with_pixels.publish().success
    of_the_other = sorted(Path(with_pixels.settings.lake_root).rglob("two/*"))
    written = [path.stat().st_mtime_ns for path in of_the_other]
    pipeline.write("one", one_each(range(6)), one_each([6, 7, 8, 9, 10, 99]))
    ran = with_pixels.run("one")
    assert ran.metadata("verified_duplicates")["pairs_compared"] <= 11
    embedded = ran.metadata("sscd_embeddings")
    assert (embedded["images_embedded"], embedded["images_reused"]) == (1, 11)
    assert ran.metadata("subset_images")["units_reused"] == 1
    published = with_pixels.publish()
    assert published.success
    assert published.metadata("cross_subset_duplicates")["images_joined"] == 12
    assert of_the_other
    assert [path.stat().st_mtime_ns for path in of_the_other] == written
    assert with_pixels.query("SELECT images_unique FROM subsets ORDER BY subset") == [(12,), (6,)]
