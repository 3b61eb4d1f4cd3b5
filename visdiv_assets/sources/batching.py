"""Cut Arrow record batches of stored columns into the batches that a source yields."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa

from visdiv_assets.sources.schema import ColumnPlan

#: About the maximum bytes of a batch of some columns; a larger row is a batch of its own.
BATCH_BYTES = 1 << 20
#: Maximum rows in a batch with images: sizes vary, and several images far above the average may follow each other.
IMAGE_ROWS = 8
#: Average bytes of a row up to which few rows hold an image.
FEW_IMAGES_BYTES = 1024

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
    most = IMAGE_ROWS if images and average_bytes > FEW_IMAGES_BYTES else batch_rows
    return max(1, min(batch_rows, rows, most))


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


def normalize(batches: Iterable[pa.RecordBatch], plan: ColumnPlan, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the normalized columns of batches of stored columns.

    Args:
        batches: the rows in order.
        plan: how to read them.
        batch_rows: maximum rows in a batch.

    Raises:
        SourceError: an image has the wrong type.
    """
    for batch in cut((batch.select(plan.file_columns) for batch in batches), batch_rows):
        yield plan.normalize(batch)


def images_of_rows(
    batches: Iterable[pa.RecordBatch], plan: ColumnPlan, rows: Collection[int]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield (row, normalized batch of the row) for some rows, in row order.

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
            yield row, plan.normalize(batch.slice(row - start, 1))
        start += batch.num_rows
        if not wanted:
            return
