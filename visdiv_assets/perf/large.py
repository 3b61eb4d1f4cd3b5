"""A share of the candidate join of 17.3 million vectors, FineVision's size, over a memory-mapped file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from visdiv_assets.perf.joins import CANDIDATES, FINEVISION_IMAGES
from visdiv_assets.perf.measuring import Figure, measure_in_subprocess
from visdiv_assets.perf.vectors import Distribution, write_vectors
from visdiv_assets.vectors.partner_lists import PartnerLists, PartnerRule, offer_tile

#: Share of the rows to join with all later ones.
SHARE = 0.002


class _Slice(NamedTuple):
    pairs: int
    found: int
    width: int
    is_kept: bool
    projections: float
    seconds: float


def measure(
    real: np.ndarray,
    *,
    count: int = FINEVISION_IMAGES,
    rule: PartnerRule = CANDIDATES,
    share: float = SHARE,
    device: str = "cpu",
) -> list[Figure]:
    """Write a file of vectors, project them, and join a share of the rows from the middle with all later ones.

    Args:
        real: vectors whose covariance is used, float32 [n, 512].
        count: number of vectors in the file, which takes 1 KB of disk for each during the measurement.
        rule: partners that the join keeps.
        share: share of the rows to join.
        device: device that multiplies the tiles.
    """
    with tempfile.TemporaryDirectory(prefix="visdiv-perf-") as folder:
        path = Path(folder) / "vectors.npy"
        write_vectors(path, Distribution.of(real), count)
        return measure_file(path, count, rule=rule, share=share, device=device)


def measure_file(
    path: Path, count: int, *, rule: PartnerRule = CANDIDATES, share: float = SHARE, device: str = "cpu"
) -> list[Figure]:
    """Measure the share with a file of vectors, float16 [count, 512], .npy; see `measure`."""
    projected = measure_in_subprocess(_prepare_tiles, path, rule, 0.0, device)
    run = measure_in_subprocess(_prepare_tiles, path, rule, share, device)
    result: _Slice = run.result
    # Projections that are not kept are made again with the tiles: those of the later half, once.
    seconds = result.seconds - (0 if result.is_kept else projected.seconds)
    tiles = seconds * (count * (count - 1) / 2) / max(result.pairs, 1)
    hours = (projected.seconds * 2 * result.projections + tiles) / 3600
    operations = 2 * result.width * result.pairs / seconds / 1e9
    remark = f"{result.width} dimensions, {operations:,.0f} GFLOP/s, {result.found:,} pairs"
    name = f"of the join of {count:,} from {rule.floor} on"
    return [
        Figure(f"projection of half {name}", projected.seconds, "s", peak_mb=projected.peak_mb),
        Figure(f"{share:.1%} of the rows {name}", seconds, "s", peak_mb=run.peak_mb, remark=remark),
        Figure(f"all tiles and projections {name}", hours, "hours", remark="extrapolated from the share"),
    ]


def _prepare_tiles(path: Path, rule: PartnerRule, share: float, device: str) -> Callable[[], _Slice]:
    from visdiv_assets.devices import torch_device
    from visdiv_assets.vectors.bounded_tiles import project, projected_tiles
    from visdiv_assets.vectors.projected import BLOCK_CHUNKS, CHUNK

    # Import torch and use the device before the measurement.
    torch_device(device)
    vectors = np.load(path, mmap_mode="r")

    def work() -> _Slice:
        rows = len(vectors)
        start = rows // 2 // CHUNK * CHUNK
        stop = start + int(share * rows)
        projected = project(vectors, vectors, rule.floor, device)
        lists = PartnerLists(rows, rule)
        found = 0
        if projected.is_kept or stop == start:
            for index in range(start // CHUNK, -(-rows // CHUNK)):
                projected.chunk(index)
        begin = time.perf_counter()
        bounds = lists.bounds, lists.bounds
        tiles = projected_tiles(vectors, None, bounds, (projected, projected), device=device)
        for tile in tiles.between(start, stop):
            offer_tile(tile, lists, lists)
            found += len(tile.left)
        pairs = (stop - start) * (rows - stop) + (stop - start) * (stop - start - 1) // 2
        kept = projected.is_kept
        times = 1 if kept else rows / (BLOCK_CHUNKS * CHUNK) / 2
        return _Slice(pairs, found, projected.width, kept, times, time.perf_counter() - begin)

    return work
