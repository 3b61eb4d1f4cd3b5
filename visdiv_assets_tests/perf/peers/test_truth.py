"""Scores of claimed pairs against a list of planted copies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from visdiv_assets.errors import ConfigError
from visdiv_assets.perf.peers.images import Position
from visdiv_assets.perf.peers.truth import Truth, read_truth, score


def at(name: str, row: int, image_index: int = 0) -> Position:
    return Position(name, row, image_index)


def copy(src: tuple[str, int], dst: tuple[str, int], transform: str = "crop") -> dict[str, Any]:
    return {"src": src[0], "src_row": src[1], "dst": dst[0], "dst_row": dst[1], "transform": transform}


def truth_of(folder: Path, copies: list[dict[str, Any]], special_rows: tuple[tuple[str, int], ...] = ()) -> Truth:
    rows = [{"subset": subset, "row": row} for subset, row in special_rows]
    file = folder / "truth.json"
    file.write_text(json.dumps({"copies": copies, "special_rows": rows}))
    return read_truth(file, ["bench", "other_bench"])


def test_a_found_copy_counts_for_recall_and_precision(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, [copy(("a", 0), ("a", 1)), copy(("a", 2), ("b", 0))])
    result = score([(at("a", 1), at("a", 0)), (at("a", 0), at("a", 1)), (at("a", 5), at("a", 6))], truth)
    assert (result.found, result.planted, result.right, result.recall, result.precision) == (1, 2, 1, 0.5, 0.5)
    assert result.wrong == [(at("a", 5), at("a", 6))]


def test_two_copies_of_one_original_are_right_but_not_planted(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, [copy(("a", 0), ("a", 1)), copy(("a", 1), ("b", 0))])
    result = score([(at("a", 0), at("b", 0))], truth)
    assert (result.found, result.right, result.wrong) == (0, 1, [])


def test_copies_that_share_a_background_are_not_wrong(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, [copy(("a", 0), ("a", 1), "pip"), copy(("a", 2), ("a", 3), "collage")])
    result = score([(at("a", 1), at("a", 3)), (at("a", 0), at("a", 3))], truth)
    assert result.wrong == [(at("a", 0), at("a", 3))]


def test_pairs_of_benchmarks_and_special_rows_do_not_count(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, [copy(("a", 0), ("bench", 1))], special_rows=(("a", 9),))
    pairs = [(at("bench", 0), at("other_bench", 0)), (at("a", 9), at("a", 4)), (at("a", 3), at("a", 3))]
    assert score(pairs, truth) == (1, 0, 0, [])
    assert score(pairs, truth).precision is None
    assert score([(at("bench", 1), at("a", 0))], truth).recall == 1


def test_images_of_one_row_are_told_apart(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, [copy(("a", 0), ("a", 1)) | {"image": 2}])
    assert score([(at("a", 0), at("a", 1))], truth).found == 0
    assert score([(at("a", 0), at("a", 1, 2))], truth).found == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "is missing"),
        ("{", "does not list planted copies"),
        ('{"copies": [{"src": "a"}]}', "does not list planted copies"),
        ('{"copies": {"src": "a"}}', "does not list planted copies"),
        ('{"copies": []}', "lists no copies"),
    ],
)
def test_a_wrong_list_of_copies_is_one_error_that_names_it(tmp_path: Path, content: str | None, told: str) -> None:
    file = tmp_path / "truth.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=told) as caught:
        read_truth(file, [])
    assert str(file) in str(caught.value)
