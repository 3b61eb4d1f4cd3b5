"""Rows as text that fits a terminal, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from wcwidth import wcswidth

from visdiv_assets.publishing.row_formats import Rows, as_csv, as_json, as_text

PATH = "/data/images/birds/2024/north/000123.jpg"
COLUMNS = ("subset", "near_duplicates", "effective_rank", "path")


def rows(*values: tuple[Any, ...], **arguments: Any) -> Rows:
    return Rows("found", COLUMNS, values, **arguments)


def test_a_table_that_fits_is_whole_with_numbers_to_the_right() -> None:
    heading, _, first, second = as_text(rows(("birds", 7, 1.25, PATH), ("1e3", 1200, 13.5, "")), 200).splitlines()
    assert heading.split() == list(COLUMNS)
    assert first.split() == ["birds", "7", "1.25", PATH]
    assert second.split() == ["1e3", "1200", "13.5"]
    end = heading.index("near_duplicates") + len("near_duplicates")
    assert (first[end - 4 : end], second[end - 4 : end]) == ("   7", "1200")


def test_without_a_terminal_nothing_is_shortened() -> None:
    assert "x" * 500 in as_text(rows(("x" * 500, 1, 2.0, PATH)))


def test_names_of_columns_are_broken_before_texts_are_shortened() -> None:
    heading, names, *_, row = as_text(rows(("birds", 7, 1.25, PATH)), 75).splitlines()
    assert heading.split() == ["near_", "effective_"]
    assert names.split() == ["subset", "duplicates", "rank", "path"]
    assert row.split() == ["birds", "7", "1.25", PATH]


@pytest.mark.parametrize("width", range(46, 70, 3))
def test_a_narrow_table_fits_and_says_that_texts_are_shortened(width: int) -> None:
    *table, note = as_text(
        rows(("birds of the north", 7, 1.25, PATH), ("日本語日本語日本語", 8, 10, "")), width
    ).splitlines()
    assert max(map(wcswidth, table)) <= width
    assert note == "(… marks what was shortened: --format csv or json prints it in full)"
    assert "…" in table[-2]
    assert table[-2].endswith("123.jpg")
    point = table[-2].index("1.25") + 1
    assert table[-2].split("1.25")[0].split()[-1] == "7"
    assert table[-2][point] == "."


def test_rows_of_numbers_that_do_not_fit_become_blocks() -> None:
    text = as_text(rows(("birds of the north", 7, 1.25, PATH), ("x", None, 2.0, "a\nb"), missing="NULL"), 30)
    assert text.splitlines() == [
        "subset           birds of the north",
        "near_duplicates  7",
        "effective_rank   1.25",
        f"path             {PATH}",
        "",
        "subset           x",
        "near_duplicates  NULL",
        "effective_rank   2",
        "path             a b",
    ]


def test_control_characters_do_not_reach_the_terminal() -> None:
    for width in (0, 50, 20):
        assert "\x1b" not in as_text(rows(("\x1b[2J", 1, 2.0, PATH)), width)


def test_a_table_without_rows_has_a_heading() -> None:
    assert as_text(rows(), 100).splitlines()[0].split() == list(COLUMNS)
    assert as_csv(rows()) == "subset,near_duplicates,effective_rank,path\n"
    assert as_json(rows()) == ""


def test_csv_and_json_have_everything() -> None:
    values = ("=a,b\nc", 7, None, PATH * 20)
    (_, read) = csv.reader(io.StringIO(as_csv(rows(values))))
    assert read == ["'=a,b\nc", "7", "", PATH * 20]
    assert json.loads(as_json(rows(values))) == dict(zip(COLUMNS, values, strict=True))
    assert next(iter(json.loads(as_json(rows(values), named=True)).items())) == ("table", "found")
