"""Objects are written whole or not at all, although object storage has no rename.

Closing an output stream creates an object from all that was written, even if an exception closes it. So the content is
first written to a temporary file on the local disk and then uploaded by a thread of its own, which Ctrl-C does not
interrupt. An upload that fails leaves no object; a bucket rule for incomplete multipart uploads removes its parts.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, Any

import pyarrow.fs as pafs

#: Bytes to upload at a time; they are held in memory until they are sent.
PIECE = 64 << 20


@contextmanager
def replace_object(filesystem: pafs.FileSystem, path: str) -> Iterator[IO[bytes]]:
    """Write an object: it is sent when the block has ended, and not at all if the block raises."""
    with tempfile.TemporaryFile() as aside:
        yield aside
        aside.seek(0)
        send(filesystem, aside, path)


def send(filesystem: pafs.FileSystem, content: IO[bytes], path: str) -> None:
    """Upload the rest of a stream as one object.

    Raises:
        OSError: the store refuses it; the previous object is intact.
    """

    def copy() -> None:
        with filesystem.open_output_stream(path) as stream:
            shutil.copyfileobj(content, _FlushEachPiece(stream), PIECE)

    with ThreadPoolExecutor(1) as sender:
        sender.submit(copy).result()


class _FlushEachPiece:
    """A stream that waits after each piece until it has been sent, and raises if that failed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, piece: bytes) -> int:
        self._stream.write(piece)
        if len(piece) == PIECE:
            self._stream.flush()
        return len(piece)
