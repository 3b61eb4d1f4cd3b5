"""Tiles of projected products, computed with torch: candidates first, whole vectors only for those.

The functions here need torch; joins call them only if it is installed.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visdiv_assets.devices import torch_device
from visdiv_assets.threads import ordered_map, thread_count
from visdiv_assets.vectors.matrix import Matrix, read_block
from visdiv_assets.vectors.pair_similarity import MARGIN, products_above
from visdiv_assets.vectors.projected import BLOCK_CHUNKS, CHUNK, Projected, ProjectedChunk
from visdiv_assets.vectors.row_bounds import Runs, encode
from visdiv_assets.vectors.tiles import DENSE, Candidates, Sides, lowest_products, round_products

if TYPE_CHECKING:
    import torch

#: Adjacent tiles that a thread computes in one call. Fewer calls save 15 % of the time.
STRIP = 16

#: Rows of a tile that are compared with their bounds at once, by their maximum in each column.
GROUP = 16

#: Rows multiplied in float64 at a time.
ROWS_IN_FULL = 1024

#: Row and column indices of pairs, and the same with their similarities.
Rows = tuple[np.ndarray, np.ndarray]
Found = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Strip:
    """Adjacent tiles: the rows [i, i_end) and columns [j, j_end), and the chunks that hold them."""

    i: int
    i_end: int
    j: int
    j_end: int
    x: ProjectedChunk
    y: ProjectedChunk

    @property
    def pairs(self) -> int:
        return (self.i_end - self.i) * (self.j_end - self.j)


class ProjectedTiles:
    """Tiles of the product of projections: in bfloat16 if the processor multiplies it faster, else in float32.

    The margin for rounding: let x be a projected vector and x' = x - e what it was rounded to. By Cauchy-Schwarz
    x.y - x'.y' = x.f + e.y - e.f is at most |x||f| + |e||y| + |e||f|, which the longest vectors and errors of two
    chunks bound: 0.004 for unit vectors in bfloat16, and 0 in float32. `MARGIN` is added for the sum in float32. The
    sum is rounded to bfloat16 once. So is the bound, and rounding keeps the order of the two.
    """

    def __init__(
        self,
        left: Matrix,
        right: Matrix | None,
        bounds: Sides,
        projected: tuple[Projected, Projected],
        *,
        groups: Sides | None = None,
        device: str,
        tile: tuple[int, int],
    ) -> None:
        """Prepare a join.

        Args:
            left: as in `bounded_tiles.bounded_tiles`.
            right: as in `bounded_tiles.bounded_tiles`.
            bounds: as in `bounded_tiles.bounded_tiles`.
            projected: the projections of both sets, on the same directions; in a self-join the same object twice.
            groups: as in `bounded_tiles.bounded_tiles`.
            device: torch device of the projections.
            tile: rows and columns of a tile.
        """
        self._within = right is None
        self._left, self._right = left, left if right is None else right
        self._bounds, self._groups, self._tile = bounds, groups, tile
        self._runs = None if groups is None else (Runs(groups[0]), Runs(groups[1]))
        self._x, self._y = projected
        self._device = torch_device(device)
        self._local = threading.local()

    def with_bounds(self, bounds: Sides) -> ProjectedTiles:
        """Return the same tiles with other bounds; they share the projections."""
        tiles = copy.copy(self)
        tiles._bounds = bounds
        return tiles

    def between(self, start: int, stop: int) -> Iterator[Candidates]:
        """Yield the candidates of the left rows in [start, stop).

        They are computed in one thread per core, or in one thread for a GPU.
        """
        import torch

        stop = min(stop, self._left.shape[0])
        total = sum(
            (end - i) * (self._right.shape[0] - self._first_column(i)) for i, end in self._row_tiles(start, stop)
        )
        threads = 1 if self._device.type == "cuda" else thread_count(0)
        before = torch.get_num_threads()
        torch.set_num_threads(1 if threads > 1 else before)
        done, rows_done = 0, 0
        try:
            for found, pairs, rest in ordered_map(self._candidates, self._strips(start, stop), threads=threads):
                while True:
                    done += pairs
                    rows = done * (stop - start) // total
                    yield Candidates(*found, rows - rows_done)
                    rows_done = rows
                    if rest is None:
                        break
                    found, pairs, rest = self._candidates(rest)
        finally:
            torch.set_num_threads(before)

    def _row_tiles(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the first row of each tile of [start, stop) and the row after its last, all in one chunk."""
        while start < stop:
            end = min(start + self._tile[0], (start // CHUNK + 1) * CHUNK, stop)
            yield start, end
            start = end

    def _first_column(self, row: int) -> int:
        return row // self._tile[1] * self._tile[1] if self._within else 0

    def _strips(self, start: int, stop: int) -> Iterator[_Strip]:
        """Yield the strips of the left rows in [start, stop), by block of rows, chunk of columns and tile of rows."""
        columns = self._right.shape[0]
        while start < stop:
            end = min((start // (BLOCK_CHUNKS * CHUNK) + 1) * BLOCK_CHUNKS * CHUNK, stop)
            block = {index: self._x.chunk(index) for index in range(start // CHUNK, -(-end // CHUNK))}
            for index in range(start // CHUNK if self._within else 0, -(-columns // CHUNK)):
                y = block[index] if self._within and index in block else self._y.chunk(index)
                last = min((index + 1) * CHUNK, columns)
                for i, i_end in self._row_tiles(start, end):
                    for j in range(max(index * CHUNK, self._first_column(i)), last, STRIP * self._tile[1]):
                        j_end = min(j + STRIP * self._tile[1], last)
                        yield _Strip(i, i_end, j, j_end, block[i // CHUNK], y)
            start = end

    def _candidates(self, strip: _Strip) -> tuple[Found, int, _Strip | None]:
        """Return a strip's candidates, its number of pairs, and the rest of the strip after a tile full of pairs.

        The rest waits, so that the bounds can rise before it is compared.
        """
        i, i_end, columns = strip.i, strip.i_end, self._tile[1]
        x = strip.x.vectors[i % CHUNK : i % CHUNK + i_end - i]
        margin = strip.x.longest * strip.y.rounding + strip.x.rounding * (strip.y.longest + strip.y.rounding) + MARGIN
        of_rows = self._encode(self._bounds[0][i:i_end] - np.float32(margin))
        waiting: list[Rows] = []
        full: Found | None = None
        j = end = strip.j
        while end < strip.j_end and full is None:
            j, end = end, min(end + columns, strip.j_end)
            if self._is_in_one_group(i, i_end, j, end):
                continue
            product = self._product(x, strip.y.vectors[j % CHUNK : j % CHUNK + end - j])
            a, b = self._passing(product, of_rows, self._encode(self._bounds[1][j:end] - np.float32(margin)))
            a, b = self._wanted(a + i, b + j)
            if len(a) > DENSE * len(x) * (end - j):
                full = self._in_full(a, b, i, (j, end))
            else:
                waiting.append((a, b))
        found = self._one_by_one(waiting)
        if full is not None:
            found = _join_columns(found, full)
        rest = _Strip(i, i_end, end, strip.j_end, strip.x, strip.y) if end < strip.j_end else None
        return found, (i_end - i) * (end - strip.j), rest

    def _encode(self, bounds: np.ndarray) -> torch.Tensor:
        return encode(bounds, bfloat16=self._x.bfloat16).to(self._device)

    def _is_in_one_group(self, i: int, i_end: int, j: int, j_end: int) -> bool:
        if self._runs is None:
            return False
        group = self._runs[0].group(i, i_end)
        return group is not None and group == self._runs[1].group(j, j_end)

    def _wanted(self, a: np.ndarray, b: np.ndarray) -> Rows:
        """Drop pairs on or under the diagonal of a self-join, and those of one group."""
        if self._within:
            above = a < b
            a, b = a[above], b[above]
        if self._groups is not None:
            across = self._groups[0][a] != self._groups[1][b]
            a, b = a[across], b[across]
        return a, b

    def _one_by_one(self, waiting: list[Rows]) -> Found:
        """Compute pairs each by itself, and return those that reach a bound."""
        none = np.empty(0, np.int64), np.empty(0, np.int64)
        a, b = (np.concatenate(column) for column in zip(none, *waiting, strict=True))
        kept, products = products_above(self._left, self._right, a, b, lowest_products(self._bounds, a, b))
        return a[kept], b[kept], round_products(products)

    def _in_full(self, a: np.ndarray, b: np.ndarray, i: int, columns: tuple[int, int]) -> Found:
        """Compute many pairs of a tile by multiplying all in float64, and return those that reach a bound."""
        import torch

        j, end = columns
        y = torch.from_numpy(read_block(self._right, j, end - j)).to(self._device, torch.float64)
        products = np.empty(len(a), np.float32)
        for start in range(i, i + self._tile[0], ROWS_IN_FULL):
            chosen = np.flatnonzero((a >= start) & (a < start + ROWS_IN_FULL))
            x = torch.from_numpy(read_block(self._left, start, ROWS_IN_FULL)).to(self._device, torch.float64)
            at = torch.from_numpy((a[chosen] - start) * (end - j) + b[chosen] - j).to(self._device)
            products[chosen] = (x @ y.T).view(-1)[at].float().cpu().numpy()
        kept = np.flatnonzero(products >= lowest_products(self._bounds, a, b))
        return a[kept], b[kept], round_products(products[kept])

    def _product(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the product of projections, in memory that the thread reuses; its rows are filled up to groups.

        The system clears memory that is new to the process page by page, which takes as long as the product.
        """
        import torch

        rows, columns = -(-len(x) // GROUP) * GROUP, len(y)
        if not hasattr(self._local, "memory"):
            size = (self._tile[0] + GROUP) * self._tile[1]
            self._local.memory = torch.zeros(size, dtype=x.dtype, device=self._device)
        product: torch.Tensor = self._local.memory[: rows * columns].view(rows, columns)
        torch.mm(x, y.T, out=product[: len(x)])
        return product

    def _passing(self, product: torch.Tensor, of_rows: torch.Tensor, of_columns: torch.Tensor) -> Rows:
        """Return the rows and columns whose projected product reaches the bound of one of the two.

        The maximum of each group of rows is taken first, since in most groups nothing reaches a bound.
        """
        import torch

        values: Any = product.view(torch.int16) if self._x.bfloat16 else product
        groups = values.view(-1, GROUP, values.shape[1])
        # What follows the last row is compared with the lowest bound and dropped below.
        padded = torch.nn.functional.pad(
            of_rows, (0, groups.shape[0] * GROUP - len(of_rows)), value=of_rows.max().item()
        )
        padded = padded.view(-1, GROUP)
        lowest = torch.minimum(padded.amin(dim=1)[:, None], of_columns)
        group, column = _nonzero(groups.amax(dim=1) >= lowest)
        if not len(group):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        reached = groups[group, :, column] >= torch.minimum(padded[group], of_columns[column][:, None])
        index, offset = _nonzero(reached)
        rows, columns = (group[index] * GROUP + offset).cpu().numpy(), column[index].cpu().numpy()
        inside = rows < len(of_rows)
        return rows[inside], columns[inside]


def _join_columns(one: Found, other: Found) -> Found:
    a, b, similarity = (np.concatenate(two) for two in zip(one, other, strict=True))
    return a, b, similarity


def _nonzero(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the row and column indices of the true elements of a matrix, on its device."""
    import torch

    if mask.is_cuda:
        row, column = torch.nonzero(mask, as_tuple=True)
        return row, column
    # NumPy finds a few elements among many faster than torch, most of all in one dimension.
    index = torch.from_numpy(np.flatnonzero(mask.numpy()))
    return index // mask.shape[1], index % mask.shape[1]
