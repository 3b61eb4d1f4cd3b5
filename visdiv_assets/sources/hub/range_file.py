"""A remote file as a file object that fetches only the bytes that are read."""

from __future__ import annotations

import io
import os
from collections import deque
from typing import Any

from visdiv_assets.sources.hub.client import HubClient, HubFile

#: Minimum bytes per request: the footer of most files, and the small column chunks beside the images.
MIN_READ_BYTES = 1 << 16

#: Pieces that are cached: the footer, and the pieces around the present position.
PIECES = 3


class RangeFile(io.RawIOBase):
    """A file on the Hub, open for reading.

    Attributes:
        fetched_bytes: the number of bytes fetched so far.
    """

    def __init__(self, client: HubClient, file: HubFile) -> None:
        """Open a file; nothing is fetched until it is read."""
        self._client = client
        self._file = file
        self._position = 0
        self._pieces: deque[tuple[int, bytes]] = deque(maxlen=PIECES)
        self.fetched_bytes = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, and return it."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._file.size_bytes}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, and return the number of bytes read."""
        view = memoryview(buffer).cast("B")
        length = max(0, min(len(view), self._file.size_bytes - self._position))
        view[:length] = self._bytes(self._position, length)
        self._position += length
        return length

    def _bytes(self, start: int, length: int) -> bytes:
        for first, piece in self._pieces:
            if first <= start and start + length <= first + len(piece):
                return piece[start - first : start - first + length]
        first = max(0, min(start, self._file.size_bytes - MIN_READ_BYTES))
        stop = min(max(start + length, first + MIN_READ_BYTES), self._file.size_bytes)
        piece = self._client.read(self._file, first, stop - first)
        self.fetched_bytes += len(piece)
        self._pieces.append((first, piece))
        return piece[start - first : start - first + length]
