"""How rarely other images of the same kind show a local feature, and what a match of features is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.matching import BITS, FeatureSet
from visdiv_assets.imaging.local_features import MAX_FEATURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Differing bits up to which an image shows a feature.
MAX_DISTANCE = 40
#: Bits of a match that are no evidence: half of all images show such a feature.
FREE_BITS = 1.0
#: Evidence counts once for each cell of a grid of so many rows and columns, because neighboring features depend on one
#: another.
GRID = 8
#: Features of a cell that are weighed; they come in order of their strength.
PER_CELL = 4


@dataclass(frozen=True, slots=True)
class Background:
    """A sample of images of one kind, against which features are rare or not.

    Attributes:
        names: image_ids [n].
        signs: float32 [256, n * MAX_FEATURES], the descriptors of all images as -1 and 1, 0 where there is none.
    """

    names: tuple[str, ...]
    signs: NDArray[np.float32]

    def tells(self, without: Sequence[str]) -> bool:
        """Return whether it holds an image that is none of `without`, image_ids, so that it tells what is rare."""
        return bool(set(self.names) - set(without))


def make_background(names: Sequence[str], features: Sequence[FeatureSet]) -> Background:
    """Return a background of the features of some images."""
    signs = np.zeros((len(features), MAX_FEATURES, BITS), np.float32)
    for index, found in enumerate(features):
        signs[index, : len(found)] = found.signs
    return Background(tuple(names), np.ascontiguousarray(signs.reshape(-1, BITS).T))


def weigh(signs: NDArray[np.float32], background: Background, without: Sequence[str]) -> NDArray[np.float32]:
    """Return how rare features are: -log2 of the share of the background's images that show them, float32 [m].

    Args:
        signs: float32 [m, 256], their descriptors.
        background: the background.
        without: image_ids that do not count, because they are those of the pair itself.
    """
    images = len(background.names)
    others = np.array([name not in without for name in background.names], bool)
    if not others.any() or not len(signs):
        return np.zeros(len(signs), np.float32)
    nearest = (signs @ background.signs).reshape(len(signs), images, -1).max(2)[:, others]
    shown = (nearest >= BITS - 2 * MAX_DISTANCE).sum(1)
    return np.asarray(-np.log2((shown + 0.5) / (others.sum() + 1.0)), np.float32)


def gather_evidence(
    shown: NDArray[np.int64],
    a: FeatureSet,
    backgrounds: Sequence[Background],
    without: tuple[str, str],
    assumed: float,
) -> float:
    """Return the evidence of an alignment in bits: the rarest match of each cell of image a, summed up.

    Args:
        shown: int64 [m], indices of features of the first image that the second one shows; see `find_shown`.
        a: the features of the first image.
        backgrounds: images of the kinds of the two; a feature is as rare as in the one that shows it most.
        without: image_ids that do not count as background.
        assumed: how rare features are if no background tells, bits.
    """
    cells = _cells(a.points[shown] / np.array(a.size))
    chosen = _first_of_each(cells, PER_CELL)
    signs = a.signs[shown[chosen]]
    known = [background for background in backgrounds if background.tells(without)]
    if known:
        weights = np.min([weigh(signs, background, without) for background in known], axis=0)
    else:
        weights = np.full(len(signs), assumed, np.float32)
    best = np.zeros(GRID * GRID)
    np.maximum.at(best, cells[chosen], np.maximum(weights - FREE_BITS, 0))
    return float(best.sum())


def _cells(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the cell of each point [n, 2] in units."""
    columns, rows = np.minimum((points * GRID).astype(np.int64), GRID - 1).T
    return np.asarray(rows * GRID + columns, np.int64)


def _first_of_each(cells: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the indices of the first `most` entries of each cell, in order."""
    order = np.argsort(cells, kind="stable")
    rank = np.empty(len(cells), np.int64)
    rank[order] = np.arange(len(cells)) - np.searchsorted(cells[order], cells[order])
    return np.flatnonzero(rank < most)
