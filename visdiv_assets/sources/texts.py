"""Read the texts of a few rows, to show them beside findings."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from visdiv_assets.sources.interface import Kind, Source

#: Rows per batch.
BATCH_ROWS = 1024


def row_texts(source: Source, kind: Kind, name: str, rows: Iterable[int]) -> dict[int, str]:
    """Return the turns of some rows as one text per row: question, then answer, turn by turn.

    Only the column `texts` is read, of each file up to the last wanted row; files without a wanted row are skipped.

    Args:
        source: the source with the subset.
        kind: subset or benchmark.
        name: its name.
        rows: the wanted rows.

    Returns:
        The text by row; empty for a row without texts.

    Raises:
        SourceError: a file cannot be read.
    """
    wanted = np.unique(np.fromiter(rows, np.int64))
    found: dict[int, str] = {}
    first = 0
    for shard in source.shards(kind, name) if len(wanted) else []:
        in_shard = wanted[(wanted >= first) & (wanted < first + shard.rows)]
        start = first
        first += shard.rows
        if not len(in_shard):
            continue
        for batch in source.batches(kind, name, shard, columns=["texts"], batch_rows=BATCH_ROWS):
            in_batch = in_shard[(in_shard >= start) & (in_shard < start + batch.num_rows)] - start
            texts = batch.column("texts").take(pa.array(in_batch))
            rows_in_batch = zip(in_batch, texts.to_pylist(), strict=True)
            found |= {start + int(row): joined_turns(turns) for row, turns in rows_in_batch}
            start += batch.num_rows
            if start > in_shard[-1]:
                break
    return found


def joined_turns(turns: list[dict[str, str | None]] | None) -> str:
    """Return a row's turns as one text: question, then answer, turn by turn, one line each; empty without turns."""
    parts = (text for turn in turns or [] for text in (turn["user"], turn["assistant"]))
    return "\n".join(text for text in parts if text)
