"""The texts of a source's rows, which all later stages read: of subsets one row per turn, with its ratings.

Of benchmarks, whose columns differ, all strings of a row are kept together.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.sources.conform import positions_of_entries
from visdiv_assets.sources.schema import CRITERIA, UNREAD, schema_of

#: The columns of a source that turns are made from.
RATING_COLUMNS = tuple(f"{criterion}_ratings" for criterion in CRITERIA)
TURN_COLUMNS = ("texts", *RATING_COLUMNS, UNREAD)

#: A turn; a rating is null if the turn has none, or one that is not an int8.
TURNS_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("turn", pa.int32()),
        ("user", pa.string()),
        ("assistant", pa.string()),
        *((column, pa.int8()) for column in RATING_COLUMNS),
    ]
)

#: A row of the source: its number of turns, null if the source has no texts for it, and how many of its texts and
#: ratings cannot be read.
TURN_COUNTS_SCHEMA = pa.schema([("turns", pa.int32()), (UNREAD, pa.int32())])

#: A row of the source: all its strings.
STRINGS_SCHEMA = schema_of(["strings"])


def turn_rows(batch: pa.RecordBatch, first_row: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Return the turns of some rows, and the number of turns of each row.

    Args:
        batch: rows with the columns `TURN_COLUMNS`.
        first_row: index of its first row in the subset.

    Returns:
        batches of `TURNS_SCHEMA` and of `TURN_COUNTS_SCHEMA`.
    """
    texts = batch.column("texts")
    counts = texts.value_lengths()
    rows, turns = positions_of_entries(counts)
    flat = texts.flatten()
    ratings = [_ratings_of_turns(batch.column(column), rows, turns) for column in RATING_COLUMNS]
    arrays = [pa.array(rows + first_row), pa.array(turns, pa.int32()), flat.field("user"), flat.field("assistant")]
    return (
        pa.record_batch([*arrays, *ratings], schema=TURNS_SCHEMA),
        pa.record_batch([counts.cast(pa.int32()), batch.column(UNREAD)], schema=TURN_COUNTS_SCHEMA),
    )


def _ratings_of_turns(ratings: pa.Array, rows: np.ndarray, turns: np.ndarray) -> pa.Array:
    """Return one rating per turn, int8; null where the row's list of ratings is too short."""
    lengths = pc.fill_null(ratings.value_lengths(), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    index = (np.cumsum(lengths) - lengths)[rows] + turns
    values = ratings.flatten().take(pa.array(index, mask=turns >= lengths[rows]))
    fits = pc.and_(pc.greater_equal(values, -128), pc.less_equal(values, 127))
    return pc.if_else(fits, values, None).cast(pa.int8())
