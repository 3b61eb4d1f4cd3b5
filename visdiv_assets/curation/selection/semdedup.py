"""SemDeDup: semantic duplicates within clusters (Abbas et al. 2023, arXiv 2303.09540, facebookresearch/SemDeDup)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from visdiv_assets.errors import InputError
from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.kmeans import k_means
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.tiles import round_products
from visdiv_assets.vectors.unit_rows import unit_at

#: Rows of a cluster compared at a time: two blocks of 512 dimensions and their product stay under 32 MB.
TILE = 2048

Keep = Literal["hard", "easy", "random"]


@dataclass(frozen=True)
class SemDeDup:
    """The result of `semdedup`.

    Attributes:
        score: float32 [n], the M_j of the paper: the cosine of each row to the nearest earlier row of its cluster; 0 if
            there is none, or if all are at an angle above 90 degrees. A high score marks a duplicate.
        cluster: int32 [n], index of the cluster of each row.
    """

    score: np.ndarray
    cluster: np.ndarray

    def kept(self, epsilon: float) -> np.ndarray:
        """Return a mask of the rows with a score of at most 1 - epsilon, bool [n]."""
        mask: np.ndarray = self.score <= 1 - epsilon
        return mask


def semdedup(
    vectors: Matrix,
    *,
    clusters: int | None = None,
    keep: Keep = "hard",
    seed: int = 0,
    progress: Progress = silent,
) -> SemDeDup:
    """Score every row by its similarity to an earlier row of its k-means cluster.

    With c the unit centroid of a cluster and its rows sorted by x.c: M_j = max(0, max over i before j of x_i.x_j), and
    row j is a duplicate if M_j > 1 - epsilon. As in the paper, an earlier row counts even if it is a duplicate itself,
    so that one score serves every epsilon. Pairs in different clusters are missed.

    The rows of a cluster are compared in tiles. A cluster of m rows costs m^2 / 2 products, so a cluster that holds
    most of the rows (many identical images) takes long, but little memory.

    Args:
        vectors: [n, d], any float dtype; scaled to length 1, read in blocks.
        clusters: k of k-means (None: sqrt(n)).
        keep: which of a group of duplicates comes first and is kept: the one farthest from the centroid ("hard", the
            paper's choice), the nearest ("easy"), or a random one ("random").
        seed: seed of k-means and of the random order.
        progress: called with the number of rows clustered, then with the number of rows scored: 2n in total.

    Raises:
        InputError: a row is not finite or all zero, `clusters` is less than 1, or `keep` is unknown.
    """
    if keep not in get_args(Keep):
        raise InputError(f"unknown keep={keep!r}: use one of {', '.join(get_args(Keep))}")
    clustering = k_means(vectors, clusters, seed=seed, progress=progress)
    if keep == "random":
        key: np.ndarray = np.random.default_rng(seed).permutation(len(clustering.cluster))
    else:
        key = clustering.similarity if keep == "hard" else -clustering.similarity
    order = np.lexsort((key, clustering.cluster))
    score = np.zeros(len(order), np.float32)
    starts = np.flatnonzero(np.diff(clustering.cluster[order], prepend=-1))
    for members in np.split(order, starts[1:]):
        score[members] = _nearest_before(vectors, members)
        progress(len(members))
    return SemDeDup(score, clustering.cluster)


def _nearest_before(vectors: Matrix, members: np.ndarray) -> np.ndarray:
    """Return the largest cosine of each row to those before it in the list, at least 0: float32 [m]."""
    best = np.zeros(len(members), np.float32)
    for j in range(0, len(members), TILE):
        columns = unit_at(vectors, members[j : j + TILE])
        reached = best[j : j + TILE]
        for i in range(0, j, TILE):
            np.maximum(reached, (unit_at(vectors, members[i : i + TILE]) @ columns.T).max(axis=0), out=reached)
        product = columns @ columns.T
        product[np.tri(len(product), dtype=bool)] = 0
        np.maximum(reached, product.max(axis=0, initial=0), out=reached)
    return round_products(best)
