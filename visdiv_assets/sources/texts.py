"""The texts of a few rows, for those who look at what was found."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from visdiv_assets.sources.interface import Kind, Source

#: Rows read at a time.
BATCH_ROWS = 1024


def row_texts(source: Source, kind: Kind, name: str, rows: Iterable[int]) -> dict[int, str]:
    """The turns of some rows as one text each: question, then answer, turn after turn.

    Files are read up to the last row asked for, and those without such a row not at all; of the columns just `texts`.

    Args:
        source: where the subset lies.
        kind: subset or benchmark.
        name: its name.
        rows: numbers of rows.

    Returns:
        By row; empty for a row without texts, or of a source that has none.

    Raises:
        SourceError: a file cannot be read.
    """
    wanted = np.unique(np.fromiter(rows, np.int64))
    found: dict[int, str] = {}
    first = 0
    for shard in source.shards(kind, name) if len(wanted) else []:
        asked = wanted[(wanted >= first) & (wanted < first + shard.rows)]
        start = first
        first += shard.rows
        if not len(asked):
            continue
        for batch in source.batches(kind, name, shard, columns=["texts"], batch_rows=BATCH_ROWS):
            here = asked[(asked >= start) & (asked < start + batch.num_rows)] - start
            texts = batch.column("texts").take(pa.array(here))
            found |= {start + int(row): joined_turns(turns) for row, turns in zip(here, texts.to_pylist(), strict=True)}
            start += batch.num_rows
            if start > asked[-1]:
                break
    return found


def joined_turns(turns: list[dict[str, str | None]] | None) -> str:
    """A row's turns as one text: question, then answer, turn after turn, a line each; empty without any."""
    parts = (text for turn in turns or [] for text in (turn["user"], turn["assistant"]))
    return "\n".join(text for text in parts if text)
