"""Drawn images, and the source that they make up."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.perf.images import source as module
from visdiv_assets.perf.images.drawing import CHART, PAGE, PHOTO, draw, encode
from visdiv_assets.perf.images.source import BENCHMARKS, SUBSETS, Drawn, make, plan_sets, write_source
from visdiv_assets.sources import Kind
from visdiv_assets.sources import open as open_source

KINDS = (PHOTO, CHART, PAGE)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_depends_on_kind_and_seed_only(kind: str) -> None:
    assert np.array_equal(draw(kind, 5), draw(kind, 5))
    assert not any(np.array_equal(draw(kind, 5), draw(other, seed)) for other, seed in ((kind, 6),))
    assert draw(kind, 5).dtype == np.uint8
    assert draw(kind, 5).shape[2] == 3


@pytest.mark.parametrize(("kind", "file_format"), [(PHOTO, "JPEG"), (CHART, "PNG"), (PAGE, "PNG")])
def test_an_image_has_the_format_and_size_of_its_kind(kind: str, file_format: str) -> None:
    pixels = draw(kind, 3)
    data = encode(kind, pixels)
    image = Image.open(io.BytesIO(data))
    assert image.format == file_format
    assert image.size == pixels.shape[1::-1]
    assert 8_000 < len(data) < 400_000
    difference = np.abs(np.asarray(image.convert("RGB")).astype(int) - pixels)
    assert difference.mean() < 4


def test_an_edit_changes_the_pixels_a_little() -> None:
    original, copy = (_gray(make(Drawn(PHOTO, 7, edit))) for edit in ("", "jpeg"))
    assert original.shape == copy.shape
    assert 0 < np.abs(original.astype(int) - copy).mean() < 8


def _gray(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))


def test_the_plan_has_all_sets_and_copies_of_each_place() -> None:
    sets, planted = plan_sets(2000)
    subsets = [each for each in sets if each.kind is Kind.SUBSET]
    assert sum(len(each.images) for each in subsets) == 2000
    assert {kind: sum(each.image_kind == kind for each in subsets) for kind in KINDS} == SUBSETS
    benchmarks = {each.image_kind: len(each.images) for each in sets if each.kind is Kind.BENCHMARK}
    assert benchmarks == BENCHMARKS
    assert {(each.place, each.copy.kind) for each in planted} == {
        (place, kind) for place in ("within", "across", "benchmark") for kind in KINDS
    }
    assert (sets, planted) == plan_sets(2000)


def test_every_planted_pair_is_in_its_sets_and_others_are_unique() -> None:
    sets, planted = plan_sets(2000)
    by_name = {each.name: each for each in sets}
    for each in planted:
        assert each.copy in by_name[each.set_a].images
        assert each.original in by_name[each.set_b].images
        assert each.copy._replace(edit="") == each.original
        assert each.copy.edit
        assert (each.set_a == each.set_b) == (each.place == "within")
    everything = [drawn for each in sets for drawn in each.images]
    assert len(set(everything)) == len(everything)
    assert len({drawn.seed for drawn in everything}) == len(everything) - len(planted)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(VisdivError, match="name 400 or more"):
        plan_sets(399)


def test_the_source_has_the_drawn_images_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_OF_A_SHARD", 5)
    monkeypatch.setattr(module, "ROWS_OF_A_GROUP", 2)
    sets, planted = plan_sets(400)
    some = [each for each in sets if each.image_kind == CHART][:3]
    for each in some:
        del each.images[12:]
    images = {(each.name, drawn) for each in some for drawn in each.images}
    kept = [each for each in planted if {(each.set_a, each.copy), (each.set_b, each.original)} <= images]
    assert kept
    counted: list[int] = []
    pairs = write_source(tmp_path, some, kept, counted.append)
    assert sum(counted) == 36
    opened = open_source(str(tmp_path))
    for each in some:
        shards = opened.shards(each.kind, each.name)
        assert [shard.rows for shard in shards] == [5, 5, 2]
        data = opened.fetch(each.kind, each.name, [(row, 0) for row in range(12)])
        assert data == [make(drawn) for drawn in each.images]
    assert pairs["image_id_a"].to_pylist() == [image_id(make(each.copy)) for each in kept]
    assert pairs["image_id_b"].to_pylist() == [image_id(make(each.original)) for each in kept]
    assert pq.ParquetFile(min(tmp_path.rglob("*.parquet"))).num_row_groups == 3
