"""Projections of a set, computed in chunks with torch.

The functions here need torch; joins call them only if it is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.devices import torch_device
from visdiv_assets.threads import ordered_map, thread_count
from visdiv_assets.vectors.matrix import Matrix, as_float32, check_matrix
from visdiv_assets.vectors.projection import Costs, Projection

if TYPE_CHECKING:
    import torch

#: Vectors projected at a time: few enough to stay in a core's cache.
PROJECTED_ROWS = 2048

#: Rows of a chunk: 33 MB of 256 directions in bfloat16.
CHUNK = 65_536

#: Largest size of the projections of a set that are kept. Those of larger sets are computed again for each block of
#: `BLOCK_CHUNKS` chunks that is joined with the set, which costs 3 % of the join.
MAX_KEPT_BYTES = 1 << 30
BLOCK_CHUNKS = 4

#: Costs on a CPU that multiplies bfloat16 faster than float32, on other CPUs, and on a GPU, whose candidates the CPU
#: computes in full: 1.3e-12 s, 2.6e-11 s and 3e-15 s for one dimension, 3e-7 s for a candidate.
BFLOAT16_COSTS = Costs(pair=150, candidate=230_000)
FLOAT32_COSTS = Costs(pair=8, candidate=12_000)
GPU_COSTS = Costs(pair=600, candidate=1e8)


@dataclass(frozen=True)
class ProjectedChunk:
    """The projections of adjacent vectors.

    Attributes:
        vectors: [n, k + 1] on the device, in bfloat16 or float32.
        longest: length of the longest of them before rounding.
        rounding: length of the longest difference between one of them and what it was rounded to.
    """

    vectors: torch.Tensor
    longest: float
    rounding: float


class Projected:
    """The projections of a set, in chunks of `CHUNK` rows that are computed when they are first asked for."""

    def __init__(self, vectors: Matrix, projection: Projection, device: str) -> None:
        """Prepare projections of vectors [n, d]."""
        self.projection = projection
        self.rows, dimension = vectors.shape
        self.bfloat16 = uses_bfloat16(device)
        self._vectors, self._device = vectors, device
        self.width = projection.width(dimension)
        self._kept: dict[int, ProjectedChunk] = {}
        self.is_kept = self.rows * self.width * (2 if self.bfloat16 else 4) <= MAX_KEPT_BYTES

    def chunk(self, index: int) -> ProjectedChunk:
        """Return the projections of the rows from `index * CHUNK` on.

        Raises:
            InputError: a vector is not finite.
        """
        chunk = self._kept.get(index) or self._project(index * CHUNK)
        if self.is_kept:
            self._kept[index] = chunk
        return chunk

    def _project(self, first: int) -> ProjectedChunk:
        import torch

        stop = min(first + CHUNK, self.rows)
        dtype = torch.bfloat16 if self.bfloat16 else torch.float32
        out = torch.empty((stop - first, self.width), dtype=dtype, device=torch_device(self._device))

        def project(start: int) -> tuple[float, float]:
            block = check_matrix(as_float32(self._vectors[start : min(start + PROJECTED_ROWS, stop)]), start)
            block = np.ascontiguousarray(self.projection.apply(block))
            wide = torch.from_numpy(block if block.flags.writeable else block.copy())
            narrow = wide.to(dtype)
            out[start - first : start - first + len(block)] = narrow
            rest = (wide - narrow.float()).numpy()
            return _longest(block), _longest(rest)

        lengths = list(ordered_map(project, range(first, stop, PROJECTED_ROWS), threads=thread_count(0)))
        # Lengths in float32 may be a little short.
        longest, rounding = (1.0001 * max(column) for column in zip(*lengths, strict=True))
        return ProjectedChunk(out, longest, rounding)


def _longest(block: np.ndarray) -> float:
    return float(np.sqrt(np.einsum("nk,nk->n", block, block).max()))


def costs(device: str) -> Costs:
    """Return what the steps of a join cost on a device."""
    if device != "cpu":
        return GPU_COSTS
    return BFLOAT16_COSTS if uses_bfloat16(device) else FLOAT32_COSTS


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
