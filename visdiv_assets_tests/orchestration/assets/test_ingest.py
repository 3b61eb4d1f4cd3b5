"""The pass as assets: what is read, which outputs are made, and what is reused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visdiv_assets.embedding.regions import RegionEmbedder
from visdiv_assets.orchestration.assets import ingest
from visdiv_assets.orchestration.pools import pool_slot
from visdiv_assets.sources import Kind, parquet
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import (
    ColorEmbedder,
    Pipeline,
    Ran,
    Row,
    image,
    lake_files,
    near_copy,
    one_each,
    other_model,
    png,
    shapes,
)

PRODUCTS = ("subset_thumbnails", "subset_features", "sscd_embeddings")
PASS = ("subset_images", "subset_turns", *PRODUCTS)
WITH_REGIONS = (*PASS, "subset_regions")


def run(pipeline: Pipeline, *only: str) -> Ran:
    """Run assets of a subset with a simple embedder."""
    ran = pipeline.run("some", only=only or PASS, sscd=other_model("color"))
    assert ran.failures == {}
    return ran


def ids(lake: Lake, table: str) -> list[str]:
    found: list[str] = lake.read(lake.require(table, "some"), "ids")["image_id"].to_pylist()
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often the rows of each file are read: opens beside those for metadata."""
    counted: Counter[str] = Counter()
    original = parquet.read

    def counting(path: Any, *arguments: Any, **options: Any) -> Any:
        counted[Path(str(path)).name] += 1
        return original(path, *arguments, **options)

    monkeypatch.setattr(parquet, "read", counting)
    return counted


def test_all_products_hold_the_same_images_in_the_same_order(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([3, 0]), [Row([image(1), b"broken", image(0)]), Row()], one_each([1, 2]))
    run(pipeline)
    lake = pipeline.lake
    expected = ids(lake, "sscd_embeddings")
    assert len(expected) == 4
    for table, role in (("subset_thumbnails", "thumbnails"), ("subset_features", "features")):
        assert ids(lake, table) == expected
        assert len(lake.blobs(lake.require(table, "some"), role)) == 4
        assert [file.rows for file in lake.require(table, "some").files("ids")] == [2, 1, 1]
    images = lake.require("subset_images", "some")
    assert {lake.require(table, "some").inputs["subset_images"] for table in PASS[1:]} == {images.digest}


def test_each_file_is_read_once_for_all_products(pipeline: Pipeline, reads: Counter[str]) -> None:
    pipeline.write("some", one_each([0, 1]), one_each([2, 3]))
    run(pipeline)
    assert reads == {"train-00000.parquet": 1, "train-00001.parquet": 1}
    # What is missing of both is made in one further reading; what is there is not read again.
    for table in ("subset_turns", "subset_thumbnails"):
        for file in (Path(pipeline.settings.lake_root) / table / "some").iterdir():
            file.unlink()
    ran = run(pipeline)
    assert set(reads.values()) == {2}
    assert ran.metadata("sscd_embeddings")["images_embedded"] == 0
    run(pipeline)
    assert set(reads.values()) == {2}


def test_of_a_new_file_only_its_own_images_are_made(pipeline: Pipeline, reads: Counter[str]) -> None:
    pipeline.write("some", one_each([0, 1]))
    run(pipeline)
    pipeline.write("some", one_each([0, 1]), one_each([1, 2]))
    ran = run(pipeline)
    assert reads == {"train-00000.parquet": 1, "train-00001.parquet": 1}
    assert [ran.metadata(table)["images_reused"] for table in PRODUCTS] == [2, 2, 2]
    assert ran.metadata("sscd_embeddings")["images_embedded"] == 1


def test_images_that_moved_to_another_file_are_not_read_again(pipeline: Pipeline, reads: Counter[str]) -> None:
    pipeline.write("some", one_each([0, 1]), one_each([0, 2]))
    run(pipeline)
    reads.clear()
    # The image of seed 0 is now first in the second file, whose bytes are the same.
    pipeline.write("some", one_each([5, 1]), one_each([0, 2]))
    ran = run(pipeline)
    fresh = pipeline.elsewhere()
    run(fresh)
    assert reads == {"train-00000.parquet": 2, "train-00001.parquet": 1}
    assert ran.metadata("subset_thumbnails")["images_made"] == 1
    for table in (*PRODUCTS, "subset_images", "subset_turns"):
        assert pipeline.lake.require(table, "some").digest == fresh.lake.require(table, "some").digest


def test_only_selected_outputs_are_made(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0, 1]))
    assert run(pipeline, "subset_images").materialized == {"subset_images"}
    assert run(pipeline, "subset_thumbnails").materialized == {"subset_thumbnails"}
    assert pipeline.lake.tables() == ["subset_images", "subset_thumbnails"]


@pytest.mark.parametrize(
    ("table", "setting"), [("subset_thumbnails", {"thumbnail_side": 0}), ("subset_features", {"local_features": False})]
)
def test_a_product_that_is_switched_off_is_an_empty_table(
    pipeline: Pipeline, table: str, setting: dict[str, Any]
) -> None:
    pipeline.write("some", one_each([0, 1]))
    ran = run(pipeline.changed(**setting))
    assert ran.checks["one_per_image"].passed
    assert ids(pipeline.lake, table) == []
    assert len(ids(pipeline.lake, "sscd_embeddings")) == 2
    assert run(pipeline).metadata(table)["images_made"] == 2


def test_regions_are_stored_if_switched_on_and_no_model_runs_else(pipeline: Pipeline, reads: Counter[str]) -> None:
    large, small = png(shapes(0, 200)), image(1)
    pipeline.write("some", [Row([large, small])], [Row([small])])
    ran = run(pipeline, *WITH_REGIONS)
    assert (ran.metadata("subset_regions")["model_id"], ids(pipeline.lake, "subset_regions")) == ("", [])
    # Only what is missing is made, in one further reading of the first file.
    on = pipeline.changed(regions=True)
    ran = run(on, *WITH_REGIONS)
    assert ran.metadata("subset_regions")["images_embedded"] == 2
    assert ran.metadata("sscd_embeddings")["images_embedded"] == 0
    assert reads == {"train-00000.parquet": 2, "train-00001.parquet": 1}
    assert ids(pipeline.lake, "subset_regions") == ids(pipeline.lake, "sscd_embeddings")
    vectors = pipeline.lake.array(pipeline.lake.require("subset_regions", "some"), "vectors")[:]
    expected = RegionEmbedder(ColorEmbedder()).embed([shapes(0, 200), shapes(1)]).astype(np.float16)
    np.testing.assert_array_equal(vectors, expected)
    assert vectors[0].any()
    assert not vectors[1].any()
    fresh = on.elsewhere()
    run(fresh, *WITH_REGIONS)
    assert fresh.lake.require("subset_regions", "some").digest == on.lake.require("subset_regions", "some").digest


def test_regions_of_a_faulty_model_fail_their_check(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row([png(shapes(0, 200))])])
    only = ("subset_images", "subset_regions")
    ran = pipeline.changed(regions=True).run("some", only=only, sscd=other_model("broken"))
    assert {
        name: check.passed for name, check in ran.checks.items() if name in ("finite_unit_length", "one_model")
    } == {
        "finite_unit_length": False,
        "one_model": True,
    }


def test_another_side_makes_only_the_thumbnails_again(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0, 1]))
    run(pipeline)
    ran = run(pipeline.changed(thumbnail_side=32))
    assert [ran.metadata(table)["units_reused"] for table in PRODUCTS] == [0, 1, 1]
    assert ran.metadata("subset_thumbnails")["images_made"] == 2


def test_a_run_without_a_model_takes_no_slot_of_the_gpu(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def noting(context: Any, pool: str) -> Any:
        taken.append(pool)
        return pool_slot(context, pool)

    monkeypatch.setattr(ingest, "pool_slot", noting)
    pipeline.write("some", one_each([0, 1]))
    run(pipeline, "subset_images", "subset_turns", "subset_thumbnails", "subset_features")
    assert taken == []
    run(pipeline)
    assert taken == ["gpu"]
    run(pipeline)
    assert taken == ["gpu"]


def test_a_benchmark_has_the_products_of_a_subset(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row([image(0), near_copy(0)]), *one_each([2])], kind=Kind.BENCHMARK)
    ran = pipeline.run("some", kind=Kind.BENCHMARK, sscd=other_model("color"))
    assert ran.failures == {}
    lake = pipeline.lake
    vectors = lake.array(lake.require("benchmark_embeddings", "some"), "vectors")
    thumbnails = lake.blobs(lake.require("benchmark_thumbnails", "some"), "thumbnails")
    assert len(vectors) == len(thumbnails) == len(ids(lake, "benchmark_features")) == 3
    assert all(data[8:12] == b"WEBP" for data in thumbnails.read(np.arange(3)))
    strings = lake.read(lake.require("benchmark_strings", "some"), "rows")["strings"].to_pylist()
    assert strings == [["question 0", "answer", "test"]] * 2


def test_products_are_the_same_whether_made_together_or_apart(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row([image(0), image(1)]), Row([near_copy(0)])], one_each([1, 2]))
    together, apart = pipeline, pipeline.elsewhere()
    run(together)
    for table in PASS:
        run(apart, table)
    assert lake_files(apart.settings.lake_root) == lake_files(together.settings.lake_root)
