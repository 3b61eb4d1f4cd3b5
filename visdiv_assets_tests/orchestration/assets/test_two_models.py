"""Vectors of two models are refused instead of compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import Pipeline, lake_files, one_each
from visdiv_assets_tests.orchestration.assets.small_corpora import COMPARED, run, write_benchmark
from visdiv_assets_tests.testing.small_lakes import OF_BENCHMARK


def forge_model(lake: Lake, table: str, partition: str, model_id: str) -> str:
    """Write another model_id into a manifest, and return the real one."""
    (path,) = Path(lake.files.full_path(table)).glob(f"{partition}/manifest.json")
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps({**content, "model_id": model_id}), encoding="utf-8")
    return str(content["model_id"])


@pytest.mark.nightly
def test_subsets_of_two_models_are_one_error_that_names_both(pipeline: Pipeline) -> None:
    for subset in ("one", "two"):
        pipeline.write(subset, one_each([0, 1]))
        assert run(pipeline, subset).success
    assert pipeline.publish().success
    before = lake_files(pipeline.settings.lake_root, "cross_subset_duplicates", "duplicate_clusters", "curated_rows")
    real = forge_model(pipeline.lake, "sscd_embeddings", "two", "another@0/skew_320")
    published = pipeline.publish()
    (message,) = published.failures.values()
    assert list(published.failures) == ["cross_subset_duplicates"]
    assert message is not None
    for name in (repr("one"), real, repr("two"), "another@0/skew_320"):
        assert name in message
    assert "\n" not in message
    after = lake_files(pipeline.settings.lake_root, "cross_subset_duplicates", "duplicate_clusters", "curated_rows")
    assert after == before


def test_a_subset_and_a_benchmark_of_two_models_are_one_error(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0, 1]))
    write_benchmark(pipeline, "bench", one_each([0]))
    assert run(pipeline, "bench", Kind.BENCHMARK, OF_BENCHMARK).success
    ran = run(pipeline, "some", only=COMPARED)
    assert ran.success, ran.failures
    before = lake_files(pipeline.settings.lake_root, "contamination")
    real = forge_model(pipeline.lake, "benchmark_embeddings", "bench", "another@0/skew_320")
    failures = run(pipeline, "some", only=("contamination",)).failures
    message = failures["contamination"]
    assert message is not None
    for name in (repr("some"), real, repr("bench"), "another@0/skew_320"):
        assert name in message
    assert "\n" not in message
    assert lake_files(pipeline.settings.lake_root, "contamination") == before
