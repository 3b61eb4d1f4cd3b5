"""Cut Arrow record batches of stored columns into the batches that a source yields."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import pyarrow as pa

from visdiv_assets.sources.interface import Kind
from visdiv_assets.sources.schema import ColumnPlan, plan_columns

#: About the maximum bytes of a batch of some columns; a larger row is a batch of its own.
BATCH_BYTES = 1 << 20
#: Maximum rows in a batch with images: sizes vary, and several images far above the average may follow each other.
IMAGE_ROWS = 8

#: Maximum rows, and about the maximum bytes, of a batch with all stored columns.
STORED_ROWS = 1000
STORED_BYTES = 4 << 20


def check_batch_rows(batch_rows: int) -> None:
    """Raise ValueError if a batch would hold no row."""
    if batch_rows < 1:
        raise ValueError(f"batch_rows is {batch_rows}: it must be at least 1")


def limit_rows(batch_rows: int, average_bytes: float, *, images: bool) -> int:
    """Return the number of rows per batch that keeps batches small, before their sizes are known.

    Args:
        batch_rows: maximum rows in a batch.
        average_bytes: average size of a row, decoded.
        images: whether the rows hold images.
    """
    rows = int(BATCH_BYTES // max(1.0, average_bytes))
    return max(1, min(batch_rows, rows, IMAGE_ROWS if images else batch_rows))


def stored_batch_rows(rows: int, size_bytes: int) -> int:
    """Return the number of rows per batch of all stored columns.

    Args:
        rows: rows of the shard.
        size_bytes: size of the shard, decoded.
    """
    return min(STORED_ROWS, max(1, STORED_BYTES * rows // max(1, size_bytes)))


def without_columns(rows: int) -> pa.RecordBatch:
    """Return a batch with a number of rows and no column."""
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def cut(batches: Iterable[pa.RecordBatch], batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some batches in batches of at most `batch_rows` rows and few bytes, without a copy."""
    for batch in batches:
        for start in range(0, batch.num_rows, batch_rows):
            yield from _halve(batch.slice(start, batch_rows))


def _halve(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield a batch in parts of at most `BATCH_BYTES`, or of one row."""
    if batch.num_rows < 2 or batch.nbytes <= BATCH_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _halve(batch.slice(0, half))
    yield from _halve(batch.slice(half))


def normalize(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, kind: Kind, columns: Sequence[str], batch_rows: int, name: str
) -> Iterator[pa.RecordBatch]:
    """Yield the normalized columns of batches of stored columns.

    Args:
        batches: the rows in order.
        schema: the schema of the batches, with its metadata.
        kind: subset or benchmark.
        columns: names out of `schema.READABLE`.
        batch_rows: maximum rows in a batch.
        name: the name of the file, for messages.

    Raises:
        SourceError: a column is missing, or a value has the wrong type.
    """
    plan = plan_columns(kind, schema, columns, name)
    for batch in cut((batch.select(plan.file_columns) for batch in batches), batch_rows):
        yield plan.normalize(batch)


def images_of_rows(
    batches: Iterable[pa.RecordBatch], plan: ColumnPlan, rows: Collection[int]
) -> Iterator[tuple[int, pa.Array]]:
    """Yield (row, struct<bytes, path> [images of the row]) for some rows, in row order.

    Args:
        batches: the rows in order, from row 0; they are read up to the last row wanted.
        plan: how to read the column `images`.
        rows: the wanted rows; those that do not exist are left out.
    """
    wanted = sorted(set(rows), reverse=True)
    start = 0
    for batch in batches:
        while wanted and wanted[-1] < start + batch.num_rows:
            row = wanted.pop()
            yield row, plan.normalize(batch.slice(row - start, 1)).column("images")[0].values
        start += batch.num_rows
        if not wanted:
            return
