"""The texts that the lake holds: turns of subsets, shard by shard or of a few rows, and strings of benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.ingest.turns import RATING_COLUMNS, STRINGS_SCHEMA, TURNS_SCHEMA
from visdiv_assets.sources.conform import positions_of_entries
from visdiv_assets.sources.conversations import TURN
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest, digest_of
from visdiv_assets.texts.templates import Turn, joined_turns

#: Rows in a batch of rows of turns; few, since a text may have a million characters.
BATCH_ROWS = 256

#: Columns of rows of turns.
ROW_COLUMNS = ("turns", "texts", *RATING_COLUMNS)


@dataclass(frozen=True)
class ShardTurns:
    """The turns of one shard.

    Attributes:
        name: of the shard.
        digest: of the stored turns and their row numbers, 32 hex characters.
        first_row: index of the shard's first row in the subset.
        rows: number of its rows.
    """

    name: str
    digest: str
    first_row: int
    rows: int
    _lake: Lake
    _manifest: Manifest

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the shard in order.

        Args:
            columns: names out of `ROW_COLUMNS`; the batches have these columns, in this order. `turns` is the number of
                turns of a row, null if the source has no texts for it. The others have the types of
                `sources.schema.SCHEMA`; a list of ratings has an entry for every turn.
        """
        lengths = self._lake.read(self._manifest, "rows", columns=["turns"])["turns"]
        stored = _Stream(self._lake, self._manifest, [name for name in TURNS_SCHEMA.names if name in _needed(columns)])
        for start in range(0, self.rows, BATCH_ROWS):
            turns = lengths.slice(start, BATCH_ROWS).combine_chunks()
            counts = pc.fill_null(turns, 0).to_numpy(zero_copy_only=False)
            offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
            part = stored.take(int(counts.sum()))
            arrays = [_column(name, turns, offsets, part) for name in columns]
            yield pa.record_batch(arrays, names=list(columns))

    def turns_of(self, rows: np.ndarray) -> Iterator[tuple[int, str | None, str | None]]:
        """Yield row, question and answer of the turns of some rows, int64 [n], in order."""
        where = pc.field("row").isin(pa.array(rows))
        found = self._lake.read(self._manifest, "turns", columns=["row", "user", "assistant"], where=where)
        yield from zip(*(column.to_pylist() for column in found.columns), strict=True)


def _needed(columns: Sequence[str]) -> set[str]:
    """Return the stored columns that columns of rows are made from; one at least, which counts the turns."""
    return {"turn", *columns, *(("user", "assistant") if "texts" in columns else ())}


def _column(name: str, turns: pa.Array, offsets: pa.Array, stored: pa.RecordBatch) -> pa.Array:
    if name == "turns":
        return turns
    if name == "texts":
        texts = pa.StructArray.from_arrays([stored["user"], stored["assistant"]], fields=list(TURN))
        return pa.ListArray.from_arrays(offsets, texts, mask=pc.is_null(turns))
    return pa.ListArray.from_arrays(offsets, stored[name].cast(pa.int64()))


def stored_turns(lake: Lake, manifest: Manifest) -> list[ShardTurns]:
    """Return the turns of every shard of a subset, in order.

    Args:
        lake: where they lie.
        manifest: of `subset_turns`.
    """
    found = []
    first_row = 0
    for unit in manifest.units:
        rows = unit.files["rows"].rows
        digest = digest_of([[role, unit.files[role].sha256] for role in sorted(unit.files)])
        found.append(ShardTurns(unit.name, digest, first_row, rows, lake, replace(manifest, units=(unit,))))
        first_row += rows
    return found


def first_turns(lake: Lake, manifest: Manifest, rows: pa.ChunkedArray) -> pa.RecordBatchReader:
    """Stream the first turn of some rows of a subset: row, user, assistant.

    Args:
        lake: where they lie.
        manifest: of `subset_turns`.
        rows: the wanted rows, int64.
    """
    columns = ["row", "user", "assistant"]
    where = (pc.field("turn") == 0) & pc.field("row").isin(rows)
    batches = _read_batches(lake, manifest, "turns", columns, where)
    return pa.RecordBatchReader.from_batches(pa.schema([TURNS_SCHEMA.field(name) for name in columns]), batches)


def stored_strings(lake: Lake, manifest: Manifest) -> Iterator[pa.Array]:
    """Yield the strings of the rows of a benchmark, in order, those of some rows at a time.

    Args:
        lake: where they lie.
        manifest: of `benchmark_strings`.
    """
    for batch in _read_batches(lake, manifest, "rows", STRINGS_SCHEMA.names):
        yield batch["strings"].flatten()


def located_strings(lake: Lake, manifest: Manifest) -> Iterator[tuple[np.ndarray, np.ndarray, pa.Array]]:
    """Yield the strings of a benchmark with their positions, those of some rows at a time.

    Args:
        lake: where they lie.
        manifest: of `benchmark_strings`.

    Yields:
        the row of each string, int64 [n], its index in the row, int32 [n], and the strings [n].
    """
    first = 0
    for batch in _read_batches(lake, manifest, "rows", STRINGS_SCHEMA.names):
        row, index = positions_of_entries(batch["strings"].value_lengths())
        yield first + row, index.astype(np.int32), batch["strings"].flatten()
        first += batch.num_rows


def row_strings(lake: Lake, benchmark: str, row: int) -> list[str]:
    """Return the strings of a row of a benchmark without empty ones; none if they were never stored.

    Args:
        lake: where they lie.
        benchmark: its name.
        row: the row.
    """
    manifest = lake.manifest(LakeTable.BENCHMARK_STRINGS, benchmark)
    if manifest is None or not manifest.files("rows"):
        return []
    before = 0
    for batch in _read_batches(lake, manifest, "rows", STRINGS_SCHEMA.names):
        if row < before + batch.num_rows:
            return [text for text in batch["strings"][row - before].as_py() or [] if text]
        before += batch.num_rows
    return []


def row_texts(lake: Lake, subset: str, rows: Iterable[int]) -> dict[int, str]:
    """Return the turns of some rows of a subset as one text per row: question, then answer, turn by turn.

    Args:
        lake: where the turns lie.
        subset: its name.
        rows: the wanted rows.

    Returns:
        The text by row, one line for each question and answer; empty for a row without texts.

    Raises:
        NotMaterializedError: the turns of the subset were never stored.
    """
    return {row: joined_turns(turns) for row, turns in row_turns(lake, subset, rows).items()}


def row_turns(lake: Lake, subset: str, rows: Iterable[int]) -> dict[int, list[Turn]]:
    """Return question and answer of the turns of some rows of a subset, by row; none for a row without texts.

    Args:
        lake: where the turns lie.
        subset: its name.
        rows: the wanted rows.

    Raises:
        NotMaterializedError: the turns of the subset were never stored.
    """
    wanted = np.unique(np.fromiter(rows, np.int64))
    turns: dict[int, list[Turn]] = {row: [] for row in wanted.tolist()}
    for shard in stored_turns(lake, lake.require(LakeTable.SUBSET_TURNS, subset)) if len(wanted) else []:
        start, stop = np.searchsorted(wanted, [shard.first_row, shard.first_row + shard.rows])
        if start < stop:
            for row, user, assistant in shard.turns_of(wanted[start:stop]):
                turns[row].append((user, assistant))
    return turns


def joined_texts(batch: pa.RecordBatch) -> pa.Array:
    """Return the turns of each row as one text: question, then answer, turn by turn, one line each; empty without."""
    return pa.array([_joined(turns) for turns in batch.column("texts").to_pylist()], pa.string())


def _joined(turns: Sequence[dict[str, str | None]] | None) -> str:
    parts = (text for turn in turns or [] for text in (turn["user"], turn["assistant"]))
    return "\n".join(text for text in parts if text)


def _read_batches(
    lake: Lake, manifest: Manifest, role: str, columns: Sequence[str], where: pc.Expression | None = None
) -> Iterator[pa.RecordBatch]:
    found: Iterator[pa.RecordBatch] = lake.dataset(manifest, role).to_batches(
        columns=list(columns), filter=where, batch_size=BATCH_ROWS, batch_readahead=0, fragment_readahead=0
    )
    return found


class _Stream:
    """Stored turns, read in order; besides what was asked for, one batch of the file is in memory."""

    def __init__(self, lake: Lake, manifest: Manifest, columns: Sequence[str]) -> None:
        self._batches = _read_batches(lake, manifest, "turns", columns)
        self._held = pa.RecordBatch.from_pylist([], TURNS_SCHEMA).select(list(columns))

    def take(self, count: int) -> pa.RecordBatch:
        """Return the next turns."""
        parts = [self._held]
        held = self._held.num_rows
        while held < count:
            parts.append(next(self._batches))
            held += parts[-1].num_rows
        found = pa.concat_batches(parts)
        self._held = found.slice(count)
        return found.slice(0, count)
