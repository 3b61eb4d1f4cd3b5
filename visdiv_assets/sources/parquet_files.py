"""Open Parquet files, and remember what their footers say."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader, RawIOBase
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from visdiv_assets.sources import files
from visdiv_assets.sources.files import FoundFile
from visdiv_assets.sources.image_columns import candidates, holds_strings
from visdiv_assets.sources.parquet_footer import Chunk, SeekableFile, read_chunks

BUFFER_BYTES = 1 << 20

#: What to do about a damaged file.
REMEDY = "it may be damaged or cut off, so download or write it again"

#: Files whose footers are remembered.
MAX_KNOWN_FILES = 8192
#: Different schemas that they share.
MAX_KNOWN_SCHEMAS = 256


class _Footer(NamedTuple):
    rows: tuple[int, ...]
    may_name_files: bool
    schema: pa.Schema


#: Schemas of files, each by itself: one serves all files of a subset, and may hold kilobytes of metadata.
_known_schemas: dict[pa.Schema, pa.Schema] = {}

#: What footers say, by path, size and time of change of the file.
_known_footers: dict[tuple[Path, int, int], _Footer] = {}


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
    return _footer(file).rows


def schema_of_file(file: FoundFile) -> pa.Schema:
    """Return the Arrow schema, from the footer. Remembered and raises as `group_rows`."""
    return _footer(file).schema


def content_digest(file: FoundFile) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex characters; its footer is read too, for `group_rows`.

    Raises:
        SourceError: the file is not a readable Parquet file.
    """
    with name_errors(file.path), file.path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        with open_file(NamedFile(str(file.path), stream)) as parquet:
            _remember(file, parquet)
    return digest


def _state(file: FoundFile) -> tuple[Path, int, int]:
    return file.path, file.size_bytes, file.mtime_ns


def may_name_files(file: FoundFile) -> bool:
    """Return whether rows may name files of images instead of holding their bytes, as far as the footer tells.

    Raises:
        SourceError: the file is not a readable Parquet file.
    """
    return _footer(file).may_name_files


def _footer(file: FoundFile) -> _Footer:
    known = _known_footers.get(_state(file))
    if known is not None:
        return known
    with name_errors(file.path), open_file(file.path) as parquet:
        return _remember(file, parquet)


def _remember(file: FoundFile, parquet: OpenFile) -> _Footer:
    if len(_known_schemas) >= MAX_KNOWN_SCHEMAS:
        _known_schemas.clear()
    schema = _known_schemas.setdefault(parquet.schema_arrow, parquet.schema_arrow)
    footer = _Footer(rows_of_groups(parquet), _names_files(parquet), schema)
    if len(_known_footers) >= MAX_KNOWN_FILES:
        _known_footers.popitem()
    _known_footers[_state(file)] = footer
    return footer


def _names_files(parquet: OpenFile) -> bool:
    schema, options = parquet.schema_arrow, candidates(parquet.schema_arrow)
    # Without a known column of images, the first rows tell.
    return not options or any(holds_strings(schema, name) for name in options[0]) or bool(leaves_with_paths(parquet))


def leaves_with_paths(parquet: OpenFile) -> list[str]:
    """Return the leaves that hold paths of images of which some have no bytes, as far as the statistics tell.

    An empty list counts as a null of bytes and of a path alike, so more bytes than paths must be null.
    """
    nulls = {leaf.path: 0 for leaf in map(parquet.metadata.schema.column, range(parquet.metadata.num_columns))}
    for chunk in chain.from_iterable(parquet.chunks):
        if chunk.column in nulls:
            nulls[chunk.column] += chunk.nulls
    paths = {leaf: nulls.get(f"{leaf.removesuffix('path')}bytes") for leaf in nulls if leaf.split(".")[-1] == "path"}
    return [leaf for leaf, of_bytes in paths.items() if of_bytes is None or of_bytes > nulls[leaf]]


def row_count(path: Readable) -> int:
    """Return the rows of a file, from its footer. Raises as `group_rows` does."""
    with name_errors(path), open_file(path) as parquet:
        return sum(rows_of_groups(parquet))


class OpenFile(pq.ParquetFile):  # type: ignore[misc]
    """An open Parquet file. What its footer says about column chunks is read without pyarrow; see `parquet_footer`."""

    def __init__(self, file: SeekableFile) -> None:
        super().__init__(file, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True)
        self._file = file

    @cached_property
    def chunks(self) -> list[list[Chunk]]:
        """The column chunks of each row group. Raises what `name_errors` turns into errors that name the file."""
        chunks = read_chunks(self._file)
        if len(chunks) != self.num_row_groups:
            raise ValueError("the numbers of row groups in its footer do not agree")
        return chunks


def open_file(path: Readable) -> OpenFile:
    """Open a file; it may raise what `name_errors` turns into errors that name the file."""
    file = path.file if isinstance(path, NamedFile) else path
    parquet = OpenFile(pa.OSFile(str(file)) if isinstance(file, Path) else file)
    rows = rows_of_groups(parquet)
    if min(rows, default=0) < 0 or sum(rows) != parquet.metadata.num_rows:
        raise ValueError("the numbers of rows in its footer do not agree")
    return parquet


def rows_of_groups(parquet: pq.ParquetFile) -> tuple[int, ...]:
    """Return the rows of each row group."""
    return tuple(parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups))


def name_errors(path: Readable) -> AbstractContextManager[None]:
    """Turn what pyarrow raises at a damaged or missing file into an error that names the file."""
    return files.name_errors(path, "Parquet file", REMEDY)
