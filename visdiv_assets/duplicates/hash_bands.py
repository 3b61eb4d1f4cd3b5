"""Find hashes that may be close, by buckets of hashes that agree in some of their bits or differ in all of these.

A band is a random selection of bit positions. Two hashes of 256 bits that differ in d of them agree in all b bits of a
band with a probability of about (1 - d / 256)^b, so that most close pairs agree in at least one of several bands, and
unrelated ones in a band once in 2^b. The hash of a negative differs in all bits: it is in the same bucket, too. A
bucket that holds too many hashes is split by more bits of its band, so that the work per hash is bounded and the
closest hashes are found in dense groups, too.
"""

from __future__ import annotations

import numpy as np

#: 64-bit words of a hash.
WORDS = 4
#: Number of bands. Of pairs that differ in 31 bits, 95 % agree in at least one; in 24 bits, 99.8 %.
BANDS = 48
#: Number of bits in which the hashes of a bucket agree, and the numbers by which buckets that are too large are split.
LEVELS = (21, 29, 40, 64)
#: Largest number of hashes of a bucket that a hash is compared with.
MAX_BUCKET = 64
#: Seed of the bands: results must not differ between runs.
SEED = 20190801
#: Smallest and largest number of bits of a bucket's number: 256 kB and 64 MB of offsets. With fewer buckets, a hash
#: that is looked up in a small set would share one with some hash of the set by chance.
MIN_KEY_BITS, MAX_KEY_BITS = 16, 24

#: 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4).
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def band_masks(band: int) -> np.ndarray:
    """Return the bits of a band at every level: masks uint64 [levels, 4].

    Each of the 64 positions in a word is taken from one of the four words, so that the bits of a level fit one word.
    """
    random = np.random.default_rng((SEED, band))
    word, rank = random.integers(0, WORDS, 64), random.permutation(64)
    masks = np.zeros((len(LEVELS), WORDS), np.uint64)
    for level, bits in enumerate(LEVELS):
        for position in np.flatnonzero(rank < bits).tolist():
            masks[level, word[position]] |= np.uint64(1 << position)
    return masks


def _keys(words: np.ndarray, masks: np.ndarray, bits: int) -> np.ndarray:
    """Return the bucket of each hash (uint64 [n, 4]) among 2^bits: int64 [n]; its negative has the same one."""
    key = words[:, 0] & masks[0]
    for word in range(1, WORDS):
        key |= words[:, word] & masks[word]
    band = np.bitwise_or.reduce(masks)
    # Of a hash and its negative, the smaller bits name the bucket.
    np.minimum(key, key ^ band, out=key)
    key ^= key >> np.uint64(32)
    key *= _MULTIPLIER
    key >>= np.uint64(64 - bits)
    buckets: np.ndarray = key.view(np.int64)
    return buckets


class Buckets:
    """The hashes of a set in buckets of one band."""

    def __init__(self, words: np.ndarray, band: int) -> None:
        """Sort hashes, uint64 [n, 4], into the buckets of a band; memory is at most 20 bytes per hash."""
        self._root = _Level(words, np.arange(len(words), dtype=np.int32), band_masks(band), 0)

    def partners(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs of a hash of the set and a query (uint64 [q, 4]) that share a bucket.

        Returns:
            rows of the set int32 [p] and indices of queries int64 [p]; at most `MAX_BUCKET` pairs of a query.
        """
        return self._root.partners(queries, np.arange(len(queries)))


class _Level:
    """Some hashes of a set, in buckets by the bits of one level; those in large buckets are at the next level, too."""

    def __init__(self, words: np.ndarray, rows: np.ndarray, masks: np.ndarray, level: int) -> None:
        self._masks = masks[level]
        self._bits = min(max(len(rows).bit_length() + 1, MIN_KEY_BITS), MAX_KEY_BITS)
        keys = _keys(words, self._masks, self._bits)
        # Sorted as one integer: several times as fast as an argsort.
        ordered = keys << 32 | np.arange(len(rows))
        ordered.sort()
        self._rows = rows[ordered & 0xFFFFFFFF]
        counts = np.bincount(ordered >> 32, minlength=1 << self._bits)
        self._starts = np.zeros(len(counts) + 1, np.int32)
        np.cumsum(counts, out=self._starts[1:])
        large = counts[keys] > MAX_BUCKET if counts.max(initial=0) > MAX_BUCKET else np.zeros(0, bool)
        self._next: _Level | None = None
        if level + 1 < len(LEVELS) and large.any():
            self._next = _Level(words[large], rows[large], masks, level + 1)

    def partners(self, words: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs as `Buckets.partners` does; `queries` int64 [q] are the indices of `words`."""
        keys = _keys(words, self._masks, self._bits)
        first = self._starts[keys]
        count = self._starts[keys + 1] - first
        large = count > MAX_BUCKET
        if large.any():
            if self._next is not None:
                found = [self._enumerate(first, np.where(large, 0, count), None, queries)]
                found.append(self._next.partners(words[large], queries[large]))
                return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])
            return self._enumerate(first, np.minimum(count, MAX_BUCKET), np.maximum(count, 1), queries)
        return self._enumerate(first, count, None, queries)

    def _enumerate(
        self, first: np.ndarray, count: np.ndarray, size: np.ndarray | None, queries: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the members [first, first + count) of each query's bucket.

        Of buckets with more members than `count` (`size`), a query takes those from a position on that depends on the
        query, and continues at the first: of many equal hashes each is found by some.
        """
        hit = np.flatnonzero(count)
        first, count, queries = first[hit], count[hit], queries[hit]
        index = np.repeat(np.arange(len(hit)), count)
        rank = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
        if size is not None:
            of_bucket = size[hit]
            rank = (rank + (queries * 0x9E3779B1 % of_bucket)[index]) % of_bucket[index]
        return self._rows[first[index] + rank], queries[index]
