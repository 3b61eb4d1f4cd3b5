"""Read one Arrow file as `datasets` writes it: a stream of record batches, mapped into memory.

Nothing is copied: the values of a batch stay in the file until they are used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from visdiv_assets.errors import SourceError
from visdiv_assets.sources import batching, files
from visdiv_assets.sources.files import FoundFile
from visdiv_assets.sources.interface import ColumnsTaken, Kind, StoredShard
from visdiv_assets.sources.reading import Reading
from visdiv_assets.sources.referenced import ReferencedFiles, is_file, with_bytes
from visdiv_assets.sources.schema import COLUMNS, PEEKED_ROWS, ColumnPlan, Peek, plan_columns
from visdiv_assets.sources.schema import columns_taken as taken_by

#: What to do about a damaged file.
REMEDY = "it may be damaged or cut off, so save or copy the dataset again"

#: The codec to write the rows of a shard with: the one that `datasets` writes Parquet with.
COMPRESSION = "snappy"


def row_count(file: FoundFile) -> int:
    """Return the rows of a file. Cached while the file's size and time of change stay the same.

    Only the headers of the batches are read: a stream has no footer.

    Raises:
        SourceError: the file is no readable Arrow stream.
    """
    return _row_count(file.path, file.size_bytes, file.mtime_ns)


@lru_cache(maxsize=8192)
def _row_count(path: Path, size_bytes: int, mtime_ns: int) -> int:
    with _open(path) as reader:
        return sum(batch.num_rows for batch in _batches(path, reader))


def columns_taken(path: Path, kind: Kind, reading: Reading, referenced: ReferencedFiles) -> ColumnsTaken:
    """Return which columns of a file are read; see `interface.Source.columns_taken`."""
    with _open(path) as reader:
        return taken_by(_plan(path, reader.schema, kind, COLUMNS, reading, referenced))


def read(
    path: Path,
    kind: Kind,
    columns: Sequence[str],
    batch_rows: int,
    rows: int,
    reading: Reading,
    referenced: ReferencedFiles,
) -> Iterator[pa.RecordBatch]:
    """Yield all rows of a file in order, as batches of normalized columns.

    Args:
        path: the file.
        kind: subset or benchmark.
        columns: names out of `schema.READABLE`.
        batch_rows: maximum rows in a batch.
        rows: the expected number of rows.
        reading: the columns that the user has set.
        referenced: the files that rows may name.

    Raises:
        SourceError: the file is damaged, holds another number of rows, or lacks a column.
    """
    with _open(path) as reader:
        plan = _plan(path, reader.schema, kind, columns, reading, referenced)
        count = 0
        for batch in batching.normalize(_batches(path, reader), plan, batch_rows):
            count += batch.num_rows
            yield from with_bytes(referenced.beside(path), batch)
    _check_rows(path, count, rows)


def stored(file: FoundFile, rows: int) -> StoredShard:
    """Return a file as it is stored, all columns unchanged; see `interface.StoredShard`.

    Args:
        file: the file.
        rows: the expected number of rows.

    Raises:
        SourceError: the file is damaged.
    """
    with _open(file.path) as reader:
        schema = reader.schema
    batch_rows = batching.stored_batch_rows(rows, file.size_bytes)
    return StoredShard(schema, COMPRESSION, _stored(file.path, batch_rows, rows))


def _stored(path: Path, batch_rows: int, rows: int) -> Iterator[pa.RecordBatch]:
    with _open(path) as reader:
        count = 0
        for batch in batching.cut(_batches(path, reader), batch_rows):
            count += batch.num_rows
            yield batch
    _check_rows(path, count, rows)


def images(
    path: Path, kind: Kind, rows: Collection[int], reading: Reading, referenced: ReferencedFiles
) -> Iterator[tuple[int, pa.Array]]:
    """Yield the images of some rows.

    Args:
        path: the file.
        kind: subset or benchmark.
        rows: counted from 0 in this file; all must exist.
        reading: the columns that the user has set.
        referenced: the files that rows may name.

    Yields:
        (row, struct<bytes: binary, path: string> [images of the row]), in row order.

    Raises:
        SourceError: the file is damaged, holds fewer rows than before, or lacks the column.
    """
    with _open(path) as reader:
        plan = _plan(path, reader.schema, kind, ["images"], reading, referenced)
        found = 0
        for row, batch in batching.images_of_rows(_batches(path, reader), plan, rows):
            found += 1
            (one,) = with_bytes(referenced.beside(path), batch)
            yield row, one.column("images")[0].values
    if found < len(set(rows)):
        raise SourceError(f"{path} holds fewer rows than when it was listed: {REMEDY}")


def _plan(
    path: Path,
    schema: pa.Schema,
    kind: Kind,
    columns: Sequence[str],
    reading: Reading,
    referenced: ReferencedFiles,
) -> ColumnPlan:
    def first_rows(names: Sequence[str]) -> pa.RecordBatch | None:
        with _open(path) as reader:
            batch = next((batch for batch in _batches(path, reader) if batch.num_rows), None)
            return None if batch is None else batch.select(list(names)).slice(0, PEEKED_ROWS)

    peek = Peek(first_rows, is_file(referenced.beside(path)))
    return plan_columns(kind, schema, columns, str(path), reading=reading, peek=peek)


@contextmanager
def _open(path: Path) -> Iterator[pa.RecordBatchReader]:
    with _name_errors(path):
        mapped = pa.memory_map(str(path))
    with mapped:
        with _name_errors(path):
            reader = pa.ipc.open_stream(mapped)
        yield reader


def _batches(path: Path, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    while True:
        with _name_errors(path):
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            batch.validate()
        yield batch


def _check_rows(path: Path, count: int, rows: int) -> None:
    if count != rows:
        raise SourceError(f"{path} holds {count} rows, and held {rows} when it was listed: {REMEDY}")


def _name_errors(path: Path) -> AbstractContextManager[None]:
    """Turn what pyarrow raises at a damaged or missing file into an error that names the file."""
    return files.name_errors(path, "Arrow stream", REMEDY)
