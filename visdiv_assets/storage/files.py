"""Files of the lake: written aside, synced, then put in place in one step.

All access goes through `pyarrow.fs`, so that a lake may be on a disk or on object storage. On a disk a file is written
under a temporary name, synced and renamed. Object storage has no rename, but an object appears only when it is
complete; see `object_store`. Errors of object storage become StorageErrors of one line here; errors of a disk in
listing and reading are left to the caller.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.fs as pafs

from visdiv_assets.errors import StorageError
from visdiv_assets.storage import object_store, uris
from visdiv_assets.storage.error_messages import read_error, remove_error
from visdiv_assets.storage.error_messages import write_error as write_error
from visdiv_assets.storage.put_in_place import put_in_place, real_path
from visdiv_assets.storage.streams import Guarded

#: Maximum bytes of a folder's name. File systems allow 255, so an extension such as `.html` still fits.
MAX_NAME_LENGTH = 250

#: Maximum bytes of a file's name that the name of its temporary file repeats.
_MAX_KEPT_BYTES = 200

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{32}\.tmp(\..*)?", re.DOTALL)


def escape(name: str) -> str:
    """Return a partition's name as one folder name: `geoqa+(x)` -> `geoqa%2B%28x%29`, `../x` -> `%2E.%2Fx`."""
    escaped = quote(name, safe="")
    return "%2E" + escaped[1:] if escaped.startswith(".") else escaped


def unescape(folder: str) -> str:
    """Return the partition's name for a folder name: the inverse of `escape`."""
    return unquote(folder)


def check_length(name: str) -> None:
    """Raise if a name is too long for a folder.

    Raises:
        StorageError: the escaped name is longer than `MAX_NAME_LENGTH` bytes.
    """
    size = len(escape(name))
    if size > MAX_NAME_LENGTH:
        raise StorageError(
            f"the name {name[:40] + '...'!r} takes {size} bytes as a folder name, but at most {MAX_NAME_LENGTH} fit "
            "(a letter or digit takes one byte, another character up to twelve): rename the subset or benchmark"
        )


class Entry(NamedTuple):
    """A file: its name, size in bytes, and modification time in seconds since 1970 (None if it is unknown)."""

    name: str
    size_bytes: int
    changed: float | None


class Files:
    """A folder on any file system that `pyarrow.fs` reaches; paths are relative to it and use `/`."""

    def __init__(self, root: str | Path) -> None:
        """Open a folder, which need not exist yet.

        Args:
            root: a local path, or a URI such as `s3://bucket/prefix`; see `uris`.

        Raises:
            StorageError: the URI is not understood.
        """
        self._location = str(root)
        self.filesystem, self.root = uris.open_filesystem(self._location)
        self._bucket_seen = self.filesystem.type_name != "s3"

    @property
    def is_local(self) -> bool:
        """Whether the files are on a disk of this machine, so that they can be memory-mapped."""
        return isinstance(self.filesystem, pafs.LocalFileSystem)

    def full_path(self, path: str) -> str:
        """Return the path as the file system expects it."""
        return f"{self.root}/{path}" if path else self.root

    def display(self, path: str) -> str:
        """Return the path as messages show it."""
        return uris.display(uris.join(self._location, path)) if not self.is_local else self.full_path(path)

    def size(self, path: str) -> int | None:
        """Return the size of a file in bytes, or None if there is no such file."""
        with self._one_line_errors(path):
            info = self.filesystem.get_file_info(self.full_path(path))
        return int(info.size) if info.type == pafs.FileType.File else None

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders directly in a folder, sorted; empty if it does not exist."""
        return sorted(info.base_name for info in self._list(path) if info.type == pafs.FileType.Directory)

    def entries(self, path: str) -> list[Entry]:
        """Return the files directly in a folder, sorted; empty if it does not exist."""
        return sorted(_entry(info.base_name, info) for info in self._list(path) if info.type == pafs.FileType.File)

    def all_entries(self, path: str) -> list[Entry]:
        """Return the files in a folder at any depth, sorted; the name of each is its path relative to the folder.

        On object storage one request lists a thousand files at any depth.
        """
        start = len(self.full_path(path)) + 1
        found = self._list(path, recursive=True)
        return sorted(_entry(info.path[start:], info) for info in found if info.type == pafs.FileType.File)

    def folders_with(self, path: str, name: str) -> list[str]:
        """Return the names of the folders directly in a folder that contain a file of this name, sorted."""
        if self.is_local:
            return [folder for folder in self.folders(path) if self.size(f"{path}/{folder}/{name}") is not None]
        split = (entry.name.split("/") for entry in self.all_entries(path))
        return sorted(parts[0] for parts in split if parts[1:] == [name])

    def _list(self, path: str, *, recursive: bool = False) -> list[pafs.FileInfo]:
        selector = pafs.FileSelector(self.full_path(path), allow_not_found=True, recursive=recursive)
        with self._one_line_errors(path):
            found: list[pafs.FileInfo] = self.filesystem.get_file_info(selector)
        if not found:
            self._require_bucket()
        return found

    def remove(self, path: str) -> None:
        """Remove a file if it exists."""
        try:
            self.filesystem.delete_file(self.full_path(path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise remove_error(self.display(path), error) from error

    def remove_empty_folder(self, path: str) -> None:
        """Remove a local folder if it is empty; object storage has no folders."""
        if self.is_local:
            with suppress(OSError):
                Path(self.full_path(path)).rmdir()

    def read(self, path: str) -> bytes | None:
        """Return the content of a file, or None if there is no such file."""
        try:
            with self.filesystem.open_input_stream(self.full_path(path)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            self._require_bucket()
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None  # no file can have such a name
            raise read_error(self.display(path), error) from error

    def remove_temporary(self, path: str) -> None:
        """Remove the temporary files that killed writers left in a local folder; no process may be writing there.

        Raises:
            StorageError: the folder cannot be written.
        """
        try:
            remove_temporary(Path(self.full_path(path)))
        except OSError as error:
            raise write_error(self.full_path(path), error) from error

    @contextmanager
    def replace(self, path: str) -> Iterator[BinaryIO | pa.NativeFile]:
        """Write a file in one atomic step: the new content appears complete and synced, or the old content stays.

        Yields:
            a binary stream to write to.

        Raises:
            StorageError: the disk is full, or the path cannot be written.
        """
        error_in_block: BaseException | None = None
        try:
            with self._open_replacement(self.full_path(path)) as stream:
                guarded = Guarded(stream)
                try:
                    yield guarded
                except BaseException as error:
                    error_in_block = error
                    raise
        except OSError as error:
            # An OSError from the block that this file did not cause, for example in reading its input, passes through.
            if error is error_in_block and error is not guarded.refused:
                raise
            raise write_error(self.display(path), error) from error

    def _open_replacement(self, full_path: str) -> AbstractContextManager[IO[bytes]]:
        if self.is_local:
            return replace_local(Path(full_path))
        return object_store.replace_object(self.filesystem, full_path)

    @contextmanager
    def _one_line_errors(self, path: str) -> Iterator[None]:
        """Turn an error of object storage into a StorageError."""
        try:
            yield
        except OSError as error:
            if self.is_local:
                raise
            raise read_error(self.display(path), error) from error

    def _require_bucket(self) -> None:
        """Check once that the bucket exists, after a path was not found: S3 reports both in the same way.

        Raises:
            StorageError: there is no such bucket.
        """
        if self._bucket_seen:
            return
        bucket = self.root.partition("/")[0]
        with self._one_line_errors(""):
            found = self.filesystem.get_file_info(bucket)
        if found.type == pafs.FileType.NotFound:
            raise StorageError(f"no bucket {bucket!r} exists for {self.display('')}: create it or correct VISDIV_DATA")
        self._bucket_seen = True


def _entry(name: str, info: pafs.FileInfo) -> Entry:
    return Entry(name, int(info.size), info.mtime_ns / 1e9 if info.mtime_ns is not None else None)


@contextmanager
def replace_local(path: Path) -> Iterator[BinaryIO]:
    """Write a temporary file, sync it, rename it to `path` and sync the folder; leave no temporary file on failure.

    If `path` is a link, the file that it leads to is replaced. Mode and group stay those of the replaced file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    target = real_path(path)
    aside = temporary_beside(target)
    try:
        # Nobody else may read the new content of a private file before the file has its mode.
        aside.touch(0o600 if target.exists() else 0o666, exist_ok=False)
        with aside.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        put_in_place(aside, target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def temporary_beside(path: Path) -> Path:
    """Return a path beside `path` that no glob for data files matches, not even DuckDB's, which reads dot-files."""
    return path.with_name(f".{_shorten(path.name)}.{uuid.uuid4().hex}.tmp")


def is_temporary(name: str) -> bool:
    """Return whether a name is one of `temporary_beside`, or of a file that DuckDB puts beside such a file."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_temporary(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files of killed processes, and the files that DuckDB puts beside them.

    Args:
        folder: their folder; it need not exist.
        name: name of the file whose temporary files are removed; None for those of all files.
    """
    if not folder.is_dir():
        return
    for entry in list(os.scandir(folder)):
        match = _TEMPORARY.fullmatch(entry.name)
        if match and (name is None or match[1] == _shorten(name)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry)
            else:
                Path(entry).unlink(missing_ok=True)


def _shorten(name: str) -> str:
    """Return the beginning of a file's name, short enough for the name of its temporary file."""
    return name.encode()[:_MAX_KEPT_BYTES].decode(errors="ignore")
