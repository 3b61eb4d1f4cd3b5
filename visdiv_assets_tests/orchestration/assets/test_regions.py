"""With VISDIV_REGIONS, images and larger ones that show them are candidates of near_duplicates and contamination."""

from __future__ import annotations

import pyarrow as pa
import pytest
from PIL import Image

from visdiv_assets.imaging.identity import image_id
from visdiv_assets.sources import Kind
from visdiv_assets_tests.conftest import Pipeline, Ran, Row, other_model, png, shapes

PASS = ("subset_images", "subset_regions", "sscd_embeddings")
BENCHMARK = ("benchmark_images", "benchmark_regions", "benchmark_embeddings")
SIDE = 160


def single(seed: int) -> bytes:
    return png(shapes(seed, SIDE))


def collage(*seeds: int) -> bytes:
    """Four images side by side."""
    sheet = Image.new("RGB", (2 * SIDE, 2 * SIDE))
    for number, seed in enumerate(seeds):
        sheet.paste(shapes(seed, SIDE), (number % 2 * SIDE, number // 2 * SIDE))
    return png(sheet)


def run(pipeline: Pipeline, *only: str, kind: Kind = Kind.SUBSET) -> Ran:
    ran = pipeline.run("some" if kind is Kind.SUBSET else "bench", kind=kind, only=only, sscd=other_model("color"))
    assert ran.failures == {}
    return ran


def pairs(pipeline: Pipeline, table: str, a: str, b: str) -> set[frozenset[str]]:
    found: pa.Table = pipeline.lake.read(pipeline.lake.require(table, "some"), "candidates")
    return {frozenset(pair) for pair in zip(found[a].to_pylist(), found[b].to_pylist(), strict=True)}


@pytest.fixture
def strict(pipeline: Pipeline) -> Pipeline:
    """Only equal vectors make candidates."""
    return pipeline.changed(candidate_floor=0.99, pdq_distance=0)


def test_a_collage_is_a_candidate_with_the_images_that_it_shows(strict: Pipeline) -> None:
    sheet = collage(0, 1, 2, 3)
    strict.write("some", [Row([single(0)]), Row([sheet])], [Row([single(3), single(4)])])
    run(strict, *PASS, "near_duplicates")
    assert pairs(strict, "near_duplicates", "image_id_a", "image_id_b") == set()
    on = strict.changed(regions=True)
    run(on, *PASS, "near_duplicates")
    shown = {frozenset({image_id(sheet), image_id(single(seed))}) for seed in (0, 3)}
    assert pairs(on, "near_duplicates", "image_id_a", "image_id_b") == shown
    fresh = on.elsewhere()
    run(fresh, *PASS, "near_duplicates")
    assert fresh.lake.require("near_duplicates", "some").digest == on.lake.require("near_duplicates", "some").digest


def test_leaks_are_candidates_whichever_image_is_the_larger_one(strict: Pipeline) -> None:
    on = strict.changed(regions=True)
    own, bench = collage(0, 1, 2, 3), collage(4, 5, 6, 7)
    on.write("some", [Row([own, single(5), single(8)])])
    on.write("bench", [Row([single(2)]), Row([bench, single(9)])], kind=Kind.BENCHMARK)
    run(on, *BENCHMARK, kind=Kind.BENCHMARK)
    run(on, *PASS, "near_duplicates", "contamination")
    assert pairs(on, "contamination", "image_id", "benchmark_image_id") == {
        frozenset({image_id(own), image_id(single(2))}),
        frozenset({image_id(single(5)), image_id(bench)}),
    }
    run(strict, "near_duplicates", "contamination")
    assert pairs(strict, "contamination", "image_id", "benchmark_image_id") == set()


def test_without_stored_regions_the_remedy_is_told(strict: Pipeline) -> None:
    strict.write("some", [Row([single(0), single(1)])])
    run(strict, *PASS, "near_duplicates")
    ran = strict.changed(regions=True).run("some", only=["near_duplicates"], sscd=other_model("color"))
    assert ran.failures == {
        "near_duplicates": "subset_regions of 'some' do not belong to its sscd_embeddings: run `visdiv run some` with "
        "VISDIV_REGIONS=true"
    }
