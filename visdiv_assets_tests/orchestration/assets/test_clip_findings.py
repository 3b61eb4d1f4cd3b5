"""The findings from CLIP vectors, through the jobs: with a small CLIP, and without weights."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from visdiv_assets.orchestration.automation import MAPS_JOB
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets_tests.conftest import QUIET, Pipeline, Ran, Row, image, near_copy, other_model, written_at
from visdiv_assets_tests.testing.clip_models import small_clip

SUBSET = "some"
#: Assets that the tests need before those of CLIP.
BEFORE = ("subset_images", "subset_turns", "sscd_embeddings")
FINDINGS = {"alignment", "clip_near_duplicates"}


@pytest.fixture
def with_clip(pipeline: Pipeline, tmp_path: Path) -> Pipeline:
    pipeline.write(SUBSET, [Row([image(1)], turns=2), Row([image(2), near_copy(1)]), Row([])])
    return pipeline.changed(clip_model=str(small_clip(tmp_path / "clip")))


def run_maps(pipeline: Pipeline) -> Ran:
    job = build_definitions(pipeline.settings).resolve_job_def(MAPS_JOB)
    ran = job.execute_in_process(
        instance=pipeline.instance, partition_key=SUBSET, raise_on_error=False, run_config=QUIET
    )
    return Ran(ran)


@pytest.mark.nightly
def test_a_subset_goes_through_all_stages_and_into_the_warehouse(with_clip: Pipeline) -> None:
    ran = with_clip.run(SUBSET, sscd=other_model("color"))
    assert ran.success, ran.failures
    assert ran.materialized >= FINDINGS
    drawn = run_maps(with_clip)
    assert drawn.success, drawn.failures
    assert with_clip.publish().success
    assert with_clip.query('SELECT "row", turns_scored FROM alignment ORDER BY "row"') == [(0, 2), (1, 1), (2, 0)]
    assert with_clip.query("SELECT count(*) > 10 FROM alignment_summary") == [(True,)]
    assert with_clip.query("SELECT vectors, count(*) FROM map_points GROUP BY vectors ORDER BY vectors::VARCHAR") == [
        ("clip_image", 3),
        ("clip_text", 1),
        ("sscd", 3),
    ]
    (copies,) = with_clip.query("SELECT count(*) FROM clip_pairs WHERE clip_similarity > 0.99")
    assert copies[0] >= 1
    tables = {name for (name,) in with_clip.query("SELECT DISTINCT table_name FROM provenance")}
    assert tables >= {*FINDINGS, "maps"}


def test_without_weights_only_the_clip_findings_are_empty(pipeline: Pipeline) -> None:
    pipeline.write(SUBSET, [Row([image(1)]), Row([near_copy(1)])])
    without = pipeline.changed(clip_model="")
    ran = without.run(SUBSET, sscd=other_model("color"))
    assert ran.success, ran.failures
    assert not FINDINGS & set(without.lake.tables())
    assert "duplicates_report" in ran.materialized
    drawn = run_maps(without)
    assert drawn.success, drawn.failures
    assert drawn.metadata("maps")["points_sscd"] == 2
    assert without.publish().success
    for table in ("alignment", "alignment_summary", "clip_pairs"):
        assert without.query(f"SELECT count(*) FROM {table}") == [(0,)]
    assert without.query("SELECT count(*) FROM close_pairs") == [(1,)]


def test_maps_are_drawn_once_and_the_page_again_if_it_is_gone(with_clip: Pipeline) -> None:
    assert with_clip.run(SUBSET, only=BEFORE, sscd=other_model("color")).success
    ran = run_maps(with_clip)
    assert ran.success, ran.failures
    assert ran.checks["points_sound"].passed
    page = Path(ran.metadata("maps")["report_file"])
    assert ran.metadata("maps")["report"] == "/reports/maps/some.html"
    assert page == with_clip.settings.reports_folder / "maps" / "some.html"
    first = page.read_bytes()
    assert b"question 0 answer" in first
    before = written_at(with_clip.settings.lake_root, "maps")
    page.unlink()
    assert run_maps(with_clip).success
    assert page.read_bytes() == first
    assert written_at(with_clip.settings.lake_root, "maps") == before


def test_a_subset_without_images_has_no_map(pipeline: Pipeline) -> None:
    pipeline.write(SUBSET, [Row([])])
    assert pipeline.run(SUBSET, only=BEFORE, sscd=other_model("color")).success
    ran = run_maps(pipeline)
    assert ran.success, ran.failures
    assert "report" not in ran.metadata("maps")


def test_of_many_images_a_sample_is_shown(with_clip: Pipeline) -> None:
    assert with_clip.run(SUBSET, only=BEFORE, sscd=other_model("color")).success
    ran = run_maps(with_clip.changed(map_points=2))
    assert ran.metadata("maps")["points_sscd"] == 2


def test_no_maps_without_vectors(pipeline: Pipeline) -> None:
    pipeline.write(SUBSET, [Row([image(1)])])
    pipeline.instance.add_dynamic_partitions("subset", [SUBSET])
    assert pipeline.run(SUBSET, only=["subset_images", "subset_turns"]).success
    assert "sscd_embeddings of 'some' is not materialized" in str(run_maps(pipeline).failures["maps"])


def test_maps_are_of_one_job_that_takes_subsets() -> None:
    job = build_definitions().resolve_job_def(MAPS_JOB)
    assert set(job.asset_layer.executable_asset_keys) == {dg.AssetKey("maps")}
