"""Streams that forward bytes: one records write errors, one hashes the bytes."""

from __future__ import annotations

import hashlib
import io
from typing import IO, Any


class Guarded(io.RawIOBase):
    """A write-only stream that forwards bytes and records the OSError of a failed write in `refused`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.refused: OSError | None = None

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Forward bytes and return how many the underlying stream took."""
        try:
            return self._stream.write(data)
        except OSError as error:
            self.refused = error
            raise

    def flush(self) -> None:
        """Flush the underlying stream unless it is closed."""
        if self.closed or self._stream.closed:
            return
        try:
            self._stream.flush()
        except OSError as error:
            self.refused = error
            raise


class Hashing(io.RawIOBase):
    """A write-only stream that forwards bytes and hashes them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self.size

    def write(self, data: Any) -> int:
        """Forward all bytes and return their number."""
        view = memoryview(data).cast("B")
        self._stream.write(view)
        self.sha256.update(view)
        self.size += len(view)
        return len(view)
