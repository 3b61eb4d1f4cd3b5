"""Find a caption: a band along one side of an image in which all contents disagree, and beyond which they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.contents import Contents
from visdiv_assets.duplicates.verify.decision_params import BandParams

if TYPE_CHECKING:
    from numpy.typing import NDArray


def find_bands(contents: Contents, params: BandParams) -> list[NDArray[np.bool_]]:
    """Return the bands that may hold a caption, bool [h, w] of the shape of `contents.disagrees`.

    A caption hides its whole band. A changed line, title or number leaves what is beside it.
    """
    found = []
    for turns in range(4):
        # Turn the side in question to the top.
        odd, textured = np.rot90(contents.disagrees, turns), np.rot90(contents.textured, turns)
        depth = _depth(odd, textured, params)
        if depth:
            band = np.zeros(odd.shape, bool)
            band[:depth] = True
            found.append(np.ascontiguousarray(np.rot90(band, -turns)))
    return found


def _depth(odd: NDArray[np.bool_], textured: NDArray[np.bool_], params: BandParams) -> int:
    """Return the number of rows of the band at the top; 0 if there is none."""
    height, width = odd.shape
    rows = odd.sum(1)
    beyond = np.cumsum(rows[::-1])[::-1]
    # The band ends where nearly nothing disagrees any more.
    deep = np.flatnonzero(beyond > params.rest * max(1, int(textured.sum())))
    if not len(deep):
        return 0
    depth = int(deep[-1]) + 1
    inside = int(textured[:depth].sum())
    if not params.min_depth * height <= depth <= params.max_depth * height or not inside:
        return 0
    spread = np.flatnonzero(odd[:depth].any(0))
    wide = spread[-1] - spread[0] + 1 >= params.min_width * width
    return depth + 1 if wide and rows[:depth].sum() >= params.min_share * inside else 0
