"""Tiles of projected products, computed with torch: candidates first, whole vectors only for those.

The functions here need torch; `join` calls them only if it is installed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from visdiv_assets.devices import torch_device
from visdiv_assets.threads import ordered_map, thread_count
from visdiv_assets.vectors.matrix import Matrix, as_float32, check_matrix, read_block
from visdiv_assets.vectors.pair_similarity import inner_products
from visdiv_assets.vectors.projection import Projection
from visdiv_assets.vectors.tiles import MARGIN, Candidates, find_candidates, round_products

if TYPE_CHECKING:
    import torch

#: Unit roundoff of bfloat16, which has 8 significant bits.
BFLOAT16_ROUNDOFF = 2.0**-8

#: Vectors projected at a time: few enough to stay in a core's cache.
PROJECTED_ROWS = 2048

#: Adjacent tiles that a thread computes in one call. Fewer calls save 15 % of the time.
STRIP = 8

#: Share of candidates among a tile's pairs above which multiplying the whole tile is cheaper than each candidate.
DENSE = 1 / 64


#: First row, first column and the column after the last of adjacent tiles.
Strip = tuple[int, int, int]


@dataclass(frozen=True)
class Projected:
    """The projections of a set, for joins with several others.

    Attributes:
        projection: the directions that it is projected on.
        vectors: its projections [n, k + 1] on the device, in bfloat16 or float32.
        longest: length of the longest of them.
    """

    projection: Projection
    vectors: torch.Tensor
    longest: float

    @classmethod
    def of(cls, vectors: Matrix, projection: Projection, device: str) -> Projected:
        """Project vectors [n, d].

        Raises:
            InputError: a vector is not finite.
        """
        import torch

        dtype = torch.bfloat16 if uses_bfloat16(device) else torch.float32
        width = projection.directions.shape[1] + 1
        out = torch.empty((vectors.shape[0], width), dtype=dtype, device=torch_device(device))

        def project(start: int) -> float:
            block = projection.apply(check_matrix(as_float32(vectors[start : start + PROJECTED_ROWS]), start))
            out[start : start + len(block)] = torch.from_numpy(block)
            return float(np.sqrt(np.einsum("nk,nk->n", block, block).max()))

        starts = range(0, vectors.shape[0], PROJECTED_ROWS)
        return cls(projection, out, max(ordered_map(project, starts, threads=thread_count(0)), default=0.0))


class ProjectedTiles:
    """Tiles of the product of projections: in bfloat16 if the processor multiplies it faster, else in float32.

    The margin for rounding, for projected vectors of length at most N: each factor is rounded with relative error
    u = 2^-8, so by Cauchy-Schwarz the product of the rounded vectors is off by at most (2 u + u^2) N^2. It is summed in
    float32 and rounded to bfloat16 once, which adds at most u (1 + 2 u) N^2. Together these are 3.03 u N^2 = 0.0118 for
    unit vectors, to which `MARGIN` is added. In float32 `MARGIN` suffices.
    """

    def __init__(
        self,
        left: Matrix,
        right: Matrix,
        threshold: float,
        projected: tuple[Projected, Projected],
        *,
        within: bool,
        device: str,
        tile: tuple[int, int],
    ) -> None:
        """Prepare a join.

        Args:
            left: vectors [n, d].
            right: vectors [m, d]; the same object as `left` in a self-join.
            threshold: smallest similarity of a pair.
            projected: the projections of both sets, on the same directions.
            within: whether it is a self-join.
            device: torch device of the projections.
            tile: rows and columns of a tile.
        """
        import torch

        self._left, self._right, self._threshold = left, right, threshold
        self._within, self._tile = within, tile
        self._device = torch_device(device)
        x, y = projected
        self.directions = x.projection.directions.shape[1]
        self._local = threading.local()
        self._strip = STRIP
        rows, columns = tile
        first = np.arange(0, left.shape[0], rows) // columns * columns if within else 0
        in_rows = -(-(right.shape[0] - first) // columns) + np.zeros(-(-left.shape[0] // rows), np.int64)
        # The index of each block's first tile.
        self._starts = np.concatenate([[0], np.cumsum(in_rows)])
        self._x, self._y = x.vectors, y.vectors
        self._dtype = self._x.dtype
        roundoff = 3.03 * BFLOAT16_ROUNDOFF if self._dtype == torch.bfloat16 else 0.0
        self._bound = threshold - MARGIN - roundoff * x.longest * y.longest

    def __iter__(self) -> Iterator[Candidates]:
        """Yield the candidates of every tile, as `FullTiles` does."""
        return self.between(0, self._left.shape[0])

    def between(self, start: int, stop: int) -> Iterator[Candidates]:
        """Yield the candidates of the left rows in [start, stop); both are first rows of a tile, or the end."""
        return self.at(self.strips(start=start, stop=stop))

    def at(self, strips: Iterable[Strip]) -> Iterator[Candidates]:
        """Yield the candidates of strips in order, computed in one thread per core, or in one thread for a GPU."""
        import torch

        threads = 1 if self._device.type == "cuda" else thread_count(0)
        before = torch.get_num_threads()
        torch.set_num_threads(1 if threads > 1 else before)
        try:
            for candidates, rest in ordered_map(self._candidates, strips, threads=threads, ahead=2):
                yield candidates
                while rest:
                    candidates, rest = self._candidates(rest)
                    yield candidates
        finally:
            torch.set_num_threads(before)

    def tiles(self) -> int:
        """Return the number of tiles."""
        return int(self._starts[-1])

    def strip_of(self, index: int) -> Strip:
        """Return one tile by its index."""
        block = int(np.searchsorted(self._starts, index, side="right")) - 1
        rows, columns = self._tile
        first = block * rows // columns * columns if self._within else 0
        j = first + (index - int(self._starts[block])) * columns
        return block * rows, j, min(j + columns, self._right.shape[0])

    def strips(self, tiles: int | None = None, *, start: int = 0, stop: int | None = None) -> Iterator[Strip]:
        """Yield the strips of the left rows in [start, stop).

        Args:
            tiles: tiles per strip; None for `STRIP`, or 1 once a tile was found to be full of pairs.
            start: first row.
            stop: row after the last (None: all rows).
        """
        rows, columns = self._tile
        for i in range(start, min(self._left.shape[0] if stop is None else stop, self._left.shape[0]), rows):
            j = i // columns * columns if self._within else 0
            while j < self._right.shape[0]:
                end = min(j + columns * (tiles or self._strip), self._right.shape[0])
                yield i, j, end
                j = end

    def _candidates(self, strip: Strip) -> tuple[Candidates, Strip | None]:
        """Return a strip's candidates, columns ascending in each row, and the rest of it after a tile full of pairs."""
        i, start, stop = strip
        rows, columns = self._tile
        x = self._x[i : i + rows]
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []
        for j in range(start, stop, columns):
            start = min(j + columns, stop)
            passing = self._passing(self._product(x, self._y[j : j + columns]))
            if passing is None:
                found.append(self._in_full(i, j))
                # With this many pairs, a strip of one tile is enough work per call, and its result enough memory.
                self._strip = 1
                break
            if len(passing[0]):
                found.append((passing[0] + i, passing[1] + j, None))
        done = len(x) if start == self._right.shape[0] else 0
        return Candidates(*self._reaching(found), done), (i, start, stop) if start < stop else None

    def _in_full(self, i: int, j: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the candidates of a tile by multiplying whole vectors."""
        rows, columns = self._tile
        x, y = read_block(self._left, i, rows), read_block(self._right, j, columns)
        a, b, similarity = find_candidates(x @ y.T, self._threshold, above=i - j if self._within else None)
        return a + i, b + j, similarity

    def _reaching(
        self, found: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Filter pairs of several tiles by their similarity, which is computed here where it is None."""
        parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
        for a, b, similarity in found:
            if similarity is None:
                if self._within:
                    above = a < b
                    a, b = a[above], b[above]
                similarity = self._similarity(a, b)
                reached = similarity >= np.float32(self._threshold - MARGIN)
                a, b, similarity = a[reached], b[reached], similarity[reached]
            if len(a):
                parts.append((a, b, similarity))
        left, right, similarities = zip(*parts, strict=True)
        return np.concatenate(left), np.concatenate(right), np.concatenate(similarities)

    def _product(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the product of projections, on a CPU in memory that the thread reuses.

        The system clears memory that is new to the process page by page, which takes as long as the product.
        """
        import torch

        if self._device.type == "cuda":
            return x @ y.T
        if not hasattr(self._local, "memory"):
            self._local.memory = torch.empty(self._tile[0] * self._tile[1], dtype=self._dtype)
        return torch.mm(x, y.T, out=self._local.memory[: len(x) * len(y)].view(len(x), len(y)))

    def _passing(self, product: torch.Tensor) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the rows and columns whose projected product reaches the bound, or None if there are many.

        The maximum of each row is taken first, since in most rows nothing reaches the bound.
        """
        import torch

        values: Any = product
        bound: float | int = self._bound
        if self._dtype == torch.bfloat16 and self._bound > 0:
            # Positive bfloat16 numbers have the order of the integers of their bits, which processors compare faster.
            # All negative ones are negative integers.
            values = product.view(torch.int16)
            # Minus 1, since the bound itself may have been rounded up.
            bound = int(torch.tensor([self._bound]).to(torch.bfloat16).view(torch.int16)) - 1
        highest = values.amax(dim=1)
        if highest.max().item() < bound:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        rows = torch.nonzero(highest >= bound)[:, 0]
        reached = values[rows] >= bound
        if int(reached.sum()) > DENSE * product.numel():
            return None
        if reached.is_cuda:
            found = torch.nonzero(reached)
            return rows[found[:, 0]].cpu().numpy(), found[:, 1].cpu().numpy()
        # NumPy finds a few elements among many faster than torch, most of all in one dimension.
        row, column = np.divmod(np.flatnonzero(reached.numpy()), reached.shape[1])
        return rows.numpy()[row], column

    def _similarity(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the products of whole vectors, in float32 and rounded as in `find_candidates`."""
        return round_products(inner_products(self._left, self._right, a, b, precision=np.float32))


@lru_cache(maxsize=8)
def uses_bfloat16(device: str) -> bool:
    """Return whether a device multiplies bfloat16 faster than float32; on a CPU this is measured once."""
    import time

    import torch

    if torch.device(device).type != "cpu":
        return True
    blocks = {dtype: torch.zeros((1024, 64), dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    seconds = dict.fromkeys(blocks, float("inf"))
    # Alternating, and the minimum of each: a busy machine delays single runs.
    for _ in range(8):
        for dtype, block in blocks.items():
            begin = time.perf_counter()
            (block @ block.T).amax(dim=1)
            seconds[dtype] = min(seconds[dtype], time.perf_counter() - begin)
    return seconds[torch.bfloat16] < seconds[torch.float32]
