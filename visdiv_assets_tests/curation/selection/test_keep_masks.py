"""Masks of the rows that a selection by stored scores, or by a file, drops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visdiv_assets.curation.selection.keep_masks import ROWS_SCHEMA, DropMasks, Selection, as_mask, as_table
from visdiv_assets.curation.selection.row_identity import find_rows, identify_rows
from visdiv_assets.curation.selection.select import Wanted, select_rows
from visdiv_assets.errors import ConfigError, InputError, NotMaterializedError, StaleError
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets_tests.curation.lakes import Listed, add_images
from visdiv_assets_tests.curation.selection.test_stored_scores import add_scores

#: The images of the rows of two subsets; the last row of `two` has no image.
IMAGES: dict[str, list[str]] = {"one": ["a", "b"], "two": ["bc", ""]}


def list_images(lake: Lake, subsets: Mapping[str, Sequence[str]], revision: str = "1") -> dict[str, Manifest]:
    """Write `subset_images`, where a row is a string of letters of its images."""
    listed = {
        name: [Listed(row, letter, index) for row, letters in enumerate(rows) for index, letter in enumerate(letters)]
        for name, rows in subsets.items()
    }
    return {name: add_images(lake, name, len(rows), listed[name], revision=revision) for name, rows in subsets.items()}


def choose(path: Path, lake: Lake, *rows: tuple[str, int]) -> str:
    """Write a file of chosen rows as `visdiv select` does."""
    names, numbers = zip(*rows, strict=True)
    chosen = pa.table({"subset": pa.array(names, pa.string()), "row": pa.array(numbers, pa.int64())})
    pq.write_table(identify_rows(lake, chosen), path)
    return str(path)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def images(lake: Lake) -> dict[str, Manifest]:
    return list_images(lake, IMAGES)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept.parquet"


def as_lists(masks: DropMasks) -> dict[str, list[bool]]:
    return {name: mask.tolist() for name, mask in masks.items()}


def test_the_fraction_is_of_all_subsets_together(lake: Lake, images: dict[str, Manifest]) -> None:
    add_scores(lake, semdedup=[0.1, 0.9, 0.8, 0.7])
    dropped = Selection("semdedup", 0.5).drop_masks(lake, images)
    assert as_lists(dropped) == {"one": [False, True], "two": [True, False]}


def test_the_default_selects_all_rows(lake: Lake, images: dict[str, Manifest]) -> None:
    assert Selection().drop_masks(lake, images) == {}
    assert Selection().settings() == {}


def test_a_method_without_scores_is_refused(lake: Lake, images: dict[str, Manifest]) -> None:
    with pytest.raises(NotMaterializedError, match="selection_scores of 'all' is not materialized"):
        Selection("semdedup", 0.5).drop_masks(lake, images)
    lake.write("selection_scores", "all", code_version="1").commit(subsets=[])
    with pytest.raises(ConfigError, match="VISDIV_KEEP_BY=semdedup needs CLIP vectors"):
        Selection("semdedup", 0.5).drop_masks(lake, images)
    add_scores(lake, semdedup=[0.1, 0.2])
    with pytest.raises(ConfigError, match="no row has a score by clip_score"):
        Selection("clip_score", 0.5).drop_masks(lake, images)
    with pytest.raises(InputError, match="no row has a score by clip_score"):
        select_rows(lake, "clip_score", [], Wanted(count=1))


def test_scores_of_other_images_in_as_many_rows_are_refused(lake: Lake, images: dict[str, Manifest]) -> None:
    add_scores(lake, semdedup=[0.1, 0.9, 0.8, 0.7])
    now = images | list_images(lake, {"one": ["x", "y"]})
    with pytest.raises(StaleError, match="older than subset_images of 'one': run `visdiv run --all`"):
        Selection("semdedup", 0.5).drop_masks(lake, now)
    with pytest.raises(StaleError, match="older than subset_images of 'one': run `visdiv run --all`"):
        select_rows(lake, "semdedup", [], Wanted(count=1))
    assert select_rows(lake, "semdedup", ["two"], Wanted(count=1)).rows["subset"].to_pylist() == ["two"]


def test_only_the_rows_of_a_file_stay(lake: Lake, file: Path, images: dict[str, Manifest]) -> None:
    gone = list_images(lake, {"gone": ["a"] * 6})
    chosen = choose(file, lake, ("one", 1), ("gone", 5), ("one", 1))
    assert as_lists(Selection(keep_rows=chosen).drop_masks(lake, images)) == {"one": [True, False], "two": [True, True]}
    with pytest.raises(ConfigError, match="lists no row of a materialized subset"):
        Selection(keep_rows=choose(file, lake, ("gone", 5))).drop_masks(lake, images)
    assert gone


def test_chosen_rows_are_found_by_image_after_files_change(lake: Lake, file: Path, images: dict[str, Manifest]) -> None:
    chosen = choose(file, lake, ("one", 1), ("two", 0), ("two", 1))
    now = images | list_images(lake, {"one": ["x", "a", "b", "y"], "two": ["b", "c", "", "cb", "bc"]}, "2")
    assert as_lists(Selection(keep_rows=chosen).drop_masks(lake, now)) == {
        "one": [True, True, False, True],
        "two": [True, True, False, True, False],
    }


@pytest.mark.parametrize(
    ("now", "lost"),
    [
        (["x", "a"], 1),  # the image left
        (["b", "a", "b"], 1),  # another row has the same images
        (["a", "bx"], 1),  # the row has another image
        ([], 1),
    ],
)
def test_rows_that_cannot_be_found_again_are_refused(
    lake: Lake, file: Path, images: dict[str, Manifest], now: list[str], lost: int
) -> None:
    chosen = choose(file, lake, ("one", 1), ("two", 0))
    line = rf"lists {lost} rows of 'one' that cannot be found .*: write it again with `visdiv select --out`"
    with pytest.raises(ConfigError, match=line):
        Selection(keep_rows=chosen).drop_masks(lake, images | list_images(lake, {"one": now}, "2"))


@given(
    before=st.lists(st.text("abc", max_size=2), min_size=1, max_size=6),
    now=st.lists(st.text("abc", max_size=2), max_size=8),
    data=st.data(),
)
def test_a_found_choice_has_the_chosen_images(before: list[str], now: list[str], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(before) - 1), min_size=1, unique=True))
    chosen = pa.table(
        {
            "subset": ["one"] * len(rows),
            "row": rows,
            "image_ids": pa.array([list(before[row]) for row in rows], pa.list_(pa.string())),
            "source_revision": ["1"] * len(rows),
        }
    )
    mask, lost = find_rows(chosen, pa.array([list(row) for row in now], pa.list_(pa.string())), "2")
    wanted = Counter(before[row] for row in rows)
    found = Counter({letters: count for letters, count in wanted.items() if Counter(now)[letters] == count})
    assert Counter(letters for letters, kept in zip(now, mask, strict=True) if kept) == found
    assert lost == wanted.total() - found.total()
    same, lost = find_rows(chosen, pa.array([list(row) for row in before], pa.list_(pa.string())), "1")
    assert (np.flatnonzero(same).tolist(), lost) == (sorted(rows), 0)


def test_the_settings_change_with_the_content_of_the_file(lake: Lake, file: Path, images: dict[str, Manifest]) -> None:
    before = Selection(keep_rows=choose(file, lake, ("one", 1))).settings()
    assert Selection(keep_rows=choose(file, lake, ("one", 1))).settings() == before
    assert Selection(keep_rows=choose(file, lake, ("one", 0))).settings() != before
    assert images


@pytest.mark.parametrize(
    "columns",
    [
        {"subset": ["one"], "row": [1]},
        {"subset": ["one"], "row": ["first"], "image_ids": [["a"]], "source_revision": ["1"]},
        {"subset": ["one"], "row": [None], "image_ids": [["a"]], "source_revision": ["1"]},
    ],
)
def test_a_file_that_does_not_identify_rows_is_refused(
    lake: Lake, file: Path, images: dict[str, Manifest], columns: dict[str, Any]
) -> None:
    pq.write_table(pa.table(columns), file)
    with pytest.raises(
        ConfigError, match="is not a Parquet file with the columns subset, row, image_ids and source_re"
    ):
        Selection(keep_rows=str(file)).drop_masks(lake, images)


@pytest.mark.parametrize("row", [2, -1])
def test_a_row_that_a_subset_does_not_have_is_refused(
    lake: Lake, file: Path, images: dict[str, Manifest], row: int
) -> None:
    columns = {"subset": ["one"], "row": [row], "image_ids": [["f" * 32]], "source_revision": ["1"]}
    pq.write_table(pa.table(columns), file)
    with pytest.raises(ConfigError, match="lists 1 rows of 'one' that cannot be found"):
        Selection(keep_rows=str(file)).drop_masks(lake, images)


def test_a_missing_file_is_refused(lake: Lake, file: Path, images: dict[str, Manifest]) -> None:
    selection = Selection(keep_rows=str(file))
    for ask in (selection.settings, lambda: selection.drop_masks(lake, images)):
        with pytest.raises(ConfigError, match="is not a Parquet file with the columns subset, row, image_ids"):
            ask()


def test_dropped_rows_are_stored_and_read_back() -> None:
    masks = {"one": np.array([True, False, True]), "two": np.zeros(2, bool)}
    table = as_table(masks)
    assert table.schema == ROWS_SCHEMA
    assert {name: as_mask(table, name, len(mask)).tolist() for name, mask in masks.items()} == as_lists(masks)
    assert not as_mask(as_table({}), "one", 4).any()
