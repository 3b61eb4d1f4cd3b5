"""A random share of the join of FineVision's 17.3 million images, run for real over a memory-mapped file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from visdiv_assets.perf.joins import FINEVISION_IMAGES
from visdiv_assets.perf.measuring import Figure, measure_in_subprocess
from visdiv_assets.perf.vectors import write_vectors

#: Share of the tiles that is run.
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
    """Make a file of vectors and run a random share of the tiles of its self-join, projection included.

    Args:
        real: vectors whose covariance is used, float32 [n, 512].
        count: vectors of the file; 1 KB each on disk, for as long as the measurement lasts.
        threshold: of the join.
        share: of the tiles.
        device: where the tiles are multiplied.
    """
    with tempfile.TemporaryDirectory(prefix="visdiv-bench-") as folder:
        path = Path(folder) / "vectors.npy"
        write_vectors(path, real, count)
        projected = measure_in_subprocess(_share_of_tiles, path, threshold, 0.0, device)
        run = measure_in_subprocess(_share_of_tiles, path, threshold, share, device)
    result: _Slice = run.result
    seconds = run.seconds - projected.seconds
    hours = (projected.seconds + seconds * result.of_tiles / max(result.tiles, 1)) / 3600
    told = f"{result.tiles:,} of {result.of_tiles:,} tiles, {result.directions} directions, {result.found:,} pairs"
    name = f"of the self-join of {count:,} at {threshold}"
    return [
        Figure(f"projecting, {name}", projected.seconds, "s", peak_mb=projected.peak_mb),
        Figure(f"{share:.1%} of the tiles {name}", seconds, "s", peak_mb=run.peak_mb, remark=told),
        Figure(f"all tiles {name}", hours, "hours", remark="extrapolated from the share"),
    ]


def _share_of_tiles(path: Path, threshold: float, share: float, device: str) -> Callable[[], _Slice]:
    from visdiv_assets.devices import torch_device
    from visdiv_assets.vectors.join import project_tiles

    # Imports torch, and uses the device for the first time.
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
