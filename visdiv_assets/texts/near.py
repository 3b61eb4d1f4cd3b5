"""Pairs of near-duplicate texts: candidates that share a MinHash bucket, and their exact Jaccard similarity."""

from __future__ import annotations

from typing import Protocol

import numpy as np

#: Number of following texts of a bucket that a text is compared with, beside the first of the bucket. A bucket of more
#: texts than this has too many pairs to compare all.
WINDOW = 16

#: n-grams that are compared at a time.
BLOCK_NGRAMS = 4 << 20


class Column(Protocol):
    """A column of hashes, read on access."""

    def __getitem__(self, key: np.ndarray) -> np.ndarray:
        """Return the rows of some indices."""


def bucket_pairs(buckets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of texts that have the same hash of a bucket.

    Args:
        buckets: uint64 [n], of each text.

    Returns:
        indices of the texts of each pair, int64 [m] twice, left < right: every text with the first and the next
        `WINDOW` of its bucket, by index.
    """
    order = np.argsort(buckets, kind="stable")
    ordered = buckets[order]
    left, right = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for distance in range(1, WINDOW + 1):
        same = np.flatnonzero(ordered[distance:] == ordered[:-distance])
        if not len(same):
            break
        left.append(order[same])
        right.append(order[same + distance])
    new = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(ordered) else np.empty(0, np.int64)
    begin = np.repeat(new, np.diff(np.append(new, len(ordered))))
    far = np.flatnonzero(np.arange(len(ordered)) - begin > WINDOW)
    left.append(order[begin[far]])
    right.append(order[far])
    return np.concatenate(left), np.concatenate(right)


def jaccard(
    ngrams: Column, starts: np.ndarray, counts: np.ndarray, left: np.ndarray, right: np.ndarray, threshold: float
) -> np.ndarray:
    """Compute the Jaccard similarity of pairs of sets of n-grams, a block of pairs at a time.

    Args:
        ngrams: hashes of the n-grams, uint32 [s, 1], distinct within a text.
        starts: int64 [n], index of the first n-gram of each text.
        counts: int64 [n], n-grams of each text.
        left: int64 [m], index of the first text of each pair.
        right: int64 [m], index of the second text.
        threshold: pairs whose numbers of n-grams rule this similarity out are not read; theirs is 0.

    Returns:
        float32 [m].
    """
    small, large = np.minimum(counts[left], counts[right]), np.maximum(counts[left], counts[right])
    found = np.zeros(len(left), np.float32)
    possible = np.flatnonzero(small >= threshold * large)
    ends = np.cumsum(small[possible] + large[possible])
    first = 0
    while first < len(possible):
        begin = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, begin + BLOCK_NGRAMS, side="right")))
        block = possible[first:last]
        pair = np.arange(len(block), dtype=np.uint64) << np.uint64(32)
        keys = [_keys(ngrams, starts[side[block]], counts[side[block]], pair) for side in (left, right)]
        merged = np.sort(np.concatenate(keys))
        shared = merged[1:][merged[1:] == merged[:-1]] >> np.uint64(32)
        both = np.bincount(shared.astype(np.int64), minlength=len(block))
        found[block] = both / (small[block] + large[block] - both)
        first = last
    return found


def _keys(ngrams: Column, starts: np.ndarray, counts: np.ndarray, pair: np.ndarray) -> np.ndarray:
    """Return the n-grams of one text of each pair, with the number of the pair in the upper half: uint64."""
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    values = ngrams[np.repeat(starts, counts) + within][:, 0]
    keys: np.ndarray = np.repeat(pair, counts) | values.astype(np.uint64)
    return keys
