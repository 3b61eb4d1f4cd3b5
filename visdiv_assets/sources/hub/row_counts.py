"""How many rows files on the Hub hold: from their footers, each read once and then remembered on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from visdiv_assets.sources import parquet
from visdiv_assets.sources.hub.client import HubClient, HubFile
from visdiv_assets.sources.hub.range_file import RangeFile
from visdiv_assets.storage.error_messages import write_error
from visdiv_assets.storage.files import replace_local
from visdiv_assets.threads import ordered_map


class RowCounts:
    """Row counts of files on the Hub, by their content."""

    def __init__(self, client: HubClient, folder: Path, threads: int) -> None:
        """Open a folder of row counts, which need not exist yet.

        Args:
            client: fetches footers.
            folder: where counts are remembered.
            threads: footers fetched at a time.
        """
        self._client = client
        self._folder = folder
        self._threads = threads
        self._known: dict[str, int] = {}

    def of(self, files: Sequence[HubFile]) -> list[int]:
        """Rows of each file, in order.

        Raises:
            SourceError: a footer cannot be fetched, or is none of a Parquet file.
        """
        return list(ordered_map(self._rows, files, threads=self._threads))

    def correct(self, file: HubFile, path: Path) -> None:
        """Remember what a fetched and verified file says: a footer that was garbled on its way is then mended."""
        rows = parquet.row_count(parquet.NamedFile(str(file), path))
        if self._known.get(file.key) != rows:
            self._remember(file, rows)

    def _rows(self, file: HubFile) -> int:
        if file.key not in self._known:
            try:
                self._known[file.key] = int(json.loads(self._place(file).read_bytes())["rows"])
            except (FileNotFoundError, ValueError, KeyError, TypeError):
                footer = RangeFile(self._client, file)
                self._remember(file, parquet.row_count(parquet.NamedFile(str(file), footer)))
        return self._known[file.key]

    def _remember(self, file: HubFile, rows: int) -> None:
        place = self._place(file)
        try:
            with replace_local(place) as stream:
                stream.write(json.dumps({"rows": rows}).encode())
        except OSError as error:
            raise write_error(str(place), error) from error
        self._known[file.key] = rows

    def _place(self, file: HubFile) -> Path:
        return self._folder / f"{file.key}.json"
