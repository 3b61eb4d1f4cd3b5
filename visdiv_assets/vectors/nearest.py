"""Find the images nearest to a query: exact, over the memory-mapped vectors of all subsets.

A query is one vector and costs one product with each stored vector. Reading these from the disk cache takes longer than
multiplying them. A FAISS index has to be read as a whole and multiplies them all as well, so that it gains nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from visdiv_assets.errors import InputError
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map, thread_count
from visdiv_assets.vectors.matrix import Matrix, as_float32, check_matrix

#: Rows that a thread multiplies at a time: 16 MB of 512 dimensions in float32.
BLOCK = 8192

#: Minimum length of a sum of unit vectors; the direction of a shorter one is rounding noise.
MIN_NORM = 1e-3


@dataclass(frozen=True)
class Found:
    """The nearest vectors, best first.

    Attributes:
        part: int64 [m], index of the matrix that holds each.
        row: int64 [m], its row there.
        score: float32 [m], cosine similarity to the query; equal ones in order of part and row.
    """

    part: np.ndarray
    row: np.ndarray
    score: np.ndarray


def combine_queries(vectors: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Return the weighted sum of several queries, scaled to length 1: float32 [d].

    Args:
        vectors: unit vectors [q, d] of texts or images of one model.
        weights: [q]; a negative weight searches away from its vector.

    Raises:
        InputError: the vectors cancel each other out.
    """
    total: np.ndarray = np.asarray(weights, np.float64) @ vectors.astype(np.float64)
    length = float(np.linalg.norm(total))
    if not length > MIN_NORM:
        raise InputError("the queries cancel each other out: give them other weights")
    unit: np.ndarray = (total / length).astype(np.float32)
    return unit


def find_nearest(
    parts: Sequence[Matrix],
    query: np.ndarray,
    k: int,
    *,
    masks: Sequence[np.ndarray] | None = None,
    progress: Progress = silent,
) -> Found:
    """Find the k vectors nearest to a query.

    Args:
        parts: unit vectors [n_i, d], such as one matrix per subset; read in blocks, in threads.
        query: float32 [d], of length 1.
        k: number of vectors to find, or all if there are fewer.
        masks: bool [n_i] for each part: which of its vectors may be found; None: all.
        progress: called with the number of vectors compared.

    Raises:
        InputError: a vector is not finite, or its dimension differs from the query's.
    """
    for part in parts:
        if part.shape[0] and part.shape[1] != len(query):
            raise InputError(f"stored vectors have {part.shape[1]} dimensions and the query {len(query)}")
    best = Found(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))

    def compare(block_start: tuple[int, int]) -> tuple[Found, int]:
        index, start = block_start
        block = check_matrix(as_float32(parts[index][start : start + BLOCK]), start)
        # Stored vectors are rounded to float16, so that products may leave [-1, 1] by 1e-3.
        score = np.clip(block @ query, -1, 1)
        row = start + np.arange(len(score))
        if masks is not None:
            held = masks[index][start : start + BLOCK]
            row, score = row[held], score[held]
        return _select_best(Found(np.full(len(score), index, np.int64), row, score), k), len(block)

    for found, rows in ordered_map(compare, _block_starts(parts), threads=thread_count(0)):
        together = (np.concatenate(pair) for pair in zip(_columns(best), _columns(found), strict=True))
        best = _select_best(Found(*together), k)
        progress(rows)
    return best


def _block_starts(parts: Sequence[Matrix]) -> Iterator[tuple[int, int]]:
    for index, part in enumerate(parts):
        for start in range(0, part.shape[0], BLOCK):
            yield index, start


def _columns(found: Found) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return found.part, found.row, found.score


def _select_best(found: Found, k: int) -> Found:
    """Return the k best, in order."""
    chosen = np.arange(len(found.score))
    if len(chosen) > k:
        # Keep all that reach the k-th score, so that the first of equal ones are chosen in the end.
        worst = np.partition(found.score, len(chosen) - k)[len(chosen) - k]
        chosen = np.flatnonzero(found.score >= worst)
    order = chosen[np.lexsort((found.row[chosen], found.part[chosen], -found.score[chosen]))][:k]
    return Found(found.part[order], found.row[order], found.score[order])
