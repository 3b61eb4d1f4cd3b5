"""The rows of a source as rows of turns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.ingest.turns import RATING_COLUMNS, TURN_COLUMNS, TURN_COUNTS_SCHEMA, TURNS_SCHEMA, turn_rows
from visdiv_assets.sources.schema import schema_of

TURNS = st.none() | st.lists(
    st.fixed_dictionaries({"user": st.none() | st.text(max_size=3), "assistant": st.none() | st.text(max_size=3)}),
    max_size=4,
)
RATINGS = st.none() | st.lists(st.none() | st.integers(-130, 130), max_size=5)
ROWS = st.lists(st.fixed_dictionaries({"texts": TURNS, **dict.fromkeys(RATING_COLUMNS, RATINGS)}), max_size=6)


def expected(rows: list[dict[str, Any]], first_row: int) -> list[dict[str, Any]]:
    found = []
    for number, row in enumerate(rows, start=first_row):
        for turn, texts in enumerate(row["texts"] or []):
            given_ratings = {name: (row[name] or [])[turn : turn + 1] for name in RATING_COLUMNS}
            ratings = {
                name: values[0] if values and values[0] is not None and -128 <= values[0] <= 127 else None
                for name, values in given_ratings.items()
            }
            found.append({"row": number, "turn": turn, **texts, **ratings})
    return found


@settings(deadline=None)
@given(ROWS, st.integers(0, 3))
def test_every_turn_has_its_texts_and_ratings(rows: list[dict[str, Any]], cut: int) -> None:
    whole = pa.RecordBatch.from_pylist(rows, schema_of(TURN_COLUMNS))
    for batch, given_rows, first in ((whole, rows, 7), (whole.slice(cut), rows[cut:], 7 + cut)):
        turns, counts = turn_rows(batch, first)
        assert turns.schema == TURNS_SCHEMA
        assert counts.schema == TURN_COUNTS_SCHEMA
        assert turns.to_pylist() == expected(given_rows, first)
        lengths = [None if row["texts"] is None else len(row["texts"]) for row in given_rows]
        assert counts["turns"].to_pylist() == lengths
