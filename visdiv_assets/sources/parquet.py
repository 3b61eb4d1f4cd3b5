"""Reading one Parquet file, in memory that does not grow with the file.

The unit that pyarrow must hold is a page of a column, not a row group: `buffer_size` makes it stream a column
chunk where it would otherwise load all of it. Files whose pages are huge (writers that put a whole row group
in one) cost that much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import RawIOBase
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from visdiv_assets.errors import SourceError
from visdiv_assets.sources.batching import stored_batch_rows, without_columns
from visdiv_assets.sources.files import FoundFile, cannot_read
from visdiv_assets.sources.interface import Kind, StoredShard
from visdiv_assets.sources.schema import plan_columns

BUFFER_BYTES = 1 << 20

#: Rows decoded at a time while looking for single images.
FETCH_ROWS = 16

#: Codecs of Parquet that pyarrow both reads and writes, by preference where columns differ.
CODECS = ("zstd", "snappy", "gzip", "brotli", "lz4")

#: What to do about a damaged file.
REMEDY = "it may be damaged or cut off, so download or write it again"

_REASON_LENGTH = 200


@dataclass(frozen=True)
class NamedFile:
    """A file that messages call by another name than the place that it is read from.

    Attributes:
        name: what the user knows it as.
        place: where it is, or an open file that can be sought in.
    """

    name: str
    place: Path | RawIOBase

    def __str__(self) -> str:
        return self.name


#: What can be read here.
Place = Path | NamedFile


def group_rows(file: FoundFile) -> tuple[int, ...]:
    """Rows of each row group, from the footer. Remembered while the file's size and time stay the same.

    Raises:
        SourceError: the file is not readable as Parquet.
    """
    return _group_rows(file.path, file.size_bytes, file.mtime_ns)


@lru_cache(maxsize=8192)
def _group_rows(path: Path, size_bytes: int, mtime_ns: int) -> tuple[int, ...]:
    with _named(path), _opened(path) as parquet:
        return _groups(parquet)


def row_count(path: Place) -> int:
    """Rows of a file, from its footer; raises as `group_rows` does."""
    with _named(path), _opened(path) as parquet:
        return sum(_groups(parquet))


def read(path: Place, kind: Kind, columns: Sequence[str], batch_rows: int, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield all rows of a file in order, as batches of normalized columns.

    Args:
        path: the file.
        kind: subset or benchmark.
        columns: names out of `schema.COLUMNS`.
        batch_rows: rows in a batch, at most.
        rows: how many rows the file must turn out to hold.

    Raises:
        SourceError: the file is damaged, holds another number of rows, or lacks a column.
    """
    with _named(path):
        parquet = _opened(path)
    with parquet:
        plan = plan_columns(kind, parquet.schema_arrow, columns, str(path))
        count = 0
        # Twenty columns of images take the memory of twenty rows with one image each.
        batch_rows = max(1, batch_rows // plan.image_columns)
        for batch in _raw(path, parquet, plan.file_columns, batch_rows, range(parquet.num_row_groups)):
            count += batch.num_rows
            yield plan.normalize(batch)
    _all_there(path, count, rows)


def stored(path: Place, rows: int) -> StoredShard:
    """A file as it is stored, all columns unchanged; see `interface.StoredShard`.

    Args:
        path: the file.
        rows: how many rows the file must turn out to hold.

    Raises:
        SourceError: the file is damaged.
    """
    with _named(path), _opened(path) as parquet:
        metadata, schema = parquet.metadata, parquet.schema_arrow
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        size_bytes = sum(group.total_byte_size for group in groups)
        columns = [group.column(number) for group in groups[:1] for number in range(group.num_columns)]
    used = {column.compression.lower() for column in columns}
    compression = next((codec for codec in CODECS if codec in used), "none")
    batch_rows = stored_batch_rows(rows, size_bytes)
    return StoredShard(schema, compression, _stored(path, schema, batch_rows, rows))


def _stored(path: Place, schema: pa.Schema, batch_rows: int, rows: int) -> Iterator[pa.RecordBatch]:
    with _named(path):
        parquet = _opened(path)
    with parquet:
        count = 0
        for batch in _raw(path, parquet, None, batch_rows, range(parquet.num_row_groups)):
            count += batch.num_rows
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
    _all_there(path, count, rows)


def _all_there(path: Place, count: int, rows: int) -> None:
    if count != rows:
        raise SourceError(f"{path} holds {count} rows where its footer says {rows}: {REMEDY}")


def images(path: Place, kind: Kind, rows: Collection[int]) -> Iterator[tuple[int, pa.Array]]:
    """Yield the images of some rows, decoding just their row groups and just the images' column.

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
    with _named(path):
        parquet = _opened(path)
    with parquet:
        plan = plan_columns(kind, parquet.schema_arrow, ["images"], str(path))
        batch_rows = max(1, FETCH_ROWS // plan.image_columns)
        ends = [*accumulate(_groups(parquet))]
        for group, end in enumerate(ends):
            if not wanted or wanted[-1] >= end:
                continue
            start = ends[group - 1] if group else 0
            for raw in _raw(path, parquet, plan.file_columns, batch_rows, [group]):
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


def _raw(
    path: Place, parquet: pq.ParquetFile, columns: list[str] | None, batch_rows: int, groups: Sequence[int]
) -> Iterator[pa.RecordBatch]:
    """Batches of the file's columns as they are; of all columns if `columns` is None."""
    if columns == []:
        # All that was asked for is absent: only the number of rows matters, and the footer has it.
        counts = _groups(parquet)
        for group in groups:
            for start in range(0, counts[group], batch_rows):
                yield without_columns(min(batch_rows, counts[group] - start))
        return
    with _named(path):
        batches = parquet.iter_batches(batch_rows, list(groups), columns, use_threads=False)
    while True:
        with _named(path):
            batch = next(batches, None)
        if batch is None:
            return
        if batch.num_rows:
            yield batch


def _opened(path: Place) -> pq.ParquetFile:
    place = path.place if isinstance(path, NamedFile) else path
    return pq.ParquetFile(place, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True)


def _groups(parquet: pq.ParquetFile) -> tuple[int, ...]:
    return tuple(parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups))


@contextmanager
def _named(path: Place) -> Iterator[None]:
    """Turn what pyarrow raises at a damaged or missing file into an error that names the file."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise cannot_read(str(path), error) from None
        reason = " ".join(str(error).split())[:_REASON_LENGTH] or type(error).__name__
        raise SourceError(f"{path} is not a readable Parquet file ({reason}): {REMEDY}") from None
