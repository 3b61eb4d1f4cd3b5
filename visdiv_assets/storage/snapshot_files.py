"""A snapshot of files on object storage, so that inspecting thousands of them takes few requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from visdiv_assets.storage.files import Entry, Files

#: Concurrent requests while small files are read.
REQUESTS = 16


class SnapshotFiles(Files):
    """Files whose listing in some folders, and whose content for one file name, is read once, in parallel.

    Files written later are not seen. Paths outside these folders are read as by `Files`.
    """

    def __init__(self, files: Files, folders: Sequence[str], name: str) -> None:
        """List folders and read the files of one name in them.

        Args:
            files: the files to take a snapshot of.
            folders: names of folders in the root.
            name: name of the files to read, for example that of manifests.

        Raises:
            StorageError: object storage refuses a request.
        """
        self.__dict__.update(vars(files))
        self._known = frozenset(folders)
        self._entries: dict[str, list[Entry]] = defaultdict(list)
        self._folders: dict[str, set[str]] = defaultdict(set)
        self._sizes: dict[str, int] = {}
        with ThreadPoolExecutor(REQUESTS) as requests:
            for folder, entries in zip(folders, requests.map(files.all_entries, folders), strict=True):
                self._add(folder, entries)
            wanted = [path for path in self._sizes if path.rpartition("/")[2] == name]
            self._contents = dict(zip(wanted, requests.map(files.read, wanted), strict=True))

    def _add(self, folder: str, entries: Sequence[Entry]) -> None:
        for entry in entries:
            path = f"{folder}/{entry.name}"
            parent, _, name = path.rpartition("/")
            self._sizes[path] = entry.size_bytes
            self._entries[parent].append(entry._replace(name=name))
            while parent:
                above, _, own = parent.rpartition("/")
                self._folders[above].add(own)
                parent = above

    def size(self, path: str) -> int | None:
        """Return the size of a file in bytes, or None if there was no such file."""
        return self._sizes.get(path) if self._is_known(path) else super().size(path)

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders directly in a folder, sorted."""
        return sorted(self._folders.get(path, ())) if self._is_known(path) else super().folders(path)

    def entries(self, path: str) -> list[Entry]:
        """Return the files directly in a folder, sorted."""
        return sorted(self._entries.get(path, ())) if self._is_known(path) else super().entries(path)

    def folders_with(self, path: str, name: str) -> list[str]:
        """Return the names of the folders directly in a folder that contain a file of this name, sorted."""
        if not self._is_known(path):
            return super().folders_with(path, name)
        return [folder for folder in self.folders(path) if f"{path}/{folder}/{name}" in self._sizes]

    def read(self, path: str) -> bytes | None:
        """Return the content of a file, or None if there was no such file."""
        if path in self._contents:
            return self._contents[path]
        return None if self._is_known(path) and path not in self._sizes else super().read(path)

    def _is_known(self, path: str) -> bool:
        return path.partition("/")[0] in self._known
