"""Local copies of matrices on object storage, for memory-mapping.

A copy is named by the SHA-256 of its content, which never changes. When the copies exceed the limit, the least recently
used ones are removed. A removed copy that is still mapped stays readable until it is unmapped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from visdiv_assets.errors import StorageError
from visdiv_assets.storage.error_messages import read_error
from visdiv_assets.storage.file_cache import FileCache
from visdiv_assets.storage.files import Files

if TYPE_CHECKING:
    from visdiv_assets.storage.manifest import DataFile

SUFFIX = ".npy"

#: Bytes to copy at a time.
_PIECE = 8 << 20


class ArrayCache:
    """A folder of copies, limited in size; copies in use may exceed the limit.

    Attributes:
        folder: the folder.
    """

    def __init__(self, folder: Path, max_bytes: int, reserve_bytes: int = 0) -> None:
        """Open a folder, which need not exist yet.

        Args:
            folder: the folder; it must hold nothing else.
            max_bytes: limit on the total size of the copies.
            reserve_bytes: bytes to leave free on the folder's disk.
        """
        self.folder = folder
        self._copies = FileCache(folder, max_bytes, reserve_bytes)

    def array(self, files: Files, path: str, file: DataFile) -> np.ndarray:
        """Memory-map a matrix from its local copy, after fetching the copy if there is none.

        Args:
            files: the files of the lake.
            path: the matrix's path there.
            file: its entry in the manifest.

        Raises:
            StorageError: it cannot be fetched, its content differs from the manifest's SHA-256, or the folder cannot be
                written.
        """

        def fetch(stream: BinaryIO) -> None:
            digest = hashlib.sha256()
            stream.seek(0)
            stream.truncate()
            try:
                with files.filesystem.open_input_stream(files.full_path(path)) as remote:
                    while piece := remote.read(_PIECE):
                        digest.update(piece)
                        stream.write(piece)
            except FileNotFoundError:
                pass  # The digest of nothing differs from the manifest's too.
            except OSError as error:
                if error.errno:
                    raise  # an error of the local disk
                raise read_error(files.display(path), error) from error
            if digest.hexdigest() != file.sha256:
                stream.truncate(0)
                raise StorageError(f"{files.display(path)} is missing or damaged: materialize its partition again")

        with self._copies.file(f"{file.sha256}{SUFFIX}", file.size_bytes, fetch) as copy:
            mapped: np.ndarray = np.load(copy, mmap_mode="r", allow_pickle=False)
            return mapped


def find_unreferenced_copies(folder: Path, referenced: Collection[str]) -> list[Path]:
    """Return the copies in a folder whose content no manifest refers to.

    Args:
        folder: the cache's folder; it need not exist.
        referenced: the SHA-256 of all files that manifests list.
    """
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if path.name.partition(".")[0] not in referenced]
