"""A folder of datasets that were written by `Dataset.save_to_disk` or `DatasetDict.save_to_disk`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from visdiv_assets.errors import SourceError
from visdiv_assets.sources import arrow_stream, batching, fetching, files
from visdiv_assets.sources.about import folder_license
from visdiv_assets.sources.interface import ColumnsTaken, Kind, Shard, StoredShard
from visdiv_assets.sources.left_out import SkippedFiles, describe_left_out
from visdiv_assets.sources.reading import Reading
from visdiv_assets.sources.referenced import ReferencedFiles
from visdiv_assets.sources.schema import schema_of

#: The files of a saved Dataset (the first lists its data files), and the list of splits of a saved DatasetDict.
STATE_FILE = "state.json"
INFO_FILE = "dataset_info.json"
DICT_FILE = "dataset_dict.json"

#: Files that hold rows.
_DATA_SUFFIXES = (".arrow", ".parquet")


class SavedDatasetsSource:
    """Rows in Arrow files that `datasets` saved. Implements `interface.Source`.

    The folder is one of these:

    - a saved Dataset: one subset, named like the folder;
    - a saved DatasetDict: one subset per split, named like the split;
    - a folder of them: a Dataset in `<name>/` is the subset `<name>`, and a DatasetDict in `<name>/` has one subset
      `<name>-<split>` per split. Where there is a folder `subsets`, they lie in it, and benchmarks lie in the same way
      in `benchmarks`.

    A shard is one Arrow file, in the order in which `datasets` reads them.
    """

    def __init__(self, folder: str | Path, reading: Reading | None = None) -> None:
        self.uri = str(folder)
        self._root = Path(folder).absolute()
        self._reading = reading or Reading()

    def subsets(self) -> list[str]:
        """Return the names of the subsets, sorted.

        Raises:
            SourceError: two subsets would have the same name, or a file about a dataset cannot be read.
        """
        return sorted(self._folders(Kind.SUBSET))

    def benchmarks(self) -> list[str]:
        """Return the names of the benchmarks, sorted; may be empty. Raises as `subsets` does."""
        return sorted(self._folders(Kind.BENCHMARK))

    def size_bytes(self, kind: Kind, name: str) -> int:
        """Return the size of a subset's files together, without opening them."""
        return sum(file.size_bytes for file in self._files(kind, name))

    def observed_version(self, kind: Kind, name: str) -> str:
        """Return a digest of the files' names, sizes and times of change."""
        return self._reading.mark(files.observed_version(self._files(kind, name)))

    def license(self) -> str | None:
        """Return the license in the metadata of the folder's README.md."""
        return folder_license(self._root)

    def left_out(self) -> list[SkippedFiles]:
        """Return the other Parquet and Arrow files of the folder; see `interface.Source.left_out`."""
        unreadable: list[SourceError] = []
        found = sorted(files.walk(self._root, _DATA_SUFFIXES, unreadable=unreadable))
        folders = [folder for kind in Kind for folder in self._folders(kind).values()]
        inside = tuple(f"{folder.relative_to(self._root).as_posix()}/" for folder in folders)
        others = [path for path in found if not path.startswith(inside) and self._root not in folders]
        return describe_left_out(others, (), unreadable)

    def columns_taken(self, kind: Kind, name: str) -> ColumnsTaken:
        """Return which columns of the first file are read; see `interface.Source.columns_taken`."""
        path = self._files(kind, name)[0].path
        return arrow_stream.columns_taken(path, kind, self._reading, self._referenced)

    def shards(self, kind: Kind, name: str) -> list[Shard]:
        """Return one shard per Arrow file, in the order of the dataset.

        Raises:
            SourceError: the dataset has no file, or one is not readable.
        """
        return [
            Shard(file.relative, arrow_stream.row_count(file), file.size_bytes, self._fingerprint(file))
            for file in self._files(kind, name)
        ]

    def digests(self, kind: Kind, name: str, known: Mapping[str, str]) -> list[tuple[Shard, str]]:
        """Return the shards with the SHA-256 of each file's bytes."""
        return [
            (shard, known.get(shard.fingerprint) or self._digest(kind, name, shard))
            for shard in self.shards(kind, name)
        ]

    def batches(
        self, kind: Kind, name: str, shard: Shard, *, columns: Sequence[str], batch_rows: int = 64
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file in order; see `interface.Source.batches`."""
        schema_of(columns)
        batching.check_batch_rows(batch_rows)
        path = self._current(kind, name, shard).path
        return arrow_stream.read(path, kind, columns, batch_rows, shard.rows, self._reading, self._referenced)

    def stored(self, kind: Kind, name: str, shard: Shard) -> StoredShard:
        """Return all columns of a file, unchanged; see `interface.Source.stored`."""
        return arrow_stream.stored(self._current(kind, name, shard), shard.rows)

    def fetch(self, kind: Kind, name: str, positions: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """Return the encoded bytes of single images; see `interface.Source.fetch`."""
        found = self._files(kind, name)
        return fetching.fetch(
            self.uri,
            kind,
            name,
            [arrow_stream.row_count(file) for file in found],
            lambda index, rows: arrow_stream.images(found[index].path, kind, rows, self._reading, self._referenced),
            positions,
        )

    @property
    def _referenced(self) -> ReferencedFiles:
        return ReferencedFiles(self._root, (), outside=self._reading.outside_files)

    def _fingerprint(self, file: files.FoundFile) -> str:
        return self._reading.mark(files.fingerprint([file]))

    def _digest(self, kind: Kind, name: str, shard: Shard) -> str:
        return self._reading.mark(files.content_digest(self._current(kind, name, shard).path))

    def _folders(self, kind: Kind) -> dict[str, Path]:
        """Return the folder of the saved Dataset of each subset or benchmark."""
        if is_saved(self._root):
            own_name = self._root.resolve().name or "dataset"
            return _datasets(self._root, own_name, "") if kind is Kind.SUBSET else {}
        base = self._root / kind.value
        if kind is Kind.SUBSET and not base.is_dir():
            base = self._root
        found: dict[str, Path] = {}
        for name in files.subfolders(base) if base.is_dir() else []:
            for subset, folder in _datasets(base / name, name, f"{name}-").items():
                if subset in found:
                    raise SourceError(f"{found[subset]} and {folder} are both named {subset!r}: rename one folder")
                found[subset] = folder
        return found

    def _files(self, kind: Kind, name: str) -> list[files.FoundFile]:
        folders = self._folders(kind)
        if name not in folders:
            raise files.no_such(self.uri, kind, name, sorted(folders))
        folder = folders[name]
        state = _read_json(folder / STATE_FILE)
        if state.get("_indices_data_files") or state.get("_indices_files"):
            raise SourceError(
                f"{folder} holds a selection of rows written by an old version of `datasets`: load it and save it "
                f"again with save_to_disk"
            )
        try:
            names = [str(entry["filename"]) for entry in state["_data_files"]]
        except (KeyError, TypeError):
            raise SourceError(
                f"{folder / STATE_FILE} lists no data files: save the dataset again with save_to_disk"
            ) from None
        if not names:
            raise SourceError(f"{folder} holds no data file: save the dataset there again, or remove the folder")
        if outside := [name for name in names if Path(name).name != name]:
            raise SourceError(
                f"{folder / STATE_FILE} names {outside[0]!r}, which is not a file of the folder: save the dataset "
                f"again with save_to_disk"
            )
        return files.confined([files.look(folder, name) for name in names], self._reading.confined(self._root))

    def _current(self, kind: Kind, name: str, shard: Shard) -> files.FoundFile:
        """Return the shard's file. Raises SourceError if it is no longer what `shards` described."""
        for file in self._files(kind, name):
            if file.relative == shard.name and self._fingerprint(file) == shard.fingerprint:
                return file
        raise files.changed(f"{shard.name} of {kind.value}/{name} in {self.uri}")


def is_saved(folder: Path) -> bool:
    """Return whether a folder is a saved Dataset or a saved DatasetDict."""
    return _is_dataset(folder) or (folder / DICT_FILE).is_file()


def _is_dataset(folder: Path) -> bool:
    return (folder / STATE_FILE).is_file() and (folder / INFO_FILE).is_file()


def holds_saved(folder: Path) -> bool:
    """Return whether a subfolder of a folder, or of its folder `subsets`, is a saved Dataset or DatasetDict."""
    subsets = folder / Kind.SUBSET.value
    base = subsets if subsets.is_dir() else folder
    return any(is_saved(base / name) for name in files.subfolders(base))


def _datasets(folder: Path, name: str, prefix: str) -> dict[str, Path]:
    """Return the saved Datasets in a folder by the name of their subset; `prefix` begins the names of splits."""
    if (folder / DICT_FILE).is_file():
        splits = _read_json(folder / DICT_FILE).get("splits")
        if not isinstance(splits, list):
            raise SourceError(f"{folder / DICT_FILE} lists no splits: save the dataset again with save_to_disk")
        if outside := [split for split in splits if split == ".." or Path(str(split)).name != split]:
            raise SourceError(
                f"{folder / DICT_FILE} names {outside[0]!r}, which is not a folder in it: save the dataset again with "
                f"save_to_disk"
            )
        return {f"{prefix}{split}": folder / str(split) for split in splits}
    return {name: folder} if _is_dataset(folder) else {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise files.cannot_read(path, error) from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise SourceError(f"{path} is not a JSON object: save the dataset again with save_to_disk")
    return content
