"""A folder of Parquet files: in the layout of the sample, or in that of a downloaded Hub repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from visdiv_assets.errors import SourceError
from visdiv_assets.sources import fetching, files, parquet
from visdiv_assets.sources.batching import check_batch_rows
from visdiv_assets.sources.interface import Kind, Shard, StoredShard
from visdiv_assets.sources.schema import schema_of

SUFFIXES = (".parquet",)


class ParquetFolderSource:
    """Rows in Parquet files under a folder. Implements `interface.Source`.

    The folder holds `subsets/<name>/*.parquet` and optionally `benchmarks/<name>/*.parquet`. Without `subsets/` it
    holds the folders of the subsets (the layout of a dataset's repository on the Hub), and no benchmarks. The name of
    a subset is exactly that of its folder. Its files may lie in subfolders; their order is that of their relative posix
    paths as plain text. Links are followed; hidden files and folders and other files are ignored.
    """

    def __init__(self, folder: str | Path) -> None:
        self.uri = str(folder)
        self._root = Path(folder).absolute()

    def subsets(self) -> list[str]:
        """Return the names of the subsets, sorted."""
        return self._names(Kind.SUBSET)

    def benchmarks(self) -> list[str]:
        """Return the names of the benchmarks, sorted; may be empty."""
        return self._names(Kind.BENCHMARK)

    def size_bytes(self, kind: Kind, name: str) -> int:
        """Return the total size of a subset's files, without opening them."""
        return sum(file.size_bytes for file in files.find(self._folder(kind, name), SUFFIXES))

    def observed_version(self, kind: Kind, name: str) -> str:
        """Return a digest of the files' relative paths, sizes and times of change."""
        return files.observed_version(files.find(self._folder(kind, name), SUFFIXES))

    def shards(self, kind: Kind, name: str) -> list[Shard]:
        """Return one shard per file, in the order of the relative posix paths.

        Raises:
            SourceError: there is no Parquet file, or a file is not readable.
        """
        return [_shard(file) for file in self._files(kind, name)]

    def digests(self, kind: Kind, name: str, known: Mapping[str, str]) -> list[tuple[Shard, str]]:
        """Return the shards with the SHA-256 of each file's bytes; a file is opened once for both."""
        found = []
        for file in self._files(kind, name):
            digest = known.get(files.fingerprint([file])) or parquet.content_digest(file)
            found.append((_shard(file), digest))
        return found

    def batches(
        self, kind: Kind, name: str, shard: Shard, *, columns: Sequence[str], batch_rows: int = 64
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file in order; see `interface.Source.batches`."""
        schema_of(columns)
        check_batch_rows(batch_rows)
        return parquet.read(self._current(kind, name, shard), kind, columns, batch_rows, shard.rows)

    def stored(self, kind: Kind, name: str, shard: Shard) -> StoredShard:
        """Return all columns of a file, unchanged; see `interface.Source.stored`."""
        return parquet.stored(self._current(kind, name, shard), shard.rows)

    def fetch(self, kind: Kind, name: str, positions: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """Return the encoded bytes of single images; see `interface.Source.fetch`."""
        found = self._files(kind, name)
        rows = [sum(parquet.group_rows(file)) for file in found]
        return fetching.fetch(
            self.uri,
            kind,
            name,
            rows,
            lambda index, asked: parquet.images(found[index].path, kind, asked),
            positions,
        )

    def _base(self, kind: Kind) -> Path | None:
        """Return the folder with the subsets or with the benchmarks; None if there is none."""
        if (self._root / Kind.SUBSET.value).is_dir():
            base = self._root / kind.value
            return base if base.is_dir() else None
        return self._root if kind is Kind.SUBSET else None

    def _names(self, kind: Kind) -> list[str]:
        base = self._base(kind)
        if base is None:
            return []
        if base == self._root:
            return hub_layout(base)
        return files.subfolders(base)

    def _folder(self, kind: Kind, name: str) -> Path:
        base = self._base(kind)
        if base and name and not name.startswith(".") and Path(name).name == name and (base / name).is_dir():
            return base / name
        raise files.no_such(self.uri, kind, name, self._names(kind))

    def _files(self, kind: Kind, name: str) -> list[files.FoundFile]:
        folder = self._folder(kind, name)
        if not (found := files.find(folder, SUFFIXES)):
            raise SourceError(f"{folder} holds no .parquet file: add the files, or remove the folder")
        return found

    def _current(self, kind: Kind, name: str, shard: Shard) -> Path:
        """Return the shard's file. Raises SourceError if it differs from what `shards` described."""
        file = files.look(self._folder(kind, name), shard.name)
        if files.fingerprint([file]) != shard.fingerprint:
            raise files.changed(file.path)
        return file.path


def _shard(file: files.FoundFile) -> Shard:
    return Shard(file.relative, sum(parquet.group_rows(file)), file.size_bytes, files.fingerprint([file]))


def hub_layout(folder: Path) -> list[str]:
    """Return the names of the subfolders that directly hold Parquet files, sorted."""
    return [name for name in files.subfolders(folder) if files.files_in(folder / name, SUFFIXES)]
