"""The heat maps of the site as images for Dagster's metadata."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from visdiv_assets.publishing.site import chart_png, contamination
from visdiv_assets.publishing.site.chart_png import MAX_BYTES, NAMES, corpus_images, leaks_image, png
from visdiv_assets.publishing.site.report_data import Corpus, open_report_data
from visdiv_assets_tests.publishing.site.corpora import make


def drawn(folder: Path, subsets: list[str], benchmarks: list[str]) -> dict[str, bytes]:
    made = make(folder, subsets, benchmarks, seed=3)
    with open_report_data(made.warehouse) as warehouse:
        return corpus_images(Corpus(warehouse, made.lake, None, made.reports, 0.95, 0.95))


def test_the_heat_maps_are_small_images(tmp_path: Path) -> None:
    found = drawn(tmp_path, [f"subset {number}" for number in range(30)], ["a", "b"])
    assert set(found) == {"contamination", "overlap"}
    for content in found.values():
        assert len(content) < MAX_BYTES
        assert Image.open(io.BytesIO(content)).height > 30 * 14


@pytest.mark.nightly
def test_of_many_subsets_those_with_the_largest_shares_are_drawn(tmp_path: Path) -> None:
    many = [f"subset {number:03}" for number in range(3 * NAMES)]
    found = drawn(tmp_path, many, ["a", "b"])
    content = found["overlap"]
    assert len(content) < MAX_BYTES
    assert NAMES * 14 < Image.open(io.BytesIO(content)).height < 2 * NAMES * 14


def test_the_benchmarks_that_leaked_into_a_subset_are_bars() -> None:
    about = {"rate": 0.1, "ci_low": 0.05, "ci_high": 0.2}
    rates = [{"benchmark": name, "images_contaminated": hit, **about} for name, hit in (("a", 3), ("b", 0), ("ALL", 3))]
    one = leaks_image(pa.Table.from_pylist(rates))
    two = leaks_image(pa.Table.from_pylist([*rates, {"benchmark": "c", "images_contaminated": 1, **about}]))
    assert one is not None
    assert two is not None
    heights = [Image.open(io.BytesIO(content)).height for content in (one, two)]
    assert heights[0] < heights[1]
    assert leaks_image(pa.Table.from_pylist(rates[1:])) is None


def test_where_nothing_is_shared_nothing_is_drawn(tmp_path: Path) -> None:
    assert drawn(tmp_path, ["alone"], []) == {}


def test_cells_are_colored_and_too_large_images_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(tmp_path, [f"subset {number}" for number in range(12)], ["a", "b", "c"], seed=3)
    with open_report_data(made.warehouse) as warehouse:
        page = contamination.page(Corpus(warehouse, made.lake, None, made.reports, 0.95, 0.95))
    chart = page.sections[0].charts[0]
    number = chart.data.column_names.index("value")
    nothing = replace(chart, data=chart.data.set_column(number, "value", pa.array([0.0] * chart.data.num_rows)))
    assert png(chart) != png(nothing)
    monkeypatch.setattr(chart_png, "MAX_BYTES", 100)
    assert png(chart) is None
