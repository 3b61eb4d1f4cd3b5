"""Find the pairs of images whose PDQ hashes differ in few bits, turned and mirrored images and negatives included.

Hashes are compared if they agree in all bits of one of the bands of `hash_bands`, those of small sets in full. Up to a
few million images, the work is proportional to their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.duplicates.hash_bands import BANDS, WORDS, Buckets
from visdiv_assets.imaging.pdq import BITS, ORIENTATIONS
from visdiv_assets.vectors.top_k import runs

PAIR_SCHEMA = pa.schema([("left", pa.int64()), ("right", pa.int64()), ("pdq_distance", pa.int16())])

#: Number of pairs of images up to which all are compared.
EXHAUSTIVE_PAIRS = 1 << 19
#: Images of which all orientations are looked up at a time.
BLOCK = 4096
#: Partners collected before all but the K best of each image are dropped: 24 bytes each.
MAX_WAITING = 1 << 22

#: Bits of a row index and of a distance when partners are sorted as one integer.
_ROW_BITS, _DISTANCE_BITS = 27, 9
_ROW_MASK, _DISTANCE_MASK = (1 << _ROW_BITS) - 1, (1 << _DISTANCE_BITS) - 1

#: Pairs of indices into two sets of hashes, int [p] each, and their distances, int64 [p].
Found = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Hashes:
    """The hashes of a set of images.

    Attributes:
        rows: int64 [m], ascending: the images of the set that have hashes.
        words: uint64 [m, 8, 4]: their hashes in 8 orientations; may be memory-mapped.
    """

    rows: np.ndarray
    words: np.ndarray

    @classmethod
    def of(cls, hashes: pa.Array | pa.ChunkedArray) -> Hashes:
        """Read hashes of `imaging.pdq.fingerprints`, binary [n], null where an image has none."""
        rows = np.flatnonzero(hashes.is_valid().to_numpy(zero_copy_only=False))
        parts = [_bytes_of(chunk.drop_null()) for chunk in getattr(hashes, "chunks", [hashes])]
        words = np.concatenate([np.empty(0, np.uint8), *parts]).view(np.uint64)
        return cls(rows, words.reshape(-1, ORIENTATIONS, WORDS))

    def select(self, chosen: np.ndarray) -> Hashes:
        """Return some of the hashes, by their index or a bool [m]."""
        return Hashes(self.rows[chosen], self.words[chosen])


def close_hashes(
    left: Hashes,
    right: Hashes | None,
    *,
    distance: int,
    k_best: int,
    right_k_best: int | None = None,
    excluded: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    only: np.ndarray | None = None,
) -> pa.Table:
    """Find the pairs of images whose hashes, or one and the other's negative, differ in few bits in some orientation.

    The hash of a negative differs in all bits. The distance of two images is the smallest number of differing bits, of
    both their hashes in 8 orientations and of one hash and the other's negative. All distances are exact. A pair that
    differs in many bits may be missing (`hash_bands.BANDS`), and so may the more distant pairs in a group of more than
    `hash_bands.MAX_BUCKET` similar hashes.

    Args:
        left: hashes of one set.
        right: hashes of another set; None for the pairs left < right within one set.
        distance: largest number of differing bits.
        k_best: keep a pair only if it is among the K best of one of its two images; among equals, the lowest rows.
        right_k_best: the K of right images; by default the same.
        excluded: returns which pairs of images, int64 [p] each, are no pairs: bool [p]. Within one set only.
        only: bool [n]: find only pairs that have one of these images of `left`. Within one set only.

    Returns:
        table of `PAIR_SCHEMA`, each pair once, sorted.
    """
    if right is None:
        best = _Closest(k_best)
        for a, b, bits in _within(left, distance, only):
            one, other = left.rows[a], left.rows[b]
            kept = one != other
            if excluded is not None:
                kept &= ~excluded(one, other)
            best.offer(one[kept], other[kept], bits[kept])
            best.offer(other[kept], one[kept], bits[kept])
        rows, partners, bits = best.kept()
        return _pair_table(np.minimum(rows, partners), np.maximum(rows, partners), bits)
    of_left, of_right = _Closest(k_best), _Closest(right_k_best or k_best)
    for a, b, bits in _between(left, right, distance):
        of_left.offer(left.rows[a], right.rows[b], bits)
        of_right.offer(right.rows[b], left.rows[a], bits)
    (a, b, bits), (c, d, more) = of_left.kept(), of_right.kept()
    return _pair_table(np.concatenate([a, d]), np.concatenate([b, c]), np.concatenate([bits, more]))


def _within(hashes: Hashes, distance: int, only: np.ndarray | None) -> Iterator[Found]:
    """Yield close pairs of one set, some in both orders or several times."""
    if only is None:
        yield from _between(hashes, hashes, distance)
        return
    chosen = only[hashes.rows]
    own, others = np.flatnonzero(chosen), np.flatnonzero(~chosen)
    selected = hashes.select(own)
    for a, b, bits in _between(hashes, selected, distance):
        yield a, own[b], bits
    # The other way around, too: the two are not hashes of the same turned image.
    for a, b, bits in _between(selected, hashes.select(others), distance):
        yield own[a], others[b], bits


def _between(left: Hashes, right: Hashes, distance: int) -> Iterator[Found]:
    """Yield pairs of a hash of `left` as it is and one of `right` in any orientation, some several times."""
    if not len(left.rows) or not len(right.rows):
        return
    upright, distinct = np.ascontiguousarray(left.words[:, 0]), _distinct_orientations(right.words)
    if len(left.rows) * len(right.rows) <= EXHAUSTIVE_PAIRS:
        block = max(EXHAUSTIVE_PAIRS // len(left.rows) // ORIENTATIONS, 1)
        for start in range(0, len(right.rows), block):
            turned = _turned(right.words, distinct, start, block)
            a, b = (grid.ravel() for grid in np.indices((len(upright), len(turned.words)), np.int32))
            yield _compare(upright, turned, a, b, distance)
        return
    # The smaller side is sorted into buckets, the other one is looked up.
    if len(right.rows) * ORIENTATIONS < len(left.rows):
        turned = _turned(right.words, distinct, 0, len(right.words))
        for band in range(BANDS):
            buckets = Buckets(turned.words, band)
            for start in range(0, len(upright), BLOCK * ORIENTATIONS):
                b, a = buckets.partners(upright[start : start + BLOCK * ORIENTATIONS])
                yield _compare(upright, turned, a + start, b, distance)
        return
    for band in range(BANDS):
        buckets = Buckets(upright, band)
        for start in range(0, len(right.rows), BLOCK):
            turned = _turned(right.words, distinct, start, BLOCK)
            yield _compare(upright, turned, *buckets.partners(turned.words), distance)


class _Turned(NamedTuple):
    """Hashes of images in all orientations: words uint64 [t, 4] and the index of each one's image, int64 [t]."""

    words: np.ndarray
    images: np.ndarray


def _distinct_orientations(words: np.ndarray) -> np.ndarray:
    """Return which hashes of images, uint64 [n, 8, 4], equal no earlier one of the same image: bool [n, 8].

    All orientations of a flat or symmetric image have one hash, and many images may share it.
    """
    distinct = np.ones(words.shape[:2], bool)
    for start in range(0, len(words), BLOCK):
        block, other = words[start : start + BLOCK], distinct[start : start + BLOCK]
        for later in range(1, ORIENTATIONS):
            for earlier in range(later):
                equal = block[:, later, 0] == block[:, earlier, 0]
                if equal.any():
                    other[equal, later] &= (block[equal, later] != block[equal, earlier]).any(axis=1)
    return distinct


def _turned(words: np.ndarray, distinct: np.ndarray, first: int, count: int) -> _Turned:
    """Return the distinct hashes of `count` images from index `first` on."""
    chosen = slice(first, first + count)
    index = np.flatnonzero(distinct[chosen])
    return _Turned(words[chosen].reshape(-1, WORDS)[index], index // ORIENTATIONS + first)


def _compare(upright: np.ndarray, turned: _Turned, a: np.ndarray, b: np.ndarray, distance: int) -> Found:
    """Return the close ones of pairs (a, b) of an upright hash, uint64 [n, 4], and a turned one."""
    bits = np.zeros(len(a), np.int16)
    for word in range(WORDS):
        bits += np.bitwise_count(upright[a, word] ^ turned.words[b, word])
        if word % 2:  # one word of unrelated hashes tells little
            seen = BITS // WORDS * (word + 1)
            near = np.flatnonzero(np.minimum(bits, seen - bits) <= distance)
            a, b, bits = a[near], b[near], bits[near]
    return a, turned.images[b], np.minimum(bits, BITS - bits).astype(np.int64)


def _bytes_of(values: pa.Array) -> np.ndarray:
    """Return the bytes of binary values without nulls, concatenated: uint8, not copied."""
    if not len(values):
        return np.empty(0, np.uint8)
    _, offsets, data = values.buffers()
    first, last = np.frombuffer(offsets, np.int32)[[values.offset, values.offset + len(values)]]
    return np.frombuffer(data, np.uint8)[first:last]


class _Closest:
    """The K partners at the smallest distance of each row; among equals, those of the lowest index."""

    def __init__(self, k: int) -> None:
        self._k = k
        #: Integers of (row, partner, distance), sorted, each row and partner once; then those that wait.
        self._best = np.empty(0, np.int64)
        self._waiting: list[np.ndarray] = []
        self._count = 0

    def offer(self, rows: np.ndarray, partners: np.ndarray, bits: np.ndarray) -> None:
        """Offer one partner to each of the rows: three arrays [m]."""
        if len(rows):
            self._waiting.append((rows << _ROW_BITS | partners) << _DISTANCE_BITS | bits)
            self._count += len(rows)
            if self._count > max(MAX_WAITING, len(self._best)):
                self._merge()

    def _merge(self) -> None:
        entries = np.concatenate([self._best, *self._waiting])
        self._waiting, self._count = [], 0
        entries.sort()
        pairs = entries >> _DISTANCE_BITS
        entries = entries[np.diff(pairs, prepend=-1) != 0]
        row = entries >> (_ROW_BITS + _DISTANCE_BITS)
        first, count = runs(row)
        if len(count) and count.max() > self._k:
            partner, bits = entries >> _DISTANCE_BITS & _ROW_MASK, entries & _DISTANCE_MASK
            ranked = (row << _DISTANCE_BITS | bits) << _ROW_BITS | partner
            ranked.sort()
            ranked = ranked[np.arange(len(ranked)) - np.repeat(first, count) < self._k]
            row, bits = ranked >> (_ROW_BITS + _DISTANCE_BITS), ranked >> _ROW_BITS & _DISTANCE_MASK
            entries = (row << _ROW_BITS | ranked & _ROW_MASK) << _DISTANCE_BITS | bits
        self._best = entries

    def kept(self) -> Found:
        """Return rows, partners and distances of all kept pairs: int64 [m] each."""
        self._merge()
        entries = self._best
        return (
            entries >> (_ROW_BITS + _DISTANCE_BITS),
            entries >> _DISTANCE_BITS & _ROW_MASK,
            entries & _DISTANCE_MASK,
        )


def _pair_table(left: np.ndarray, right: np.ndarray, bits: np.ndarray) -> pa.Table:
    """Return pairs as a table of `PAIR_SCHEMA`, each once with its smallest distance, sorted."""
    order = np.lexsort((bits, right, left))
    left, right, bits = left[order], right[order], bits[order]
    once = (np.diff(left, prepend=-1) != 0) | (np.diff(right, prepend=-1) != 0)
    return pa.table([left[once], right[once], bits[once].astype(np.int16)], schema=PAIR_SCHEMA)
