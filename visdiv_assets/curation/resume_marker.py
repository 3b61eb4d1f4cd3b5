"""The marker of an unfinished export, with which the same export resumes where it stopped.

It is a file with one JSON object per line: first one that names the program, then one when a file is begun and one when
it is complete, with a digest of its inputs. The last line about a file counts. A line that a power failure or a kill
has cut off is ignored; at worst a complete file is written again.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path, PurePosixPath
from types import TracebackType

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.error_messages import write_error
from visdiv_assets.storage.put_in_place import sync_folder

MARKER = ".unfinished"
#: Temporary names of files, see `storage.files.temporary_beside`.
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{32}\.tmp")
_FIRST_LINE = json.dumps({"program": "visdiv-assets", "unfinished": "export"}).encode() + b"\n"


class ResumeMarker:
    """A context manager of the folder that an export writes to, from the first file to the last.

    At the end of the context, the marker is removed, and so are files that only an earlier attempt wrote. After an
    exception everything stays for the next attempt.
    """

    def __init__(self, folder: Path) -> None:
        """Open a new or empty folder, or one with a marker.

        Args:
            folder: the folder; it and its parents are made if they do not exist.

        Raises:
            VisdivError: the folder is not empty and has no marker, is a file, or cannot be written to.
        """
        self.folder = folder
        self._begun: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._known = _parse(self._content())
            with (folder / MARKER).open("ab") as stream:
                # Ends the first line, or one that was cut off; an empty line is ignored.
                stream.write(b"\n" if stream.tell() else _FIRST_LINE)
                os.fsync(stream.fileno())
            sync_folder(folder)
        except (FileExistsError, NotADirectoryError):
            raise VisdivError(f"{folder} is a file, or part of its path is one: choose a new or empty folder") from None
        except OSError as error:
            raise write_error(str(folder), error) from error

    def size_of(self, path: str, made_from: str) -> int | None:
        """Return the size in bytes of a file that is complete and has the same inputs; None if it must be written.

        Args:
            path: relative to the folder, with `/`.
            made_from: digest of its inputs.
        """
        entry = self._known.get(path, {})
        size = _size(self.folder / path)
        if entry.get("made_from") != made_from or entry.get("size_bytes") != size:
            return None
        self._begun.add(path)
        return size

    def begin(self, path: str) -> None:
        """Record that a file is about to be written."""
        self._begun.add(path)
        self._append({"file": path})

    def finish(self, path: str, made_from: str) -> int:
        """Record that a file is complete, and return its size in bytes."""
        size = (self.folder / path).stat().st_size
        self._append({"file": path, "made_from": made_from, "size_bytes": size})
        return size

    def __enter__(self) -> ResumeMarker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        try:
            self._remove_leftovers()
            (self.folder / MARKER).unlink()
            sync_folder(self.folder)
        except OSError as failed:
            raise write_error(str(self.folder), failed) from failed

    def _content(self) -> bytes:
        """Return the content of the marker; empty if there is none or its first line was cut off."""
        found = [entry.name for entry in os.scandir(self.folder)]
        content = (self.folder / MARKER).read_bytes() if MARKER in found else b""
        if content.startswith(_FIRST_LINE) or not found:
            return content
        if found == [MARKER] and _FIRST_LINE.startswith(content):
            (self.folder / MARKER).unlink()
            return b""
        raise VisdivError(
            f"{self.folder} is not empty, and its files were not left by an interrupted export: "
            "choose a new or empty folder"
        )

    def _append(self, entry: dict[str, str | int]) -> None:
        try:
            with (self.folder / MARKER).open("ab") as stream:
                stream.write(json.dumps(entry).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise write_error(str(self.folder / MARKER), error) from error

    def _remove_leftovers(self) -> None:
        """Remove files that this attempt did not write, and temporary files of killed attempts."""
        ours = {path for path in self._known.keys() | self._begun if _is_within(path)}
        for path in ours - self._begun:
            (self.folder / path).unlink(missing_ok=True)
        for folder in {(self.folder / path).parent for path in ours}:
            beside = list(folder.iterdir()) if folder.is_dir() else []
            for file in beside:
                match = _TEMPORARY.fullmatch(file.name)
                if match and (folder / match[1]).relative_to(self.folder).as_posix() in ours:
                    file.unlink()
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _parse(content: bytes) -> dict[str, dict[str, str | int]]:
    """Return the last entry about each file."""
    entries: dict[str, dict[str, str | int]] = {}
    for line in content.splitlines()[1:]:
        try:
            entry = json.loads(line)
            entries[str(entry["file"])] = entry
        except (ValueError, KeyError, TypeError):
            continue
    return entries


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _is_within(path: str) -> bool:
    """Return whether a path of a marker is one that an export writes, so that no other file is ever removed."""
    parts = PurePosixPath(path).parts
    return 1 <= len(parts) <= 2 and not {"/", ".."} & set(parts)
