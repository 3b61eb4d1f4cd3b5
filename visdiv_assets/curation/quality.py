"""FineVision's four quality ratings, and the turns and rows that a set of thresholds keeps.

A rating belongs to one turn (a question and its answer). A turn is dropped if one of its ratings is less than the
threshold of that criterion; a missing rating drops nothing. There are two rules for rows:

- `turn`: a row is dropped if none of its turns is kept. FineVision's own loader filters in this way, and leaves the
  dropped turns out (huggingface/nanoVLM, data/datasets.py).
- `row`: a row is dropped if one of its turns is, so if the lowest of its ratings of a criterion, FineVision's column
  `<criterion>_min`, misses the threshold. This is `pass_quality` of the article on FineVision and CLIP, SSCD, FAISS and
  UMAP. It drops more long rows than short ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import pyarrow as pa

from visdiv_assets.errors import ConfigError
from visdiv_assets.sources.schema import CRITERIA

#: What of a row its turns decide; see the module's docstring.
RowRule = Literal["turn", "row"]

RATINGS = (1, 2, 3, 4, 5)
#: Index in the histogram of turns without a rating.
UNRATED = 0

#: The columns of rows of turns that rating needs; see `corpus.turns`.
COLUMNS = ("turns", *(f"{criterion}_ratings" for criterion in CRITERIA))

#: Named sets of thresholds. FineVision found that every filter by these ratings trains worse, hence `none`.
PROFILES: dict[str, dict[str, int]] = {
    "none": {},
    "blog": {"visual_dependency": 4, "image_correspondence": 3, "relevance": 4, "formatting": 3},
}

QUALITY_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("turns", pa.int32()),
        ("turns_kept", pa.int32()),
        ("kept", pa.bool_()),
        ("rating", pa.float32()),
        *((f"turns_dropped_by_{criterion}", pa.int32()) for criterion in CRITERIA),
    ]
)
RULES_SCHEMA = pa.schema([("criterion", pa.string()), ("turns_dropped", pa.int64()), ("rows_dropped", pa.int64())])
HISTOGRAM_SCHEMA = pa.schema([("criterion", pa.string()), ("rating", pa.int32()), ("turns", pa.int64())])


@dataclass
class RatingCounts:
    """Counts of turns by criterion and rating, and of what each criterion would drop on its own.

    Attributes:
        histogram: int64 [4 criteria, 6]: unrated, then ratings 1 to 5.
        turns_dropped: int64 [4], turns under each criterion's threshold.
        rows_dropped: int64 [4], rows that each criterion on its own would drop.
    """

    histogram: np.ndarray = field(default_factory=lambda: np.zeros((len(CRITERIA), len(RATINGS) + 1), np.int64))
    turns_dropped: np.ndarray = field(default_factory=lambda: np.zeros(len(CRITERIA), np.int64))
    rows_dropped: np.ndarray = field(default_factory=lambda: np.zeros(len(CRITERIA), np.int64))

    def table(self) -> pa.Table:
        """Return the histogram as rows of criterion, rating (null: unrated) and turns, without counts of 0."""
        criterion, rating = np.nonzero(self.histogram)
        return pa.table(
            [
                pa.array([CRITERIA[index] for index in criterion], pa.string()),
                pa.array([None if value == UNRATED else int(value) for value in rating], pa.int32()),
                pa.array(self.histogram[criterion, rating]),
            ],
            schema=HISTOGRAM_SCHEMA,
        )

    def rules_table(self) -> pa.Table:
        """Return what each criterion's threshold would drop on its own, as rows of `RULES_SCHEMA`."""
        return pa.table([pa.array(CRITERIA), self.turns_dropped, self.rows_dropped], schema=RULES_SCHEMA)


def parse_thresholds(value: str) -> dict[str, int]:
    """Return the thresholds by criterion that a setting names.

    Args:
        value: a name of `PROFILES`, or criteria with their lowest rating: "visual_dependency=4,formatting=3".

    Raises:
        ConfigError: it is neither.
    """
    if value in PROFILES:
        return dict(PROFILES[value])
    found = {}
    for part in value.split(","):
        criterion, _, rating = (text.strip() for text in part.partition("="))
        if criterion not in CRITERIA or rating not in map(str, RATINGS):
            raise ConfigError(
                f"{part.strip()!r} is neither a profile of quality thresholds ({', '.join(PROFILES)}) nor a criterion "
                f"with its lowest rating, 1 to 5, such as formatting=3; the criteria are {', '.join(CRITERIA)}"
            )
        found[criterion] = int(rating)
    return found


def as_row_rule(name: str) -> RowRule:
    """Return the value of the setting `quality_rule`.

    Raises:
        ConfigError: it is none of the two.
    """
    for rule in get_args(RowRule):
        if name == rule:
            found: RowRule = rule
            return found
    raise ConfigError(f"{name!r} is not a rule of VISDIV_QUALITY_RULE: use turn or row")


def is_rating(ratings: pa.Array) -> np.ndarray:
    """Return which of some integers are ratings, bool [n]: null and others are not."""
    values = ratings.fill_null(UNRATED).to_numpy(zero_copy_only=False)
    found: np.ndarray = (values >= RATINGS[0]) & (values <= RATINGS[-1])
    return found


def sum_counts(table: pa.Table, by: list[str]) -> pa.Table:
    """Sum the counts of several shards: one row per value of the columns `by`, in order of first occurrence."""
    counts = [name for name in table.column_names if name not in by]
    grouped = table.group_by(by, use_threads=False).aggregate([(name, "sum") for name in counts])
    return grouped.rename_columns([name.removesuffix("_sum") for name in grouped.column_names]).select(
        table.column_names
    )


def rate_rows(
    batches: Iterable[pa.RecordBatch],
    thresholds: Mapping[str, int],
    *,
    first_row: int,
    counts: RatingCounts,
    rule: RowRule = "turn",
) -> Iterator[pa.RecordBatch]:
    """Apply thresholds to every turn of every row.

    Args:
        batches: rows in order, with the columns `COLUMNS`.
        thresholds: minimum rating to keep, by criterion; other criteria drop nothing.
        first_row: index of the first row in the subset.
        counts: counts that are increased while the rows are read.
        rule: which turns of a row must be kept for the row to be kept: "turn" (one of them) or "row" (all).

    Yields:
        batches of `QUALITY_SCHEMA`. A row with an unknown (null) number of turns is kept; a row without turns is not.
        `rating` is the mean of all ratings of the row's turns, null where there is none.
    """
    for batch in batches:
        known = batch.column("turns")
        turns = turn_counts(batch)
        row_of_turn = np.repeat(np.arange(len(turns)), turns)
        failed_any = np.zeros(len(row_of_turn), bool)
        rating_sum, rated = np.zeros(len(turns)), np.zeros(len(turns), np.int64)
        dropped_by = []
        for index, criterion in enumerate(CRITERIA):
            ratings = _ratings_of_turns(batch.column(f"{criterion}_ratings"), turns)
            counts.histogram[index] += np.bincount(ratings, minlength=len(RATINGS) + 1)[: len(RATINGS) + 1]
            rating_sum += np.bincount(row_of_turn, ratings, minlength=len(turns))
            rated += np.bincount(row_of_turn[ratings != UNRATED], minlength=len(turns))
            failed = _miss(ratings, criterion, thresholds)
            failed_any |= failed
            dropped = np.bincount(row_of_turn[failed], minlength=len(turns))
            counts.turns_dropped[index] += len(row_of_turn[failed])
            missed = dropped == turns if rule == "turn" else dropped > 0
            counts.rows_dropped[index] += np.count_nonzero(missed & (turns > 0))
            dropped_by.append(dropped)
        turns_kept = turns - np.bincount(row_of_turn[failed_any], minlength=len(turns))
        passing = turns_kept > 0 if rule == "turn" else (turns_kept == turns) & (turns > 0)
        unknown = known.is_null().to_numpy(zero_copy_only=False)
        rating = pa.array(rating_sum / np.maximum(rated, 1), mask=rated == 0)
        columns = [
            np.arange(len(turns)) + first_row,
            turns,
            turns_kept,
            passing | unknown,
            rating,
            *dropped_by,
        ]
        first_row += batch.num_rows
        yield pa.record_batch(
            [pa.array(column).cast(kind.type) for column, kind in zip(columns, QUALITY_SCHEMA, strict=True)],
            schema=QUALITY_SCHEMA,
        )


def turn_counts(batch: pa.RecordBatch) -> np.ndarray:
    """Return the number of turns of each row, int64 [rows]; 0 where it is unknown."""
    counts: np.ndarray = batch.column("turns").fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return counts


def failing_turns(batch: pa.RecordBatch, thresholds: Mapping[str, int]) -> np.ndarray:
    """Return which turns of some rows are dropped, bool [turns of all rows], row by row.

    Args:
        batch: the rows, with the columns `COLUMNS`.
        thresholds: minimum rating to keep, by criterion; other criteria drop nothing.
    """
    turns = turn_counts(batch)
    failed = np.zeros(int(turns.sum()), bool)
    for criterion in CRITERIA:
        failed |= _miss(_ratings_of_turns(batch.column(f"{criterion}_ratings"), turns), criterion, thresholds)
    return failed


def _miss(ratings: np.ndarray, criterion: str, thresholds: Mapping[str, int]) -> np.ndarray:
    """Return which ratings [n] are below the threshold of their criterion, bool [n]; a missing one is not."""
    missed: np.ndarray = (ratings != UNRATED) & (ratings < thresholds.get(criterion, 1))
    return missed


def _lengths(lists: pa.Array) -> np.ndarray:
    lengths: np.ndarray = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def _ratings_of_turns(ratings: pa.Array, turns: np.ndarray) -> np.ndarray:
    """Return one rating per turn; `UNRATED` if it is null, not in 1..5, or missing from a list that is too short."""
    given = _lengths(ratings)
    values = ratings.flatten().fill_null(UNRATED).to_numpy(zero_copy_only=False).astype(np.int64)
    values = np.where((values >= RATINGS[0]) & (values <= RATINGS[-1]), values, UNRATED)
    first_turn, first_value = np.cumsum(turns) - turns, np.cumsum(given) - given
    row = np.repeat(np.arange(len(turns)), turns)
    turn = np.arange(len(row)) - first_turn[row]
    rating = np.full(len(row), UNRATED, np.int64)
    rated = turn < given[row]
    rating[rated] = values[first_value[row[rated]] + turn[rated]]
    return rating
