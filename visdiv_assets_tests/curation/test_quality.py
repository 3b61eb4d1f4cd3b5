"""Quality ratings: every turn of every row, as a plain loop would rate it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.curation.quality import (
    COLUMNS,
    HISTOGRAM_SCHEMA,
    PROFILES,
    QUALITY_SCHEMA,
    RULES_SCHEMA,
    RatingCounts,
    RowRule,
    parse_thresholds,
    rate_rows,
    sum_counts,
)
from visdiv_assets.errors import ConfigError
from visdiv_assets.sources.schema import CRITERIA, SCHEMA
from visdiv_assets_tests.conftest import SAMPLE

Row = dict[str, Any]

READ = pa.schema([("turns", pa.int32()), *(SCHEMA.field(name) for name in COLUMNS[1:])])

RATINGS = st.one_of(st.none(), st.integers(1, 5), st.sampled_from([-1, 0, 6, 1 << 40, -(1 << 62)]))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "turns": st.none() | st.integers(0, 4),
            **{f"{criterion}_ratings": st.none() | st.lists(RATINGS, max_size=6) for criterion in CRITERIA},
        }
    ),
    max_size=12,
)
THRESHOLDS = st.dictionaries(st.sampled_from(CRITERIA), st.integers(0, 5))


def row(turns: int | None, **ratings: Sequence[int | None] | None) -> Row:
    """Return a row with this number of turns; criteria that are not given have no list."""
    return {"turns": turns, **{f"{criterion}_ratings": ratings.get(criterion) for criterion in CRITERIA}}


def as_batch(rows: list[Row]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, READ)


def rate(
    batches: list[pa.RecordBatch],
    thresholds: dict[str, int] | None = None,
    first_row: int = 0,
    rule: RowRule = "turn",
) -> tuple[list[Row], RatingCounts]:
    counts = RatingCounts()
    rated = list(rate_rows(batches, thresholds or {}, first_row=first_row, counts=counts, rule=rule))
    assert [batch.num_rows for batch in rated] == [batch.num_rows for batch in batches]
    assert all(batch.schema == QUALITY_SCHEMA for batch in rated)
    return [record for batch in rated for record in batch.to_pylist()], counts


def rating_of(given_row: Row, criterion: str, turn: int) -> int | None:
    """Return the rating of one turn; None if there is no valid one."""
    ratings = given_row[f"{criterion}_ratings"]
    if ratings is None or turn >= len(ratings) or ratings[turn] not in (1, 2, 3, 4, 5):
        return None
    value: int = ratings[turn]
    return value


def slow_rate(
    rows: list[Row], thresholds: dict[str, int], first_row: int, rule: RowRule = "turn"
) -> tuple[list[Row], RatingCounts]:
    """Row by row, turn by turn."""
    rated, counts = [], RatingCounts()
    for number, one in enumerate(rows):
        turns = one["turns"] or 0
        dropped: Counter[str] = Counter()
        ratings: list[int] = []
        kept = 0
        for turn in range(turns):
            keep = True
            for place, criterion in enumerate(CRITERIA):
                rating = rating_of(one, criterion, turn)
                counts.histogram[place, rating or 0] += 1
                ratings += [] if rating is None else [rating]
                if rating is not None and rating < thresholds.get(criterion, 0):
                    keep = False
                    dropped[criterion] += 1
            kept += keep
        for place, criterion in enumerate(CRITERIA):
            counts.turns_dropped[place] += dropped[criterion]
            missed = dropped[criterion] == turns if rule == "turn" else dropped[criterion] > 0
            counts.rows_dropped[place] += turns > 0 and missed
        rated.append(
            {
                "row": first_row + number,
                "turns": turns,
                "turns_kept": kept,
                "kept": (kept > 0 and (rule == "turn" or kept == turns)) or one["turns"] is None,
                "rating": float(np.float32(sum(ratings) / len(ratings))) if ratings else None,
                **{f"turns_dropped_by_{criterion}": dropped[criterion] for criterion in CRITERIA},
            }
        )
    return rated, counts


def check(batches: list[pa.RecordBatch], rows: list[Row], thresholds: dict[str, int], first_row: int) -> None:
    """Compare with the loop, by both rules."""
    rules: tuple[RowRule, ...] = ("turn", "row")
    for rule in rules:
        rated, counts = rate(batches, thresholds, first_row, rule)
        expected, expected_counts = slow_rate(rows, thresholds, first_row, rule)
        assert rated == expected
        np.testing.assert_array_equal(counts.histogram, expected_counts.histogram)
        np.testing.assert_array_equal(counts.turns_dropped, expected_counts.turns_dropped)
        np.testing.assert_array_equal(counts.rows_dropped, expected_counts.rows_dropped)


@settings(deadline=None, max_examples=300)
@given(ROWS, THRESHOLDS, st.integers(0, 1 << 40), st.lists(st.integers(0, 12), max_size=3))
def test_rows_are_rated_as_a_loop_over_their_turns_would(
    rows: list[Row], thresholds: dict[str, int], first_row: int, cuts: list[int]
) -> None:
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    batches = [as_batch(rows[start:stop]) for start, stop in itertools.pairwise(edges)]
    check(batches, rows, thresholds, first_row)


@settings(deadline=None, max_examples=300)
@given(ROWS, THRESHOLDS, st.data())
def test_a_slice_of_a_batch_is_rated_as_its_rows(
    rows: list[Row], thresholds: dict[str, int], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(rows)))
    length = data.draw(st.integers(0, len(rows) - start))
    middle = as_batch(rows).slice(start, length)
    check([middle], rows[start : start + length], thresholds, 7)
    rest = [as_batch(rows).slice(0, start), middle, as_batch(rows).slice(start + length)]
    check(rest, rows, thresholds, 0)


def test_lists_that_are_null_may_hide_values() -> None:
    values = pa.array([1, 1, 1, 5], pa.int64())
    hidden = pa.ListArray.from_arrays(pa.array([0, 3, 4], pa.int32()), values, mask=pa.array([True, False]))
    turns = as_batch([row(1), row(1)]).column("turns")
    batch = pa.record_batch([turns, *[hidden] * 4], schema=READ)
    rated, counts = rate([batch], {"relevance": 4})
    assert [record["turns_kept"] for record in rated] == [1, 1]
    assert counts.histogram[0].tolist() == [1, 0, 0, 0, 0, 1]


def test_turns_under_a_threshold_and_rows_left_empty_are_dropped() -> None:
    rows = [
        row(3, relevance=[5, 1, 3], formatting=[5, 5, 1]),
        row(2, relevance=[1, 2]),
        row(1, relevance=[3]),
    ]
    rated, counts = rate([as_batch(rows)], {"relevance": 3, "formatting": 2}, first_row=100)
    assert [(record["row"], record["turns"], record["turns_kept"], record["kept"]) for record in rated] == [
        (100, 3, 1, True),
        (101, 2, 0, False),
        (102, 1, 1, True),
    ]
    assert [record["turns_dropped_by_relevance"] for record in rated] == [1, 2, 0]
    assert [record["turns_dropped_by_formatting"] for record in rated] == [1, 0, 0]
    assert dict(zip(CRITERIA, counts.rows_dropped.tolist(), strict=True))["relevance"] == 1


def test_a_missing_rating_drops_nothing() -> None:
    rows = [
        row(2),
        row(2, relevance=[]),
        row(2, relevance=[None, None]),
        row(2, relevance=[5]),
        row(2, relevance=[0, 9]),
    ]
    rated, _ = rate([as_batch(rows)], dict.fromkeys(CRITERIA, 5))
    assert [record["turns_kept"] for record in rated] == [2] * 5


def test_ratings_beyond_the_last_turn_are_ignored() -> None:
    rated, counts = rate([as_batch([row(1, relevance=[5, 1, 1]), row(1, relevance=[4])])], {"relevance": 4})
    assert [record["turns_kept"] for record in rated] == [1, 1]
    assert counts.histogram[0].tolist() == [0, 0, 0, 0, 1, 1]


def test_rows_of_unknown_texts_are_kept_rows_without_turns_not() -> None:
    rated, counts = rate([as_batch([row(None, relevance=[1]), row(0, relevance=[1])])], {"relevance": 5})
    assert [(record["turns"], record["kept"]) for record in rated] == [(0, True), (0, False)]
    assert counts.histogram.sum() == 0
    assert counts.rows_dropped.sum() == 0


def test_a_threshold_is_the_smallest_rating_that_is_kept() -> None:
    rows = [row(1, relevance=[rating]) for rating in range(1, 6)]
    for threshold in range(6):
        rated, _ = rate([as_batch(rows)], {"relevance": threshold})
        assert [record["kept"] for record in rated] == [rating >= threshold for rating in range(1, 6)]


def test_without_thresholds_every_turn_is_kept() -> None:
    rows = [row(2, **{criterion: [1, 1] for criterion in CRITERIA}), row(1)]
    rated, counts = rate([as_batch(rows)], PROFILES["none"])
    assert [record["turns_kept"] for record in rated] == [2, 1]
    assert counts.turns_dropped.sum() == 0


def test_the_profile_of_the_blog_holds_its_thresholds() -> None:
    assert PROFILES["blog"] == {
        "visual_dependency": 4,
        "image_correspondence": 3,
        "relevance": 4,
        "formatting": 3,
    }
    good = {"visual_dependency": [4], "image_correspondence": [3], "relevance": [4], "formatting": [3]}
    worse = [{**good, criterion: [ratings[0] - 1]} for criterion, ratings in good.items()]
    rated, counts = rate([as_batch([row(1, **good), *(row(1, **one) for one in worse)])], PROFILES["blog"])
    assert [record["kept"] for record in rated] == [True, False, False, False, False]
    assert counts.rows_dropped.tolist() == [1, 1, 1, 1]


def test_every_profile_names_criteria_and_possible_ratings() -> None:
    for thresholds in PROFILES.values():
        assert thresholds.keys() <= set(CRITERIA)
        assert all(1 <= threshold <= 5 for threshold in thresholds.values())


def test_no_rows_are_no_error() -> None:
    assert rate([])[0] == []
    assert rate([as_batch([])])[0] == []


def test_the_histogram_has_null_for_unrated_turns() -> None:
    rows = [row(2, relevance=[5, 5], formatting=[None, 2]), row(1, relevance=[3])]
    _, counts = rate([as_batch(rows)])
    table = counts.table()
    assert table.schema == HISTOGRAM_SCHEMA
    assert {(one["criterion"], one["rating"], one["turns"]) for one in table.to_pylist()} == {
        ("relevance", 3, 1),
        ("relevance", 5, 2),
        ("image_correspondence", None, 3),
        ("visual_dependency", None, 3),
        ("formatting", None, 2),
        ("formatting", 2, 1),
    }
    assert RatingCounts().table().num_rows == 0


def test_every_turn_is_in_the_histogram_of_every_criterion() -> None:
    rng = np.random.default_rng(0)
    turns = rng.integers(0, 5, 200).tolist()
    rows = [row(count, relevance=rng.integers(0, 7, rng.integers(0, 6)).tolist()) for count in turns]
    _, counts = rate([as_batch(rows)])
    assert counts.histogram.sum(axis=1).tolist() == [sum(turns)] * 4


def test_rules_list_what_each_threshold_drops_on_its_own() -> None:
    rows = [row(2, relevance=[1, 1], formatting=[1, 5]), row(1, relevance=[5], formatting=[1])]
    _, counts = rate([as_batch(rows)], {"relevance": 2, "formatting": 2})
    table = counts.rules_table()
    assert table.schema == RULES_SCHEMA
    assert {one["criterion"]: (one["turns_dropped"], one["rows_dropped"]) for one in table.to_pylist()} == {
        "relevance": (2, 1),
        "image_correspondence": (0, 0),
        "visual_dependency": (0, 0),
        "formatting": (2, 1),
    }


def test_counts_accumulate_over_calls() -> None:
    batch = as_batch([row(2, relevance=[1, 5])])
    counts = RatingCounts()
    for _ in range(3):
        list(rate_rows([batch], {"relevance": 2}, first_row=0, counts=counts))
    assert counts.histogram[0].tolist() == [0, 3, 0, 0, 0, 3]
    assert counts.turns_dropped.tolist()[0] == 3
    assert RatingCounts().histogram.sum() == 0


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=4), THRESHOLDS)
def test_counts_of_shards_add_up_to_those_of_the_whole(shards: list[list[Row]], thresholds: dict[str, int]) -> None:
    parts = [rate([as_batch(shard)], thresholds)[1] for shard in shards]
    whole = rate([as_batch([one for shard in shards for one in shard])], thresholds)[1]
    histogram = sum_counts(pa.concat_tables(part.table() for part in parts), ["criterion", "rating"])
    assert histogram.schema == HISTOGRAM_SCHEMA
    assert sorted(map(repr, histogram.to_pylist())) == sorted(map(repr, whole.table().to_pylist()))
    rules = sum_counts(pa.concat_tables(part.rules_table() for part in parts), ["criterion"])
    assert rules.equals(whole.rules_table())


def test_the_rating_of_a_row_is_the_mean_over_its_turns() -> None:
    rows = [row(2, relevance=[5, None, 1], formatting=[2, 2]), row(1), row(None, relevance=[5]), row(1, relevance=[9])]
    rated, _ = rate([as_batch(rows)])
    assert [record["rating"] for record in rated] == [3, None, None, None]


def test_rating_is_lazy() -> None:
    drawn: list[int] = []

    def batches() -> Any:
        for number in range(3):
            drawn.append(number)
            yield as_batch([row(1)])

    rated = rate_rows(batches(), {}, first_row=0, counts=RatingCounts())
    next(rated)
    assert drawn == [0]


@pytest.mark.parametrize(("rule", "rows"), [("turn", 506), ("row", 365)])
def test_the_sample_by_the_rules_of_the_loader_and_the_blog(rule: RowRule, rows: int) -> None:
    """The blog's own rule, on the sample's columns of lowest ratings, keeps the same rows as ours on the ratings."""
    columns = [*(f"{name}_ratings" for name in CRITERIA), *(f"{name}_min" for name in CRITERIA), "texts"]
    thresholds = parse_thresholds("blog")
    kept = passing = 0
    for file in sorted((SAMPLE / "subsets").rglob("*.parquet")):
        table = pq.read_table(file, columns=columns)
        turns = pc.list_value_length(table["texts"]).cast(pa.int32())
        batch = pa.Table.from_arrays([turns, *(table[name] for name in COLUMNS[1:])], names=list(COLUMNS))
        lowest = [np.array(table[f"{name}_min"].to_pylist(), float) >= thresholds[name] for name in CRITERIA]
        expected = np.logical_and.reduce(lowest)
        rated, _ = rate(batch.cast(READ).combine_chunks().to_batches(), thresholds, rule=rule)
        found = np.array([row["kept"] for row in rated])
        assert not (expected & ~found).any()
        assert rule == "turn" or (expected == found).all()
        kept += int(found.sum())
        passing += int(expected.sum())
    assert (kept, passing) == (rows, 365)


@pytest.mark.parametrize("value", ["best", "formatting", "formatting=6", "relevance=4,"])
def test_thresholds_that_name_nothing_known_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"is neither a profile of quality thresholds \(none, blog\) nor"):
        parse_thresholds(value)


def test_thresholds_may_be_given_by_criterion() -> None:
    assert parse_thresholds("visual_dependency=4, formatting=3") == {"visual_dependency": 4, "formatting": 3}
    assert (parse_thresholds("none"), parse_thresholds("blog")) == ({}, PROFILES["blog"])
