"""A run of the sample: its outcomes, checks, metadata and provenance."""

from __future__ import annotations

import base64
import io
import re

import dagster as dg
import pytest
from PIL import Image

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets_tests.orchestration.assets.sample_runs import BENCHMARK, SUBSETS, SampleRun


@pytest.mark.nightly
def test_all_runs_of_the_sample_succeed(sample_run: SampleRun) -> None:
    assert [outcome.name for outcome in sample_run.outcomes] == [BENCHMARK, *SUBSETS, "all subsets together"]
    assert all(outcome.succeeded for outcome in sample_run.outcomes), sample_run.outcomes
    assert re.fullmatch(r"314 images embedded, \d+\.\d per second", sample_run.outcomes[1].detail)


@pytest.mark.nightly
def test_every_check_of_every_run_passes_and_none_is_left_out(sample_run: SampleRun) -> None:
    instance = sample_run.instance
    definitions = build_definitions(sample_run.settings)
    assets = [asset for asset in definitions.assets or [] if isinstance(asset, dg.AssetsDefinition)]
    declared = {(spec.asset_key, spec.name) for asset in assets for spec in asset.check_specs}
    evaluated = set()
    for run in instance.get_runs():
        of_run = set()
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            assert entry.dagster_event is not None
            evaluation = entry.dagster_event.asset_check_evaluation_data
            assert evaluation.passed, (run.tags, evaluation)
            of_run.add((evaluation.asset_key, evaluation.check_name))
        materialized = {
            entry.dagster_event.asset_key
            for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
            if entry.dagster_event
        }
        assert of_run == {check for check in declared if check[0] in materialized}
        evaluated |= of_run
    assert len(evaluated) >= 10


@pytest.mark.nightly
@pytest.mark.parametrize("subset", SUBSETS)
def test_the_contact_sheet_is_a_small_image_inside_the_metadata(sample_run: SampleRun, subset: str) -> None:
    sheet = sample_run.metadata("near_duplicates", subset)["closest_pairs"]
    found = re.fullmatch(r"!\[closest pairs\]\(data:image/jpeg;base64,([A-Za-z0-9+/=]+)\)", sheet)
    assert found
    assert len(sheet) < 100_000
    with Image.open(io.BytesIO(base64.b64decode(found[1], validate=True))) as image:
        image.load()
        assert image.format == "JPEG"
        assert image.width > 300


@pytest.mark.nightly
@pytest.mark.parametrize("subset", SUBSETS)
def test_metadata_say_how_much_was_done_and_how_fast(sample_run: SampleRun, subset: str) -> None:
    ids, _ = sample_run.vectors(subset)
    embeddings = sample_run.metadata("sscd_embeddings", subset)
    assert embeddings["images_embedded"] == len(ids)
    assert embeddings["images_reused"] == embeddings["units_reused"] == 0
    assert embeddings["images_per_second"] == pytest.approx(len(ids) / embeddings["seconds"])
    assert embeddings["model_id"] == "sscd_disc_mixup_int8@86386042eb85/skew_320"
    ((images,),) = sample_run.query(f"SELECT images FROM subsets WHERE subset = '{subset}'")
    assert sample_run.metadata("subset_images", subset)["images"] == images
    assert sum(sample_run.metadata("subset_images", subset)["statuses"].values()) == images


@pytest.mark.nightly
def test_provenance_has_a_row_for_every_partition_of_the_lake(sample_run: SampleRun) -> None:
    rows = sample_run.query("SELECT table_name, partition, source_revision, run_id FROM provenance")
    lake = sample_run.lake
    assert sorted(row[:2] for row in rows) == [
        (table, partition)
        for table in lake.tables()
        for partition in lake.partitions(table)
        if table != LakeTable.PUBLICATIONS
    ]
    assert {row[1] for row in rows} >= set(SUBSETS)
    revisions = dict(sample_run.query("SELECT subset, source_revision FROM subsets"))
    of_stages = [
        row for row in rows if row[0] in {"subset_images", "quality_rows", "sscd_embeddings", "near_duplicates"}
    ]
    assert len(of_stages) == 4 * len(SUBSETS)
    assert {row[1]: row[2] for row in of_stages} == revisions
    runs = {run.run_id for run in sample_run.instance.get_runs()}
    assert {row[3] for row in rows} <= runs
