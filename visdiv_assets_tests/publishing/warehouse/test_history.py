"""The history of publications in the DuckDB file and in the lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.publishing.warehouse.publication import Publication
from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.publishing.warehouse.lakes import A, B, Contents
from visdiv_assets_tests.publishing.warehouse.published_files import query

STAGES = ("subset_images",)
LISTED = "SELECT subset, images FROM history ORDER BY published_at, subset"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    Contents([(0, 0, A, "ok")], stages=STAGES).write(lake, "some")
    Contents([(0, 0, B, "ok")], stages=STAGES).write(lake, "other")
    return lake


def grow(lake: Lake) -> None:
    """Add an image to a subset."""
    Contents([(0, 0, A, "ok"), (1, 0, B, "ok")], stages=STAGES).write(lake, "some")


def test_every_publication_that_changes_a_number_is_kept(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "visdiv.duckdb"
    publish(lake, path, publication=Publication("1.2.3"))
    assert query(path, LISTED) == [("other", 1), ("some", 1)]
    grow(lake)
    published = publish(lake, path, publication=Publication("1.2.4"))
    assert query(path, LISTED) == [("other", 1), ("some", 1), ("other", 1), ("some", 2)]
    assert query(path, "SELECT DISTINCT product_version FROM history ORDER BY 1") == [("1.2.3",), ("1.2.4",)]
    assert query(path, "SELECT max(h.published_at) = any_value(m.published_at) FROM history h, meta m") == [(True,)]
    assert published.differences == []


def test_a_publication_without_changes_adds_no_rows(lake: Lake, tmp_path: Path) -> None:
    for _ in range(3):
        assert publish(lake, tmp_path / "visdiv.duckdb").rows["history"] == 2


def test_a_rebuilt_file_has_the_history(lake: Lake, tmp_path: Path) -> None:
    publish(lake, tmp_path / "visdiv.duckdb")
    grow(lake)
    publish(lake, tmp_path / "elsewhere" / "visdiv.duckdb")
    (tmp_path / "visdiv.duckdb").unlink()
    publish(lake, tmp_path / "visdiv.duckdb")
    assert query(tmp_path / "visdiv.duckdb", LISTED) == [("other", 1), ("some", 1), ("other", 1), ("some", 2)]


def test_a_subset_that_is_gone_stays_in_the_history(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "visdiv.duckdb"
    publish(lake, path)
    publish(lake.filtered(lambda table, name: name in ("some", "all")), path)
    assert query(path, LISTED) == [("other", 1), ("some", 1), ("some", 1)]


def test_a_lost_file_of_the_history_begins_it_anew(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "visdiv.duckdb"
    publish(lake, path)
    for file in (tmp_path / "lake" / "publications" / "all").glob("*.parquet"):
        file.unlink()
    grow(lake)
    assert publish(lake, path).differences == []
    assert query(path, LISTED) == [("other", 1), ("some", 2)]
    publish(lake, path)
    assert query(path, LISTED) == [("other", 1), ("some", 2)]


def test_a_failed_publication_is_not_in_the_history(lake: Lake, tmp_path: Path) -> None:
    publish(lake, tmp_path / "visdiv.duckdb")
    grow(lake)
    (tmp_path / "lake" / "subset_images" / "other" / "manifest.json").write_bytes(b"{")
    with pytest.raises(VisdivError, match="is not a manifest"):
        publish(lake, tmp_path / "visdiv.duckdb")
    Contents([(0, 0, B, "ok")], stages=STAGES).write(lake, "other")
    publish(lake, tmp_path / "visdiv.duckdb")
    assert query(tmp_path / "visdiv.duckdb", "SELECT count(DISTINCT published_at) FROM history") == [(2,)]
