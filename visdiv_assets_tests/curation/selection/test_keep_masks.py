"""Masks of the rows that a selection by stored scores, or by a file, drops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.curation.selection.keep_masks import ROWS_SCHEMA, DropMasks, Selection, as_mask, as_table
from visdiv_assets.errors import ConfigError, NotMaterializedError, StaleError
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.curation.selection.test_stored_scores import add_scores

ROWS = {"one": 2, "two": 2}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept.parquet"


def write(path: Path, **columns: Any) -> str:
    pq.write_table(pa.table(columns), path)
    return str(path)


def as_lists(masks: DropMasks) -> dict[str, list[bool]]:
    return {name: mask.tolist() for name, mask in masks.items()}


def test_the_fraction_is_of_all_subsets_together(lake: Lake) -> None:
    add_scores(lake, semdedup=[0.1, 0.9, 0.8, 0.7])
    dropped = Selection("semdedup", 0.5).drop_masks(lake, ROWS)
    assert as_lists(dropped) == {"one": [False, True], "two": [True, False]}


def test_the_default_selects_all_rows(lake: Lake) -> None:
    assert Selection().drop_masks(lake, ROWS) == {}
    assert Selection().settings() == {}


def test_a_method_without_scores_is_refused(lake: Lake) -> None:
    with pytest.raises(NotMaterializedError, match="selection_scores of 'all' is not materialized"):
        Selection("semdedup", 0.5).drop_masks(lake, ROWS)
    lake.write("selection_scores", "all", code_version="1").commit(subsets=[])
    with pytest.raises(ConfigError, match="VISDIV_KEEP_BY=semdedup needs CLIP vectors"):
        Selection("semdedup", 0.5).drop_masks(lake, ROWS)
    add_scores(lake, semdedup=[0.1, 0.2])
    with pytest.raises(ConfigError, match="no row has a score by clip_score"):
        Selection("clip_score", 0.5).drop_masks(lake, ROWS)


def test_scores_older_than_the_list_of_rows_are_refused(lake: Lake) -> None:
    add_scores(lake, semdedup=[0.1, 0.2])
    with pytest.raises(StaleError, match="older than subset_images of 'one': run `visdiv run --all`"):
        Selection("semdedup", 0.5).drop_masks(lake, {"one": 7})


def test_only_the_rows_of_a_file_stay(lake: Lake, file: Path) -> None:
    given = write(file, subset=["one", "gone"], row=[1, 5], score=[0.5, 0.1])
    dropped = Selection(keep_rows=given).drop_masks(lake, ROWS)
    assert as_lists(dropped) == {"one": [True, False], "two": [True, True]}


def test_the_settings_change_with_the_content_of_the_file(file: Path) -> None:
    before = Selection(keep_rows=write(file, subset=["one"], row=[1])).settings()
    assert Selection(keep_rows=write(file, subset=["one"], row=[1])).settings() == before
    assert Selection(keep_rows=write(file, subset=["one"], row=[0])).settings() != before


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"subset": ["one"], "number": [1]}, "is not a Parquet file with the columns subset and row"),
        ({"subset": ["one"], "row": ["first"]}, "is not a Parquet file with the columns subset and row"),
        ({"subset": ["gone"], "row": [1]}, "lists no row of a materialized subset"),
        ({"subset": ["one"], "row": [2]}, r"lists rows that 'one' does not have \(its rows are 0 to 1\)"),
        ({"subset": ["one"], "row": [-1]}, "lists rows that 'one' does not have"),
        ({"subset": ["one"], "row": pa.array([None], pa.int64())}, "lists rows that 'one' does not have"),
    ],
)
def test_a_file_that_does_not_list_rows_is_refused(lake: Lake, file: Path, columns: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        Selection(keep_rows=write(file, **columns)).drop_masks(lake, ROWS)


def test_a_missing_file_is_refused(lake: Lake, file: Path) -> None:
    for ask in (Selection(keep_rows=str(file)).settings, lambda: Selection(keep_rows=str(file)).drop_masks(lake, ROWS)):
        with pytest.raises(ConfigError, match="is not a Parquet file with the columns subset and row"):
            ask()


def test_dropped_rows_are_stored_and_read_back() -> None:
    masks = {"one": np.array([True, False, True]), "two": np.zeros(2, bool)}
    table = as_table(masks)
    assert table.schema == ROWS_SCHEMA
    assert {name: as_mask(table, name, len(mask)).tolist() for name, mask in masks.items()} == as_lists(masks)
    assert not as_mask(as_table({}), "one", 4).any()
