"""Bounds and groups of the rows of a tile, in the form in which a tile compares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


class Runs:
    """The runs of adjacent rows of the same group."""

    def __init__(self, groups: np.ndarray) -> None:
        """Find the runs of groups, integers [n]."""
        self._groups = groups
        self._starts = np.flatnonzero(np.diff(groups)) + 1

    def group(self, start: int, stop: int) -> int | None:
        """Return the group of the rows [start, stop) if they lie in one run."""
        first, last = np.searchsorted(self._starts, [start, stop - 1], side="right")
        return int(self._groups[start]) if first == last else None


def encode(bounds: np.ndarray, *, bfloat16: bool) -> torch.Tensor:
    """Return bounds, float32 [n], as numbers to compare with products of the same type.

    Positive bfloat16 numbers have the order of the integers of their bits, which processors compare faster, and all
    negative ones are negative integers. So int16 stands for bfloat16, and every product passes a bound of at most 0.
    """
    import torch

    values = torch.from_numpy(bounds)
    if not bfloat16:
        return values
    bits = values.to(torch.bfloat16).view(torch.int16)
    return torch.where(values > 0, bits, torch.iinfo(torch.int16).min)
