"""Rows that leave because a kept row has all that is in them, compared with a search over all pairs of rows."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.text_rows import repeated_rows
from visdiv_assets.storage.lake import Lake

#: A row: its images and its turns.
Row = tuple[tuple[str, ...], tuple[str, ...]]

#: Copies, directly: a and b, b and c; so a and c are not copies of each other.
CONFIRMED = {frozenset("ab"), frozenset("bc")}
COMPONENT = {"a": "abc", "b": "abc", "c": "abc", "d": "d"}

ROWS = st.lists(
    st.tuples(
        st.lists(st.sampled_from("abcd"), max_size=2).map(tuple),
        st.lists(st.sampled_from("xyz"), max_size=3).map(tuple),
    ),
    max_size=5,
)


def write(lake: Lake, subsets: dict[str, list[Row]]) -> None:
    """Write images, confirmed pairs, and the text duplicates that these rows have."""
    members: dict[tuple[str, ...], set[tuple[str, int]]] = {}
    for subset, rows in subsets.items():
        listed = [(row, index, name * 32) for row, (images, _) in enumerate(rows) for index, name in enumerate(images)]
        write_table(lake, LakeTable.SUBSET_IMAGES, subset, rows=columns(["row", "image_index", "image_id"], listed))
        for row, (images, turns) in enumerate(rows):
            for turn in turns:
                members.setdefault((turn, *(COMPONENT[name] for name in images)), set()).add((subset, row))
    repeated = {key: at for key, at in members.items() if len(at) > 1}
    of_groups = [("pair_on_image", " ".join(key), *at) for key, of_key in repeated.items() for at in sorted(of_key)]
    whole = [
        (subset, row)
        for subset, rows in subsets.items()
        for row, (images, turns_of_row) in enumerate(rows)
        if turns_of_row and all((turn, *(COMPONENT[name] for name in images)) in repeated for turn in turns_of_row)
    ]
    write_table(
        lake,
        LakeTable.TEXT_DUPLICATES,
        CORPUS_PARTITION,
        turns=columns(["kind", "group_id", "subset", "row"], of_groups),
        rows=columns(["subset", "row"], whole),
    )
    pairs = [("ab", True), ("bc", True), ("ad", False)]
    verdicts = [(pair[0] * 32, pair[1] * 32, verified, "aligned") for pair, verified in pairs]
    write_table(
        lake,
        LakeTable.VERIFIED_CROSS_SUBSET,
        CORPUS_PARTITION,
        pairs=columns(["image_id_a", "image_id_b", "verified", "evidence"], verdicts),
    )


def columns(names: list[str], records: Sequence[tuple[object, ...]]) -> pa.Table:
    kinds = {"row": pa.int64(), "image_index": pa.int32(), "verified": pa.bool_()}
    values = list(zip(*records, strict=True)) or [()] * len(names)
    return pa.table(
        {name: pa.array(column, kinds.get(name, pa.string())) for name, column in zip(names, values, strict=True)}
    )


def write_table(lake: Lake, table: str, partition: str, **roles: pa.Table) -> None:
    write = lake.write(table, partition, code_version="1", inputs={})
    with write.add("all") as unit:
        for role, content in roles.items():
            unit.table(role, content, content.schema)
    write.commit()


def has_all(keeper: Row, row: Row) -> bool:
    images = len(keeper[0]) == len(row[0]) and all(
        a == b or frozenset((a, b)) in CONFIRMED for a, b in zip(keeper[0], row[0], strict=True)
    )
    return images and set(row[1]) <= set(keeper[1])


@settings(deadline=None, max_examples=60)
@given(first=ROWS, second=ROWS, dropped=st.sets(st.tuples(st.integers(0, 1), st.integers(0, 4))))
def test_nothing_is_lost_and_no_row_that_repeats_another_stays(
    first: list[Row], second: list[Row], dropped: set[tuple[int, int]]
) -> None:
    subsets = {"one": first, "two": second}
    masks = [
        np.array([(index, row) in dropped for row in range(len(rows))], bool)
        for index, rows in enumerate(subsets.values())
    ]
    ratings = [np.full(len(rows), np.nan, np.float32) for rows in subsets.values()]
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder)
        write(lake, subsets)
        found = repeated_rows(lake, list(subsets), ratings, masks).to_pylist()
    left = {(each["subset"], each["row"]) for each in found}
    assert len(left) == len(found)
    stays = [
        (name, row)
        for index, (name, rows) in enumerate(subsets.items())
        for row in range(len(rows))
        if not masks[index][row] and (name, row) not in left
    ]
    for each in found:
        keeper = (each["keeper_subset"], each["keeper_row"])
        assert keeper in stays
        assert has_all(subsets[keeper[0]][keeper[1]], subsets[each["subset"]][each["row"]])
    for name, row in stays:
        for other, other_row in stays:
            if (name, row) != (other, other_row) and subsets[name][row][1]:
                one, two = subsets[name][row], subsets[other][other_row]
                # Of two rows that repeat each other, or of which one repeats the other, one has left.
                assert not has_all(two, one)


def test_the_row_with_more_turns_then_the_better_rated_stays() -> None:
    rows: list[Row] = [(("d",), ("x",)), (("d",), ("x",)), (("d",), ("x", "y"))]
    ratings = [np.array([1, 5, 2], np.float32)]
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder)
        write(lake, {"one": rows})
        found = repeated_rows(lake, ["one"], ratings, [np.zeros(3, bool)]).to_pylist()
        assert [(each["row"], each["keeper_row"]) for each in found] == [(0, 2), (1, 2)]
        without = repeated_rows(lake, ["one"], ratings, [np.array([False, False, True])]).to_pylist()
        assert [(each["row"], each["keeper_row"]) for each in without] == [(0, 1)]
