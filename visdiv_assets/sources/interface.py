"""What every source promises, wherever its rows lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import pyarrow as pa


class Kind(StrEnum):
    """What a set of rows is for; the value is the folder that holds such sets."""

    SUBSET = "subsets"
    BENCHMARK = "benchmarks"


@dataclass(frozen=True)
class Shard:
    """A unit of reading: one file of a subset, or one chunk of a folder of images.

    Attributes:
        name: file name within the subset, for example "train-00000-of-00002.parquet".
        rows: rows in it.
        size_bytes: its size.
        fingerprint: cheap sign that it is probably unchanged (path, size, time of change); not its content.
    """

    name: str
    rows: int
    size_bytes: int
    fingerprint: str


@dataclass(frozen=True)
class StoredShard:
    """A shard with all its columns, as it is stored.

    Attributes:
        schema: of the batches, with the metadata that the shard stores.
        compression: a codec that the shard is stored with ("zstd", "snappy", "none"), for writing it again.
        batches: the rows in order, of a few megabytes each (more where a single row is larger); can be read once.
    """

    schema: pa.Schema
    compression: str
    batches: Iterator[pa.RecordBatch]


class Source(Protocol):
    """A place that rows come from.

    Rows of a subset are counted from 0 across its shards in the order of `shards`. All methods raise
    VisdivError, which names the file or folder, for what the user can mend: an unknown name, a file that is
    damaged, missing or changed since `shards` listed it, a column that is missing or of the wrong type.
    """

    @property
    def uri(self) -> str:
        """The place, as it was given to `open`."""
        ...

    def subsets(self) -> list[str]:
        """Names of the subsets, sorted."""
        ...

    def benchmarks(self) -> list[str]:
        """Names of the benchmarks, sorted; may be empty."""
        ...

    def size_bytes(self, kind: Kind, name: str) -> int:
        """Size of a subset, found without opening its files; for beginning with the heaviest."""
        ...

    def observed_version(self, kind: Kind, name: str) -> str:
        """A cheap sign that a subset is probably unchanged, 32 hex characters. Opens none of its files.

        It is a digest over their names, sizes, and checksums where they are stored, else times of change; not a
        repository's commit, which moves when something else is edited.
        """
        ...

    def shards(self, kind: Kind, name: str) -> list[Shard]:
        """The shards of a subset, in name order, as they are now. Raises VisdivError if there is none."""
        ...

    def digest(self, kind: Kind, name: str, shard: Shard) -> str:
        """SHA-256 of a shard's content as 64 hex characters, the version of the data. Reads all of it."""
        ...

    def batches(
        self, kind: Kind, name: str, shard: Shard, *, columns: Sequence[str], batch_rows: int = 64
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a shard in order.

        Args:
            kind: subset or benchmark.
            name: its name.
            shard: one that `shards` returned.
            columns: names out of `schema.COLUMNS`; the batches have just these, in this order, typed as
                `schema.SCHEMA` says.
            batch_rows: rows in a batch, at most.

        Raises:
            SourceError: as the class says; also in the middle, at the first damaged page.
            ValueError: a column that is not in `schema.COLUMNS`, or batch_rows below 1.
        """
        ...

    def fetch(self, kind: Kind, name: str, positions: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """Encoded bytes of single images.

        Args:
            kind: subset or benchmark.
            name: its name.
            positions: (row, image_index) pairs in any order, repeated ones too.

        Returns:
            One entry per position, in the order asked; None where the row names an image but holds no bytes.

        Raises:
            SourceError: as the class says, and for a position that does not exist.
        """
        ...

    def stored(self, kind: Kind, name: str, shard: Shard) -> StoredShard:
        """All stored columns of a shard, unchanged, for an export.

        A folder of images stores no columns: it gives `images`, `texts` and `source` as `schema.SCHEMA` has them.

        Args:
            kind: subset or benchmark.
            name: its name.
            shard: one that `shards` returned.

        Raises:
            SourceError: as the class says; the batches raise it in the middle, at the first damaged page.
        """
        ...
