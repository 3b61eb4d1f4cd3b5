"""Candidate pairs with verdicts: known ones are reused, the others compared once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.corpus.image_fetch import Fetch
from visdiv_assets.duplicates import pair_verification as module
from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.pair_verification import (
    VERIFIED_SCHEMA,
    has_prefix,
    known_verdicts,
    split_into_units,
    verify_candidates,
)
from visdiv_assets.duplicates.verify_pairs import VERDICT_SCHEMA
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.duplicates.test_verify_pairs import MAX_PIXELS, Access

relaxed = settings(deadline=None, max_examples=40)

PAIRS = [("a", "a smaller"), ("a", "b"), ("b", "b smaller")]
NOTHING_KNOWN = VERIFIED_SCHEMA.empty_table().select([*SIDES, *VERDICT_SCHEMA.names])


def with_spaces(name: str) -> str:
    return name.replace("_", " ")


class Renamed(Access):
    """Gives stored images; image_ids have no spaces."""

    def stored(self, image_ids: Sequence[str]) -> list[tuple[bytes | None, bytes | None]]:
        return super().stored([with_spaces(image_id) for image_id in image_ids])

    def in_order(self, image_ids: Sequence[str]) -> Fetch:
        fetch = super().in_order([with_spaces(image_id) for image_id in image_ids])
        return lambda wanted: fetch([with_spaces(image_id) for image_id in wanted])


def candidates(pairs: list[tuple[str, str]], ids: tuple[str, str] = SIDES) -> pa.Table:
    a, b = (pa.array([pair[side].replace(" ", "_") for pair in pairs], pa.string()) for side in (0, 1))
    return pa.table({"number": list(range(len(pairs))), ids[0]: a, ids[1]: b})


def verified(
    pairs: pa.Table, known: pa.Table = NOTHING_KNOWN, ids: tuple[str, str] = SIDES
) -> tuple[pa.Table, int, Renamed]:
    images, done = Renamed(), [0]
    table, compared = verify_candidates(
        pairs, images, known, ids=ids, threads=1, limits=DecodeLimits(MAX_PIXELS), progress=done.append
    )
    assert sum(done) == pairs.num_rows
    return table, compared, images


def test_verdicts_are_appended_to_the_candidates() -> None:
    pairs = candidates(PAIRS)
    table, compared, images = verified(pairs)
    assert table.select(pairs.column_names).equals(pairs)
    assert table.column_names[3:] == VERDICT_SCHEMA.names
    assert table["verified"].to_pylist() == [True, False, True]
    assert compared == 3
    # Each once.
    assert images.read == ["a", "b", "a smaller", "b smaller"]
    assert images.fetched == images.order


def test_known_verdicts_are_not_computed_again() -> None:
    first, _, _ = verified(candidates(PAIRS[:2]))
    known = first.select([*SIDES, *VERDICT_SCHEMA.names])
    table, compared, images = verified(candidates(PAIRS), known)
    assert compared == 1
    assert images.read == ["b", "b smaller"]
    assert table.equals(verified(candidates(PAIRS))[0])


def test_a_pair_listed_for_two_benchmarks_is_compared_once() -> None:
    ids = ("image_id", "benchmark_image_id")
    table, compared, _ = verified(candidates([PAIRS[0], PAIRS[1], PAIRS[0]], ids), ids=ids)
    assert compared == 2
    assert table["verified"].to_pylist() == [True, False, True]


def test_without_candidates_nothing_is_fetched() -> None:
    table, compared, images = verified(candidates([]))
    assert (table.num_rows, compared, images.read) == (0, 0, [])
    assert table.schema.field("verified").type == pa.bool_()


@pytest.mark.parametrize(("prefix", "found"), [("", 3), ("0", 2), ("0a", 1), ("2", 0)])
def test_known_verdicts_are_those_of_a_unit(tmp_path: Path, prefix: str, found: int) -> None:
    lake = Lake(tmp_path)
    write = lake.write("verified_duplicates", "some", code_version="1")
    table, _, _ = verified(candidates(PAIRS))
    rows = table.drop_columns(["number"]).set_column(0, SIDES[0], pa.array(["0a", "0b", "1f"]))
    with write.add("pairs") as unit:
        unit.table("pairs", rows, rows.schema)
    assert known_verdicts(lake, write.commit())(prefix).num_rows == found
    assert known_verdicts(lake, None)(prefix).equals(NOTHING_KNOWN)


# Units ---------------------------------------------------------------------------------------------------------------


def image_ids(seed: int, count: int) -> list[str]:
    """Sorted, some several times."""
    random = np.random.default_rng(seed)
    names = [random.bytes(16).hex() for _ in range(max(count // 2, 1))]
    return sorted(names[number] for number in random.integers(0, len(names), count))


def units(left_ids: list[str], pairs: int, chunk: int = 10**6) -> dict[str, list[int]]:
    table = pa.table({"id": pa.array(left_ids, pa.string()), "row": list(range(len(left_ids)))})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "PAIRS_OF_A_UNIT", pairs)
        # Files may hold empty batches.
        empty = pa.RecordBatch.from_pylist([], table.schema)
        parts = split_into_units([empty, *table.to_batches(max_chunksize=chunk), empty], len(left_ids), "id")
        found = [(prefix, rows["row"].to_pylist()) for prefix, rows in parts]
    assert len({prefix for prefix, _ in found}) == len(found)
    for prefix, rows in found:
        assert table.filter(has_prefix("id", prefix))["row"].to_pylist() == rows
    return dict(found)


@relaxed
@given(st.integers(0, 2**16), st.integers(0, 150), st.integers(1, 9), st.integers(1, 40))
def test_units_hold_every_pair_once_and_keep_left_images_whole(seed: int, count: int, pairs: int, chunk: int) -> None:
    names = image_ids(seed, count)
    found = units(names, pairs, chunk)
    assert all(found.values())
    assert [row for rows in found.values() for row in rows] == list(range(count))
    unit_of = {row: name for name, rows in found.items() for row in rows}
    for name in set(names):
        assert len({unit_of[row] for row, other in enumerate(names) if other == name}) == 1


@relaxed
@given(st.integers(0, 2**16), st.integers(5, 63))
def test_a_new_pair_changes_its_own_unit_only(seed: int, count: int) -> None:
    names = image_ids(seed, count)
    (new,) = image_ids(seed + 1, 1)

    def held(left_ids: list[str]) -> dict[str, list[str]]:
        return {name: [left_ids[row] for row in rows] for name, rows in units(left_ids, 4).items()}

    before, after = held(names), held(sorted([*names, new]))
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {new[0]}


def test_few_pairs_are_one_unit_and_many_are_several() -> None:
    assert units(image_ids(0, 4), 4) == {"": [0, 1, 2, 3]}
    assert len(units(image_ids(0, 64), 4)) > 1
    random = np.random.default_rng(0)
    many = sorted(random.bytes(16).hex() for _ in range(3000))
    sizes = [len(rows) for rows in units(many, 100).values()]
    assert len(sizes) == 256
    assert max(sizes) <= 100
