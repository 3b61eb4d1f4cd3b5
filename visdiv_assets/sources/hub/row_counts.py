"""Row counts of files on the Hub, from their footers; each is read once and then cached on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from visdiv_assets.sources import parquet_files
from visdiv_assets.sources.hub.client import HubClient, HubFile
from visdiv_assets.sources.hub.range_file import RangeFile
from visdiv_assets.storage.error_messages import write_error
from visdiv_assets.storage.files import replace_local
from visdiv_assets.threads import ordered_map


class RowCounts:
    """Row counts of files on the Hub, cached by the content of the files."""

    def __init__(self, client: HubClient, folder: Path, threads: int) -> None:
        """Open a folder of row counts, which need not exist yet.

        Args:
            client: fetches footers.
            folder: the cache of row counts.
            threads: number of footers to fetch concurrently.
        """
        self._client = client
        self._folder = folder
        self._threads = threads
        self._known: dict[str, int] = {}

    def of(self, files: Sequence[HubFile]) -> list[int]:
        """Return the rows of each file, in order.

        Raises:
            SourceError: a footer cannot be fetched, or is not that of a Parquet file.
        """
        return list(ordered_map(self._rows, files, threads=self._threads))

    def correct(self, file: HubFile, path: Path) -> None:
        """Cache the rows of a downloaded and verified file, in case its footer was corrupted in transfer before."""
        rows = parquet_files.row_count(parquet_files.NamedFile(str(file), path))
        if self._known.get(file.key) != rows:
            self._store(file, rows)

    def _rows(self, file: HubFile) -> int:
        if file.key not in self._known:
            try:
                self._known[file.key] = int(json.loads(self._path(file).read_bytes())["rows"])
            except (FileNotFoundError, ValueError, KeyError, TypeError):
                footer = RangeFile(self._client, file)
                self._store(file, parquet_files.row_count(parquet_files.NamedFile(str(file), footer)))
        return self._known[file.key]

    def _store(self, file: HubFile, rows: int) -> None:
        path = self._path(file)
        try:
            with replace_local(path) as stream:
                stream.write(json.dumps({"rows": rows}).encode())
        except OSError as error:
            raise write_error(str(path), error) from error
        self._known[file.key] = rows

    def _path(self, file: HubFile) -> Path:
        return self._folder / f"{file.key}.json"
