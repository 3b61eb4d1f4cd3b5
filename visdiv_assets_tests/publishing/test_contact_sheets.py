"""Contact sheets of confirmed pairs: which images they show, and what stands under them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from visdiv_assets.corpus.image_lookup import ImagePosition
from visdiv_assets.imaging.contact_sheet import PairTile
from visdiv_assets.publishing import contact_sheets
from visdiv_assets.publishing.contact_sheets import confirmed_contact_sheet
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.curation.lakes import Listed, add_images, image_id
from visdiv_assets_tests.publishing.reports.examples import UnreadableImages


@pytest.fixture
def reader(tmp_path: Path) -> UnreadableImages:
    lake = Lake(tmp_path)
    add_images(lake, "one", 3, [Listed(0, "a"), Listed(1, "b"), Listed(2, "a")])
    add_images(lake, "two", 2, [Listed(0, "c"), Listed(1, "a")])
    return UnreadableImages(lake)


def captions_of(reader: Any, pairs: pa.Table, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    drawn: list[str] = []

    def keep(tiles: Sequence[PairTile], *, max_bytes: int) -> bytes:
        drawn.extend(tile.caption for tile in tiles)
        return b""

    monkeypatch.setattr(contact_sheets, "pair_sheet", keep)
    sheet = confirmed_contact_sheet(reader, ["one", "two"], pairs)
    assert (sheet is None) == (not drawn)
    return drawn


def confirmed(*pairs: tuple[str, str], confidence: float | None = 0.995) -> pa.Table:
    """Confirmed pairs of images by their letters; z is listed nowhere."""
    names = [[image_id(pair[side]) for pair in pairs] for side in (0, 1)]
    columns: dict[str, Any] = {"image_id_a": names[0], "image_id_b": names[1], "evidence": ["cropped"] * len(pairs)}
    return pa.table(columns | ({} if confidence is None else {"confidence": [confidence] * len(pairs)}))


def test_pairs_of_several_subsets_show_the_first_positions(
    reader: UnreadableImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = captions_of(reader, confirmed(("c", "b"), ("a", "b")), monkeypatch)
    assert captions == ["one 1 | two 0   cropped 0.995", "one 0 | one 1   cropped 0.995"]
    assert [kind for kind, _ in reader.asked] == [Kind.SUBSET, Kind.SUBSET]


def test_a_pair_of_an_older_version_has_no_confidence(
    reader: UnreadableImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert captions_of(reader, confirmed(("a", "b"), confidence=None), monkeypatch) == ["one 0 | one 1   cropped"]


def test_pairs_of_images_that_are_gone_are_left_out(reader: UnreadableImages, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = captions_of(reader, confirmed(("a", "z"), ("a", "b")), monkeypatch)
    assert captions == ["one 0 | one 1   cropped 0.995"]
    assert captions_of(reader, confirmed(("z", "a")), monkeypatch) == []


def test_leaks_show_the_image_of_the_benchmark(reader: UnreadableImages, monkeypatch: pytest.MonkeyPatch) -> None:
    leaks = pa.table(
        {
            "image_id": [image_id("c")],
            "benchmark": ["bench"],
            "benchmark_row": [7],
            "benchmark_image": [1],
            "benchmark_image_id": ["x"],
            "evidence": ["identical_pixels"],
            "confidence": [1.0],
        }
    )
    assert captions_of(reader, leaks, monkeypatch) == ["two 0 | bench 7   identical pixels 1.000"]
    assert reader.asked[1] == (Kind.BENCHMARK, [ImagePosition("bench", 7, 1, "x")])
