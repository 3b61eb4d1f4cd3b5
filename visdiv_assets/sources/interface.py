"""The interface of all sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import pyarrow as pa

from visdiv_assets.sources.left_out import SkippedFiles


class Kind(StrEnum):
    """The purpose of a set of rows; the value is the name of the folder that holds such sets."""

    SUBSET = "subsets"
    BENCHMARK = "benchmarks"


@dataclass(frozen=True)
class Shard:
    """A unit of reading: one file of a subset, or one chunk of a folder of images.

    Attributes:
        name: file name within the subset, for example "train-00000-of-00002.parquet".
        rows: number of rows.
        size_bytes: size in bytes.
        fingerprint: changes when the path, the size or the time of change does; not a digest of the content.
        one_file: whether it is a file; else each row is one, which the path of its image names.
    """

    name: str
    rows: int
    size_bytes: int
    fingerprint: str
    one_file: bool = True


@dataclass(frozen=True)
class StoredShard:
    """A shard with all stored columns.

    Attributes:
        schema: the schema of the batches, with the metadata of the shard.
        compression: the codec of the shard ("zstd", "snappy", "none"), to write it with again.
        batches: the rows in order, a few megabytes per batch (more where a single row is larger); can be read once.
    """

    schema: pa.Schema
    compression: str
    batches: Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class ColumnsTaken:
    """The columns of a file that are read.

    Attributes:
        images: the columns of images, in the order of a row's images.
        texts: the column of conversations, or those of questions and answers; empty if there are none.
        unused: the file's columns that are not read, in the order of the file.
        wrong: texts, source and ratings that are not read because of their type: normalized name and reason.
    """

    images: tuple[str, ...]
    texts: tuple[str, ...]
    wrong: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()


class Source(Protocol):
    """A source of subsets and benchmarks.

    Rows of a subset are counted from 0 across its shards in the order of `shards`. All methods raise SourceError,
    which names the file or folder, for errors that the user can fix: an unknown name; a file that is damaged, missing
    or changed since `shards` listed it; a column that is missing or has the wrong type.
    """

    @property
    def uri(self) -> str:
        """The source as it was given to `open`."""
        ...

    def subsets(self) -> list[str]:
        """Return the names of the subsets, sorted."""
        ...

    def benchmarks(self) -> list[str]:
        """Return the names of the benchmarks, sorted; may be empty."""
        ...

    def license(self) -> str | None:
        """Return the license that the dataset states, several joined with commas; None if it states none."""
        ...

    def left_out(self) -> list[SkippedFiles]:
        """Return what the source holds that is not read, by folder and ending of the files, sorted.

        Files about the dataset, such as its README, do not count, nor do hidden files.
        """
        ...

    def columns_taken(self, kind: Kind, name: str) -> ColumnsTaken:
        """Return which columns of a subset's first file are read; opens only that file."""
        ...

    def size_bytes(self, kind: Kind, name: str) -> int:
        """Return the size of a subset without opening its files, so that the largest can be processed first."""
        ...

    def observed_version(self, kind: Kind, name: str) -> str:
        """Return 32 hex characters that change when a subset probably has changed. Opens none of its files.

        They are a digest of the files' names, sizes, and stored checksums, or times of change where there are no
        checksums; not the commit of a repository, which changes with any other file.
        """
        ...

    def shards(self, kind: Kind, name: str) -> list[Shard]:
        """Return the present shards of a subset, in the order of its rows. Raises SourceError if there are none."""
        ...

    def digests(self, kind: Kind, name: str, known: Mapping[str, str]) -> list[tuple[Shard, str]]:
        """Return the present shards, as `shards` does, with the SHA-256 of the content of each as 64 hex characters.

        The digests are the version of the data.

        Args:
            kind: subset or benchmark.
            name: its name.
            known: digests by fingerprint; a shard with another fingerprint is read.

        Raises:
            SourceError: see the class.
        """
        ...

    def batches(
        self, kind: Kind, name: str, shard: Shard, *, columns: Sequence[str], batch_rows: int = 64
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a shard in order, about `batching.BATCH_BYTES` of them at a time, and at least one row.

        Args:
            kind: subset or benchmark.
            name: its name.
            shard: one that `shards` returned.
            columns: names out of `schema.READABLE`; the batches have these columns, in this order, with its types.
            batch_rows: maximum rows in a batch.

        Raises:
            SourceError: see the class; also while iterating, at the first damaged page.
            ValueError: a column is not in `schema.READABLE`, or batch_rows is less than 1.
        """
        ...

    def fetch(self, kind: Kind, name: str, positions: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """Return the encoded bytes of single images.

        Args:
            kind: subset or benchmark.
            name: its name.
            positions: (row, image_index) pairs in any order; pairs may repeat.

        Returns:
            One entry per position, in the order of `positions`; None where the row names an image without its bytes.

        Raises:
            SourceError: see the class; also if a position does not exist.
        """
        ...

    def stored(self, kind: Kind, name: str, shard: Shard) -> StoredShard:
        """Return all stored columns of a shard, unchanged, for an export.

        A folder of images stores no columns: its columns are `images`, `texts` and `source` of `schema.SCHEMA`.

        Args:
            kind: subset or benchmark.
            name: its name.
            shard: one that `shards` returned.

        Raises:
            SourceError: see the class; the batches raise it while iterating, at the first damaged page.
        """
        ...
