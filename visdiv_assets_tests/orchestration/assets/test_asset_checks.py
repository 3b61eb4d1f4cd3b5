"""Checks of assets that warn or stop a run: vectors, unreadable images, benchmarks and undecided pairs."""

from __future__ import annotations

import io

import dagster as dg
import PIL.Image
import pytest

from visdiv_assets.sources import Kind
from visdiv_assets_tests.conftest import Pipeline, Row, image, near_copy, one_each, other_model
from visdiv_assets_tests.orchestration.assets.small_corpora import COLOR, COMPARED, EMBEDDED, run, write_benchmark
from visdiv_assets_tests.testing.small_lakes import COPIES, LEAKS, OF_BENCHMARK


def test_a_failed_blocking_check_stops_later_stages(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each(range(3)))
    ran = pipeline.run("some", sscd=other_model("broken"))
    assert not ran.success
    assert not ran.checks["finite_unit_length"].passed
    assert ran.checks["finite_unit_length"].metadata["not_unit_length"].value == 3
    assert list(ran.failures) == ["subset_pass"]
    assert not ran.materialized & {"sscd_index", "near_duplicates", "subset_diversity"}
    assert pipeline.lake.manifest("near_duplicates", "some") is None


def test_too_many_unreadable_images_warn_and_stop_nothing(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row([image(0), b"no image"]), *one_each([1, 2])])
    ran = pipeline.run("some", only=(*EMBEDDED, "near_duplicates", "subset_diversity"), sscd=COLOR)
    assert ran.success
    check = ran.checks["unreadable_share"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.metadata["share"].value == 0.25
    assert {"near_duplicates", "subset_diversity"} <= ran.materialized


def test_the_limit_of_unreadable_images_is_a_setting(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row([image(0), b"no image"]), *one_each([1, 2])])
    lenient = pipeline.changed(unreadable_limit=0.25)
    assert lenient.run("some", only=["subset_images"]).checks["unreadable_share"].passed


@pytest.mark.nightly
def test_contamination_over_the_limit_warns_and_stops_nothing(pipeline: Pipeline) -> None:
    write_benchmark(pipeline, "bench", one_each([0]))
    pipeline.write("some", one_each([0, 1, 2, 3]))
    assert run(pipeline, "bench", Kind.BENCHMARK).success
    ran = run(pipeline, "some")
    assert ran.success
    check = ran.checks["contaminated_share"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert (check.metadata["share"].value, check.metadata["limit"].value) == (0.25, 0.05)
    assert run(pipeline.changed(contamination_limit=0.25), "some").checks["contaminated_share"].passed
    assert pipeline.publish().success


def plain(level: int) -> bytes:
    stream = io.BytesIO()
    PIL.Image.new("RGB", (80, 60), (level, 20, 20)).save(stream, "PNG")
    return stream.getvalue()


def test_verified_tables_show_confirmed_pairs_and_warn_of_undecided(pipeline: Pipeline) -> None:
    write_benchmark(pipeline, "bench", [Row([near_copy(0)])])
    pipeline.write("some", [*one_each([0, 1]), Row([near_copy(1)]), Row([plain(150)]), Row([plain(151)])])
    pipeline.write("other", [Row([near_copy(0)]), *one_each([5])])
    assert run(pipeline, "bench", Kind.BENCHMARK, OF_BENCHMARK).success
    assert run(pipeline, "other", only=(*COPIES, *LEAKS)).success
    strict = pipeline.changed(undecided_limit=0)
    ran = run(strict, "some", only=(*COPIES, *LEAKS))
    assert ran.success
    published = strict.publish(only=["cross_subset_duplicates", "verified_cross_subset"])
    of_asset = {"verified_duplicates": ran, "verified_contamination": ran, "verified_cross_subset": published}
    for asset, of in of_asset.items():
        metadata = of.metadata(asset)
        assert metadata["confirmed_sample"].startswith("![a sample of confirmed pairs](data:image/jpeg;base64,")
        counts = [metadata[f"pairs_{name}"] for name in ("confirmed", "rejected", "undecided")]
        assert counts[0] == 1
        assert sum(counts) == metadata["dagster/partition_row_count"]
    evaluations = ran.result.get_asset_check_evaluations()
    checks = {(each.asset_key.to_user_string(), each.check_name): each for each in evaluations}
    assert checks["verified_duplicates", "confidence_floor"].passed
    assert checks["verified_contamination", "undecided_share"].passed
    undecided = checks["verified_duplicates", "undecided_share"]
    assert not undecided.passed
    assert undecided.severity == dg.AssetCheckSeverity.WARN
    (reason,) = ran.metadata("verified_duplicates")["undecided_reasons"].records
    assert reason.data == {"reason": "too little texture", "pairs": 1}


def test_a_benchmark_that_is_the_subset_itself_is_refused(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0, 1]))
    write_benchmark(pipeline, "the same", one_each([0, 1]))
    assert run(pipeline, "the same", Kind.BENCHMARK, OF_BENCHMARK).success
    ran = run(pipeline, "some", only=COMPARED)
    check = ran.checks["no_benchmark_against_itself"]
    assert not check.passed
    assert check.metadata["benchmarks"].value == ["the same"]
    assert not ran.success
