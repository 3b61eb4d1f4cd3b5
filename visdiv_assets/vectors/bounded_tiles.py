"""Choose the tiles of a join whose bound differs from row to row and may rise while the join runs.

A join that keeps the K best partners of each row raises the row's bound to its K-th best similarity, so that after the
first tiles few pairs reach a bound, however low the floor.
"""

from __future__ import annotations

import numpy as np

from visdiv_assets.devices import torch_device
from visdiv_assets.extras import is_installed
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.projected import Projected, costs
from visdiv_assets.vectors.projected_tiles import ProjectedTiles
from visdiv_assets.vectors.projection import choose_projection
from visdiv_assets.vectors.tiles import FullTiles, Sides, Tiles

#: Rows of a full tile: two blocks and their product take less than 32 MB.
TILE = 2048
#: Rows and columns of a projected tile: its product, 2 MB in bfloat16, fits the cache of the core that computes it.
PROJECTED_TILE = (1024, 1024)
#: Rows and columns of a projected tile on a GPU.
DEVICE_TILE = (8192, 16384)
#: Minimum number of pairs for which projecting pays, once torch is imported. The choice must not depend on whether
#: torch is imported yet: engines differ in what their processes have imported.
PROJECTED_FROM = 50_000_000
#: Largest margin for rounding projected vectors.
ROUNDING = 0.005


def bounded_tiles(
    left: Matrix,
    right: Matrix | None,
    bounds: Sides,
    *,
    groups: Sides | None = None,
    projected: Projected | None = None,
    device: str,
) -> Tiles:
    """Return tiles that yield every pair whose similarity reaches the bound of its left or of its right row.

    Pairs up to `MARGIN` under their bound may be yielded, too, as `join.rescore` expects. The similarities do not
    depend on how the work is cut, on the device or on other rows.

    Args:
        left: unit vectors [n, d].
        right: unit vectors [m, d]; None for the pairs left < right within `left`.
        bounds: smallest similarity for each left and each right row, float32 [n] and [m]; in a self-join one array
            twice. The caller may raise a bound between tiles, but must not lower one.
        groups: the group of each left and each right row, integers [n] and [m]; pairs of one group are left out. Tiles
            within one group cost nothing, so that rows of a group should follow each other.
        projected: projections of the right vectors by `project` for this device, if several joins share them.
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        ConfigError: the device is not the CPU, and torch is not installed.
        ModelError: the device cannot be used.
    """
    if device != "cpu":
        torch_device(device)
    other = left if right is None else right
    pairs = left.shape[0] * other.shape[0] // (2 if right is None else 1)
    if pairs and projected is not None:
        x = Projected(left, projected.projection, device)
        return projected_tiles(left, right, bounds, (x, projected), groups=groups, device=device)
    if not pairs or not pays_to_project(pairs, device):
        return FullTiles(left, right, bounds, groups=groups, tile=TILE)
    floor = min(float(np.min(side)) for side in bounds)
    x = project(left, other, floor, device)
    y = x if right is None else Projected(right, x.projection, device)
    return projected_tiles(left, right, bounds, (x, y), groups=groups, device=device)


def pays_to_project(pairs: int, device: str) -> bool:
    """Return whether a join of so many pairs takes less time with projections, and torch is there to compute them."""
    return device != "cpu" or (pairs >= PROJECTED_FROM and is_installed("torch"))


def project(left: Matrix, right: Matrix, floor: float, device: str) -> Projected:
    """Return projections of the left set on the directions for which a join from a floor on costs least."""
    return Projected(left, choose_projection(left, right, floor - ROUNDING, costs(device)), device)


def projected_tiles(
    left: Matrix,
    right: Matrix | None,
    bounds: Sides,
    projected: tuple[Projected, Projected],
    *,
    groups: Sides | None = None,
    device: str,
) -> ProjectedTiles:
    """Return tiles of projections, of a size that suits the device."""
    tile = PROJECTED_TILE if device == "cpu" else DEVICE_TILE
    return ProjectedTiles(left, right, bounds, projected, groups=groups, device=device, tile=tile)
