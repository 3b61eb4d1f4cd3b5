"""Read one Parquet file, in memory that does not grow with the file.

pyarrow holds a page of a column, not a row group: with `buffer_size` it streams a column chunk that it would otherwise
load as a whole. Files with huge pages (some writers put a whole row group in one page) need that much memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from itertools import accumulate, groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from visdiv_assets.errors import SourceError
from visdiv_assets.sources.batching import IMAGE_ROWS, limit_rows, stored_batch_rows, without_columns
from visdiv_assets.sources.files import FoundFile, cannot_read
from visdiv_assets.sources.interface import Kind, StoredShard
from visdiv_assets.sources.schema import ColumnPlan, plan_columns

BUFFER_BYTES = 1 << 20

#: Codecs that pyarrow both reads and writes, the preferred one first for files whose columns differ.
CODECS = ("zstd", "snappy", "gzip", "brotli", "lz4")

#: What to do about a damaged file.
REMEDY = "it may be damaged or cut off, so download or write it again"

#: Files whose numbers of rows are remembered.
MAX_KNOWN_FILES = 8192

_REASON_LENGTH = 200

#: The rows of each row group by path, size and time of change of the file.
_known_rows: dict[tuple[Path, int, int], tuple[int, ...]] = {}


@dataclass(frozen=True)
class NamedFile:
    """A file with a name for messages that differs from its path.

    Attributes:
        name: the name that the user knows.
        file: its path, or an open seekable file.
    """

    name: str
    file: Path | RawIOBase | BufferedReader

    def __str__(self) -> str:
        return self.name


#: A file that can be read here.
Readable = Path | NamedFile


def group_rows(file: FoundFile) -> tuple[int, ...]:
    """Return the rows of each row group, from the footer. Remembered until the file's size or time of change differs.

    Raises:
        SourceError: the file is not a readable Parquet file.
    """
    known = _known_rows.get(_state(file))
    if known is not None:
        return known
    with _name_errors(file.path), _open(file.path) as parquet:
        return _remember(file, parquet)


def content_digest(file: FoundFile) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex characters; its footer is read too, for `group_rows`.

    Raises:
        SourceError: the file is not a readable Parquet file.
    """
    with _name_errors(file.path), file.path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        with _open(NamedFile(str(file.path), stream)) as parquet:
            _remember(file, parquet)
    return digest


def _state(file: FoundFile) -> tuple[Path, int, int]:
    return file.path, file.size_bytes, file.mtime_ns


def _remember(file: FoundFile, parquet: pq.ParquetFile) -> tuple[int, ...]:
    rows = _rows_of_groups(parquet)
    if len(_known_rows) >= MAX_KNOWN_FILES:
        _known_rows.popitem()
    _known_rows[_state(file)] = rows
    return rows


def row_count(path: Readable) -> int:
    """Return the rows of a file, from its footer. Raises as `group_rows` does."""
    with _name_errors(path), _open(path) as parquet:
        return sum(_rows_of_groups(parquet))


def read(path: Readable, kind: Kind, columns: Sequence[str], batch_rows: int, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield all rows of a file in order, as batches of normalized columns.

    Args:
        path: the file.
        kind: subset or benchmark.
        columns: names out of `schema.READABLE`.
        batch_rows: maximum rows in a batch.
        rows: the expected number of rows.

    Raises:
        SourceError: the file is damaged, holds another number of rows, or lacks a column.
    """
    with _name_errors(path):
        parquet = _open(path)
    with parquet:
        plan = plan_columns(kind, parquet.schema_arrow, columns, str(path))
        count = 0
        for batch in _raw_batches(path, parquet, plan, batch_rows, range(parquet.num_row_groups)):
            count += batch.num_rows
            yield plan.normalize(batch)
    _check_rows(path, count, rows)


def stored(path: Readable, rows: int) -> StoredShard:
    """Return a file as it is stored, all columns unchanged; see `interface.StoredShard`.

    Args:
        path: the file.
        rows: the expected number of rows.

    Raises:
        SourceError: the file is damaged.
    """
    with _name_errors(path), _open(path) as parquet:
        metadata, schema = parquet.metadata, parquet.schema_arrow
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        size_bytes = sum(group.total_byte_size for group in groups)
        columns = [group.column(index) for group in groups[:1] for index in range(group.num_columns)]
    used = {column.compression.lower() for column in columns}
    compression = next((codec for codec in CODECS if codec in used), "none")
    batch_rows = stored_batch_rows(rows, size_bytes)
    return StoredShard(schema, compression, _stored(path, schema, batch_rows, rows))


def _stored(path: Readable, schema: pa.Schema, batch_rows: int, rows: int) -> Iterator[pa.RecordBatch]:
    with _name_errors(path):
        parquet = _open(path)
    with parquet:
        count = 0
        for batch in _batches(path, parquet, None, batch_rows, range(parquet.num_row_groups)):
            count += batch.num_rows
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
    _check_rows(path, count, rows)


def _check_rows(path: Readable, count: int, rows: int) -> None:
    if count != rows:
        raise SourceError(f"{path} holds {count} rows, but its footer says {rows}: {REMEDY}")


def images(path: Readable, kind: Kind, rows: Collection[int]) -> Iterator[tuple[int, pa.Array]]:
    """Yield the images of some rows. Reads only their row groups, and only the columns with images.

    Args:
        path: the file.
        kind: subset or benchmark.
        rows: counted from 0 in this file; all must exist.

    Yields:
        (row, struct<bytes: binary, path: string> [images of the row]), in row order.

    Raises:
        SourceError: the file is damaged, holds fewer rows than its footer says, or lacks the column.
    """
    wanted = sorted(set(rows), reverse=True)
    with _name_errors(path):
        parquet = _open(path)
    with parquet:
        plan = plan_columns(kind, parquet.schema_arrow, ["images"], str(path))
        ends = [*accumulate(_rows_of_groups(parquet))]
        for group, end in enumerate(ends):
            if not wanted or wanted[-1] >= end:
                continue
            start = ends[group - 1] if group else 0
            for raw in _raw_batches(path, parquet, plan, IMAGE_ROWS, [group]):
                stop = start + raw.num_rows
                if wanted[-1] < stop:
                    images = plan.normalize(raw).column("images")
                    while wanted and wanted[-1] < stop:
                        row = wanted.pop()
                        yield row, images[row - start].values
                start = stop
                if not wanted or wanted[-1] >= end:
                    break
            else:
                raise SourceError(f"{path} holds fewer rows than its footer says: {REMEDY}")


def _raw_batches(
    path: Readable, parquet: pq.ParquetFile, plan: ColumnPlan, batch_rows: int, groups: Sequence[int]
) -> Iterator[pa.RecordBatch]:
    """Yield batches of the stored columns of a plan, of few bytes as far as the metadata tell."""
    if not plan.file_columns:
        # The file has none of the wanted columns: only the number of rows matters, which the footer has.
        counts = _rows_of_groups(parquet)
        for group in groups:
            for start in range(0, counts[group], batch_rows):
                yield without_columns(min(batch_rows, counts[group] - start))
        return

    def limit(group: int) -> int:
        with _name_errors(path):
            average = _average_bytes(parquet.metadata.row_group(group), plan.file_columns)
        return limit_rows(batch_rows, average, images="images" in plan.found)

    for rows, same in groupby(groups, limit):
        yield from _batches(path, parquet, plan.file_columns, rows, list(same))


def _average_bytes(group: pq.RowGroupMetaData, columns: Collection[str]) -> float:
    """Return the average size of a row of some stored columns, decoded."""
    size = 0
    for index in range(group.num_columns):
        leaf = group.column(index)
        # The leaves of a nested column are named "images.list.element.bytes".
        if any(f"{leaf.path_in_schema}.".startswith(f"{column}.") for column in columns):
            size += int(leaf.total_uncompressed_size)
    return size / max(1, int(group.num_rows))


def _batches(
    path: Readable, parquet: pq.ParquetFile, columns: list[str] | None, batch_rows: int, groups: Sequence[int]
) -> Iterator[pa.RecordBatch]:
    """Yield batches of stored columns, of all columns if `columns` is None."""
    with _name_errors(path):
        batches = parquet.iter_batches(batch_rows, list(groups), columns, use_threads=False)
    while True:
        with _name_errors(path):
            batch = next(batches, None)
        if batch is None:
            return
        if batch.num_rows:
            yield batch


def _open(path: Readable) -> pq.ParquetFile:
    file = path.file if isinstance(path, NamedFile) else path
    return pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True)


def _rows_of_groups(parquet: pq.ParquetFile) -> tuple[int, ...]:
    return tuple(parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups))


@contextmanager
def _name_errors(path: Readable) -> Iterator[None]:
    """Turn what pyarrow raises at a damaged or missing file into an error that names the file."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise cannot_read(str(path), error) from None
        reason = " ".join(str(error).split())[:_REASON_LENGTH] or type(error).__name__
        raise SourceError(f"{path} is not a readable Parquet file ({reason}): {REMEDY}") from None
