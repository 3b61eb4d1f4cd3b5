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

#: Rows of a cluster compared at a time: two blocks of 512 dimensions and their product stay below 32 MB.
TILE = 2048

Keep = Literal["hard", "easy", "random"]


@dataclass(frozen=True)
class SemDeDup:
    """What `semdedup` found.

    Attributes:
        score: float32 [n], the M_j of the paper: cosine to the nearest row of its cluster that comes before it, 0 where
            none does or all are at an angle above 90 degrees. High: a duplicate.
        cluster: int32 [n], number of its cluster.
    """

    score: np.ndarray
    cluster: np.ndarray

    def kept(self, epsilon: float) -> np.ndarray:
        """Bool [n]: rows whose score is at most 1 - epsilon."""
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
    """Score every row by how near it is to an earlier one of its k-means cluster.

    With c the unit centroid of a cluster, its rows sorted by x.c: M_j = max(0, max over i before j of x_i.x_j), and
    row j is a duplicate if M_j > 1 - epsilon. As in the paper, the earlier row counts even if it is a duplicate itself,
    so that one score serves every epsilon. Pairs in different clusters are missed.

    The rows of a cluster are compared in tiles. A cluster of m rows costs m^2 / 2 products, so one that holds most
    of the rows (many identical images) makes this take long, though not much memory.

    Args:
        vectors: [n, d], any float dtype; brought to length 1, read in blocks.
        clusters: k of k-means (None: sqrt(n)).
        keep: which of a group of duplicates comes first and stays: the one farthest from the centroid ("hard", the
            paper's choice), the nearest ("easy") or any ("random").
        seed: of k-means and of the random order.
        progress: told of rows whose cluster is found and of rows scored: twice n in all.

    Raises:
        InputError: a row is not finite or all zero, fewer than one cluster is asked for, or `keep` is unknown.
    """
    if keep not in get_args(Keep):
        raise InputError(f"keep = {keep!r}: it is {', '.join(get_args(Keep))}")
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
    """Largest cosine of each row to those before it in the list, at least 0: float32 [m]."""
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
