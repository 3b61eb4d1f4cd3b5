"""What settings of the clean copy and of quality leave out of it, and decisions that an export refuses."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from visdiv_assets.curation.clean_copy import leave_out_turns, load_decisions
from visdiv_assets.curation.export import export
from visdiv_assets.errors import ConfigError, StaleError
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets.wiring import cleaning_rules, open_source, quality_filter
from visdiv_assets_tests.conftest import Pipeline, Row, image, near_copy, one_each
from visdiv_assets_tests.orchestration.assets.small_corpora import COLOR, RATED, run, write_benchmark
from visdiv_assets_tests.testing.small_lakes import COPIES, DECISIONS


@pytest.mark.nightly
def test_settings_of_the_clean_copy_decide_what_goes(pipeline: Pipeline) -> None:
    """Row 0 is contaminated; row 1 is its near copy; rows 2 and 3 share one of two images; row 4 is unreadable."""
    write_benchmark(pipeline, "bench", one_each([0]))
    pipeline.write(
        "some",
        [
            Row([image(0)]),
            Row([near_copy(0)]),
            Row([image(1), image(2)]),
            Row([image(1), image(3)]),
            Row([b"no image"]),
        ],
    )
    assert run(pipeline, "bench", Kind.BENCHMARK).success
    assert run(pipeline, "some").success

    def dropped(**settings: object) -> list[tuple[int, str]]:
        changed = pipeline.changed(**settings)
        assert changed.publish().success
        return changed.query("SELECT row, reason FROM dropped_rows ORDER BY row")

    assert dropped() == [(0, "contaminated"), (1, "contaminated"), (4, "unreadable")]
    assert dropped(row_rule="any") == [
        (0, "contaminated"),
        (1, "contaminated"),
        (3, "duplicate"),
        (4, "unreadable"),
    ]
    assert dropped(drop="duplicate") == [(1, "duplicate")]
    assert dropped(drop="unreadable") == [(4, "unreadable")]
    assert dropped(drop="") == []


def test_an_export_leaves_out_the_failing_turns_of_kept_rows(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline = pipeline.changed(quality_thresholds="blog")
    pipeline.write("some", RATED)
    ran = pipeline.run("some", only=(*COPIES, "quality_rows"), sscd=COLOR)
    assert ran.success, ran.failures
    assert pipeline.publish(only=DECISIONS).success
    settings = pipeline.settings
    source, rules, thresholds = open_source(settings), cleaning_rules(settings), quality_filter(settings).thresholds
    loaded = list(load_decisions(pipeline.lake, source, rules, quality_filter(settings)))
    decided = list(leave_out_turns(pipeline.lake, source, loaded, rules, thresholds))
    assert [decision.kept.tolist() for decision in decided] == [[True, False, False, True, False]]
    assert export(source, decided, tmp_path / "clean").turns_left_out == 1
    (file,) = (tmp_path / "clean" / "some").iterdir()
    assert pq.read_table(file)["visual_dependency_ratings"].to_pylist() == [[5], []]
    with pytest.raises(ConfigError, match="no turn can fail"):
        list(leave_out_turns(pipeline.lake, source, loaded, rules, {}))
    other = cleaning_rules(pipeline.changed(drop="duplicate").settings)
    with pytest.raises(ConfigError, match="VISDIV_DROP lacks quality"):
        list(leave_out_turns(pipeline.lake, source, loaded, other, thresholds))
    pipeline.write("some", [*RATED, Row(turns=1)])
    assert pipeline.run("some", only=["subset_images", "subset_turns"]).success
    with pytest.raises(StaleError, match="have changed since rows were rated"):
        list(leave_out_turns(pipeline.lake, source, loaded, rules, thresholds))


def test_thresholds_that_drop_no_rows_may_change_before_export(pipeline: Pipeline) -> None:
    pipeline = pipeline.changed(drop="unreadable")
    pipeline.write("some", RATED)
    ran = pipeline.run("some", only=(*COPIES, "quality_rows"), sscd=COLOR)
    assert ran.success, ran.failures
    assert pipeline.publish(only=DECISIONS).success
    settings = pipeline.changed(quality_thresholds="blog").settings
    source = open_source(settings)
    (decision,) = load_decisions(pipeline.lake, source, cleaning_rules(settings), quality_filter(settings))
    assert decision.kept.all()


def test_an_export_refuses_rows_decided_by_other_thresholds(pipeline: Pipeline) -> None:
    pipeline.write("some", RATED)
    ran = pipeline.run("some", only=(*COPIES, "quality_rows"), sscd=COLOR)
    assert ran.success, ran.failures
    assert pipeline.publish(only=DECISIONS).success
    source, rules = open_source(pipeline.settings), cleaning_rules(pipeline.settings)

    def kept(settings: Settings) -> list[bool]:
        (decision,) = load_decisions(pipeline.lake, source, rules, quality_filter(settings))
        return list(decision.kept.tolist())

    assert kept(pipeline.settings) == [True, True, True, True, False]
    changed = pipeline.changed(quality_thresholds="blog", quality_rule="row")
    with pytest.raises(StaleError, match=r"VISDIV_QUALITY_RULE changed since .* 'some' .*`visdiv run some`"):
        kept(changed.settings)
    assert changed.run("some", only=["quality_rows"]).success
    with pytest.raises(StaleError, match="were judged again since its rows were decided"):
        kept(changed.settings)
    assert changed.publish(only=DECISIONS).success
    assert kept(changed.settings) == [False, False, False, True, False]
