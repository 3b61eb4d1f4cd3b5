"""The tiles of a join: pairs of blocks whose candidates are found one after the other, in order.

Two ways to look at a tile. `FullTiles` multiplies the vectors as they are, with NumPy. `ProjectedTiles` multiplies
their projections with torch and computes only what passes the bound in full; it pays from some hundred million pairs
on.
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

if TYPE_CHECKING:
    import torch

#: A float32 product of unit vectors of a few hundred dimensions is off by less than this.
MARGIN = 1e-5

#: Unit roundoff of bfloat16, which has 8 significant bits.
BFLOAT16_ROUNDOFF = 2.0**-8

#: Vectors projected at a time: few enough to stay in a core's cache on the way.
PROJECTED_ROWS = 2048

#: Tiles side by side that a thread looks at in one go, so that handing them out costs little: 15 % of the time saved.
STRIP = 8

#: Share of a tile's pairs above which multiplying the whole tile in full is cheaper than its candidates one by one.
DENSE = 1 / 64


#: First row, first column and the column after the last of tiles side by side.
Strip = tuple[int, int, int]


@dataclass(frozen=True)
class Candidates:
    """Pairs of one tile that may reach the threshold, in row order.

    Attributes:
        left: int64 [m], row numbers.
        right: int64 [m], row numbers.
        similarity: float32 [m], computed in full.
        rows_done: rows of the left set that are finished with this tile.
    """

    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray
    rows_done: int


def find_candidates(
    product: np.ndarray, threshold: float, *, above: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of a tile that reach a threshold within the margin, in row order, with their products.

    Args:
        product: float32 [rows, columns].
        threshold: the smallest product wanted.
        above: first row less first column of the tile in a self-join, to leave out pairs on or below the diagonal; None
            keeps all.
    """
    reached = product >= np.float32(threshold - MARGIN)
    if above is not None:
        reached = np.triu(reached, above + 1)
    a, b = np.nonzero(reached)
    return a, b, round_to_bfloat16(product[a, b])


def round_to_bfloat16(similarity: np.ndarray) -> np.ndarray:
    """Products of equal vectors differ in the last bits from place to place: rounding makes ties of them."""
    values: np.ndarray = np.round(similarity * np.float32(1 << 20)) / np.float32(1 << 20)
    return values


class FullTiles:
    """Tiles of the plain product."""

    def __init__(self, left: Matrix, right: Matrix, threshold: float, *, within: bool, tile: int) -> None:
        """Prepare a join of two sets, or of one with itself (`within`), in tiles of `tile` rows and columns."""
        self._left, self._right, self._threshold = left, right, threshold
        self._within, self._tile = within, tile

    def __iter__(self) -> Iterator[Candidates]:
        """The candidates of every tile, left blocks ascending, and for each its right blocks."""
        return self.between(0, self._left.shape[0])

    def between(self, start: int, stop: int) -> Iterator[Candidates]:
        """The candidates of the left rows in [start, stop), which begins where a tile does."""
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


@dataclass(frozen=True)
class Projected:
    """A set and its projections, kept for joins with several others.

    Attributes:
        projection: what it is projected on.
        vectors: its projections [n, k + 1] on the device, 2 bytes a number in bfloat16.
        longest: length of the longest of them.
    """

    projection: Projection
    vectors: torch.Tensor
    longest: float

    @classmethod
    def of(cls, vectors: Matrix, projection: Projection, device: str) -> Projected:
        """Project vectors [n, d].

        Raises:
            InputError: one of them is not finite.
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
    """Tiles of the projected product: bfloat16 where the processor multiplies it faster, else float32.

    The margin for rounding, for projected vectors of length at most N: each of the two factors is rounded with relative
    error u = 2^-8, so by Cauchy-Schwarz the product of the rounded vectors is off by at most (2 u + u^2) N^2; it is
    summed in float32 and rounded to bfloat16 once, at most u (1 + 2 u) N^2 more. Together 3.03 u N^2 = 0.0118 for unit
    vectors, to which `MARGIN` is added. In float32 `MARGIN` alone suffices.
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
            projected: both, on the same directions.
            within: whether it is a self-join.
            device: of torch, where they were projected.
            tile: rows and columns of a tile.
        """
        import torch

        self._left, self._right, self._threshold = left, right, threshold
        self._within, self._tile = within, tile
        self._device = torch_device(device)
        x, y = projected
        self.directions = x.projection.directions.shape[1]
        self._kept = threading.local()
        self._strip = STRIP
        rows, columns = tile
        first = np.arange(0, left.shape[0], rows) // columns * columns if within else 0
        in_rows = -(-(right.shape[0] - first) // columns) + np.zeros(-(-left.shape[0] // rows), np.int64)
        # The number of each block's first tile.
        self._starts = np.concatenate([[0], np.cumsum(in_rows)])
        self._x, self._y = x.vectors, y.vectors
        self._dtype = self._x.dtype
        roundoff = 3.03 * BFLOAT16_ROUNDOFF if self._dtype == torch.bfloat16 else 0.0
        self._bound = threshold - MARGIN - roundoff * x.longest * y.longest

    def __iter__(self) -> Iterator[Candidates]:
        """As `FullTiles`."""
        return self.between(0, self._left.shape[0])

    def between(self, start: int, stop: int) -> Iterator[Candidates]:
        """As `FullTiles`, but that `stop` must be where a tile begins, too, or the end."""
        return self.at(self.places(start=start, stop=stop))

    def at(self, places: Iterable[Strip]) -> Iterator[Candidates]:
        """The candidates of some strips in turn, found in as many threads as there are cores, or in one for a GPU."""
        import torch

        threads = 1 if self._device.type == "cuda" else thread_count(0)
        before = torch.get_num_threads()
        torch.set_num_threads(1 if threads > 1 else before)
        try:
            for candidates, rest in ordered_map(self._candidates, places, threads=threads, ahead=2):
                yield candidates
                while rest:
                    candidates, rest = self._candidates(rest)
                    yield candidates
        finally:
            torch.set_num_threads(before)

    def tiles(self) -> int:
        """How many tiles there are."""
        return int(self._starts[-1])

    def place(self, number: int) -> Strip:
        """One tile by its number."""
        block = int(np.searchsorted(self._starts, number, side="right")) - 1
        rows, columns = self._tile
        first = block * rows // columns * columns if self._within else 0
        j = first + (number - int(self._starts[block])) * columns
        return block * rows, j, min(j + columns, self._right.shape[0])

    def places(self, strip: int | None = None, *, start: int = 0, stop: int | None = None) -> Iterator[Strip]:
        """Every strip of so many tiles (None: as many as turn out best while they are drawn), of some rows (all)."""
        rows, columns = self._tile
        for i in range(start, min(self._left.shape[0] if stop is None else stop, self._left.shape[0]), rows):
            j = i // columns * columns if self._within else 0
            while j < self._right.shape[0]:
                end = min(j + columns * (strip or self._strip), self._right.shape[0])
                yield i, j, end
                j = end

    def _candidates(self, strip: Strip) -> tuple[Candidates, Strip | None]:
        """What a strip holds, columns ascending in each row, and what is left of it after a tile full of pairs."""
        i, start, stop = strip
        rows, columns = self._tile
        x = self._x[i : i + rows]
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []
        for j in range(start, stop, columns):
            start = min(j + columns, stop)
            passing = self._passing(self._product(x, self._y[j : j + columns]))
            if passing is None:
                found.append(self._in_full(i, j))
                # Where pairs are many, so much memory is enough for one tile, and so is the work.
                self._strip = 1
                break
            if len(passing[0]):
                found.append((passing[0] + i, passing[1] + j, None))
        done = len(x) if start == self._right.shape[0] else 0
        return Candidates(*self._reaching(found), done), (i, start, stop) if start < stop else None

    def _in_full(self, i: int, j: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A tile of which so much passes that multiplying it in full is cheaper."""
        rows, columns = self._tile
        x, y = read_block(self._left, i, rows), read_block(self._right, j, columns)
        a, b, similarity = find_candidates(x @ y.T, self._threshold, above=i - j if self._within else None)
        return a + i, b + j, similarity

    def _reaching(
        self, found: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of pairs found in several tiles, those whose similarity, computed now where it was not, is enough."""
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
        """The projected product of a tile, on a CPU in memory that the thread keeps.

        Memory that is new to the process is cleared page by page, which takes as long as the product.
        """
        import torch

        if self._device.type == "cuda":
            return x @ y.T
        if not hasattr(self._kept, "memory"):
            self._kept.memory = torch.empty(self._tile[0] * self._tile[1], dtype=self._dtype)
        return torch.mm(x, y.T, out=self._kept.memory[: len(x) * len(y)].view(len(x), len(y)))

    def _passing(self, product: torch.Tensor) -> tuple[np.ndarray, np.ndarray] | None:
        """Positions whose projected product reaches the bound, or None if they are many.

        The maximum of each row is taken before any index is built, since in most rows nothing reaches the bound.
        """
        import torch

        values: Any = product
        bound: float | int = self._bound
        if self._dtype == torch.bfloat16 and self._bound > 0:
            # Positive bfloat16 numbers are ordered as the integers of their bits, which processors compare faster; all
            # negative ones are negative integers.
            values = product.view(torch.int16)
            # One less, since the bound itself may have been rounded up.
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
        # NumPy finds a few among many faster than torch does, in one dimension above all.
        row, column = np.divmod(np.flatnonzero(reached.numpy()), reached.shape[1])
        return rows.numpy()[row], column

    def _similarity(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The full products of pairs of rows, rounded as those of whole tiles are, so that equal vectors are ties."""
        return round_to_bfloat16(inner_products(self._left, self._right, a, b, precision=np.float32))


@lru_cache(maxsize=8)
def uses_bfloat16(device: str) -> bool:
    """Whether bfloat16 is multiplied faster than float32 on a device; on a CPU that is tried out once."""
    import time

    import torch

    if torch.device(device).type != "cpu":
        return True
    blocks = {dtype: torch.zeros((1024, 64), dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    least = dict.fromkeys(blocks, float("inf"))
    # By turns, and the least of each: on a busy machine one of them is held up now and then.
    for _ in range(8):
        for dtype, block in blocks.items():
            begin = time.perf_counter()
            (block @ block.T).amax(dim=1)
            least[dtype] = min(least[dtype], time.perf_counter() - begin)
    return least[torch.bfloat16] < least[torch.float32]
