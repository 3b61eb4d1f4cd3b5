"""The files of the source in which the rows of a subset are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: The columns that say where a row is.
COLUMNS = ("file", "row_in_file", "path")


@dataclass(frozen=True)
class RowFiles:
    """Where the rows of a subset are.

    Attributes:
        names: the files in the order of their rows; empty if each row is a file.
        starts: int64 [files + 1], the first row of each file, and the number of rows.
        rows: int64 [positions], the row of each image position, sorted.
        paths: string [positions], the path of each image; null if the source states none.
    """

    names: tuple[str, ...]
    starts: np.ndarray
    rows: np.ndarray
    paths: pa.ChunkedArray

    def find(self, rows: np.ndarray, image_index: np.ndarray) -> dict[str, pa.Array]:
        """Return the columns `COLUMNS` of some rows.

        Args:
            rows: int64 [n].
            image_index: int64 [n], the index of the image in the row whose path is returned.
        """
        position = np.searchsorted(self.rows, rows) + image_index
        known = position < len(self.rows)
        known[known] = self.rows[position[known]] == rows[known]
        paths = self.paths.take(pa.array(position, mask=~known)).combine_chunks()
        if not self.names:
            return dict(zip(COLUMNS, (paths, pa.array(np.zeros(len(rows), np.int64)), paths), strict=True))
        file = np.searchsorted(self.starts, rows, side="right") - 1
        names = pa.array(self.names, pa.string()).take(pa.array(file))
        return dict(zip(COLUMNS, (names, pa.array(rows - self.starts[file]), paths), strict=True))


def row_files(lake: Lake, images: Manifest) -> RowFiles:
    """Return where the rows of a subset are, from the list of its images."""
    listed = lake.read(images, columns=["row", "path"])
    files = images.facts["files"]
    starts = np.concatenate([[0], np.cumsum([rows for _, rows in files], dtype=np.int64)]).astype(np.int64)
    paths = pc.cast(listed["path"], pa.string())
    return RowFiles(tuple(name for name, _ in files), starts, listed["row"].to_numpy(), paths)
