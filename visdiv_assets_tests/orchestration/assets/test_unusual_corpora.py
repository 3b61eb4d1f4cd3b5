"""Subsets and benchmarks without images, with few or shared ones, or with odd names."""

from __future__ import annotations

import pytest

from visdiv_assets.sources import Kind
from visdiv_assets_tests.conftest import Pipeline, Row, image, one_each
from visdiv_assets_tests.orchestration.assets.small_corpora import COLOR, COMPARED, run, write_benchmark
from visdiv_assets_tests.testing.small_lakes import COPIES


@pytest.mark.nightly
def test_rows_without_images_are_rows(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row(), *one_each([0]), Row(), Row([image(1), image(2)])], [Row(), Row()])
    ran = pipeline.run("some")
    assert ran.success
    assert all(check.passed for check in ran.checks.values())
    assert pipeline.publish().success
    assert pipeline.query('SELECT "rows", rows_passing_quality, images, images_unique FROM subsets') == [(6, 6, 3, 3)]
    assert pipeline.query("SELECT row, image_index FROM images ORDER BY ALL") == [(1, 0), (3, 0), (3, 1)]


@pytest.mark.nightly
@pytest.mark.parametrize(
    "rows", [[Row(), Row()], [Row([b"x"]), Row([b"", None])], []], ids=["no images", "none readable", "no rows"]
)
def test_a_subset_without_readable_images_passes_all_stages(pipeline: Pipeline, rows: list[Row]) -> None:
    pipeline.write("some", rows)
    ran = pipeline.run("some")
    assert ran.success, ran.failures
    assert all(check.passed for name, check in ran.checks.items() if name != "unreadable_share")
    assert "closest_pairs" not in ran.metadata("near_duplicates")
    published = pipeline.publish()
    assert published.success
    assert published.checks["counts_equal_lake"].passed
    assert pipeline.query('SELECT "rows", images_unique FROM subsets') == [(len(rows), 0)]
    scores = pipeline.query("SELECT images, effective_rank, participation_ratio, vendi, score FROM diversity")
    assert set(scores) == {(0, None, None, None, None)}


def test_one_image_has_no_diversity_and_no_pairs(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0]))
    ran = pipeline.run("some", sscd=COLOR)
    assert ran.success
    assert pipeline.publish().success
    assert set(pipeline.query("SELECT images, effective_rank, score FROM diversity WHERE images > 0")) == {
        (1, None, None)
    }
    assert pipeline.query("SELECT * FROM close_pair_positions") == []
    assert pipeline.query("SELECT neighbors_finevision FROM images") == [(0,)]


def test_copies_of_one_image_are_exact_pairs_and_no_near_ones(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row([image(0), image(0)]), *one_each([0, 1])])
    assert pipeline.run("some", only=(*COPIES, "subset_diversity"), sscd=COLOR).success
    assert pipeline.publish(only=["warehouse"]).success
    columns = "row_a, image_index_a, row_b, image_index_b, exact"
    rows = pipeline.query(f"SELECT {columns} FROM close_pair_positions ORDER BY ALL")
    assert rows == [(0, 0, 0, 1, True), (0, 0, 1, 0, True), (0, 1, 1, 0, True)]
    scores = dict(
        pipeline.query("SELECT scope, images FROM diversity WHERE centered AND scope IN ('subset', 'subset_unique')")
    )
    assert scores == {"subset": 4, "subset_unique": 2}


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["geoqa+(mathv360k)", "a naïve, other & more"])
def test_names_as_published_go_through_all_stages(pipeline: Pipeline, name: str) -> None:
    pipeline.write(name, one_each([0, 1]))
    ran = pipeline.run(name)
    assert ran.success
    assert pipeline.publish().success
    assert pipeline.query("SELECT DISTINCT subset FROM images") == [(name,)]


@pytest.mark.nightly
def test_subsets_that_share_images_are_told_apart(pipeline: Pipeline) -> None:
    pipeline.write("one", one_each([0, 1]))
    pipeline.write("two", one_each([1, 2]))
    for subset in ("one", "two"):
        assert pipeline.run(subset).success
    assert pipeline.publish().success
    pairs = pipeline.query("SELECT subset_a, row_a, subset_b, row_b, exact FROM close_pair_positions")
    assert pairs == [("one", 1, "two", 0, True)]


@pytest.mark.nightly
def test_a_benchmark_without_a_readable_image_stops_no_subset(
    pipeline: Pipeline,
) -> None:
    write_benchmark(pipeline, "broken", [Row([b"no image", None]), Row()])
    write_benchmark(pipeline, "good", one_each([0]))
    pipeline.write("some", one_each([0, 1]))
    failures = run(pipeline, "broken", Kind.BENCHMARK).failures
    message = (
        "benchmark 'broken' has no readable image: fix its files; the statuses in the metadata of "
        "benchmark_images give the reasons"
    )
    assert failures == {"benchmark_pass": message}
    assert run(pipeline, "good", Kind.BENCHMARK).success
    assert run(pipeline, "some").success
    assert pipeline.publish().success
    rates = pipeline.query("SELECT benchmark, images_contaminated FROM contamination_rates WHERE threshold = 0.95")
    assert sorted(rates) == [("ALL", 1), ("good", 1)]


@pytest.mark.nightly
@pytest.mark.parametrize(
    "rows", [[Row(), Row()], [Row([b"x"]), Row([b"", None])], []], ids=["no images", "none readable", "no rows"]
)
def test_a_subset_without_readable_images_runs_beside_others(pipeline: Pipeline, rows: list[Row]) -> None:
    write_benchmark(pipeline, "bench", one_each([0]))
    pipeline.write("none", rows)
    pipeline.write("some", one_each([0, 1]))
    assert run(pipeline, "bench", Kind.BENCHMARK).success
    for subset in ("none", "some"):
        ran = run(pipeline, subset)
        assert ran.success, ran.failures
    published = pipeline.publish()
    assert published.success, published.failures
    assert all(check.passed for check in published.checks.values())
    rates = pipeline.query(
        'SELECT images, images_contaminated, "rows", benchmark_images, benchmark_images_leaked, rate, ci_low, ci_high '
        "FROM contamination_rates WHERE subset = 'none'"
    )
    assert set(rates) == {(0, 0, len(rows), 1, 0, None, None, None)}
    overlap = pipeline.query("SELECT images, images_shared, share FROM subset_overlap WHERE subset = 'none'")
    assert set(overlap) == {(0, 0, None)}
    unreadable = sum(bool(row.images) for row in rows)
    dropped = pipeline.query("SELECT count(*) FROM dropped_rows WHERE subset = 'none' AND reason = 'unreadable'")
    assert dropped == [(unreadable,)]


def test_a_subset_is_checked_where_there_is_no_benchmark(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0, 1]))
    ran = run(pipeline, "some", only=COMPARED)
    assert ran.success, ran.failures
    assert pipeline.publish(only=["warehouse"]).success
    rates = pipeline.query("SELECT DISTINCT benchmark, images, images_contaminated, rate FROM contamination_rates")
    assert rates == [("ALL", 2, 0, 0.0)]


@pytest.mark.nightly
def test_a_corpus_without_a_copy_loses_nothing(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0, 1, 2]))
    assert pipeline.run("some").success
    published = pipeline.publish()
    assert published.success, published.failures
    assert published.metadata("curated_rows")["rows_kept"] == 3
    assert pipeline.query("SELECT * FROM duplicate_clusters") == []
    assert pipeline.query("SELECT DISTINCT components, images, largest_component FROM component_sizes") == [(0, 0, 0)]


def test_a_corpus_without_subsets_is_decided_but_not_published(pipeline: Pipeline) -> None:
    published = pipeline.publish()
    said = "no subset of the source is materialized, so nothing is published: run `visdiv run --all`"
    assert published.failures == {"warehouse": said}
    assert published.metadata("curated_rows")["rows"] == 0
    assert published.metadata("cross_subset_duplicates")["images"] == 0
