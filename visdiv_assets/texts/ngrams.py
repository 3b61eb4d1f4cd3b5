"""Runs of n words of texts as 64-bit hashes, so that millions of them are compared in bounded memory.

Words are letters and digits in lower case after Unicode NFKC; punctuation and blanks only part them, as in GPT-3's
decontamination. Every Chinese or Japanese character is a word of its own.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from visdiv_assets.texts.columns import Texts, each_text

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")
#: Words hashed at a time.
TOGETHER = 262_144
#: Words whose hashes are remembered.
REMEMBERED = 1_000_000
#: An odd number, so that multiplying by it loses nothing modulo 2^64.
FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Words:
    """The words of some texts in a row.

    Attributes:
        hashes: uint64 [w], of each word.
        lengths: int64 [t], words of each text.
        first: number of the first text.
    """

    hashes: np.ndarray
    lengths: np.ndarray
    first: int

    @property
    def starts(self) -> np.ndarray:
        """int64 [t], position of each text's first word."""
        starts: np.ndarray = np.cumsum(self.lengths) - self.lengths
        return starts

    def text_of(self, positions: np.ndarray) -> np.ndarray:
        """The places in `lengths` of the texts that words belong to, by their positions: int64 [m]."""
        return np.searchsorted(self.starts, positions, side="right") - 1

    def ngrams(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Hashes uint64 [m] of all runs of `size` words of one text, and the positions int64 [m] of their first words.

        The hash of w_1 ... w_n is the sum of h(w_i) F^(n - i) modulo 2^64.
        """
        ends = np.repeat(self.starts + self.lengths, self.lengths)
        positions = np.flatnonzero(np.arange(len(self.hashes)) + size <= ends)
        return self._hashed(positions, size), positions

    def whole(self, shorter_than: int) -> tuple[np.ndarray, np.ndarray]:
        """Hashes uint64 [m] of all texts of 1 word up to fewer than that, and their places int64 [m] in `lengths`."""
        hashes, places = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
        for length in range(1, shorter_than):
            chosen = np.flatnonzero(self.lengths == length)
            hashes.append(self._hashed(self.starts[chosen], length))
            places.append(chosen)
        return np.concatenate(hashes), np.concatenate(places)

    def _hashed(self, positions: np.ndarray, size: int) -> np.ndarray:
        total = np.zeros(len(positions), np.uint64)
        for offset in range(size):
            total *= FACTOR
            total += self.hashes[positions + offset]
        return total


def words_of(text: str) -> list[str]:
    """The words of a text."""
    return WORD.findall((text if text.isascii() else unicodedata.normalize("NFKC", text)).lower())


def hashed_words(texts: Texts) -> Iterator[Words]:
    """All texts as hashed words, many at a time; a longer text alone."""
    known = _Hashes()
    hashes: list[int] = []
    lengths: list[int] = []
    first = 0
    for text in each_text(texts):
        words = words_of(text)
        if lengths and len(hashes) + len(words) > TOGETHER:
            yield Words(np.array(hashes, np.uint64), np.array(lengths, np.int64), first)
            first += len(lengths)
            hashes, lengths = [], []
        hashes.extend(map(known.__getitem__, words))
        lengths.append(len(words))
        if len(known) > REMEMBERED:
            known.clear()
    if lengths:
        yield Words(np.array(hashes, np.uint64), np.array(lengths, np.int64), first)


class CountedHashes:
    """Distinct 64-bit hashes, and in how many texts each occurs: sorted and added up as they come."""

    def __init__(self) -> None:
        self._hashes = np.empty(0, np.uint64)
        self._counts = np.empty(0, np.int64)
        self._more: list[np.ndarray] = []
        self._waiting = 0

    def add(self, hashes: np.ndarray, texts: np.ndarray) -> None:
        """Add hashes uint64 [m], and the numbers int64 [m] of the texts that they are of; no text comes twice."""
        order = np.lexsort((hashes, texts))
        hashes, texts = hashes[order], texts[order]
        repeated = (hashes[1:] == hashes[:-1]) & (texts[1:] == texts[:-1])
        self._more.append(hashes[np.append(np.ones(min(len(hashes), 1), bool), ~repeated)])
        self._waiting += len(hashes)
        if self._waiting > max(16 * TOGETHER, len(self._hashes) // 4):
            self._add_up()

    def array(self, most: int | None = None) -> np.ndarray:
        """All of them, uint64, ascending, each once; without those of more than `most` texts, if that is given."""
        self._add_up()
        return self._hashes if most is None else self._hashes[self._counts <= most]

    def _add_up(self) -> None:
        hashes = np.concatenate([self._hashes, *self._more])
        counts = np.append(self._counts, np.ones(len(hashes) - len(self._counts), np.int64))
        self._hashes, place = np.unique(hashes, return_inverse=True)
        self._counts = np.bincount(place, counts, minlength=len(self._hashes)).astype(np.int64)
        self._more, self._waiting = [], 0


def merge_hashes(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """The distinct values of several uint64 arrays, ascending."""
    values: np.ndarray = np.unique(np.concatenate([np.empty(0, np.uint64), *arrays]))
    return values


def among(hashes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Bool [m]: which hashes occur in an ascending array."""
    if not len(known):
        return np.zeros(len(hashes), bool)
    places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    found: np.ndarray = known[places] == hashes
    return found


class _Hashes(dict[str, int]):
    """Hashes of words that are the same in every process."""

    def __missing__(self, word: str) -> int:
        value = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        self[word] = value
        return value
