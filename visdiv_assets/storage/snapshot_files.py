"""Files of object storage as they were at one moment, so that looking at thousands takes few requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from visdiv_assets.storage.files import Entry, Files

#: Requests at a time while small files are read.
REQUESTS = 16


class SnapshotFiles(Files):
    """What lies in some folders, listed once, and all files of one name in them, read at the same time.

    Files that have come since are not seen. What lies elsewhere is asked for as ever.
    """

    def __init__(self, files: Files, folders: Sequence[str], name: str) -> None:
        """List folders, and read what they hold of a name.

        Args:
            files: where they lie.
            folders: the folders, at the root.
            name: of the files that are read, such as the manifests.

        Raises:
            StorageError: object storage refuses it.
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
        """The size in bytes, or None if there was no such file."""
        return self._sizes.get(path) if self._is_known(path) else super().size(path)

    def folders(self, path: str) -> list[str]:
        """Names of the folders directly below a path, sorted."""
        return sorted(self._folders.get(path, ())) if self._is_known(path) else super().folders(path)

    def entries(self, path: str) -> list[Entry]:
        """The files directly below a path, sorted."""
        return sorted(self._entries.get(path, ())) if self._is_known(path) else super().entries(path)

    def folders_with(self, path: str, name: str) -> list[str]:
        """Names of the folders directly below a path that hold a file of a name, sorted."""
        if not self._is_known(path):
            return super().folders_with(path, name)
        return [folder for folder in self.folders(path) if f"{path}/{folder}/{name}" in self._sizes]

    def read(self, path: str) -> bytes | None:
        """The whole file, or None if there was none."""
        if path in self._contents:
            return self._contents[path]
        return None if self._is_known(path) and path not in self._sizes else super().read(path)

    def _is_known(self, path: str) -> bool:
        return path.partition("/")[0] in self._known
