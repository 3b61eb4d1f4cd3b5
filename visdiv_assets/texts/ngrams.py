"""Hash the n-grams of texts to 64 bits, so that millions of them can be compared in bounded memory.

Words are letters and digits in lower case after Unicode NFKC. Punctuation and white space only separate them, as in
GPT-3's decontamination. Every Chinese or Japanese character is a word.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from visdiv_assets.texts.columns import Texts, each_text

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")
#: Words hashed at a time.
BLOCK = 262_144
#: Maximum number of words whose hashes are cached.
MAX_CACHED_WORDS = 1_000_000
#: Multiplier of the n-gram hash. It is odd, so that multiplication is a bijection modulo 2^64.
FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Words:
    """The hashed words of consecutive texts.

    Attributes:
        hashes: uint64 [w], hash of each word.
        lengths: int64 [t], number of words of each text.
        first: index of the first text.
    """

    hashes: np.ndarray
    lengths: np.ndarray
    first: int

    @property
    def starts(self) -> np.ndarray:
        """Index of each text's first word: int64 [t]."""
        starts: np.ndarray = np.cumsum(self.lengths) - self.lengths
        return starts

    def text_of(self, positions: np.ndarray) -> np.ndarray:
        """Return the index in `lengths` of the text of each word, by word index: int64 [m]."""
        return np.searchsorted(self.starts, positions, side="right") - 1

    def ngrams(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the hashes of all n-grams of `size` words, uint64 [m], and the index of their first words, int64 [m].

        The hash of w_1 ... w_n is the sum of h(w_i) F^(n - i) modulo 2^64.
        """
        ends = np.repeat(self.starts + self.lengths, self.lengths)
        positions = np.flatnonzero(np.arange(len(self.hashes)) + size <= ends)
        return self._hash(positions, size), positions

    def whole_texts(self, shorter_than: int) -> tuple[np.ndarray, np.ndarray]:
        """Hash whole texts of at least 1 and fewer than `shorter_than` words.

        Returns:
            hashes, uint64 [m], and indices in `lengths`, int64 [m].
        """
        hashes, indices = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
        for length in range(1, shorter_than):
            chosen = np.flatnonzero(self.lengths == length)
            hashes.append(self._hash(self.starts[chosen], length))
            indices.append(chosen)
        return np.concatenate(hashes), np.concatenate(indices)

    def _hash(self, positions: np.ndarray, size: int) -> np.ndarray:
        total = np.zeros(len(positions), np.uint64)
        for offset in range(size):
            total *= FACTOR
            total += self.hashes[positions + offset]
        return total


def split_words(text: str) -> list[str]:
    """Split a text into words."""
    return WORD.findall((text if text.isascii() else unicodedata.normalize("NFKC", text)).lower())


def hash_words(texts: Texts, split: Callable[[str], list[str]] = split_words) -> Iterator[Words]:
    """Hash the words of all texts, yielding many texts at a time; a text of more than `BLOCK` words comes alone.

    Args:
        texts: Arrow strings, or an iterable of these.
        split: splits a text into words.
    """
    cached = _HashCache()
    hashes: list[int] = []
    lengths: list[int] = []
    first = 0
    for text in each_text(texts):
        words = split(text)
        if lengths and len(hashes) + len(words) > BLOCK:
            yield Words(np.array(hashes, np.uint64), np.array(lengths, np.int64), first)
            first += len(lengths)
            hashes, lengths = [], []
        hashes.extend(map(cached.__getitem__, words))
        lengths.append(len(words))
        if len(cached) > MAX_CACHED_WORDS:
            cached.clear()
    if lengths:
        yield Words(np.array(hashes, np.uint64), np.array(lengths, np.int64), first)


class CountedHashes:
    """Distinct 64-bit hashes, and the number of texts that each occurs in."""

    def __init__(self) -> None:
        self._hashes = np.empty(0, np.uint64)
        self._counts = np.empty(0, np.int64)
        self._more: list[np.ndarray] = []
        self._waiting = 0

    def add(self, hashes: np.ndarray, texts: np.ndarray) -> None:
        """Add hashes, uint64 [m], with the indices of their texts, int64 [m]. A text must be in one call only."""
        order = np.lexsort((hashes, texts))
        hashes, texts = hashes[order], texts[order]
        repeated = (hashes[1:] == hashes[:-1]) & (texts[1:] == texts[:-1])
        self._more.append(hashes[np.append(np.ones(min(len(hashes), 1), bool), ~repeated)])
        self._waiting += len(hashes)
        if self._waiting > max(16 * BLOCK, len(self._hashes) // 4):
            self._merge()

    def array(self, max_texts: int | None = None) -> np.ndarray:
        """Return the distinct hashes, uint64, ascending; without those that occur in more than `max_texts` texts."""
        self._merge()
        return self._hashes if max_texts is None else self._hashes[self._counts <= max_texts]

    def _merge(self) -> None:
        hashes = np.concatenate([self._hashes, *self._more])
        counts = np.append(self._counts, np.ones(len(hashes) - len(self._counts), np.int64))
        self._hashes, index = np.unique(hashes, return_inverse=True)
        self._counts = np.bincount(index, counts, minlength=len(self._hashes)).astype(np.int64)
        self._more, self._waiting = [], 0


def merge_hashes(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """Return the distinct values of several uint64 arrays, ascending."""
    values: np.ndarray = np.unique(np.concatenate([np.empty(0, np.uint64), *arrays]))
    return values


def is_among(hashes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return which hashes occur in an ascending array: bool [m]."""
    if not len(known):
        return np.zeros(len(hashes), bool)
    index = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    found: np.ndarray = known[index] == hashes
    return found


class _HashCache(dict[str, int]):
    """Hashes of words, computed when first asked for and equal in every process."""

    def __missing__(self, word: str) -> int:
        value = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        self[word] = value
        return value
