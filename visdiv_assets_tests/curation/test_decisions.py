"""Decisions on duplicates: against a slow form of the rule, and by properties that any form must have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from visdiv_assets.curation.decisions import POSITIONS_SCHEMA, ROW_RULES, Positions, decide_positions, keep_best
from visdiv_assets_tests.testing.vectors import random_units

relaxed = settings(deadline=None, max_examples=120)

RULES = st.sampled_from(ROW_RULES)


@dataclass(frozen=True)
class Image:
    """An image at a position of a row."""

    number: int
    pixels: int = 100
    lossless: bool = False


@dataclass(frozen=True)
class Row:
    """A row with its images that belong to clusters; `others` belong to none."""

    images: tuple[Image, ...]
    subset: int = 0
    rating: float = math.nan
    contaminated: bool = False
    blocked: bool = False
    others: int = 0


@dataclass(frozen=True)
class Place:
    """A position as the slow form sees it."""

    row: int
    index: int
    image: Image


def row_of(*images: int | Image, **facts: object) -> Row:
    chosen = tuple(image if isinstance(image, Image) else Image(image) for image in images)
    return Row(chosen, **facts)  # type: ignore[arg-type]


def slow_positions_of(rows: list[Row]) -> list[Place]:
    return [Place(row, index, image) for row, of in enumerate(rows) for index, image in enumerate(of.images)]


def positions_of(rows: list[Row]) -> Positions:
    """Return positions of rows in order of their subsets; row indices count from 0 in each subset."""
    assert [row.subset for row in rows] == sorted(row.subset for row in rows)
    number = [sum(other.subset == row.subset for other in rows[:place]) for place, row in enumerate(rows)]
    places = slow_positions_of(rows)

    def column(values: list[object], dtype: type) -> np.ndarray:
        return np.array(values, dtype)

    return Positions(
        subset=column([rows[place.row].subset for place in places], np.int32),
        row=column([number[place.row] for place in places], np.int64),
        image_index=column([place.index for place in places], np.int32),
        image=column([place.image.number for place in places], np.int64),
        pixels=column([place.image.pixels for place in places], np.int64),
        lossless=column([place.image.lossless for place in places], bool),
        rating=column([rows[place.row].rating for place in places], np.float32),
        contaminated=column([rows[place.row].contaminated for place in places], bool),
        blocked=column([rows[place.row].blocked for place in places], bool),
        images_in_row=column([len(rows[place.row].images) + rows[place.row].others for place in places], np.int32),
    )


def slow_order(rows: list[Row]) -> list[int]:
    """Return indices of positions, the best to keep first."""

    def key(number: int) -> tuple[object, ...]:
        place = places[number]
        row = rows[place.row]
        return (
            row.blocked,
            row.contaminated,
            math.inf if math.isnan(row.rating) else -row.rating,
            -place.image.pixels,
            not place.image.lossless,
            place.row,
            place.index,
        )

    places = slow_positions_of(rows)
    return sorted(range(len(places)), key=key)


def slow_is_duplicate(redundant: int, images: int, rule: str) -> bool:
    share = Fraction(redundant, images)
    return {"any": share > 0, "majority": share > Fraction(1, 2), "all": share == 1}[rule]


def slow_keep(rows: list[Row], cluster_of: list[int], rule: str) -> tuple[list[int], list[bool]]:
    """Return the keeper of every position and the dropped rows, row by row in the order of their best positions."""
    places = slow_positions_of(rows)
    order = slow_order(rows)
    taken: list[int] = []
    for number in order:
        if places[number].row not in taken:
            taken.append(places[number].row)
    keeper: dict[int, int] = {}
    gone = set()
    for row in taken:
        mine = [number for number, place in enumerate(places) if place.row == row]
        if rows[row].blocked:
            continue
        redundant = [number for number in mine if cluster_of[places[number].image.number] in keeper]
        if slow_is_duplicate(len(redundant), len(mine) + rows[row].others, rule):
            gone.add(row)
            continue
        for number in mine:
            cluster = cluster_of[places[number].image.number]
            if cluster not in keeper:
                keeper[cluster] = number
    return (
        [keeper.get(cluster_of[place.image.number], -1) for place in places],
        [place.row in gone for place in places],
    )


IMAGES = st.builds(Image, st.integers(0, 6), st.sampled_from([100, 400]), st.booleans())
ROWS = st.lists(
    st.builds(
        Row,
        st.lists(IMAGES, min_size=1, max_size=4).map(tuple),
        st.integers(0, 2),
        st.sampled_from([math.nan, 1.0, 3.5]),
        st.booleans(),
        st.sampled_from([False, False, True]),
        st.integers(0, 2),
    ),
    max_size=9,
).map(lambda rows: sorted(rows, key=lambda row: row.subset))
CLUSTERS = st.lists(st.integers(0, 3), min_size=7, max_size=7)


def kept_of(rows: list[Row], cluster_of: list[int], rule: str) -> tuple[list[int], list[bool]]:
    positions = positions_of(rows)
    kept = keep_best(positions, np.array(cluster_of, np.int64)[positions.image], rule)
    return kept.keeper.tolist(), kept.row_duplicate.tolist()


# Ranks ---------------------------------------------------------------------------------------------------------------


@relaxed
@given(ROWS)
def test_ranks_are_indices_in_the_order_of_preference(rows: list[Row]) -> None:
    ranks = positions_of(rows).ranks()
    assert ranks.dtype == np.int64
    assert np.argsort(ranks).tolist() == slow_order(rows)
    assert sorted(ranks.tolist()) == list(range(len(ranks)))


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (row_of(0, contaminated=True), row_of(0, blocked=True, rating=5.0)),
        (row_of(0), row_of(0, contaminated=True, rating=5.0)),
        (row_of(0, rating=1.0), row_of(Image(0, 900, True))),
        (row_of(0, rating=3.5), row_of(Image(0, 900), rating=3.0)),
        (row_of(Image(0, 101), rating=3.0), row_of(Image(0, 100, True), rating=3.0)),
        (row_of(Image(0, 100, True)), row_of(Image(0, 100))),
    ],
    ids=["in a row that stays", "not contaminated", "rated", "better rated", "more pixels", "lossless"],
)
def test_each_preference_weighs_more_than_all_after_it(better: Row, worse: Row) -> None:
    assert positions_of([worse, better]).ranks().tolist() == [1, 0]


def test_equals_are_ordered_by_subset_then_row_then_index() -> None:
    rows = [row_of(0, 1), row_of(2), row_of(3, subset=1), row_of(4, subset=1), row_of(5, subset=2)]
    assert positions_of(rows).ranks().tolist() == [0, 1, 2, 3, 4, 5]


def test_more_pixels_than_32_bits_hold_are_more() -> None:
    rows = [row_of(Image(0, 2**31 - 1)), row_of(Image(0, 2**33))]
    assert positions_of(rows).ranks().tolist() == [1, 0]


def test_an_image_has_the_priority_of_its_best_position() -> None:
    rows = [row_of(0, 1), row_of(1, rating=4.0), row_of(0, 3)]
    priority = positions_of(rows).image_priority(5)
    # By rating the second row comes first; images 2 and 4 have no position.
    assert priority.tolist() == [1, 0, 5, 4, 5]


# Keep-best -----------------------------------------------------------------------------------------------------------


@relaxed
@given(ROWS, CLUSTERS, RULES)
@example([], [0] * 7, "all")
def test_keep_best_equals_the_slow_form(rows: list[Row], cluster_of: list[int], rule: str) -> None:
    assert kept_of(rows, cluster_of, rule) == slow_keep(rows, cluster_of, rule)


@relaxed
@given(ROWS, CLUSTERS, RULES)
def test_a_cluster_in_a_kept_row_has_one_keeper_in_a_kept_row(
    rows: list[Row], cluster_of: list[int], rule: str
) -> None:
    places = slow_positions_of(rows)
    keeper, gone = kept_of(rows, cluster_of, rule)
    cluster = [cluster_of[place.image.number] for place in places]
    stays = [not gone[n] and not rows[place.row].blocked for n, place in enumerate(places)]
    held = {cluster[n] for n in range(len(places)) if stays[n]}
    for of in set(cluster):
        members = [n for n in range(len(places)) if cluster[n] == of]
        keepers = [n for n in members if keeper[n] == n]
        assert len(keepers) == (of in held)
        assert {keeper[n] for n in members} == set(keepers or [-1])
        assert all(stays[n] for n in keepers)


@relaxed
@given(ROWS, CLUSTERS, RULES)
def test_rows_are_duplicates_only_of_kept_rows(rows: list[Row], cluster_of: list[int], rule: str) -> None:
    """In the final clean copy the rule holds, whatever the order in which rows were processed."""
    places = slow_positions_of(rows)
    _, gone = kept_of(rows, cluster_of, rule)
    going = {place.row for n, place in enumerate(places) if gone[n]}
    staying = {place.row for place in places} - going - {n for n, row in enumerate(rows) if row.blocked}
    held = {cluster_of[place.image.number] for place in places if place.row in staying}
    for row in going:
        assert not rows[row].blocked
        redundant = sum(cluster_of[image.number] in held for image in rows[row].images)
        assert slow_is_duplicate(redundant, len(rows[row].images) + rows[row].others, rule)
    # All positions of a row share its fate.
    assert [place.row in going for place in places] == gone


@relaxed
@given(ROWS, CLUSTERS)
def test_the_rule_all_loses_no_cluster_of_an_unblocked_row(rows: list[Row], cluster_of: list[int]) -> None:
    places = slow_positions_of(rows)
    keeper, _ = kept_of(rows, cluster_of, "all")
    assert all(rows[place.row].blocked or keeper[n] >= 0 for n, place in enumerate(places))


@relaxed
@given(ROWS, CLUSTERS, RULES)
def test_blocked_rows_keep_nothing_and_change_no_other_row(rows: list[Row], cluster_of: list[int], rule: str) -> None:
    places = slow_positions_of(rows)
    keeper, gone = kept_of(rows, cluster_of, rule)
    blocked = [rows[place.row].blocked for place in places]
    assert not any(blocked[of] for of in keeper if of >= 0)
    assert not any(g and b for g, b in zip(gone, blocked, strict=True))
    # Numbers of positions in a corpus that lacks the blocked rows.
    remaining = [n for n in range(len(places)) if not blocked[n]]
    moved = {n: place for place, n in enumerate(remaining)} | {-1: -1}
    without_keeper, without_gone = kept_of([row for row in rows if not row.blocked], cluster_of, rule)
    assert [moved[keeper[n]] for n in remaining] == without_keeper
    assert [gone[n] for n in remaining] == without_gone


#: Two kept rows have the images 0, 1 and 2; the last row has some of them, and others.
HOLDERS = [row_of(0, 1, rating=5.0), row_of(2, rating=5.0)]


@pytest.mark.parametrize(
    ("last", "goes"),
    [
        (row_of(0), {"any", "all", "majority"}),
        (row_of(0, 1, 2), {"any", "all", "majority"}),
        (row_of(0, 0, 0), {"any", "all", "majority"}),
        (row_of(0, 3), {"any"}),
        (row_of(0, 1, 3), {"any", "majority"}),
        (row_of(0, 1, 3, 4), {"any"}),
        (row_of(0, 1, 2, 3), {"any", "majority"}),
        (row_of(0, others=1), {"any"}),
        (row_of(0, 1, others=1), {"any", "majority"}),
        (row_of(0, 1, others=2), {"any"}),
        (row_of(3), set()),
        (row_of(3, 3), set()),
    ],
)
def test_the_rules_count_redundant_images_of_all_images_of_a_row(last: Row, goes: set[str]) -> None:
    for rule in ROW_RULES:
        _, gone = kept_of([*HOLDERS, last], list(range(7)), rule)
        assert gone == [False, False, False, *[rule in goes] * len(last.images)]


def test_one_of_two_rows_with_the_same_images_is_kept() -> None:
    """Each row has the better position of one of the images."""
    rows = [row_of(Image(0, 400), Image(1, 100)), row_of(Image(0, 100), Image(1, 400))]
    keeper, gone = kept_of(rows, list(range(7)), "all")
    assert gone == [False, False, True, True]
    assert keeper == [0, 1, 0, 1]


def test_a_row_does_not_make_itself_redundant() -> None:
    keeper, gone = kept_of([row_of(0, 0, 0)], list(range(7)), "any")
    assert gone == [False, False, False]
    assert keeper == [0, 0, 0]


def test_rows_with_the_same_index_in_two_subsets_are_two_rows() -> None:
    rows = [row_of(0, subset=0), row_of(0, subset=1)]
    assert kept_of(rows, list(range(7)), "all") == ([0, 0], [False, True])


def test_the_copy_in_a_contaminated_row_is_dropped() -> None:
    rows = [row_of(Image(0, 900, True), rating=5.0, contaminated=True), row_of(0)]
    assert kept_of(rows, list(range(7)), "all") == ([1, 1], [True, False])


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(ValueError, match="'most' is not a rule for rows: use one of any, all, majority"):
        kept_of([], [0] * 7, "most")


# The table -----------------------------------------------------------------------------------------------------------

IDS = [f"{letter * 32}" for letter in "0123456"]


def decided(
    rows: list[Row], cluster_of: list[int], rule: str = "all", vectors: np.ndarray | None = None
) -> list[dict[str, object]]:
    """Return the table; a cluster is named after its image with the lowest index."""
    representative = [cluster_of.index(cluster) for cluster in cluster_of]
    images = pa.table(
        {
            "image_id": IDS,
            "component_id": [IDS[0]] * len(IDS),
            "cluster_id": [IDS[number] for number in representative],
        }
    )
    table = decide_positions(
        positions_of(rows),
        images,
        random_units(len(IDS), 16) if vectors is None else vectors,
        ["first", "second", "third"],
        rule=rule,
    )
    assert table.schema == POSITIONS_SCHEMA
    records: list[dict[str, object]] = table.to_pylist()
    return records


@relaxed
@given(ROWS, CLUSTERS, RULES)
def test_positions_are_listed_with_reason_and_keeper(rows: list[Row], cluster_of: list[int], rule: str) -> None:
    vectors = random_units(len(IDS), 8, 1).astype(np.float16)
    places = slow_positions_of(rows)
    keeper, gone = slow_keep(rows, cluster_of, rule)
    cluster = [cluster_of[place.image.number] for place in places]
    told = iter(decided(rows, cluster_of, rule, vectors))
    names = ["first", "second", "third"]
    for n, place in enumerate(places):
        if cluster.count(cluster[n]) == 1:
            continue
        record = next(told)
        row = rows[place.row]
        in_subset = [number for number, other in enumerate(rows) if other.subset == row.subset]
        position = (record["subset"], record["row"], record["image_index"], record["image_id"])
        assert position == (names[row.subset], in_subset.index(place.row), place.index, IDS[place.image.number])
        assert record["cluster_id"] == IDS[cluster_of.index(cluster[n])]
        assert record["component_id"] == IDS[0]
        assert record["keep"] == (keeper[n] == n)
        assert record["row_duplicate"] == gone[n]
        if keeper[n] < 0:
            assert record["reason"] == "row_dropped"
            assert (record["keeper_subset"], record["keeper_row"], record["keeper_image"]) == (None, None, None)
            assert record["similarity"] is None
            continue
        by = places[keeper[n]]
        of_subset = [number for number, other in enumerate(rows) if other.subset == rows[by.row].subset]
        witness = (record["keeper_subset"], record["keeper_row"], record["keeper_image"])
        assert witness == (names[rows[by.row].subset], of_subset.index(by.row), by.index)
        same = by.image.number == place.image.number
        product = float(vectors[by.image.number].astype(np.float64) @ vectors[place.image.number].astype(np.float64))
        assert record["similarity"] == pytest.approx(1 if same else min(product, 1), abs=1e-6)
        if keeper[n] == n:
            assert record["reason"] == "best"
        elif row.blocked:
            assert record["reason"] == "row_dropped"
        else:
            assert record["reason"] == ("exact_copy" if same else "near_copy")
    assert next(told, None) is None


def test_the_similarity_is_to_the_keeper_not_the_representative() -> None:
    """The representative's row is dropped for another reason, so that the next best position is the keeper."""
    angles = np.radians([0, 10, -10, 90, 91, 92, 93])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rows = [row_of(0, blocked=True), row_of(1, rating=4.0), row_of(2)]
    records = decided(rows, [0, 0, 0, 3, 4, 5, 6], vectors=vectors)
    assert [record["reason"] for record in records] == ["row_dropped", "best", "near_copy"]
    assert {record["cluster_id"] for record in records} == {IDS[0]}
    assert {record["keeper_row"] for record in records} == {1}
    expected = [np.cos(np.radians(10)), 1, np.cos(np.radians(20))]
    assert [record["similarity"] for record in records] == pytest.approx(expected, abs=1e-6)


def test_a_product_above_1_by_rounding_becomes_1() -> None:
    vectors = np.ones((7, 1)) * 1.001
    records = decided([row_of(0), row_of(1)], [0, 0, 2, 3, 4, 5, 6], vectors=vectors)
    assert [(record["reason"], record["similarity"]) for record in records] == [("best", 1.0), ("near_copy", 1.0)]


def test_an_image_lost_by_the_rule_any_has_no_keeper() -> None:
    rows = [row_of(0), row_of(0, 1), row_of(1, blocked=True)]
    records = decided(rows, list(range(7)), "any")
    assert [record["row_duplicate"] for record in records] == [False, True, True, False]
    assert [record["keeper_row"] for record in records] == [0, 0, None, None]


def test_without_positions_the_table_is_empty() -> None:
    assert decided([], list(range(7))) == []
    nothing = pa.table({name: pa.array([], pa.string()) for name in ("image_id", "component_id", "cluster_id")})
    table = decide_positions(positions_of([]), nothing, np.empty((0, 4), np.float16), [], rule="all")
    assert table.schema == POSITIONS_SCHEMA
    assert table.num_rows == 0
