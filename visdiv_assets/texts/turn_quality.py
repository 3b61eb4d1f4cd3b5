"""The quality of the turns of a shard, and the personal data in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.progress import Progress, silent
from visdiv_assets.sources.conform import positions_of_entries
from visdiv_assets.texts.language import detect_languages
from visdiv_assets.texts.personal_data import FOUND_SCHEMA, find_personal_data
from visdiv_assets.texts.quality import MEASURES, are_empty, are_refusals, count_words, measure_texts

#: Measures of answers; of questions there are `characters` and `words` only.
_ANSWER_NAMES = {"characters": "answer_characters", "words": "answer_words"}

TURN_QUALITY_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("turn", pa.int32()),
        ("question_characters", pa.int32()),
        ("question_words", pa.int32()),
        *((_ANSWER_NAMES.get(name, name), kind) for name, kind in MEASURES.items()),
        ("empty_answer", pa.bool_()),
        ("refusal", pa.bool_()),
        ("language", pa.string()),
        ("language_probability", pa.float32()),
    ]
)
PERSONAL_DATA_SCHEMA = pa.schema(
    [("row", pa.int64()), ("turn", pa.int32()), ("side", pa.string()), *list(FOUND_SCHEMA)[1:]]
)


@dataclass(frozen=True, eq=False)
class TurnQuality:
    """What is found about the turns of a shard.

    Attributes:
        turns: table of `TURN_QUALITY_SCHEMA`, one row per turn, in order.
        personal: table of `PERSONAL_DATA_SCHEMA`, one row per text and kind of personal data in it.
    """

    turns: pa.Table
    personal: pa.Table


def measure_turns(
    batches: Iterable[pa.RecordBatch], *, first_row: int, languages: bool, progress: Progress = silent
) -> TurnQuality:
    """Measure the turns of a shard, and look for personal data in them.

    Args:
        batches: rows of the shard, with a column `texts`: list<struct<user, assistant>>.
        first_row: index of the shard's first row in the subset.
        languages: whether to detect the language of each turn; else it is null.
        progress: called with the number of rows finished.
    """
    turns, personal = [TURN_QUALITY_SCHEMA.empty_table()], [PERSONAL_DATA_SCHEMA.empty_table()]
    for batch in batches:
        lists = batch.column("texts")
        row, turn = positions_of_entries(lists.value_lengths())
        row += first_row
        flat = lists.flatten()
        sides = {side: flat.field(side) for side in ("user", "assistant")}
        turns.append(_measure(row, turn, sides["user"], sides["assistant"], languages))
        personal.append(_personal(row, turn, sides))
        first_row += batch.num_rows
        progress(batch.num_rows)
    return TurnQuality(pa.concat_tables(turns), pa.concat_tables(personal))


def _measure(row: np.ndarray, turn: np.ndarray, questions: pa.Array, answers: pa.Array, languages: bool) -> pa.Table:
    columns: dict[str, Any] = {
        "row": row,
        "turn": turn,
        "question_characters": pc.fill_null(pc.utf8_length(questions), 0),
        "question_words": count_words(questions),
        **{_ANSWER_NAMES.get(name, name): values for name, values in measure_texts(answers).items()},
        "empty_answer": are_empty(answers),
        "refusal": are_refusals(answers),
    }
    columns |= {name: pa.nulls(len(row)) for name in ("language", "language_probability")}
    if languages:
        columns["language"], columns["language_probability"] = detect_languages(_joined(questions, answers))
    arrays = [_as_type(columns[field.name], field.type) for field in TURN_QUALITY_SCHEMA]
    return pa.table(arrays, schema=TURN_QUALITY_SCHEMA)


def _as_type(values: Any, kind: pa.DataType) -> pa.Array:
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)


def _joined(questions: pa.Array, answers: pa.Array) -> list[str]:
    """Return the answer and the question of each turn as one text; a long answer outweighs its question."""
    filled = (pc.fill_null(texts, "") for texts in (answers, questions))
    joined: list[str] = pc.binary_join_element_wise(*filled, " ").to_pylist()
    return joined


def _personal(row: np.ndarray, turn: np.ndarray, sides: dict[str, pa.Array]) -> pa.Table:
    found = []
    for side, texts in sides.items():
        of_side = find_personal_data(texts)
        text = of_side["text"].to_numpy()
        arrays = [
            row[text],
            turn[text].astype(np.int32),
            pa.array([side] * len(text), pa.string()),
            *of_side.drop_columns("text").columns,
        ]
        found.append(pa.table(arrays, schema=PERSONAL_DATA_SCHEMA))
    order = [("row", "ascending"), ("turn", "ascending"), ("side", "descending")]
    return pa.concat_tables(found).sort_by(order)
