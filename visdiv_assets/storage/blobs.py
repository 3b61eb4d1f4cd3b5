"""Small files of one kind, such as thumbnails, concatenated in a few large ones and read at random.

A role of blobs is two files of a unit: the concatenated bytes, and the offsets at which each blob ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple

import numpy as np

from visdiv_assets.errors import StorageError
from visdiv_assets.storage.error_messages import read_error
from visdiv_assets.storage.files import Files

#: What the role of the offsets is called, after that of the bytes.
ENDS_SUFFIX = "_ends"

#: Bytes between two blobs that are read, rather than left out, to save a request.
_MAX_GAP = 64 << 10

#: Maximum bytes of a request that joins several blobs.
_MAX_REQUEST = 16 << 20


class BlobFile(NamedTuple):
    """The blobs of one unit.

    Attributes:
        path: path in the lake of the concatenated bytes.
        ends: int64 [n], the offset at which each blob ends.
    """

    path: str
    ends: np.ndarray


class StoredBlobs:
    """The blobs of several units as one sequence, read on access."""

    def __init__(self, files: Files, parts: Sequence[BlobFile]) -> None:
        """Open blobs; nothing is read.

        Args:
            files: the files of the lake.
            parts: the units in order.
        """
        self._files = files
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part.ends) for part in parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, rows: np.ndarray) -> list[bytes]:
        """Return the blobs of some rows, int64 [m] in any order; neighbors are read together.

        Raises:
            IndexError: there is no such row.
            StorageError: a file cannot be read, or ends too early.
        """
        rows = np.asarray(rows, np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} are not all in 0 to {len(self) - 1}")
        found: list[bytes] = [b""] * len(rows)
        order = np.argsort(rows, kind="stable")
        owner = np.searchsorted(self._starts, rows[order], side="right") - 1
        for index in np.unique(owner):
            mine = order[owner == index]
            self._read_part(self._parts[index], rows[mine] - self._starts[index], mine, found)
        return found

    def _read_part(self, part: BlobFile, rows: np.ndarray, into: np.ndarray, found: list[bytes]) -> None:
        ends = part.ends[rows]
        begins = np.where(rows > 0, part.ends[np.maximum(rows - 1, 0)], 0)
        try:
            with self._files.filesystem.open_input_file(self._files.full_path(part.path)) as stream:
                for first, stop in _requests(begins, ends):
                    offset = int(begins[first])
                    data = stream.read_at(int(ends[stop - 1]) - offset, offset)
                    if len(data) < ends[stop - 1] - offset:
                        raise damaged(self._files, part.path)
                    for index in range(first, stop):
                        found[into[index]] = data[begins[index] - offset : ends[index] - offset]
        except OSError as error:
            raise read_error(self._files.display(part.path), error) from error


def write_blobs(stream: IO[bytes], items: Iterable[bytes]) -> np.ndarray:
    """Write items one after the other, and return the offsets at which they end, int64 [n]."""
    lengths = [stream.write(item) for item in items]
    return np.cumsum(lengths, dtype=np.int64)


def damaged(files: Files, path: str) -> StorageError:
    """Return the error for blobs whose offsets do not fit their bytes."""
    return StorageError(f"{files.display(path)} is damaged: materialize its partition again")


def _requests(begins: np.ndarray, ends: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield ranges of sorted blobs that are close enough to be read at once."""
    first = 0
    for index in range(1, len(begins)):
        far = begins[index] - ends[index - 1] > _MAX_GAP or ends[index] - begins[first] > _MAX_REQUEST
        if far:
            yield first, index
            first = index
    if len(begins):
        yield first, len(begins)
