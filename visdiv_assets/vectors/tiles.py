"""The tiles of a join: pairs of blocks of rows, and the pairs of rows that reach a bound in them.

Every row has a bound. A pair is a candidate if its similarity reaches the bound of its left or of its right row, less
`pair_similarity.MARGIN`. `FullTiles` multiplies whole vectors with NumPy; `projected_tiles.ProjectedTiles` multiplies
smaller ones with torch first, which pays from about 50 million pairs on. Both yield the same candidates with the same
similarities.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from visdiv_assets.vectors.matrix import Matrix, read_block
from visdiv_assets.vectors.pair_similarity import MARGIN, products_above

#: Share of candidates among a tile's pairs above which multiplying all in float64 is cheaper than each candidate.
DENSE = 1 / 16

#: Bounds, or groups, of the left and of the right rows; in a self-join, the same array twice.
Sides = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Candidates:
    """Pairs of one or more tiles that may reach a bound, in no particular order.

    Attributes:
        left: int64 [m], row indices.
        right: int64 [m], row indices.
        similarity: float32 [m], of the whole vectors: the float64 product, rounded by `round_products`.
        rows_done: number of left rows that are finished with this tile.
    """

    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray
    rows_done: int


class Tiles(Protocol):
    """The tiles of a join of two sets, or of one with itself."""

    def between(self, start: int, stop: int) -> Iterator[Candidates]:
        """Yield the candidates of the left rows in [start, stop), tile by tile."""

    def with_bounds(self, bounds: Sides) -> Tiles:
        """Return the same tiles with other bounds, which must not be less than the smallest of these."""


def round_products(similarity: np.ndarray) -> np.ndarray:
    """Round products to multiples of 2^-20, so that nearly equal ones are ties."""
    values: np.ndarray = np.round(similarity * np.float32(1 << 20)) / np.float32(1 << 20)
    return values


def lowest_products(bounds: Sides, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the smallest products with which pairs of rows are candidates, float32 [m]."""
    lowest: np.ndarray = np.minimum(bounds[0][a], bounds[1][b]) - np.float32(MARGIN)
    return lowest


class FullTiles:
    """Tiles of the product of whole vectors."""

    def __init__(
        self, left: Matrix, right: Matrix | None, bounds: Sides, *, groups: Sides | None = None, tile: int
    ) -> None:
        """Prepare a join in tiles of `tile` rows and columns. Other arguments as `bounded_tiles.bounded_tiles`."""
        self._within = right is None
        self._left, self._right = left, left if right is None else right
        self._bounds, self._groups, self._tile = bounds, groups, tile

    def with_bounds(self, bounds: Sides) -> FullTiles:
        """Return the same tiles with other bounds."""
        right = None if self._within else self._right
        return FullTiles(self._left, right, bounds, groups=self._groups, tile=self._tile)

    def between(self, start: int, stop: int) -> Iterator[Candidates]:
        """Yield the candidates of the left rows in [start, stop), tile by tile."""
        tile = self._tile
        stop = min(stop, self._left.shape[0])
        for i in range(start, stop, tile):
            rows = read_block(self._left, i, min(tile, stop - i))
            for j in range(i if self._within else 0, self._right.shape[0], tile):
                columns = read_block(self._right, j, tile)
                found = self._candidates(rows, columns, i, j)
                last = j + tile >= self._right.shape[0]
                yield Candidates(*found, len(rows) if last else 0)

    def _candidates(
        self, rows: np.ndarray, columns: np.ndarray, i: int, j: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        of_rows, of_columns = self._bounds[0][i : i + len(rows), None], self._bounds[1][None, j : j + len(columns)]
        # A second margin, since the float64 product decides.
        reached = rows @ columns.T >= np.minimum(of_rows, of_columns) - np.float32(2 * MARGIN)
        if self._groups is not None:
            reached &= self._groups[0][i : i + len(rows), None] != self._groups[1][None, j : j + len(columns)]
        if self._within:
            reached = np.triu(reached, i - j + 1)
        a, b = np.nonzero(reached)
        if len(a) > DENSE * reached.size:
            products = (rows.astype(np.float64) @ columns.astype(np.float64).T)[a, b].astype(np.float32)
            kept = np.flatnonzero(products >= lowest_products(self._bounds, a + i, b + j))
            products = products[kept]
        else:
            kept, products = products_above(rows, columns, a, b, lowest_products(self._bounds, a + i, b + j))
        return a[kept] + i, b[kept] + j, round_products(products)
