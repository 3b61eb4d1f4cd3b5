"""Find files in a folder, and describe them without opening them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa

from visdiv_assets.errors import SourceError, did_you_mean
from visdiv_assets.sources.interface import Kind
from visdiv_assets.storage.manifest import digest_of

_NAMES_SHOWN = 20
#: Characters of a reason that messages show.
_REASON_LENGTH = 200
#: The folder of the versions of a dataset in the cache of the Hub.
_SNAPSHOTS = "snapshots"


@dataclass(frozen=True)
class FoundFile:
    """A file and its state when it was found.

    Attributes:
        relative: posix path relative to the searched folder.
        path: its path.
        size_bytes: its size.
        mtime_ns: time of its last change, in nanoseconds since 1970.
    """

    relative: str
    path: Path
    size_bytes: int
    mtime_ns: int


def cannot_read(path: Path | str, error: OSError) -> SourceError:
    """Return the error to raise when the system refuses access to a file or folder."""
    reason = error.strerror or str(error)
    return SourceError(f"{path} cannot be read ({reason}): check that it exists and that you may read it")


@contextmanager
def name_errors(path: object, what: str, remedy: str) -> Iterator[None]:
    """Turn what pyarrow raises at a damaged or missing file into an error that names the file.

    Args:
        path: the file, as a message shall name it.
        what: what it should be, such as "Parquet file".
        remedy: what to do about a damaged one.
    """
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise cannot_read(str(path), error) from None
        reason = " ".join(str(error).split())[:_REASON_LENGTH] or type(error).__name__
        raise SourceError(f"{path} is not a readable {what} ({reason}): {remedy}") from None


def look(folder: Path, relative: str) -> FoundFile:
    """Return the present state of one file.

    Raises:
        SourceError: the file is missing (or is a dangling link), or is not a regular file.
    """
    path = folder / relative
    try:
        status = path.stat()
        regular = path.is_file()
    except OSError as error:
        raise cannot_read(path, error) from None
    if not regular:
        raise SourceError(f"{path} is not a regular file: move it out of the folder")
    return FoundFile(relative, path, status.st_size, status.st_mtime_ns)


def confined(found: list[FoundFile], root: Path | None) -> list[FoundFile]:
    """Return files, after a check that none lies outside the source.

    Args:
        found: the files.
        root: the source; None: links may lead anywhere.

    Raises:
        SourceError: a link in the path of a file leads out of the source.
    """
    if root is None:
        return found
    allowed = folders_of(root)
    real_folder = cache(Path.resolve)  # most files share their folder
    for file in found:
        real = file.path.resolve() if file.path.is_symlink() else real_folder(file.path.parent) / file.path.name
        if not any(map(real.is_relative_to, allowed)):
            raise SourceError(
                f"{file.path} leads to {real}, outside the source: copy the file there, or set "
                "VISDIV_OUTSIDE_FILES=true to follow links"
            )
    return found


def folders_of(root: Path) -> tuple[Path, ...]:
    """Return the folders, without links in their paths, that hold the files of a source.

    The files of a download of the Hub are links to `blobs`, beside the folder `snapshots` with the source.
    """
    base = root.resolve()
    if _SNAPSHOTS not in base.parts:
        return (base,)
    return base, Path(*base.parts[: base.parts.index(_SNAPSHOTS)]) / "blobs"


def walk(
    folder: Path, suffixes: Collection[str] | None = None, *, unreadable: list[SourceError] | None = None
) -> Iterator[str]:
    """Yield the files under a folder, as posix paths relative to it, in no order.

    Links are followed, but not into a folder that contains them. Hidden files and folders (`.name`) are left out.
    Dangling links are yielded, so that a missing file is noticed.

    Args:
        folder: where to search.
        suffixes: lower-case suffixes with their dot; the suffixes of files may have any case. None: all files.
        unreadable: if given, gets the errors instead of raising them, and the search goes on.

    Raises:
        SourceError: a folder cannot be read, or a name is not UTF-8.
    """
    yield from _walk(folder, "", None if suffixes is None else frozenset(suffixes), frozenset(), unreadable)


def _walk(
    folder: Path,
    prefix: str,
    suffixes: frozenset[str] | None,
    parents: frozenset[tuple[int, int]],
    unreadable: list[SourceError] | None,
) -> Iterator[str]:
    try:
        status = _stat(folder)
        here = (status.st_dev, status.st_ino)
        entries = _entries(folder) if here not in parents else []
    except SourceError as error:
        if unreadable is None:
            raise
        unreadable.append(error)
        return
    for name, is_folder in entries:
        if is_folder:
            yield from _walk(folder / name, f"{prefix}{name}/", suffixes, parents | {here}, unreadable)
        elif suffixes is None or Path(name).suffix.lower() in suffixes:
            try:
                path = _utf8(prefix + name, folder)
            except SourceError as error:
                if unreadable is None:
                    raise
                unreadable.append(error)
            else:
                yield path


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise cannot_read(path, error) from None


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders directly in a folder, sorted, without hidden ones. Links to folders count.

    Raises:
        SourceError: the folder cannot be read, or a name is not UTF-8.
    """
    return sorted(_utf8(name, folder) for name, is_folder in _entries(folder) if is_folder)


def files_in(folder: Path) -> list[str]:
    """Return the names of the files directly in a folder, sorted, without hidden ones.

    Raises:
        SourceError: the folder cannot be read, or a name is not UTF-8.
    """
    return sorted(_utf8(name, folder) for name, is_folder in _entries(folder) if not is_folder)


def own_name(root: Path) -> str:
    """Return the name of an absolute folder, also if it was given as `.` or ends in `..`."""
    return root.name if root.name not in ("", "..") else root.resolve().name or "images"


def fingerprint(files: Iterable[FoundFile]) -> str:
    """Return 64 hex characters that change when the path, size or time of change of a file does. Opens no file."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(f"{file.path}\0{file.size_bytes}\0{file.mtime_ns}\0"))
    return digest.hexdigest()


def observed_version(files: Iterable[FoundFile]) -> str:
    """Return 32 hex characters that change when a file is added, renamed, removed or written.

    They stay the same when the folder moves.
    """
    return digest_of([[file.relative, file.size_bytes, file.mtime_ns] for file in files])


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex characters, read in blocks.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise cannot_read(path, error) from None


def changed(path: Path | str) -> SourceError:
    """Return the error to raise when a shard differs from what `shards` described."""
    return SourceError(f"{path} has changed since it was listed: run again, and do not change it during the run")


def no_such(uri: str, kind: Kind, name: str, names: Sequence[str]) -> SourceError:
    """Return the error to raise when a source has no subset or benchmark of this name."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    hint = did_you_mean(name, names) or f"it has {', '.join(names[:_NAMES_SHOWN]) or 'nothing'}{more}"
    return SourceError(f"{uri} has no {name!r} among its {kind.value}: {hint}")


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """Return the name of each entry that is not hidden, and whether it is a folder or a link to one."""
    try:
        with os.scandir(folder) as entries:
            return [(entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise cannot_read(folder, error) from None


def _utf8(name: str, folder: Path) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise SourceError(f"{str(folder)!a} holds the name {name!a}, which is not UTF-8: rename it") from None
    return name
