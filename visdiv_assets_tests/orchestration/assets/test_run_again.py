"""Small corpora run again: unchanged, with changed files, and with other settings."""

from __future__ import annotations

import hashlib

import pytest

from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS
from visdiv_assets.sources import Kind
from visdiv_assets_tests.conftest import Pipeline, Row, image, lake_files, near_copy, one_each, written_at
from visdiv_assets_tests.orchestration.assets.small_corpora import COLOR, EMBEDDED, run, write_benchmark


def test_a_second_run_finds_every_unit_again(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(3)), one_each([3, 4]))
    first = pipeline.run("some", only=EMBEDDED, sscd=COLOR).metadata("sscd_embeddings")
    assert (first["images_embedded"], first["units_reused"]) == (5, 0)
    ran = pipeline.run("some", only=EMBEDDED, sscd=COLOR)
    assert ran.success
    assert ran.metadata("subset_images")["units_reused"] == 2
    again = ran.metadata("sscd_embeddings")
    assert (again["images_embedded"], again["images_reused"], again["units_reused"]) == (0, 5, 2)
    assert "images_per_second" not in again


def test_a_file_that_was_only_touched_is_not_read_as_new(pipeline: Pipeline) -> None:
    (file,) = pipeline.write("some", one_each(range(3)))
    assert pipeline.run("some", only=EMBEDDED, sscd=COLOR).success
    file.write_bytes(file.read_bytes())
    ran = pipeline.run("some", only=EMBEDDED, sscd=COLOR)
    assert ran.metadata("subset_images")["units_reused"] == 1
    assert ran.metadata("sscd_embeddings")["images_embedded"] == 0


@pytest.mark.nightly
def test_two_independent_runs_give_equal_files_and_equal_tables(pipeline: Pipeline) -> None:
    pipeline.write("some", [*one_each(range(5)), Row([near_copy(0), image(1)])], one_each([7, 8]))
    other = pipeline.elsewhere()
    for each in (pipeline, other):
        assert each.run("some").success
        assert each.publish().success
    files = lake_files(pipeline.settings.lake_root)
    assert len(files) > 20
    assert lake_files(other.settings.lake_root) == files
    tables = [name for (name,) in pipeline.query("SELECT table_name FROM information_schema.tables")]
    assert {"subsets", "images", "close_pairs", "diversity", "provenance"} <= set(tables)
    filled = 0
    # The table meta names the source and the settings, and history the time, which differ.
    for table in sorted({*tables} - {"meta", "history"}):
        columns = pipeline.query(f"SELECT column_name FROM duckdb_columns() WHERE table_name = '{table}'")
        compared = [f'"{name}"' for (name,) in columns if name not in ("materialized_at", "run_id")]
        sql = f'SELECT {", ".join(compared)} FROM "{table}" ORDER BY ALL'
        rows = pipeline.query(sql)
        assert other.query(sql) == rows
        filled += bool(rows)
    assert filled >= 7


def test_threads_and_batches_do_not_change_a_byte(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(7)), [Row([]), Row([image(8), image(9)])])
    other, another = pipeline.changed(threads=1, batch_size=1), pipeline.elsewhere().changed(threads=3, batch_size=3)
    for each in (other, another):
        assert each.run("some", only=EMBEDDED).success
    assert lake_files(other.settings.lake_root) == lake_files(another.settings.lake_root)


@pytest.mark.nightly
def test_of_a_changed_file_only_the_new_images_are_embedded(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(4)), one_each([4, 5]))
    assert pipeline.run("some", only=EMBEDDED).success
    # An additional row in the first file shifts all rows of the second one.
    pipeline.write("some", [Row([image(10)]), *one_each(range(4))], one_each([4, 5]))
    ran = pipeline.run("some", only=EMBEDDED)
    assert ran.success
    embeddings = ran.metadata("sscd_embeddings")
    assert (embeddings["images_embedded"], embeddings["images_reused"]) == (1, 6)
    ids = pipeline.lake.read(pipeline.lake.require("sscd_embeddings", "some"), "ids")["image_id"].to_pylist()
    assert ids == [hashlib.sha256(image(seed)).hexdigest()[:32] for seed in (10, 0, 1, 2, 3, 4, 5)]
    rows = pipeline.lake.read(pipeline.lake.require("subset_images", "some"))["row"].to_pylist()
    assert rows == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.nightly
def test_vectors_of_a_changed_subset_are_those_of_a_fresh_run(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(4)), one_each([4, 5]))
    assert pipeline.run("some", only=EMBEDDED).success
    pipeline.write("some", one_each([7, 3, 1]), one_each([5, 0, 4]))
    fresh = pipeline.elsewhere()
    for each in (pipeline, fresh):
        assert each.run("some", only=EMBEDDED).success
    old, new = (each.lake.require("sscd_embeddings", "some") for each in (pipeline, fresh))
    assert old.digest == new.digest
    assert old.units == new.units


@pytest.mark.nightly
def test_another_floor_recomputes_only_the_pairs(pipeline: Pipeline) -> None:
    pipeline.write("some", [*one_each(range(5)), Row([near_copy(0)])])
    assert pipeline.run("some").success
    root = pipeline.settings.lake_root
    others = ["subset_images", "subset_turns", "quality_rows", "sscd_embeddings", "sscd_index", "subset_diversity"]
    assert set(others) <= set(pipeline.lake.tables())
    before, pairs = written_at(root, *others), written_at(root, "near_duplicates")
    other = pipeline.changed(similarity_floor=0.92)
    ran = other.run("some")
    assert ran.success
    assert written_at(root, *others) == before
    assert written_at(root, "near_duplicates").keys() > pairs.keys()
    manifest = other.lake.require("near_duplicates", "some")
    assert manifest.settings["similarity_floor"] == 0.92
    assert manifest.rows("pairs") == 1
    assert other.publish().success
    columns = ", ".join(f"sum(neighbors_{name})" for name in NAMED_THRESHOLDS)
    # Neighbors below the floor are unknown, which differs from none.
    assert other.query(f"SELECT {columns} FROM images") == [(2, 2, None, None)]


def test_a_lower_limit_of_pixels_lists_the_images_again(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(3)))
    assert pipeline.run("some", only=EMBEDDED, sscd=COLOR).success
    smaller = pipeline.changed(max_pixels=64 * 64 - 1)
    ran = smaller.run("some", only=EMBEDDED, sscd=COLOR)
    assert ran.success
    assert ran.metadata("subset_images")["statuses"] == {"too_large": 3}
    assert ran.metadata("sscd_embeddings")["dagster/partition_row_count"] == 0


def test_the_same_image_in_several_files_is_embedded_once(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0, 1]), one_each([1, 2]), one_each([0, 2]))
    ran = pipeline.run("some", only=EMBEDDED, sscd=COLOR)
    assert ran.metadata("sscd_embeddings")["images_embedded"] == 3
    assert ran.checks["one_vector_per_image"].passed
    manifest = pipeline.lake.require("sscd_embeddings", "some")
    assert [file.rows for file in manifest.files("ids")] == [2, 1, 0]


@pytest.mark.nightly
def test_new_and_changed_benchmarks_are_compared(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0, 1, 2]))
    for number, name in enumerate(("first", "second")):
        write_benchmark(pipeline, name, one_each([number]))
        assert run(pipeline, name, Kind.BENCHMARK).success
        assert run(pipeline, "some").metadata("contamination")["units_reused"] == 0
    assert run(pipeline, "some").metadata("contamination")["units_reused"] == 1
    write_benchmark(pipeline, "second", [Row([image(2)]), Row([image(2)])])
    assert run(pipeline, "second", Kind.BENCHMARK).success
    ran = run(pipeline, "some")
    assert ran.metadata("contamination")["units_reused"] == 0
    # Only one pair is new.
    verified = ran.metadata("verified_contamination")
    assert (verified["pairs_compared"], verified["pairs_reused"]) == (1, 1)
    assert pipeline.publish().success
    pairs = pipeline.query(
        "SELECT row, benchmark, benchmark_row, benchmark_positions FROM contamination_pairs ORDER BY row"
    )
    assert [pair for pair in pairs if pair[0] != 1] == [(0, "first", 0, 1), (2, "second", 0, 2)]
