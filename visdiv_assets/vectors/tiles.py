"""The tiles of a join: pairs of blocks whose candidates are found in order.

`FullTiles` multiplies whole vectors with NumPy. `projected_tiles.ProjectedTiles` multiplies their projections with
torch, and whole vectors only for pairs that pass the bound; this pays from about 50 million pairs on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from visdiv_assets.vectors.matrix import Matrix, read_block

#: Largest error of a float32 product of unit vectors of a few hundred dimensions.
MARGIN = 1e-5


@dataclass(frozen=True)
class Candidates:
    """Pairs of a tile that may reach the threshold, in row order.

    Attributes:
        left: int64 [m], row indices.
        right: int64 [m], row indices.
        similarity: float32 [m], of the whole vectors.
        rows_done: number of left rows that are finished with this tile.
    """

    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray
    rows_done: int


def find_candidates(
    product: np.ndarray, threshold: float, *, above: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the pairs of a tile that reach a threshold less `MARGIN`.

    Args:
        product: float32 [rows, columns].
        threshold: smallest product of a pair.
        above: first row minus first column of the tile in a self-join, to drop pairs on or under the diagonal; None
            keeps all.

    Returns:
        rows int64 [m] and columns int64 [m] within the tile, in row order, and products float32 [m], rounded.
    """
    reached = product >= np.float32(threshold - MARGIN)
    if above is not None:
        reached = np.triu(reached, above + 1)
    a, b = np.nonzero(reached)
    return a, b, round_products(product[a, b])


def round_products(similarity: np.ndarray) -> np.ndarray:
    """Round products to multiples of 2^-20.

    Products of equal vectors differ in the last bits, depending on where they stand in a tile; rounding makes them
    ties.
    """
    values: np.ndarray = np.round(similarity * np.float32(1 << 20)) / np.float32(1 << 20)
    return values


class FullTiles:
    """Tiles of the product of whole vectors."""

    def __init__(self, left: Matrix, right: Matrix, threshold: float, *, within: bool, tile: int) -> None:
        """Prepare a join of two sets, or of one with itself (`within`), in tiles of `tile` rows and columns."""
        self._left, self._right, self._threshold = left, right, threshold
        self._within, self._tile = within, tile

    def __iter__(self) -> Iterator[Candidates]:
        """Yield the candidates of every tile, ordered by left block and right block."""
        return self.between(0, self._left.shape[0])

    def between(self, start: int, stop: int) -> Iterator[Candidates]:
        """Yield the candidates of the left rows in [start, stop); `start` is the first row of a tile."""
        tile = self._tile
        stop = min(stop, self._left.shape[0])
        for i in range(start, stop, tile):
            rows = read_block(self._left, i, min(tile, stop - i))
            for j in range(i if self._within else 0, self._right.shape[0], tile):
                diagonal = self._within and i == j
                whole = diagonal and stop - i >= min(tile, self._right.shape[0] - j)
                columns = rows if whole else read_block(self._right, j, tile)
                a, b, similarity = find_candidates(rows @ columns.T, self._threshold, above=0 if diagonal else None)
                last = j + tile >= self._right.shape[0]
                yield Candidates(a + i, b + j, similarity, len(rows) if last else 0)
