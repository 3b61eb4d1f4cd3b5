"""The marker of an export that is not finished, which lets the same export go on where it was stopped.

It is a file of JSON objects, one a line: first one that says whose it is, then one whenever a file is begun and one
whenever it is complete, with a digest of what it was made from. The last line about a file counts. A line that was cut
off by a power failure or a kill is passed over; at worst a complete file is written once more.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path, PurePosixPath
from types import TracebackType

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.error_messages import write_error
from visdiv_assets.storage.files import sync_folder

MARKER = ".unfinished"
#: Names of files that are being written, see `storage.files.temporary_beside`.
_ASIDE = re.compile(r"\.(.+)\.[0-9a-f]{32}\.tmp")
_FIRST_LINE = json.dumps({"program": "visdiv-assets", "unfinished": "export"}).encode() + b"\n"


class ResumeMarker:
    """A folder that an export writes to, from the first file to the last; a context manager.

    Leaving the context without an exception removes what an earlier attempt wrote and this one did not, and the marker;
    with one, everything stays for the next attempt.
    """

    def __init__(self, folder: Path) -> None:
        """Take a new or empty folder, or one with a marker.

        Args:
            folder: where; made if need be, with those above it.

        Raises:
            VisdivError: it is not empty and has no marker, is a file, or cannot be written.
        """
        self.folder = folder
        self._begun: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._known = _parsed(self._content())
            with (folder / MARKER).open("ab") as stream:
                # The end of the first line, or of one that was cut off; an empty line does no harm.
                stream.write(b"\n" if stream.tell() else _FIRST_LINE)
                os.fsync(stream.fileno())
            sync_folder(folder)
        except (FileExistsError, NotADirectoryError):
            raise VisdivError(f"{folder} is a file or lies in one: choose a new or empty folder") from None
        except OSError as error:
            raise write_error(str(folder), error) from error

    def size_of(self, path: str, made_from: str) -> int | None:
        """The size in bytes of a file that is complete and was made from the same; None if it must be written.

        Args:
            path: relative to the folder, with `/`.
            made_from: digest of what it depends on.
        """
        entry = self._known.get(path, {})
        size = _size(self.folder / path)
        if entry.get("made_from") != made_from or entry.get("size_bytes") != size:
            return None
        self._begun.add(path)
        return size

    def begin(self, path: str) -> None:
        """Note that a file is about to be written."""
        self._begun.add(path)
        self._append({"file": path})

    def finish(self, path: str, made_from: str) -> int:
        """Note that a file is complete; its size in bytes."""
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
        """What the marker holds, empty where there is none or its first line was cut off."""
        found = [entry.name for entry in os.scandir(self.folder)]
        content = (self.folder / MARKER).read_bytes() if MARKER in found else b""
        if content.startswith(_FIRST_LINE) or not found:
            return content
        if found == [MARKER] and _FIRST_LINE.startswith(content):
            (self.folder / MARKER).unlink()
            return b""
        raise VisdivError(
            f"{self.folder} is not empty, and what is in it was not left by an export that was stopped: "
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
        """Remove files that this attempt did not write, and what a killed attempt wrote aside."""
        ours = {path for path in self._known.keys() | self._begun if _is_within(path)}
        for path in ours - self._begun:
            (self.folder / path).unlink(missing_ok=True)
        for folder in {(self.folder / path).parent for path in ours}:
            beside = list(folder.iterdir()) if folder.is_dir() else []
            for file in beside:
                match = _ASIDE.fullmatch(file.name)
                if match and (folder / match[1]).relative_to(self.folder).as_posix() in ours:
                    file.unlink()
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _parsed(content: bytes) -> dict[str, dict[str, str | int]]:
    """The last entry about each file."""
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
    """Whether a path of a marker is one that an export writes, so that nothing elsewhere is ever removed."""
    parts = PurePosixPath(path).parts
    return 1 <= len(parts) <= 2 and not {"/", ".."} & set(parts)
