"""Streams that pass bytes on: one notes what refuses them, one hashes them on the way."""

from __future__ import annotations

import hashlib
import io
from typing import IO, Any


class Guarded(io.RawIOBase):
    """Passes bytes on, and remembers the error of the operating system that refused some."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.refused: OSError | None = None

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Pass bytes on."""
        try:
            return self._stream.write(data)
        except OSError as error:
            self.refused = error
            raise

    def flush(self) -> None:
        """Pass it on, until the stream is closed."""
        if self.closed or self._stream.closed:
            return
        try:
            self._stream.flush()
        except OSError as error:
            self.refused = error
            raise


class Hashing(io.RawIOBase):
    """A write-only stream that passes bytes on and hashes them on the way."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes so far."""
        return self.size

    def write(self, data: Any) -> int:
        """Pass bytes on, all of them."""
        view = memoryview(data).cast("B")
        self._stream.write(view)
        self.sha256.update(view)
        self.size += len(view)
        return len(view)
