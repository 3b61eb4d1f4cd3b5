"""The image files that the rows of a Parquet file name, which are part of the version of its data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from visdiv_assets.sources.conform import is_list, plain
from visdiv_assets.sources.image_columns import MAX_PATH_LENGTH, holds_strings
from visdiv_assets.sources.interface import Kind
from visdiv_assets.sources.parquet import plan_of
from visdiv_assets.sources.parquet_files import OpenFile, leaves_with_paths, name_errors, open_file
from visdiv_assets.sources.reading import Reading
from visdiv_assets.sources.referenced import ReferencedFiles

#: Paths that are read at once.
_BATCH_ROWS = 4096


def digest_of_files(path: Path, kind: Kind, reading: Reading, referenced: ReferencedFiles) -> str | None:
    """Return a digest of the paths, sizes and times of change of the image files that rows name; None if none do.

    The bytes of images are not read: the statistics of the file tell whether some are missing.

    Raises:
        SourceError: the file is damaged, or lacks a column of images.
    """
    with name_errors(path):
        parquet = open_file(path)
    with parquet:
        columns = plan_of(path, parquet, kind, ["images"], reading, referenced).found["images"]
        strings = [name for name in columns if holds_strings(parquet.schema_arrow, name)]
        with name_errors(path):
            held = [leaf for leaf in leaves_with_paths(parquet) if leaf.partition(".")[0] in columns]
            leaves = [*held, *(name for name in strings if _is_short(parquet, name))]
        if not leaves:
            return None
        digest, beside = hashlib.sha256(), referenced.beside(path)
        with name_errors(path):
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=leaves, use_threads=False):
                for named in (text for column in batch.columns for text in _texts(column)):
                    digest.update(_state(named, beside.find(named)))
        return digest.hexdigest()


def _state(named: str, file: Path | None) -> bytes:
    if file is None:
        return f"{named}\0".encode()
    status = file.stat()
    return f"{named}\0{status.st_size}\0{status.st_mtime_ns}\0".encode()


def _is_short(parquet: OpenFile, column: str) -> bool:
    """Return whether the strings of a column are short enough for paths; images in base64 are longer."""
    chunks = [chunk for group in parquet.chunks for chunk in group if chunk.column.partition(".")[0] == column]
    size = sum(chunk.uncompressed_bytes for chunk in chunks)
    return size <= MAX_PATH_LENGTH * max(1, sum(chunk.values for chunk in chunks))


def _texts(array: pa.Array) -> Iterator[str]:
    array = plain(array)
    if is_list(array.type):
        yield from _texts(array.flatten())
    elif pa.types.is_struct(array.type):
        for field in array.flatten():
            yield from _texts(field)
    else:
        for value in array.cast(pa.binary()).to_pylist():
            if value is not None:
                yield value.decode(errors="replace")
