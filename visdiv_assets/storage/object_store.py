"""Objects: written whole or not at all, though object storage has no rename.

Closing an output stream makes an object of whatever the stream has got, as does its end by an exception. So what is to
be written is first written aside, on the local disk, and then sent by a thread of its own: Ctrl-C waits for its end. An
upload that fails leaves no object; its parts are the store's to clean up (a rule for incomplete multipart uploads).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, Any

import pyarrow.fs as pafs

#: Bytes that are under way at a time: what is sent in the background is held in memory.
PIECE = 64 << 20


@contextmanager
def replaced(filesystem: pafs.FileSystem, path: str) -> Iterator[IO[bytes]]:
    """Write an object: nothing is sent before the block has ended, and nothing if it ends by an exception."""
    with tempfile.TemporaryFile() as aside:
        yield aside
        aside.seek(0)
        send(filesystem, aside, path)


def send(filesystem: pafs.FileSystem, content: IO[bytes], path: str) -> None:
    """Make an object of all that a stream holds.

    Raises:
        OSError: the store refuses it; what was there before is intact.
    """

    def copy() -> None:
        with filesystem.open_output_stream(path) as stream:
            shutil.copyfileobj(content, _Flushed(stream), PIECE)

    with ThreadPoolExecutor(1) as sender:
        sender.submit(copy).result()


class _Flushed:
    """Waits after each piece until it has been sent, and raises if that failed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, piece: bytes) -> int:
        self._stream.write(piece)
        if len(piece) == PIECE:
            self._stream.flush()
        return len(piece)
