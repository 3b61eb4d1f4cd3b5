"""Local copies of matrices that lie on object storage, so that they can be memory-mapped.

A copy is named by the SHA-256 of its content, which never changes. Those used least recently go first once there are
more than the limit. One that is mapped while it goes can be read until nobody has it any more.
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

#: Bytes that are copied at a time.
_PIECE = 8 << 20


class ArrayCache:
    """A folder of copies that holds at most so many bytes, as far as copies in use allow.

    Attributes:
        folder: the folder.
    """

    def __init__(self, folder: Path, max_bytes: int, reserve_bytes: int = 0) -> None:
        """Open a folder, which need not exist yet.

        Args:
            folder: the folder; nothing else may lie in it.
            max_bytes: size of all copies together.
            reserve_bytes: what is to stay free on its disk.
        """
        self.folder = folder
        self._copies = FileCache(folder, max_bytes, reserve_bytes)

    def array(self, files: Files, path: str, file: DataFile) -> np.ndarray:
        """A matrix, memory-mapped from its copy, which is fetched first if it is not there.

        Args:
            files: where it lies.
            path: its path there.
            file: what the manifest says of it.

        Raises:
            StorageError: it cannot be fetched, is not what the manifest says, or the folder cannot be written.
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
                pass  # Nothing is not what the manifest says, either.
            except OSError as error:
                if error.errno:
                    raise  # It is the disk that refuses.
                raise read_error(files.display(path), error) from error
            if digest.hexdigest() != file.sha256:
                stream.truncate(0)
                raise StorageError(f"{files.display(path)} is missing or damaged: materialize its partition again")

        with self._copies.file(f"{file.sha256}{SUFFIX}", file.size_bytes, fetch) as copy:
            mapped: np.ndarray = np.load(copy, mmap_mode="r", allow_pickle=False)
            return mapped


def unnamed_copies(folder: Path, named: Collection[str]) -> list[Path]:
    """The copies in a folder whose content no manifest names.

    Args:
        folder: of the cache; it need not exist.
        named: the SHA-256 of all that manifests name.
    """
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if path.name.partition(".")[0] not in named]
