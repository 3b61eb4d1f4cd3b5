from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.imaging.id_index import IdIndex, Ids, IdSet

NAMES = [f"{number:032x}" for number in (9, 3, 7)]


@pytest.mark.parametrize(
    "ids",
    [
        pa.array(NAMES),
        pa.chunked_array([pa.array(NAMES[:2]), pa.array(NAMES[2:])]),
        np.array(NAMES, "S32"),
        np.array(NAMES),
    ],
)
def test_a_row_is_found_by_its_id(ids: Ids) -> None:
    index = IdIndex(ids)
    assert len(index) == 3
    wanted = pa.array([NAMES[2], None, "f" * 32, NAMES[0], "0" * 32, NAMES[1]])
    assert index.rows(wanted).tolist() == [2, -1, -1, 0, -1, 1]
    assert index.rows(np.array(["f" * 32, NAMES[1]], "S32")).tolist() == [-1, 1]


def test_an_empty_index_finds_nothing() -> None:
    assert IdIndex(pa.array([], pa.string())).rows(pa.array([NAMES[0], None])).tolist() == [-1, -1]
    assert IdIndex(np.array(NAMES, "S32")).rows(np.empty(0, "S32")).tolist() == []


def test_of_equal_ids_the_first_row_counts() -> None:
    assert IdIndex(pa.array([NAMES[0], NAMES[1], NAMES[0]])).rows(pa.array(NAMES[:2])).tolist() == [0, 1]


IDS = st.lists(st.text("01", min_size=1, max_size=3), unique=True)


@settings(deadline=None)
@given(IDS, IDS)
def test_rows_are_those_of_a_dict(indexed: list[str], wanted: list[str]) -> None:
    expected = [indexed.index(each) if each in indexed else -1 for each in wanted]
    assert IdIndex(np.array(indexed, "S32")).rows(np.array(wanted, "S32")).tolist() == expected


@settings(deadline=None)
@given(st.lists(IDS, max_size=4), IDS)
def test_an_id_set_holds_what_was_added(parts: list[list[str]], wanted: list[str]) -> None:
    found, expected = IdSet(), set[str]()
    for part in parts:
        new = [each for each in part if each not in expected]
        found.add(np.array(new, "S32"))
        expected.update(new)
    assert len(found) == len(expected)
    assert found.holds(np.array(wanted, "S32")).tolist() == [each in expected for each in wanted]
