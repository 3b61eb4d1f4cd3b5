"""A `datasets.Dataset` or `datasets.DatasetDict` that a program has loaded, for example in a notebook."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from visdiv_assets.errors import SourceError
from visdiv_assets.sources import arrow_stream, batching, fetching, files
from visdiv_assets.sources.interface import ColumnsTaken, Kind, Shard, StoredShard
from visdiv_assets.sources.left_out import SkippedFiles
from visdiv_assets.sources.reading import Reading
from visdiv_assets.sources.referenced import ReferencedFiles, is_file, with_bytes
from visdiv_assets.sources.schema import (
    COLUMNS,
    PEEKED_ROWS,
    ColumnPlan,
    Peek,
    columns_taken,
    plan_columns,
    schema_of,
)
from visdiv_assets.storage.manifest import digest_of

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

#: Rows of a shard.
SHARD_ROWS = 10_000

#: The name of the subset of a Dataset without a split.
UNNAMED_SPLIT = "train"


class DatasetSource:
    """Rows of loaded datasets, one subset per split. Implements `interface.Source`.

    Rows are read through the dataset, so its selections, shuffles and sorts apply. Images that the dataset knows only
    by path, as those of `load_dataset("imagefolder")`, are read from their files. There are no benchmarks. The version
    of the data is the dataset's fingerprint.
    """

    def __init__(self, data: Dataset | DatasetDict, reading: Reading | None = None) -> None:
        """Open a loaded dataset; nothing is read.

        Args:
            data: the dataset; a Dataset without a split becomes the subset "train".
            reading: the columns that are read; all splits are subsets.

        Raises:
            SourceError: the dataset is a streaming one.
        """
        import datasets

        self._reading = reading or Reading()
        #: The program that loaded the dataset chose its files.
        self._referenced = ReferencedFiles(Path.cwd(), (), outside=True)
        splits = data if isinstance(data, dict) else {data.split or UNNAMED_SPLIT: data}
        for name, dataset in splits.items():
            if not isinstance(dataset, datasets.Dataset):
                raise SourceError(f"split {str(name)!r} is a {type(dataset).__name__}: load it without streaming=True")
        self._splits = {str(name): dataset for name, dataset in splits.items()}
        names = [dataset.info.dataset_name for dataset in splits.values()]
        self.uri = f"memory://{next(filter(None, names), 'dataset')}"

    def subsets(self) -> list[str]:
        """Return the names of the splits, sorted."""
        return sorted(self._splits)

    def benchmarks(self) -> list[str]:
        """Return an empty list."""
        return []

    def size_bytes(self, kind: Kind, name: str) -> int:
        """Return the approximate size of a split: its share of the rows of the table times the size of the table."""
        dataset = self._dataset(kind, name)
        return int(dataset.data.nbytes * len(dataset) // max(1, dataset.data.num_rows))

    def license(self) -> str | None:
        """Return the licenses that the splits state in their information, each once."""
        return ", ".join(dict.fromkeys(filter(None, (split.info.license for split in self._splits.values())))) or None

    def left_out(self) -> list[SkippedFiles]:
        """Return an empty list: all splits are read."""
        return []

    def columns_taken(self, kind: Kind, name: str) -> ColumnsTaken:
        """Return which columns are read; see `interface.Source.columns_taken`."""
        return columns_taken(self._plan(kind, name, COLUMNS))

    def observed_version(self, kind: Kind, name: str) -> str:
        """Return a digest of the dataset's fingerprint and number of rows."""
        dataset = self._dataset(kind, name)
        return self._reading.mark(digest_of([dataset._fingerprint, len(dataset)]))

    def shards(self, kind: Kind, name: str) -> list[Shard]:
        """Return one shard per 10,000 rows.

        Raises:
            SourceError: there is no such split, or it is empty.
        """
        dataset = self._dataset(kind, name)
        if not len(dataset):
            raise SourceError(f"{kind.value}/{name} in {self.uri} has no rows: leave the split out")
        starts = range(0, len(dataset), SHARD_ROWS)
        size_bytes = self.size_bytes(kind, name)
        shards = []
        for index, start in enumerate(starts):
            rows = min(SHARD_ROWS, len(dataset) - start)
            fingerprint = self._reading.mark(digest_of([dataset._fingerprint, start, rows]))
            size = size_bytes * rows // len(dataset)
            shards.append(Shard(f"rows-{index:05d}-of-{len(starts):05d}", rows, size, fingerprint))
        return shards

    def digests(self, kind: Kind, name: str, known: Mapping[str, str]) -> list[tuple[Shard, str]]:
        """Return the shards with a SHA-256 of the dataset's fingerprint and the rows of each. Reads no row."""
        fingerprint = self._dataset(kind, name)._fingerprint
        keys = [
            (shard, f"{fingerprint}\0{index * SHARD_ROWS}\0{shard.rows}")
            for index, shard in enumerate(self.shards(kind, name))
        ]
        return [(shard, self._reading.mark(hashlib.sha256(key.encode()).hexdigest())) for shard, key in keys]

    def batches(
        self, kind: Kind, name: str, shard: Shard, *, columns: Sequence[str], batch_rows: int = 64
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a shard in order; see `interface.Source.batches`."""
        schema_of(columns)
        batching.check_batch_rows(batch_rows)
        return self._batches(kind, name, shard, columns, batch_rows)

    def stored(self, kind: Kind, name: str, shard: Shard) -> StoredShard:
        """Return all columns of a shard, with the bytes of images known by path; see `interface.Source.stored`."""
        schema = self._dataset(kind, name).features.arrow_schema
        return StoredShard(schema, arrow_stream.COMPRESSION, self._stored(kind, name, shard, schema))

    def fetch(self, kind: Kind, name: str, positions: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """Return the encoded bytes of single images; see `interface.Source.fetch`."""
        dataset = self._dataset(kind, name)
        plan = self._plan(kind, name, ["images"])

        def read_images(_index: int, rows: Collection[int]) -> Iterator[tuple[int, pa.Array]]:
            chosen = dataset.with_format("arrow", columns=plan.file_columns)
            for row in sorted(set(rows)):
                for batch in chosen[row : row + 1].to_batches():
                    (one,) = self._referenced.with_bytes(plan.normalize(batch))
                    yield row, one.column("images")[0].values

        return fetching.fetch(self.uri, kind, name, [len(dataset)], read_images, positions)

    def _batches(
        self, kind: Kind, name: str, shard: Shard, columns: Sequence[str], batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        start = self._first_row(kind, name, shard)
        plan = self._plan(kind, name, columns)
        average = shard.size_bytes / max(1, shard.rows)
        batch_rows = batching.limit_rows(batch_rows, average, images="images" in plan.found)
        chosen = self._dataset(kind, name).with_format("arrow", columns=plan.file_columns)
        for first in range(start, start + shard.rows, batch_rows):
            stop = min(first + batch_rows, start + shard.rows)
            if plan.file_columns:
                for batch in chosen[first:stop].to_batches():
                    yield from with_bytes(self._referenced, plan.normalize(batch))
            else:
                yield plan.normalize(batching.without_columns(stop - first))

    def _stored(self, kind: Kind, name: str, shard: Shard, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        from datasets.table import embed_table_storage

        start = self._first_row(kind, name, shard)
        dataset = self._dataset(kind, name).with_format("arrow")
        batch_rows = batching.stored_batch_rows(shard.rows, shard.size_bytes)
        for first in range(start, start + shard.rows, batch_rows):
            table = dataset[first : min(first + batch_rows, start + shard.rows)]
            try:
                table = embed_table_storage(table)
            except OSError as error:
                raise SourceError(
                    f"an image of {name!r} in {self.uri} cannot be read ({error}): check that the file exists, or load "
                    f"the dataset again"
                ) from None
            yield from table.cast(schema).to_batches()

    def _plan(self, kind: Kind, name: str, columns: Sequence[str]) -> ColumnPlan:
        dataset = self._dataset(kind, name)

        def first_rows(names: Sequence[str]) -> pa.RecordBatch | None:
            chosen = dataset.with_format("arrow", columns=list(names))
            return next(iter(chosen[:PEEKED_ROWS].combine_chunks().to_batches()), None)

        return plan_columns(
            kind,
            dataset.features.arrow_schema,
            columns,
            f"{name!r} in {self.uri}",
            reading=self._reading,
            peek=Peek(first_rows, is_file(self._referenced)),
        )

    def _dataset(self, kind: Kind, name: str) -> Dataset:
        if kind is not Kind.SUBSET or name not in self._splits:
            raise files.no_such(self.uri, kind, name, self.subsets() if kind is Kind.SUBSET else [])
        return self._splits[name]

    def _first_row(self, kind: Kind, name: str, shard: Shard) -> int:
        """Return the first row of a shard. Raises SourceError if it is not one that `shards` described."""
        for index, known in enumerate(self.shards(kind, name)):
            if known == shard:
                return index * SHARD_ROWS
        raise files.changed(f"{shard.name} of {name!r} in {self.uri}")
