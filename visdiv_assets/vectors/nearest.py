"""The images that fit a question best: exact, over the memory-mapped vectors of all subsets.

A question is one vector, so it costs one product with each stored vector: reading them from the disk's cache takes
longer than that, and a FAISS index, which has to be read as a whole and multiplies them all as well, gains nothing.
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

#: Shorter than this, a sum of vectors has no direction that means anything.
MIN_NORM = 1e-3


@dataclass(frozen=True)
class Found:
    """The best vectors, best first.

    Attributes:
        part: int64 [m], number of the matrix that holds each.
        row: int64 [m], its row there.
        score: float32 [m], cosine similarity to the question; equal ones in order of part and row.
    """

    part: np.ndarray
    row: np.ndarray
    score: np.ndarray


def combine_queries(vectors: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """One question out of several: their weighted sum, float32 [d] of length 1.

    Args:
        vectors: unit vectors [q, d] of texts or images of one model.
        weights: [q]; negative ones lead away.

    Raises:
        InputError: they cancel each other out.
    """
    total: np.ndarray = np.asarray(weights, np.float64) @ vectors.astype(np.float64)
    length = float(np.linalg.norm(total))
    if not length > MIN_NORM:
        raise InputError("the questions cancel each other out: give them other weights")
    unit: np.ndarray = (total / length).astype(np.float32)
    return unit


def find_nearest(parts: Sequence[Matrix], question: np.ndarray, k: int, *, progress: Progress = silent) -> Found:
    """Find the k vectors that are closest to a question.

    Args:
        parts: unit vectors [n_i, d], such as one matrix for each subset; read in blocks, in threads.
        question: float32 [d], of length 1.
        k: how many; fewer are found if there are not as many.
        progress: told of vectors compared.

    Raises:
        InputError: a vector is not finite or has another dimension than the question.
    """
    for part in parts:
        if part.shape[0] and part.shape[1] != len(question):
            raise InputError(f"stored vectors have {part.shape[1]} dimensions and the question {len(question)}")
    best = Found(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))

    def compare(place: tuple[int, int]) -> tuple[Found, int]:
        number, start = place
        block = check_matrix(as_float32(parts[number][start : start + BLOCK]), start)
        # Stored vectors are rounded to float16: the product may leave [-1, 1] by 1e-3.
        score = np.clip(block @ question, -1, 1)
        part = np.full(len(score), number, np.int64)
        return _best(Found(part, start + np.arange(len(score)), score), k), len(block)

    for found, rows in ordered_map(compare, _places(parts), threads=thread_count(0)):
        together = (np.concatenate(pair) for pair in zip(_columns(best), _columns(found), strict=True))
        best = _best(Found(*together), k)
        progress(rows)
    return best


def _places(parts: Sequence[Matrix]) -> Iterator[tuple[int, int]]:
    for number, part in enumerate(parts):
        for start in range(0, part.shape[0], BLOCK):
            yield number, start


def _columns(found: Found) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return found.part, found.row, found.score


def _best(found: Found, k: int) -> Found:
    """The k best, in order."""
    chosen = np.arange(len(found.score))
    if len(chosen) > k:
        # All that reach the k-th score, so that of equal ones the first stay.
        worst = np.partition(found.score, len(chosen) - k)[len(chosen) - k]
        chosen = np.flatnonzero(found.score >= worst)
    order = chosen[np.lexsort((found.row[chosen], found.part[chosen], -found.score[chosen]))][:k]
    return Found(found.part[order], found.row[order], found.score[order])
