"""Files of the lake: written aside, synced, then put in place in one step.

All access goes through `pyarrow.fs`, so that a lake may lie on a disk or on object storage. On a disk a file is written
under a temporary name, synced and renamed. Object storage has no rename, but an object appears only once it is
complete; see `objects`. What it refuses is said in one line wherever it is asked; a disk's errors are the caller's.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.fs as pafs

from visdiv_assets.errors import StorageError
from visdiv_assets.storage import object_store, uris
from visdiv_assets.storage.error_messages import read_error, remove_error
from visdiv_assets.storage.error_messages import write_error as write_error
from visdiv_assets.storage.streams import Guarded

#: Bytes of the longest name of a folder, so that one more ending, such as `.html`, fits what file systems allow.
MAX_NAME_LENGTH = 250

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
        StorageError: it is, once it is escaped.
    """
    size = len(escape(name))
    if size > MAX_NAME_LENGTH:
        raise StorageError(
            f"the name {name[:40] + '...'!r} takes {size} bytes as a folder, where {MAX_NAME_LENGTH} fit (letters and "
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
            root: a local path, or a URI such as `s3://bucket/prefix`; see `places`.

        Raises:
            StorageError: the URI is not understood.
        """
        self._place = str(root)
        self.filesystem, self.root = uris.open_filesystem(self._place)
        self._bucket_seen = self.filesystem.type_name != "s3"

    @property
    def is_local(self) -> bool:
        """Whether the files lie on a disk of this machine, so that they can be memory-mapped."""
        return isinstance(self.filesystem, pafs.LocalFileSystem)

    def full_path(self, path: str) -> str:
        """The path as the file system wants it."""
        return f"{self.root}/{path}" if path else self.root

    def display(self, path: str) -> str:
        """The path as lines for people name it."""
        return uris.display(uris.join(self._place, path)) if not self.is_local else self.full_path(path)

    def size(self, path: str) -> int | None:
        """The size in bytes, or None if there is no such file."""
        with self._refusals(path):
            info = self.filesystem.get_file_info(self.full_path(path))
        return int(info.size) if info.type == pafs.FileType.File else None

    def folders(self, path: str) -> list[str]:
        """Names of the folders directly below a path, sorted; empty if there is no such path."""
        return sorted(info.base_name for info in self._listed(path) if info.type == pafs.FileType.Directory)

    def entries(self, path: str) -> list[Entry]:
        """The files directly below a path, sorted; empty if there is no such path."""
        return sorted(_entry(info.base_name, info) for info in self._listed(path) if info.type == pafs.FileType.File)

    def all_entries(self, path: str) -> list[Entry]:
        """The files below a path, at any depth, each with its path below it as its name, sorted.

        On object storage a request lists a thousand, wherever they lie.
        """
        start = len(self.full_path(path)) + 1
        found = self._listed(path, recursive=True)
        return sorted(_entry(info.path[start:], info) for info in found if info.type == pafs.FileType.File)

    def folders_with(self, path: str, name: str) -> list[str]:
        """Names of the folders directly below a path that hold a file of a name, sorted."""
        if self.is_local:
            return [folder for folder in self.folders(path) if self.size(f"{path}/{folder}/{name}") is not None]
        split = (entry.name.split("/") for entry in self.all_entries(path))
        return sorted(parts[0] for parts in split if parts[1:] == [name])

    def _listed(self, path: str, *, recursive: bool = False) -> list[pafs.FileInfo]:
        selector = pafs.FileSelector(self.full_path(path), allow_not_found=True, recursive=recursive)
        with self._refusals(path):
            found: list[pafs.FileInfo] = self.filesystem.get_file_info(selector)
        if not found:
            self._require_bucket()
        return found

    def remove(self, path: str) -> None:
        """Remove a file, which may be gone already."""
        try:
            self.filesystem.delete_file(self.full_path(path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise remove_error(self.display(path), error) from error

    def remove_empty_folder(self, path: str) -> None:
        """Remove a folder if nothing is in it; object storage has none, and another machine may be writing there."""
        if self.is_local:
            with suppress(OSError):
                Path(self.full_path(path)).rmdir()

    def read(self, path: str) -> bytes | None:
        """The whole file, or None if there is none."""
        try:
            with self.filesystem.open_input_stream(self.full_path(path)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            self._require_bucket()
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None  # there cannot be one
            raise read_error(self.display(path), error) from error

    def remove_temporary(self, path: str) -> None:
        """Remove what killed writers left in a local folder. Nobody may be writing there.

        Raises:
            StorageError: the folder cannot be written.
        """
        try:
            remove_temporary(Path(self.full_path(path)))
        except OSError as error:
            raise write_error(self.full_path(path), error) from error

    @contextmanager
    def replace(self, path: str) -> Iterator[BinaryIO | pa.NativeFile]:
        """Write a file in one atomic step: it appears complete and synced, or what was there before stays.

        Yields:
            a binary stream to write to.

        Raises:
            StorageError: the disk is full, or the place cannot be written.
        """
        full = self.full_path(path)
        failed_inside: BaseException | None = None
        try:
            with replace_local(Path(full)) if self.is_local else object_store.replaced(self.filesystem, full) as stream:
                guarded = Guarded(stream)
                try:
                    yield guarded
                except BaseException as error:
                    failed_inside = error
                    raise
        except OSError as error:
            # An error of whoever writes, such as one in reading what is to be written, is not one of this file.
            if error is failed_inside and error is not guarded.refused:
                raise
            raise write_error(self.display(path), error) from error

    @contextmanager
    def _refusals(self, path: str) -> Iterator[None]:
        """Say in one line what object storage refuses."""
        try:
            yield
        except OSError as error:
            if self.is_local:
                raise
            raise read_error(self.display(path), error) from error

    def _require_bucket(self) -> None:
        """To S3, what lies in a bucket that does not exist is merely not there; asked once, where something is not.

        Raises:
            StorageError: there is no such bucket.
        """
        if self._bucket_seen:
            return
        bucket = self.root.partition("/")[0]
        with self._refusals(""):
            found = self.filesystem.get_file_info(bucket)
        if found.type == pafs.FileType.NotFound:
            raise StorageError(f"there is no bucket {bucket!r} for {self.display('')}: make it, or correct VISDIV_DATA")
        self._bucket_seen = True


def _entry(name: str, info: pafs.FileInfo) -> Entry:
    return Entry(name, int(info.size), info.mtime_ns / 1e9 if info.mtime_ns is not None else None)


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
