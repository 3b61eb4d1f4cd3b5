"""Files of the lake: written aside, synced, then put in place in one step.

All access goes through `pyarrow.fs`, so that a lake may lie on a disk or on object storage. On a disk a file is written
under a temporary name, synced and renamed. Object storage has no rename, but an object appears only once it is
complete.
"""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.fs as pafs

from visdiv_assets.errors import VisdivError

#: Bytes of the longest name of a folder, so that one more ending, such as `.html`, fits what file systems allow.
LONGEST_NAME = 250

#: Bytes that a name keeps in that of its temporary file.
_NAME_KEPT = 200

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{32}\.tmp(\..*)?", re.DOTALL)


def escape(name: str) -> str:
    """A partition's name as one folder name: `geoqa+(x)` -> `geoqa%2B%28x%29`, `../x` -> `%2E.%2Fx`."""
    escaped = quote(name, safe="")
    return "%2E" + escaped[1:] if escaped.startswith(".") else escaped


def unescape(folder: str) -> str:
    """The inverse of `escape`."""
    return unquote(folder)


def check_length(name: str) -> None:
    """Refuse a name that is too long for a folder.

    Raises:
        VisdivError: it is, once it is escaped.
    """
    size = len(escape(name))
    if size > LONGEST_NAME:
        raise VisdivError(
            f"the name {name[:40] + '...'!r} takes {size} bytes as a folder, where {LONGEST_NAME} fit (letters and "
            "digits take one byte each, others up to twelve): rename the subset or benchmark"
        )


class Entry(NamedTuple):
    """A file: its name, size in bytes and time of change in seconds since 1970, if the file system knows it."""

    name: str
    size_bytes: int
    changed: float | None


class Files:
    """A folder on any file system that `pyarrow.fs` reaches; paths are relative to it and use `/`."""

    def __init__(self, root: str | Path) -> None:
        """Open a folder, which need not exist yet.

        Args:
            root: a local path, or a URI such as `s3://bucket/prefix`.
        """
        text = str(root)
        if "://" in text:
            self.filesystem, self.root = pafs.FileSystem.from_uri(text)
        else:
            self.filesystem, self.root = pafs.LocalFileSystem(), str(Path(text).absolute())

    @property
    def is_local(self) -> bool:
        """Whether the files lie on a disk of this machine, so that they can be memory-mapped."""
        return isinstance(self.filesystem, pafs.LocalFileSystem)

    def full_path(self, path: str) -> str:
        """The path as the file system wants it."""
        return f"{self.root}/{path}"

    def size(self, path: str) -> int | None:
        """The size in bytes, or None if there is no such file."""
        info = self.filesystem.get_file_info(self.full_path(path))
        return int(info.size) if info.type == pafs.FileType.File else None

    def folders(self, path: str) -> list[str]:
        """Names of the folders directly below a path, sorted; empty if there is no such path."""
        selector = pafs.FileSelector(self.full_path(path), allow_not_found=True)
        found = self.filesystem.get_file_info(selector)
        return sorted(info.base_name for info in found if info.type == pafs.FileType.Directory)

    def entries(self, path: str) -> list[Entry]:
        """The files directly below a path, sorted; empty if there is no such path."""
        selector = pafs.FileSelector(self.full_path(path), allow_not_found=True)
        found = self.filesystem.get_file_info(selector)
        entries = (
            Entry(info.base_name, int(info.size), info.mtime_ns / 1e9 if info.mtime_ns is not None else None)
            for info in found
            if info.type == pafs.FileType.File
        )
        return sorted(entries)

    def remove(self, path: str) -> None:
        """Remove a file, which may be gone already."""
        try:
            self.filesystem.delete_file(self.full_path(path))
        except FileNotFoundError:
            return
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise VisdivError(f"cannot remove {self.full_path(path)}: {reason}: mend the permissions") from error

    def remove_empty_folder(self, path: str) -> None:
        """Remove a folder if nothing is in it."""
        full = self.full_path(path)
        if self.is_local:
            with suppress(OSError):
                Path(full).rmdir()
        elif not self.filesystem.get_file_info(pafs.FileSelector(full, allow_not_found=True)):
            self.filesystem.delete_dir(full)

    def read(self, path: str) -> bytes | None:
        """The whole file, or None if there is none."""
        try:
            with self.filesystem.open_input_stream(self.full_path(path)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None  # there cannot be one
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise VisdivError(f"cannot read {self.full_path(path)}: {reason}") from error

    def remove_temporary(self, path: str) -> None:
        """Remove what killed writers left in a local folder. Nobody may be writing there.

        Raises:
            VisdivError: the folder cannot be written.
        """
        try:
            remove_temporary(Path(self.full_path(path)))
        except OSError as error:
            raise writing_failed(self.full_path(path), error) from error

    @contextmanager
    def replace(self, path: str) -> Iterator[BinaryIO | pa.NativeFile]:
        """Write a file in one atomic step: it appears complete and synced, or what was there before stays.

        Yields:
            a binary stream to write to.

        Raises:
            VisdivError: the disk is full, or the place cannot be written.
        """
        full = self.full_path(path)
        failed_inside: BaseException | None = None
        try:
            with replace_local(Path(full)) if self.is_local else self._upload(full) as stream:
                guarded = _Guarded(stream)
                try:
                    yield guarded
                except BaseException as error:
                    failed_inside = error
                    raise
        except OSError as error:
            # An error of whoever writes, such as one in reading what is to be written, is not one of this file.
            if error is failed_inside and error is not guarded.refused:
                raise
            raise writing_failed(full, error) from error

    @contextmanager
    def _upload(self, full: str) -> Iterator[BinaryIO]:
        """An object appears when its stream is closed, complete or not: it is sent only after the block has ended."""
        with tempfile.TemporaryFile() as aside:
            yield aside
            aside.seek(0)
            with self.filesystem.open_output_stream(full) as stream:
                shutil.copyfileobj(aside, stream, 1 << 20)


class _Guarded(io.RawIOBase):
    """Passes bytes on, and remembers the error of the operating system that refused some."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.refused: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        try:
            return self._stream.write(data)
        except OSError as error:
            self.refused = error
            raise

    def flush(self) -> None:
        if self.closed or self._stream.closed:
            return
        try:
            self._stream.flush()
        except OSError as error:
            self.refused = error
            raise


@contextmanager
def replace_local(path: Path) -> Iterator[BinaryIO]:
    """Write a local file aside, sync it, rename it over `path` and sync the folder; nothing is left if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = temporary_beside(path)
    try:
        with aside.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def temporary_beside(path: Path) -> Path:
    """A name beside `path` that no glob for data files matches, DuckDB's (which reads dot-files too) included."""
    return path.with_name(f".{_kept(path.name)}.{uuid.uuid4().hex}.tmp")


def is_temporary(name: str) -> bool:
    """Whether a file's name is one of `temporary_beside`, or of what DuckDB puts beside such a file."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_temporary(folder: Path, name: str | None = None) -> None:
    """Remove the files of `temporary_beside` and what DuckDB puts beside those, as a process leaves that is killed.

    Args:
        folder: where they lie; it need not exist.
        name: of the file whose temporary ones go; those of all files if None.
    """
    if not folder.is_dir():
        return
    for entry in list(os.scandir(folder)):
        match = _TEMPORARY.fullmatch(entry.name)
        if match and (name is None or match[1] == _kept(name)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry)
            else:
                Path(entry).unlink(missing_ok=True)


def _kept(name: str) -> str:
    """As much of a file's name as leaves room for what makes it a temporary one."""
    return name.encode()[:_NAME_KEPT].decode(errors="ignore")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def writing_failed(path: str, error: OSError) -> VisdivError:
    """The one line for a write that the operating system refused."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return VisdivError(
        f"cannot write {path}: {reason}; what was there before is intact: free some space or mend the permissions, "
        "then start the run again"
    )
