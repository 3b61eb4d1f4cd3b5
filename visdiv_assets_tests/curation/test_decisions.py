"""Decisions on duplicates: against a slow form of the rule, and by properties that any form must have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from visdiv_assets.curation.decisions import (
    POSITIONS_SCHEMA,
    ROW_RULES,
    Copies,
    Positions,
    decide_positions,
    keep_best,
    without_verdicts,
)
from visdiv_assets.duplicates.clusters import Pairs, components

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


#: The similarity of the two images of each pair of copies.
Edges = dict[frozenset[int], float]


def pairs_of(edges: Edges) -> Pairs:
    left, right = (np.array([of(edge) for edge in edges], np.int64) for of in (min, max))
    return Pairs(left, right, np.array(list(edges.values()), np.float32))


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


@dataclass(frozen=True)
class Kept:
    """A decision: the keeper of every position, the dropped positions, and the center of every image."""

    keeper: list[int]
    gone: list[bool]
    center: dict[int, int]


def is_copy(edges: Edges, one: int, other: int) -> bool:
    return one == other or frozenset((one, other)) in edges


def closest(edges: Edges, image: int, centers: list[int]) -> int | None:
    """The image itself if it is a center, else the most similar center that it is a copy of."""
    near = [center for center in centers if is_copy(edges, image, center)]
    return image if image in near else max(near, key=lambda center: edges[frozenset((image, center))], default=None)


def slow_keep(rows: list[Row], edges: Edges, rule: str) -> Kept:
    """Decide row by row in the order of their best positions."""
    places = slow_positions_of(rows)
    order = slow_order(rows)
    home: dict[int, int] = {}
    center: dict[int, int | None] = {}
    gone = set()
    for row in dict.fromkeys(places[number].row for number in order):
        mine = [number for number, place in enumerate(places) if place.row == row]
        if rows[row].blocked:
            continue
        for image in {places[n].image.number for n in mine}:
            center[image] = closest(edges, image, list(home)) if center.get(image) is None else center[image]
        redundant = [n for n in mine if center[places[n].image.number] is not None]
        if slow_is_duplicate(len(redundant), len(mine) + rows[row].others, rule):
            gone.add(row)
            continue
        for number in mine:
            image = places[number].image.number
            if closest(edges, image, list(home)) is None:
                home[image] = number
        for image in {places[n].image.number for n in mine}:
            center[image] = closest(edges, image, list(home)) if center[image] is None else center[image]
    images = list(dict.fromkeys([*(places[number].image.number for number in order), *range(7)]))
    found: dict[int, int] = {}
    others: list[int] = []
    for image in images:
        joined = closest(edges, image, list(home)) if center.get(image) is None else center[image]
        if joined is None:
            others += [image] if closest(edges, image, others) is None else []
            joined = closest(edges, image, others)
        assert joined is not None
        found[image] = joined
    return Kept(
        [home.get(found[place.image.number], -1) for place in places], [place.row in gone for place in places], found
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
ALL_PAIRS = [frozenset(pair) for pair in combinations(range(7), 2)]
#: Some pairs of images, each of another similarity.
EDGES = st.tuples(st.sets(st.sampled_from(ALL_PAIRS)), st.permutations(range(len(ALL_PAIRS)))).map(
    lambda drawn: {pair: 0.5 + drawn[1][n] / 64 for n, pair in enumerate(ALL_PAIRS) if pair in drawn[0]}
)
NONE: Edges = {}


def kept_of(rows: list[Row], edges: Edges, rule: str) -> tuple[list[int], list[bool]]:
    kept = keep_best(positions_of(rows), pairs_of(edges), 7, rule)
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
@given(ROWS, EDGES, RULES)
@example([], NONE, "all")
def test_keep_best_equals_the_slow_form(rows: list[Row], edges: Edges, rule: str) -> None:
    found, expected = keep_best(positions_of(rows), pairs_of(edges), 7, rule), slow_keep(rows, edges, rule)
    assert (found.keeper.tolist(), found.row_duplicate.tolist()) == (expected.keeper, expected.gone)
    assert dict(enumerate(found.center.tolist())) == expected.center


@relaxed
@given(ROWS, EDGES, RULES)
def test_every_image_is_a_copy_of_its_keeper_itself(rows: list[Row], edges: Edges, rule: str) -> None:
    positions, pairs = positions_of(rows), pairs_of(edges)
    kept = keep_best(positions, pairs, 7, rule)
    for position, keeper in enumerate(kept.keeper.tolist()):
        image = int(positions.image[position])
        if keeper < 0:
            continue
        assert not kept.row_duplicate[keeper]
        assert not positions.blocked[keeper]
        witness, pair = int(positions.image[keeper]), int(kept.pair[image])
        assert kept.center[image] == witness
        assert (pair < 0) == (image == witness)
        if pair >= 0:
            assert {int(pairs.left[pair]), int(pairs.right[pair])} == {image, witness}


@relaxed
@given(ROWS, EDGES, RULES)
def test_a_cluster_with_a_keeper_has_one_in_a_kept_row(rows: list[Row], edges: Edges, rule: str) -> None:
    positions = positions_of(rows)
    kept = keep_best(positions, pairs_of(edges), 7, rule)
    cluster = kept.center[positions.image].tolist()
    for of in set(cluster):
        members = [n for n, each in enumerate(cluster) if each == of]
        keepers = {int(kept.keeper[n]) for n in members}
        assert len(keepers) == 1
        keeper = keepers.pop()
        assert keeper == -1 or (keeper in members and kept.keeper[keeper] == keeper)


@relaxed
@given(ROWS, EDGES, RULES)
def test_rows_are_duplicates_only_of_kept_rows(rows: list[Row], edges: Edges, rule: str) -> None:
    """In the final clean copy the rule holds, whatever the order in which rows were processed."""
    places = slow_positions_of(rows)
    _, gone = kept_of(rows, edges, rule)
    going = {place.row for n, place in enumerate(places) if gone[n]}
    staying = {place.row for place in places} - going - {n for n, row in enumerate(rows) if row.blocked}
    held = {place.image.number for place in places if place.row in staying}
    for row in going:
        assert not rows[row].blocked
        redundant = sum(any(is_copy(edges, image.number, other) for other in held) for image in rows[row].images)
        assert slow_is_duplicate(redundant, len(rows[row].images) + rows[row].others, rule)
    # All positions of a row share its fate.
    assert [place.row in going for place in places] == gone


@relaxed
@given(ROWS, EDGES, RULES)
def test_no_more_rows_go_than_by_way_of_other_images(rows: list[Row], edges: Edges, rule: str) -> None:
    """A row with one image goes for an image of its component, of which chains would keep one."""
    single = [Row(row.images[:1], row.subset, row.rating, row.contaminated, row.blocked) for row in rows]
    _, gone = kept_of(single, edges, rule)
    component = components(7, pairs_of(edges))
    unblocked = [int(component[row.images[0].number]) for row in single if not row.blocked]
    assert sum(gone) <= len(unblocked) - len(set(unblocked))


@relaxed
@given(ROWS, EDGES)
def test_the_rule_all_loses_no_image_of_an_unblocked_row(rows: list[Row], edges: Edges) -> None:
    places = slow_positions_of(rows)
    keeper, _ = kept_of(rows, edges, "all")
    assert all(rows[place.row].blocked or keeper[n] >= 0 for n, place in enumerate(places))


@relaxed
@given(ROWS, EDGES, RULES)
def test_blocked_rows_keep_nothing_and_change_no_other_row(rows: list[Row], edges: Edges, rule: str) -> None:
    places = slow_positions_of(rows)
    keeper, gone = kept_of(rows, edges, rule)
    blocked = [rows[place.row].blocked for place in places]
    assert not any(blocked[of] for of in keeper if of >= 0)
    assert not any(g and b for g, b in zip(gone, blocked, strict=True))
    # Numbers of positions in a corpus that lacks the blocked rows.
    remaining = [n for n in range(len(places)) if not blocked[n]]
    moved = {n: place for place, n in enumerate(remaining)} | {-1: -1}
    without_keeper, without_gone = kept_of([row for row in rows if not row.blocked], edges, rule)
    assert [moved[keeper[n]] for n in remaining] == without_keeper
    assert [gone[n] for n in remaining] == without_gone


def test_a_chain_drops_only_what_is_a_copy_of_what_stays() -> None:
    rows = [row_of(0, rating=5.0), row_of(1, rating=4.0), row_of(2, rating=3.0)]
    chain = {frozenset((0, 1)): 0.9, frozenset((1, 2)): 0.99}
    # 1 goes for 0; 2 is a copy of 1, which is gone.
    assert kept_of(rows, chain, "all") == ([0, 0, 2], [False, True, False])


def test_a_row_that_another_image_drops_is_no_witness() -> None:
    # The second row goes for its image 1, so image 2, which is a copy of its image 3 alone, stays.
    rows = [row_of(1, rating=5.0), row_of(1, 3, rating=4.0), row_of(2, rating=3.0)]
    assert kept_of(rows, {frozenset((2, 3)): 0.9}, "any") == ([0, 0, 3, 3], [False, True, True, False])


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
        _, gone = kept_of([*HOLDERS, last], NONE, rule)
        assert gone == [False, False, False, *[rule in goes] * len(last.images)]


def test_one_of_two_rows_with_the_same_images_is_kept() -> None:
    """Each row has the better position of one of the images."""
    rows = [row_of(Image(0, 400), Image(1, 100)), row_of(Image(0, 100), Image(1, 400))]
    keeper, gone = kept_of(rows, NONE, "all")
    assert gone == [False, False, True, True]
    assert keeper == [0, 1, 0, 1]


def test_a_row_does_not_make_itself_redundant() -> None:
    keeper, gone = kept_of([row_of(0, 0, 0)], NONE, "any")
    assert gone == [False, False, False]
    assert keeper == [0, 0, 0]


def test_rows_with_the_same_index_in_two_subsets_are_two_rows() -> None:
    rows = [row_of(0, subset=0), row_of(0, subset=1)]
    assert kept_of(rows, NONE, "all") == ([0, 0], [False, True])


def test_the_copy_in_a_contaminated_row_is_dropped() -> None:
    rows = [row_of(Image(0, 900, True), rating=5.0, contaminated=True), row_of(0)]
    assert kept_of(rows, NONE, "all") == ([1, 1], [True, False])


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(ValueError, match="'most' is not a rule for rows: use one of any, all, majority"):
        kept_of([], NONE, "most")


# The table -----------------------------------------------------------------------------------------------------------

IDS = [f"{letter * 32}" for letter in "0123456"]


def decided(rows: list[Row], edges: Edges, rule: str = "all", copies: Copies | None = None) -> list[dict[str, object]]:
    """Return the table."""
    decisions = decide_positions(
        positions_of(rows),
        np.array(IDS, "S32"),
        without_verdicts(pairs_of(edges)) if copies is None else copies,
        ["first", "second", "third"],
        rule=rule,
    )
    assert decisions.positions.schema == POSITIONS_SCHEMA
    records: list[dict[str, object]] = decisions.positions.to_pylist()
    return records


def lowest_linked(edges: Edges, image: int) -> int:
    """The lowest image that a chain of pairs connects with this one."""
    found = {image}
    while more := {number for edge in edges if edge & found for number in edge} - found:
        found |= more
    return min(found)


@relaxed
@given(ROWS, EDGES, RULES)
def test_positions_are_listed_with_reason_and_keeper(rows: list[Row], edges: Edges, rule: str) -> None:
    places = slow_positions_of(rows)
    kept = slow_keep(rows, edges, rule)
    keeper, gone = kept.keeper, kept.gone
    cluster = [kept.center[place.image.number] for place in places]
    pairs = pairs_of(edges)
    confidence = [0.99 + n / 1e4 for n in range(len(edges))]
    copies = Copies(
        pairs, pa.array(confidence, pa.float32()), pa.array([f"kind {n}" for n in range(len(edges))], pa.string())
    )
    told = iter(decided(rows, edges, rule, copies))
    names = ["first", "second", "third"]
    for n, place in enumerate(places):
        if cluster.count(cluster[n]) == 1:
            continue
        record = next(told)
        row = rows[place.row]
        in_subset = [number for number, other in enumerate(rows) if other.subset == row.subset]
        position = (record["subset"], record["row"], record["image_index"], record["image_id"])
        assert position == (names[row.subset], in_subset.index(place.row), place.index, IDS[place.image.number])
        assert record["cluster_id"] == IDS[cluster[n]]
        assert record["component_id"] == IDS[lowest_linked(edges, place.image.number)]
        assert record["keep"] == (keeper[n] == n)
        assert record["row_duplicate"] == gone[n]
        if keeper[n] < 0:
            assert record["reason"] == "row_dropped"
            assert (record["keeper_subset"], record["keeper_row"], record["keeper_image"]) == (None, None, None)
            assert (record["similarity"], record["confidence"], record["evidence"]) == (None, None, None)
            continue
        by = places[keeper[n]]
        of_subset = [number for number, other in enumerate(rows) if other.subset == rows[by.row].subset]
        witness = (record["keeper_subset"], record["keeper_row"], record["keeper_image"])
        assert witness == (names[rows[by.row].subset], of_subset.index(by.row), by.index)
        same = by.image.number == place.image.number
        edge = frozenset((by.image.number, place.image.number))
        assert record["similarity"] == (1 if same else pytest.approx(edges[edge]))
        verdict: tuple[object, object]
        if same:
            verdict = (None, None) if keeper[n] == n else (1, "identical_pixels")
        else:
            number = list(edges).index(edge)
            verdict = (pytest.approx(confidence[number]), f"kind {number}")
        assert (record["confidence"], record["evidence"]) == verdict
        if keeper[n] == n:
            assert record["reason"] == "best"
        elif row.blocked:
            assert record["reason"] == "row_dropped"
        else:
            assert record["reason"] == ("exact_copy" if same else "near_copy")
    assert next(told, None) is None


def test_an_image_of_a_blocked_row_joins_the_keeper() -> None:
    """The best image of all is in a row that is dropped for another reason."""
    rows = [row_of(Image(0, 900, True), blocked=True), row_of(1, rating=4.0), row_of(2)]
    edges = {frozenset((0, 1)): 0.8, frozenset((1, 2)): 0.7, frozenset((0, 2)): 0.9}
    records = decided(rows, edges)
    assert [record["reason"] for record in records] == ["row_dropped", "best", "near_copy"]
    assert {record["cluster_id"] for record in records} == {IDS[1]}
    assert {record["keeper_row"] for record in records} == {1}
    assert [record["similarity"] for record in records] == pytest.approx([0.8, 1, 0.7])


def test_an_image_lost_by_the_rule_any_has_no_keeper() -> None:
    rows = [row_of(0), row_of(0, 1), row_of(1, blocked=True)]
    records = decided(rows, NONE, "any")
    assert [record["row_duplicate"] for record in records] == [False, True, True, False]
    assert [record["keeper_row"] for record in records] == [0, 0, None, None]


def test_by_similarity_a_near_copy_has_no_verdict() -> None:
    best, near, exact = decided([row_of(0), row_of(1), row_of(0)], {frozenset((0, 1)): 0.97})
    assert (best["reason"], best["confidence"], best["evidence"]) == ("best", None, None)
    assert (near["reason"], near["confidence"], near["evidence"]) == ("near_copy", None, None)
    assert (exact["reason"], exact["confidence"], exact["evidence"]) == ("exact_copy", 1, "identical_pixels")


def test_without_positions_the_table_is_empty() -> None:
    assert decided([], NONE) == []
    nothing = decide_positions(positions_of([]), np.empty(0, "S32"), without_verdicts(pairs_of({})), [], rule="all")
    assert nothing.positions.schema == POSITIONS_SCHEMA
    assert nothing.positions.num_rows == len(nothing.center) == 0
