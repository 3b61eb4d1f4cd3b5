"""A folder of Parquet files: in the layout of the sample, or in that of a downloaded Hub repository."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from visdiv_assets.errors import SourceError
from visdiv_assets.sources import fetching, files, layout, parquet, parquet_files
from visdiv_assets.sources.about import folder_license
from visdiv_assets.sources.batching import check_batch_rows
from visdiv_assets.sources.image_columns import looks_like_image
from visdiv_assets.sources.interface import ColumnsTaken, Kind, Shard, StoredShard
from visdiv_assets.sources.left_out import SkippedFiles, describe_left_out
from visdiv_assets.sources.parquet_paths import digest_of_files
from visdiv_assets.sources.reading import Reading
from visdiv_assets.sources.referenced import ReferencedFiles
from visdiv_assets.sources.schema import schema_of
from visdiv_assets.storage.manifest import digest_of

SUFFIXES = (".parquet",)


class ParquetFolderSource:
    """Rows in Parquet files under a folder. Implements `interface.Source`.

    The folder holds `subsets/<name>/*.parquet` and optionally `benchmarks/<name>/*.parquet`; the name of a subset is
    exactly that of its folder. Without `subsets/` it has the layout of a dataset's repository on the Hub
    (`layout.subsets_of`), beside which `benchmarks/<name>/` may lie. Files may lie in subfolders; their order is that
    of their relative posix paths as plain text. Of a subset one split is read (`layout.choose_split`), of a benchmark
    all but train. Links are followed; hidden files and folders and other files are ignored.
    """

    def __init__(self, folder: str | Path, reading: Reading | None = None) -> None:
        self.uri = str(folder)
        self._root = Path(folder).absolute()
        self._reading = reading or Reading()

    def subsets(self) -> list[str]:
        """Return the names of the subsets, sorted."""
        if self._has_subsets:
            return files.subfolders(self._root / Kind.SUBSET.value)
        return sorted(self._repository(unreadable=[]))

    def benchmarks(self) -> list[str]:
        """Return the names of the benchmarks, sorted; may be empty."""
        base = self._root / Kind.BENCHMARK.value
        if not base.is_dir():
            return []
        names = files.subfolders(base)
        return names if self._has_subsets else [name for name in names if has_parquet(base / name)]

    def size_bytes(self, kind: Kind, name: str) -> int:
        """Return the total size of a subset's files, without opening them."""
        return sum(file.size_bytes for file in self._find(kind, name))

    def observed_version(self, kind: Kind, name: str) -> str:
        """Return a digest of the files' relative paths, sizes and times of change."""
        return self._reading.mark(files.observed_version(self._find(kind, name)))

    def license(self) -> str | None:
        """Return the license in the metadata of the folder's README.md."""
        return folder_license(self._root)

    def left_out(self) -> list[SkippedFiles]:
        """Return what the folder holds beside the rows that are read; see `interface.Source.left_out`."""
        unreadable: list[SourceError] = []
        found = sorted(files.walk(self._root, unreadable=unreadable))
        taken = set(self._taken())
        if any(looks_like_image(path) for path in found) and self._names_files(taken):
            # Which ones is not known before the rows are read.
            taken.update(filter(looks_like_image, found))
        return describe_left_out(found, taken, unreadable)

    def columns_taken(self, kind: Kind, name: str) -> ColumnsTaken:
        """Return which columns of the first file are read; see `interface.Source.columns_taken`."""
        file, referenced = self._find(kind, name)[0], self._referenced(kind, name)
        schema = parquet_files.schema_of_file(file)
        return parquet.columns_of_schema(file.path, schema, kind, self._reading, referenced)

    def shards(self, kind: Kind, name: str) -> list[Shard]:
        """Return one shard per file, in the order of the relative posix paths.

        Raises:
            SourceError: there is no Parquet file, or a file is not readable.
        """
        return [self._shard(file) for file in self._find(kind, name)]

    def digests(self, kind: Kind, name: str, known: Mapping[str, str]) -> list[tuple[Shard, str]]:
        """Return the shards with the SHA-256 of each file's bytes, and of the image files that its rows name."""
        found = []
        for file in self._find(kind, name):
            fingerprint = self._reading.mark(files.fingerprint([file]))
            before = known.get(fingerprint)
            content = "" if before else parquet_files.content_digest(file)
            digest = before or self._reading.mark(content)
            if parquet_files.may_name_files(file) and (named := self._digest_of_named(kind, name, file)):
                digest = self._reading.mark(digest_of([content or parquet_files.content_digest(file), named]))
            found.append((self._shard(file), digest))
        return found

    def batches(
        self, kind: Kind, name: str, shard: Shard, *, columns: Sequence[str], batch_rows: int = 64
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file in order; see `interface.Source.batches`."""
        schema_of(columns)
        check_batch_rows(batch_rows)
        path, referenced = self._current(kind, name, shard), self._referenced(kind, name)
        return parquet.read(path, kind, columns, batch_rows, shard.rows, self._reading, referenced)

    def stored(self, kind: Kind, name: str, shard: Shard) -> StoredShard:
        """Return all columns of a file, unchanged; see `interface.Source.stored`."""
        return parquet.stored(self._current(kind, name, shard), shard.rows)

    def fetch(self, kind: Kind, name: str, positions: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """Return the encoded bytes of single images; see `interface.Source.fetch`."""
        found = self._find(kind, name)
        referenced = self._referenced(kind, name)
        rows = [sum(parquet_files.group_rows(file)) for file in found]
        return fetching.fetch(
            self.uri,
            kind,
            name,
            rows,
            lambda index, asked: parquet.images(found[index].path, kind, asked, self._reading, referenced),
            positions,
        )

    @property
    def _has_subsets(self) -> bool:
        return (self._root / Kind.SUBSET.value).is_dir()

    def _repository(self, *, unreadable: list[SourceError] | None = None) -> dict[str, dict[str, str]]:
        """Return the subsets of a folder without `subsets/`: paths in the folder by paths in the subset."""
        paths = files.walk(self._root, SUFFIXES, unreadable=unreadable)
        inside = tuple(f"{Kind.BENCHMARK.value}/{name}/" for name in self.benchmarks())
        own = files.own_name(self._root)
        return layout.subsets_of(own, {path: path for path in paths if not path.startswith(inside)})

    def _paths(self, kind: Kind, name: str) -> dict[str, str]:
        """Return a subset's files of all splits: their paths in the source by their paths in the subset."""
        if kind is Kind.SUBSET and not self._has_subsets:
            if found_alone := self._folder_of_its_own(name):
                return found_alone
            found = self._repository()
            if name not in found:
                raise files.no_such(self.uri, kind, name, sorted(found))
            return found[name]
        names = self.subsets() if kind is Kind.SUBSET else self.benchmarks()
        if name not in names:
            raise files.no_such(self.uri, kind, name, names)
        folder = f"{kind.value}/{name}"
        return {path: f"{folder}/{path}" for path in sorted(files.walk(self._root / folder, SUFFIXES))}

    def _folder_of_its_own(self, name: str) -> dict[str, str]:
        """Return the files of a top-level folder that must be a subset, without a walk over all others."""
        elsewhere = {layout.DATA, Kind.BENCHMARK.value, *layout.SPLITS}
        if name in elsewhere or name.startswith(".") or Path(name).name != name or not (self._root / name).is_dir():
            return {}
        return {path: f"{name}/{path}" for path in sorted(files.walk(self._root / name, SUFFIXES))}

    def _chosen(self, kind: Kind, name: str) -> dict[str, str]:
        """Return the files that are read: those of a split of a subset, those of a benchmark that are not train."""
        paths = self._paths(kind, name)
        if not paths:
            raise SourceError(
                f"{self._root / kind.value / name} holds no .parquet file: add the files, or remove the folder"
            )
        if kind is Kind.BENCHMARK:
            return layout.without_train(paths)
        if not (chosen := layout.choose_split(paths, self._reading.split)):
            raise no_split(f"{name} in {self.uri}", self._reading.split, paths)
        return chosen

    def _taken(self) -> Iterator[str]:
        for kind, names in ((Kind.SUBSET, self.subsets()), (Kind.BENCHMARK, self.benchmarks())):
            for name in names:
                with suppress(SourceError):  # its own runs report it
                    yield from self._chosen(kind, name).values()

    def _names_files(self, taken: Iterable[str]) -> bool:
        """Return whether rows of some files may name images by path."""
        for path in sorted(taken):
            with suppress(SourceError):  # its own runs report it
                if parquet_files.may_name_files(files.look(self._root, path)):
                    return True
        return False

    def _find(self, kind: Kind, name: str) -> list[files.FoundFile]:
        return [self._look(shard, path) for shard, path in self._chosen(kind, name).items()]

    def _digest_of_named(self, kind: Kind, name: str, file: files.FoundFile) -> str | None:
        return digest_of_files(file.path, kind, self._reading, self._referenced(kind, name))

    def _look(self, shard: str, path: str) -> files.FoundFile:
        (file,) = files.confined([files.look(self._root, path)], self._reading.confined(self._root))
        return replace(file, relative=shard)

    def _referenced(self, kind: Kind, name: str) -> ReferencedFiles:
        folder = self._root / kind.value / name if self._has_subsets else self._root / name
        return ReferencedFiles(self._root, (folder,), outside=self._reading.outside_files)

    def _shard(self, file: files.FoundFile) -> Shard:
        fingerprint = self._reading.mark(files.fingerprint([file]))
        return Shard(file.relative, sum(parquet_files.group_rows(file)), file.size_bytes, fingerprint)

    def _current(self, kind: Kind, name: str, shard: Shard) -> Path:
        """Return the shard's file. Raises SourceError if it differs from what `shards` described."""
        path = f"{kind.value}/{name}/{shard.name}"
        if kind is Kind.SUBSET and not self._has_subsets:
            path = self._paths(kind, name).get(shard.name, path)
        file = self._look(shard.name, path)
        if self._reading.mark(files.fingerprint([file])) != shard.fingerprint:
            raise files.changed(file.path)
        return file.path


def no_split(what: str, split: str, paths: Mapping[str, object]) -> SourceError:
    """Return the error to raise when a subset has no file of the split that is read."""
    others = ", ".join(layout.splits_of(paths)) or "none"
    return SourceError(f"{what} has no split {split!r}, it has {others}: set VISDIV_SPLIT to one of them, or to all")


def has_parquet(folder: Path) -> bool:
    """Return whether a folder holds a Parquet file at any depth; what cannot be read is left out."""
    return any(files.walk(folder, SUFFIXES, unreadable=[]))
