"""A random share of the self-join of 17.3 million vectors, FineVision's size, over a memory-mapped file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from visdiv_assets.perf.joins import FINEVISION_IMAGES
from visdiv_assets.perf.measuring import Figure, measure_in_subprocess
from visdiv_assets.perf.vectors import write_vectors

#: Share of the tiles to run.
SHARE = 0.002


class _Slice(NamedTuple):
    tiles: int
    of_tiles: int
    found: int
    directions: int


def measure(
    real: np.ndarray,
    *,
    count: int = FINEVISION_IMAGES,
    threshold: float = 0.93,
    share: float = SHARE,
    device: str = "cpu",
) -> list[Figure]:
    """Write a file of vectors and run the projection and a random share of the tiles of its self-join.

    Args:
        real: vectors whose covariance is used, float32 [n, 512].
        count: number of vectors in the file, which takes 1 KB of disk for each during the measurement.
        threshold: threshold of the join.
        share: share of the tiles to run.
        device: device that multiplies the tiles.
    """
    with tempfile.TemporaryDirectory(prefix="visdiv-perf-") as folder:
        path = Path(folder) / "vectors.npy"
        write_vectors(path, real, count)
        projected = measure_in_subprocess(_prepare_tiles, path, threshold, 0.0, device)
        run = measure_in_subprocess(_prepare_tiles, path, threshold, share, device)
    result: _Slice = run.result
    seconds = run.seconds - projected.seconds
    hours = (projected.seconds + seconds * result.of_tiles / max(result.tiles, 1)) / 3600
    remark = f"{result.tiles:,} of {result.of_tiles:,} tiles, {result.directions} directions, {result.found:,} pairs"
    name = f"of the self-join of {count:,} at {threshold}"
    return [
        Figure(f"projection {name}", projected.seconds, "s", peak_mb=projected.peak_mb),
        Figure(f"{share:.1%} of the tiles {name}", seconds, "s", peak_mb=run.peak_mb, remark=remark),
        Figure(f"all tiles {name}", hours, "hours", remark="extrapolated from the share"),
    ]


def _prepare_tiles(path: Path, threshold: float, share: float, device: str) -> Callable[[], _Slice]:
    from visdiv_assets.devices import torch_device
    from visdiv_assets.vectors.join import project_tiles

    # Import torch and use the device before the measurement.
    torch_device(device)
    vectors = np.load(path, mmap_mode="r")

    def work() -> _Slice:
        tiles = project_tiles(vectors, None, threshold, device=device)
        assert tiles is not None, "no projection is cheaper than the full product"
        count = tiles.tiles()
        chosen = np.random.default_rng(0).choice(count, int(share * count), replace=False)
        found = sum(len(candidates.left) for candidates in tiles.at(tiles.strip_of(int(index)) for index in chosen))
        return _Slice(len(chosen), count, found, tiles.directions)

    return work
