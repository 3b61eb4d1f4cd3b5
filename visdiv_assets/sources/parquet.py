"""Read one Parquet file, in memory that does not grow with the file.

pyarrow holds a page of a column, not a row group: with `buffer_size` it streams a column chunk that it would otherwise
load as a whole. Files with huge pages (some writers put a whole row group in one page) need that much memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path

import pyarrow as pa

from visdiv_assets.errors import SourceError
from visdiv_assets.sources.batching import IMAGE_ROWS, limit_rows, stored_batch_rows, without_columns
from visdiv_assets.sources.interface import ColumnsTaken, Kind, StoredShard
from visdiv_assets.sources.parquet_files import REMEDY, OpenFile, Readable, name_errors, open_file, rows_of_groups
from visdiv_assets.sources.reading import Reading
from visdiv_assets.sources.referenced import ReferencedFiles, is_file, with_bytes
from visdiv_assets.sources.schema import COLUMNS, PEEKED_ROWS, ColumnPlan, Peek, plan_columns
from visdiv_assets.sources.schema import columns_taken as taken_by

#: Codecs that pyarrow both reads and writes, the preferred one first for files whose columns differ.
CODECS = ("zstd", "snappy", "gzip", "brotli", "lz4")


def columns_taken(path: Readable, kind: Kind, reading: Reading, referenced: ReferencedFiles | None) -> ColumnsTaken:
    """Return which columns of a file are read; see `interface.Source.columns_taken`."""
    with name_errors(path):
        parquet = open_file(path)
    with parquet:
        return taken_by(plan_of(path, parquet, kind, COLUMNS, reading, referenced))


def columns_of_schema(
    path: Path, schema: pa.Schema, kind: Kind, reading: Reading, referenced: ReferencedFiles | None
) -> ColumnsTaken:
    """Return which columns of a file are read, as `columns_taken`, for a file whose schema is known.

    It is opened only if the schema does not tell where the images are.
    """

    def first_rows(names: Sequence[str]) -> pa.RecordBatch | None:
        with name_errors(path):
            parquet = open_file(path)
        with parquet:
            return _first_rows(path, parquet, names)

    peek = Peek(first_rows, is_file(_beside(referenced, path)))
    return taken_by(plan_columns(kind, schema, COLUMNS, str(path), reading=reading, peek=peek))


def read(
    path: Readable,
    kind: Kind,
    columns: Sequence[str],
    batch_rows: int,
    rows: int,
    reading: Reading,
    referenced: ReferencedFiles | None,
) -> Iterator[pa.RecordBatch]:
    """Yield all rows of a file in order, as batches of normalized columns.

    Args:
        path: the file.
        kind: subset or benchmark.
        columns: names out of `schema.READABLE`.
        batch_rows: maximum rows in a batch.
        rows: the expected number of rows.
        reading: the columns that the user has set.
        referenced: the files that rows may name; None if there are none.

    Raises:
        SourceError: the file is damaged, holds another number of rows, or lacks a column.
    """
    with name_errors(path):
        parquet = open_file(path)
    with parquet:
        plan = plan_of(path, parquet, kind, columns, reading, referenced)
        beside = _beside(referenced, path)
        count = 0
        for batch in _raw_batches(path, parquet, plan, batch_rows, range(parquet.num_row_groups)):
            count += batch.num_rows
            yield from with_bytes(beside, plan.normalize(batch))
    _check_rows(path, count, rows)


def stored(path: Readable, rows: int) -> StoredShard:
    """Return a file as it is stored, all columns unchanged; see `interface.StoredShard`.

    Args:
        path: the file.
        rows: the expected number of rows.

    Raises:
        SourceError: the file is damaged.
    """
    with name_errors(path), open_file(path) as parquet:
        metadata, schema = parquet.metadata, parquet.schema_arrow
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        size_bytes = sum(group.total_byte_size for group in groups)
        used = {chunk.codec for group in parquet.chunks[:1] for chunk in group}
    compression = next((codec for codec in CODECS if codec in used), "none")
    batch_rows = stored_batch_rows(rows, size_bytes)
    return StoredShard(schema, compression, _stored(path, schema, batch_rows, rows))


def _stored(path: Readable, schema: pa.Schema, batch_rows: int, rows: int) -> Iterator[pa.RecordBatch]:
    with name_errors(path):
        parquet = open_file(path)
    with parquet:
        count = 0
        for batch in _batches(path, parquet, None, batch_rows, range(parquet.num_row_groups)):
            count += batch.num_rows
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
    _check_rows(path, count, rows)


def _check_rows(path: Readable, count: int, rows: int) -> None:
    if count != rows:
        raise SourceError(f"{path} holds {count} rows, but its footer says {rows}: {REMEDY}")


def images(
    path: Readable, kind: Kind, rows: Collection[int], reading: Reading, referenced: ReferencedFiles | None
) -> Iterator[tuple[int, pa.Array]]:
    """Yield the images of some rows. Reads only their row groups, and only the columns with images.

    Args:
        path: the file.
        kind: subset or benchmark.
        rows: counted from 0 in this file; all must exist.
        reading: the columns that the user has set.
        referenced: the files that rows may name; None if there are none.

    Yields:
        (row, struct<bytes: binary, path: string> [images of the row]), in row order.

    Raises:
        SourceError: the file is damaged, holds fewer rows than its footer says, or lacks the column.
    """
    wanted = sorted(set(rows), reverse=True)
    with name_errors(path):
        parquet = open_file(path)
    with parquet:
        plan = plan_of(path, parquet, kind, ["images"], reading, referenced)
        beside = _beside(referenced, path)
        ends = [*accumulate(rows_of_groups(parquet))]
        for group, end in enumerate(ends):
            if not wanted or wanted[-1] >= end:
                continue
            start = ends[group - 1] if group else 0
            for raw in _raw_batches(path, parquet, plan, IMAGE_ROWS, [group]):
                stop = start + raw.num_rows
                if wanted[-1] < stop:
                    normalized = plan.normalize(raw)
                    while wanted and wanted[-1] < stop:
                        row = wanted.pop()
                        (one,) = with_bytes(beside, normalized.slice(row - start, 1))
                        yield row, one.column("images")[0].values
                start = stop
                if not wanted or wanted[-1] >= end:
                    break
            else:
                raise SourceError(f"{path} holds fewer rows than its footer says: {REMEDY}")


def plan_of(
    path: Readable,
    parquet: OpenFile,
    kind: Kind,
    columns: Sequence[str],
    reading: Reading,
    referenced: ReferencedFiles | None,
) -> ColumnPlan:
    """Plan how to read normalized columns from an open file; see `schema.plan_columns`."""
    peek = Peek(lambda names: _first_rows(path, parquet, names), is_file(_beside(referenced, path)))
    return plan_columns(kind, parquet.schema_arrow, columns, str(path), reading=reading, peek=peek)


def _first_rows(path: Readable, parquet: OpenFile, names: Sequence[str]) -> pa.RecordBatch | None:
    groups = [group for group, rows in enumerate(rows_of_groups(parquet)) if rows]
    return next(_batches(path, parquet, list(names), PEEKED_ROWS, groups[:1]), None)


def _beside(referenced: ReferencedFiles | None, path: Readable) -> ReferencedFiles | None:
    return referenced.beside(path) if referenced is not None and isinstance(path, Path) else referenced


def _raw_batches(
    path: Readable, parquet: OpenFile, plan: ColumnPlan, batch_rows: int, groups: Sequence[int]
) -> Iterator[pa.RecordBatch]:
    """Yield batches of the stored columns of a plan, of few bytes as far as the metadata tell."""
    if not plan.file_columns:
        # The file has none of the wanted columns: only the number of rows matters, which the footer has.
        counts = rows_of_groups(parquet)
        for group in groups:
            for start in range(0, counts[group], batch_rows):
                yield without_columns(min(batch_rows, counts[group] - start))
        return

    def limit(group: int) -> int:
        with name_errors(path):
            average = _average_bytes(parquet, group, plan.file_columns)
        return limit_rows(batch_rows, average, images="images" in plan.found)

    for rows, same in groupby(groups, limit):
        yield from _batches(path, parquet, plan.file_columns, rows, list(same))


def _average_bytes(parquet: OpenFile, group: int, columns: Collection[str]) -> float:
    """Return the average size of a row of some stored columns, decoded."""
    size = 0
    for chunk in parquet.chunks[group]:
        # The leaves of a nested column are named "images.list.element.bytes".
        if any(f"{chunk.column}.".startswith(f"{column}.") for column in columns):
            size += chunk.uncompressed_bytes
    return size / max(1, int(parquet.metadata.row_group(group).num_rows))


def _batches(
    path: Readable, parquet: OpenFile, columns: list[str] | None, batch_rows: int, groups: Sequence[int]
) -> Iterator[pa.RecordBatch]:
    """Yield batches of stored columns, of all columns if `columns` is None."""
    with name_errors(path):
        batches = parquet.iter_batches(batch_rows, list(groups), columns, use_threads=False)
    while True:
        with name_errors(path):
            batch = next(batches, None)
        if batch is None:
            return
        if batch.num_rows:
            yield batch
