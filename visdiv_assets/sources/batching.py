"""Cut Arrow record batches of stored columns into the batches that a source yields."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import pyarrow as pa

from visdiv_assets.sources.interface import Kind
from visdiv_assets.sources.schema import ColumnPlan, plan_columns

#: Maximum rows, and about the maximum bytes, of a batch with all stored columns.
STORED_ROWS = 1000
STORED_BYTES = 4 << 20


def check_batch_rows(batch_rows: int) -> None:
    """Raise ValueError if a batch would hold no row."""
    if batch_rows < 1:
        raise ValueError(f"batch_rows is {batch_rows}: it must be at least 1")


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
    """Yield the rows of some batches in batches of at most `batch_rows` rows, without a copy."""
    for batch in batches:
        for start in range(0, batch.num_rows, batch_rows):
            yield batch.slice(start, batch_rows)


def normalize(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, kind: Kind, columns: Sequence[str], batch_rows: int, name: str
) -> Iterator[pa.RecordBatch]:
    """Yield the normalized columns of batches of stored columns.

    Args:
        batches: the rows in order.
        schema: the schema of the batches, with its metadata.
        kind: subset or benchmark.
        columns: names out of `schema.COLUMNS`.
        batch_rows: maximum rows in a batch.
        name: the name of the file, for messages.

    Raises:
        SourceError: a column is missing, or a value has the wrong type.
    """
    plan = plan_columns(kind, schema, columns, name)
    # Twenty columns of images need the memory of twenty rows with one image each.
    for batch in cut(batches, max(1, batch_rows // plan.image_columns)):
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
