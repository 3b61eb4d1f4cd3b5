"""Quality profiles: which turns and rows they drop, and what a change of them computes again."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow.compute as pc

from visdiv_assets_tests.conftest import Pipeline, Row, written_at
from visdiv_assets_tests.orchestration.assets.small_corpora import COLOR, RATED


def test_a_quality_profile_drops_turns_and_rows_and_is_recorded(pipeline: Pipeline) -> None:
    pipeline.write("some", RATED)
    pipeline = pipeline.changed(quality_thresholds="blog")
    ran = pipeline.run("some")
    assert ran.success
    rows = pipeline.lake.read(pipeline.lake.require("quality_rows", "some"))
    assert rows["kept"].to_pylist() == [True, False, False, True, False]
    assert rows["turns_kept"].to_pylist() == [1, 0, 0, 1, 0]
    assert rows["turns_dropped_by_formatting"].to_pylist() == [0, 0, 2, 0, 0]
    metadata = ran.metadata("quality_rows")
    assert (metadata["rows_passing_quality"], metadata["turns"], metadata["turns_kept"]) == (2, 6, 2)
    dropped = {record.data["criterion"]: record.data for record in metadata["dropped_by_each_rule"].records}
    assert (dropped["visual_dependency"]["turns_dropped"], dropped["visual_dependency"]["rows_dropped"]) == (2, 1)
    assert pipeline.publish().success
    assert pipeline.query('SELECT "rows", rows_passing_quality, images FROM subsets') == [(5, 2, 5)]
    ((recorded,),) = pipeline.query("SELECT settings FROM provenance WHERE table_name = 'quality_rows'")
    assert json.loads(recorded)["thresholds"] == {
        "visual_dependency": 4,
        "image_correspondence": 3,
        "relevance": 4,
        "formatting": 3,
    }


def test_no_quality_profile_keeps_every_row_that_has_a_turn(pipeline: Pipeline) -> None:
    pipeline.write("some", RATED)
    ran = pipeline.run("some", only=["subset_images", "subset_turns", "quality_rows"])
    assert ran.metadata("quality_rows")["rows_passing_quality"] == 4


def test_thresholds_are_set_by_criterion_or_profile_and_rule(pipeline: Pipeline) -> None:
    pipeline.write("some", RATED)
    for thresholds, rule, kept in (
        ("visual_dependency=3,formatting=2", "turn", [0, 1, 2, 3]),
        ("visual_dependency=3,formatting=2", "row", [1, 3]),
        ("blog", "row", [3]),
    ):
        changed = pipeline.changed(quality_thresholds=thresholds, quality_rule=rule)
        ran = changed.run("some", only=["subset_images", "subset_turns", "quality_rows"])
        rows = changed.lake.read(changed.lake.require("quality_rows", "some"))
        assert rows.filter(pc.field("kept"))["row"].to_pylist() == kept
        assert ran.metadata("quality_rows")["rule"] == rule


def test_another_quality_profile_leaves_images_and_vectors_alone(pipeline: Pipeline) -> None:
    pipeline.write("some", RATED)
    assert pipeline.run("some", sscd=COLOR).success
    root = pipeline.settings.lake_root
    others = [table for table in pipeline.lake.tables() if table != "quality_rows"]
    assert len(others) >= 5
    before = written_at(root, *others)
    assert pipeline.changed(quality_thresholds="blog").run("some", sscd=COLOR).success
    assert written_at(root, *others) == before


def test_ratings_of_turns_that_have_none_are_counted_as_unrated(pipeline: Pipeline) -> None:
    pipeline.write("some", [replace(RATED[0], ratings={"relevance": [4, None], "formatting": [1]}), Row(turns=3)])
    assert pipeline.run("some", only=["subset_images", "subset_turns", "quality_rows"]).success
    assert pipeline.publish(only=["warehouse"]).success
    found = pipeline.query("SELECT criterion::VARCHAR, rating, turns FROM quality ORDER BY ALL NULLS LAST")
    assert found == [
        ("formatting", 1, 1),
        ("formatting", None, 4),
        ("image_correspondence", None, 5),
        ("relevance", 4, 1),
        ("relevance", None, 4),
        ("visual_dependency", None, 5),
    ]
