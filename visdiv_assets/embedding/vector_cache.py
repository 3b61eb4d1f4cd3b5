"""Vectors of images kept in a folder by the content of the images, for the library; stages keep theirs in the lake.

A folder holds one subfolder per model, and in it immutable files of up to `PART_ROWS` vectors each. A file appears
complete or not at all, and its name is a digest of its content, so several processes may share a folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from visdiv_assets.errors import StorageError
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.storage.error_messages import write_error
from visdiv_assets.storage.files import escape, replace_local

#: Vectors of a file at most: 8 MiB at 512 dimensions.
PART_ROWS = 4096

_SUFFIX = ".npy"


class VectorCache:
    """The vectors of one model in a folder; lookups are thread-safe, additions are not."""

    def __init__(self, folder: Path, model_id: str, dimension: int) -> None:
        """Open the vectors of a model; the folder need not exist yet.

        Args:
            folder: folder of the vectors of all models.
            model_id: the model, its weights and its preprocessing.
            dimension: length of a vector.

        Raises:
            StorageError: a file in the folder is damaged.
        """
        self._folder = folder / escape(model_id)
        self._kind = np.dtype([("image_id", "S32"), ("pixels", "<i8"), ("vector", "<f4", (dimension,))])
        paths = sorted(self._folder.glob(f"*{_SUFFIX}")) if self._folder.is_dir() else []
        self._parts = [self._open(path) for path in paths]
        self._ends = np.cumsum([len(part) for part in self._parts])
        self._index = IdIndex(np.concatenate([np.empty(0, "S32"), *(part["image_id"] for part in self._parts)]))
        self._new: list[tuple[bytes, int, np.ndarray]] = []

    def find(self, image_id: str, max_pixels: int) -> np.ndarray | None:
        """Return the vector of an image, float32 [dimension]; None if it is not stored or has too many pixels."""
        row = int(self._index.rows(np.array([image_id.encode()], "S32"))[0])
        if row < 0:
            return None
        part = int(np.searchsorted(self._ends, row, side="right"))
        entry = self._parts[part][row - (int(self._ends[part - 1]) if part else 0)]
        return np.array(entry["vector"], np.float32) if entry["pixels"] <= max_pixels else None

    def add(self, image_id: str, pixels: int, vector: np.ndarray) -> None:
        """Add a vector; it is written with others, at the latest by `flush`.

        Raises:
            StorageError: the folder cannot be written.
        """
        self._new.append((image_id.encode(), pixels, vector))
        if len(self._new) == PART_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what was added.

        Raises:
            StorageError: the folder cannot be written.
        """
        if not self._new:
            return
        part = np.array(self._new, self._kind)
        path = self._folder / f"{hashlib.sha256(part.tobytes()).hexdigest()[:32]}{_SUFFIX}"
        try:
            with replace_local(path) as stream:
                np.save(stream, part, allow_pickle=False)
        except OSError as error:
            raise write_error(str(path), error) from error
        self._new.clear()

    def _open(self, path: Path) -> np.ndarray:
        try:
            part: Any = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise StorageError(f"{path} cannot be read ({error}): remove it, its vectors are computed again") from None
        if part.dtype != self._kind or part.ndim != 1:
            raise StorageError(f"{path} holds something else than vectors of this model: remove it")
        kept: np.ndarray = part
        return kept
