"""The signatures by which duplicates of texts are found: text_ids of turns, n-grams and MinHash of distinct texts.

Parameters are the defaults of datatrove's MinHash: n-grams of 5 words, 14 buckets of 8 hashes, 64 bits. Two texts of
Jaccard similarity s share a bucket with probability 1 - (1 - s^8)^14: 0.92 for 0.8. A text of fewer than 5 words has no
n-grams; only equal texts are its duplicates.

Source: Broder 1997, "On the resemblance and containment of documents".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from visdiv_assets.progress import Progress, silent
from visdiv_assets.texts.ngrams import FACTOR, hash_words
from visdiv_assets.texts.simplify import numbers_of, simplified_words

#: Words of an n-gram, buckets, and hashes of a bucket.
NGRAM_WORDS, BUCKETS, BUCKET_HASHES = 5, 14, 8

#: Bits of `DISTINCT_COLUMNS`' column `sides`: where the text occurs.
QUESTION, ANSWER = 1, 2

#: Columns of the matrices of a shard.
TURN_COLUMNS = ("question", "answer", "row")
DISTINCT_COLUMNS = ("text", "numbers", "sides", "ngrams")

#: Characters and number of texts that are signed at a time.
BLOCK_CHARACTERS, BLOCK_TEXTS = 4 << 20, 16_384
#: n-grams hashed at a time; the arrays stay in the processor's cache.
_CACHED = 16_384


@dataclass(frozen=True, eq=False)
class Signatures:
    """The signatures of a shard.

    Attributes:
        turns: uint64 [t, 3], of every turn in order: `text_hash` of its question and of its answer, and its row.
        texts: uint64 [m, 4], of every distinct text of at least 5 words: its `text_hash`, the hash of its numbers, its
            sides (`QUESTION` and `ANSWER`, added), and its number of distinct n-grams.
        buckets: uint64 [m, 14], hashes of its buckets.
        ngrams: uint32 [s, 1], hashes of the distinct n-grams of all texts, text by text, ascending within one.
    """

    turns: np.ndarray
    texts: np.ndarray
    buckets: np.ndarray
    ngrams: np.ndarray


def text_hash(text: str) -> int:
    """Return the first 8 bytes of the SHA-256 of a text as a number; 0 for a text of only white space."""
    if not text or text.isspace():
        return 0
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def hash_names(hashes: np.ndarray) -> pa.Array:
    """Return hashes, uint64 [n], as 16 hex characters each: of a text, the first half of its text_id for CLIP."""
    digits = np.frombuffer(hashes.astype(">u8").tobytes().hex().encode(), "S16")
    return pa.array(digits.astype(str).astype(object), pa.string())


def hashes_of_names(names: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return the hashes, uint64 [n], whose first digits names of at least 16 hex characters are."""
    digits = names.to_numpy(zero_copy_only=False).astype("S16")
    return np.frombuffer(bytes.fromhex(digits.tobytes().decode()), ">u8").astype(np.uint64)


@cache
def permutations() -> tuple[np.ndarray, np.ndarray]:
    """Return the odd factors and the summands of the MinHash permutations: uint64 [112] each."""
    random, size = np.random.Generator(np.random.PCG64(1)), BUCKETS * BUCKET_HASHES
    factors = random.integers(1 << 63, size=size, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return factors, random.integers(1 << 63, size=size, dtype=np.uint64)


def mix(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Hash pairs of 64-bit hashes, uint64 [n]; the order within a pair matters."""
    mixed: np.ndarray = scramble(left * FACTOR + scramble(right))
    return mixed


def scramble(values: np.ndarray) -> np.ndarray:
    """Map 64-bit numbers to others one to one, so that every bit depends on all (the finalizer of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    scrambled: np.ndarray = values ^ (values >> np.uint64(31))
    return scrambled


def sign_turns(batches: Iterable[pa.RecordBatch], *, first_row: int, progress: Progress = silent) -> Signatures:
    """Compute the signatures of a shard's turns.

    Args:
        batches: rows of the shard, with a column `texts`: list<struct<user, assistant>>.
        first_row: index of the shard's first row in the subset.
        progress: called with the number of rows finished.
    """
    signer = _Signer()
    turns = [np.empty((0, len(TURN_COLUMNS)), np.uint64)]
    for batch in batches:
        column = batch.column("texts")
        lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        rows = np.repeat(np.arange(len(lengths)) + first_row, lengths).astype(np.uint64)
        flat = column.flatten()
        questions = signer.add(flat.field("user").to_pylist(), QUESTION)
        answers = signer.add(flat.field("assistant").to_pylist(), ANSWER)
        turns.append(np.stack([questions, answers, rows], axis=1))
        first_row += batch.num_rows
        progress(batch.num_rows)
    return signer.finish(np.concatenate(turns))


class _Signer:
    """Signs every distinct text once, a block of texts at a time."""

    def __init__(self) -> None:
        self._sides: dict[int, int] = {}
        self._waiting: dict[int, str] = {}
        self._characters = 0
        self._texts = [np.empty((0, len(DISTINCT_COLUMNS)), np.uint64)]
        self._buckets = [np.empty((0, BUCKETS), np.uint64)]
        self._ngrams = [np.empty((0, 1), np.uint32)]

    def add(self, texts: Sequence[str | None], side: int) -> np.ndarray:
        """Add texts of one side, and return their hashes, uint64 [n]."""
        hashes = [text_hash(text or "") for text in texts]
        for key, text in zip(hashes, texts, strict=True):
            # A text of n words has at least 2 n - 1 characters, unless it is Chinese or Japanese.
            if not text or (len(text) < 2 * NGRAM_WORDS - 1 and text.isascii()):
                continue
            if key not in self._sides:
                self._waiting[key] = text
                self._characters += len(text)
            self._sides[key] = self._sides.get(key, 0) | side
        if self._characters > BLOCK_CHARACTERS or len(self._waiting) > BLOCK_TEXTS:
            self._sign()
        return np.array(hashes, np.uint64)

    def finish(self, turns: np.ndarray) -> Signatures:
        """Return the signatures of all texts."""
        self._sign()
        texts = np.concatenate(self._texts)
        texts[:, 2] = np.fromiter((self._sides[key] for key in texts[:, 0].tolist()), np.uint64, len(texts))
        return Signatures(turns, texts, np.concatenate(self._buckets), np.concatenate(self._ngrams))

    def _sign(self) -> None:
        keys, texts = np.array(list(self._waiting), np.uint64), list(self._waiting.values())
        self._waiting, self._characters = {}, 0
        for words in hash_words(pa.array(texts, pa.large_string()), simplified_words):
            hashes, positions = words.ngrams(NGRAM_WORDS)
            counts = np.bincount(words.text_of(positions), minlength=len(words.lengths))
            long = np.flatnonzero(counts)
            if len(long):
                distinct, sizes = distinct_ngrams(hashes, counts[long])
                index = words.first + long
                numbers = [text_hash(numbers_of(texts[each])) for each in index.tolist()]
                zeros = np.zeros(len(long), np.uint64)
                columns = [keys[index], np.array(numbers, np.uint64), zeros, sizes.astype(np.uint64)]
                self._texts.append(np.stack(columns, axis=1))
                self._buckets.append(bucket_hashes(hashes, counts[long]))
                self._ngrams.append(distinct[:, None])


def distinct_ngrams(hashes: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reduce the n-grams of consecutive texts to distinct ones.

    Args:
        hashes: uint64 [s], their hashes, text by text.
        counts: int64 [m], n-grams of each text.

    Returns:
        hashes of 32 bits, text by text, ascending within one: uint32 [d]; and their number by text, int64 [m].
    """
    text = np.repeat(np.arange(len(counts), dtype=np.uint64), counts)
    keys = np.sort((text << np.uint64(32)) | (scramble(hashes) >> np.uint64(32)))
    keys = keys[np.append(np.ones(min(len(keys), 1), bool), keys[1:] != keys[:-1])]
    return keys.astype(np.uint32), np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(counts))


def bucket_hashes(hashes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the hashes of the MinHash buckets of consecutive texts: uint64 [m, 14].

    Args:
        hashes: uint64 [s], hashes of their n-grams, text by text.
        counts: int64 [m], n-grams of each text, at least 1.
    """
    ends = np.cumsum(counts)
    buckets = np.zeros((len(counts), BUCKETS), np.uint64)
    first = 0
    while first < len(counts):
        begin = ends[first] - counts[first]
        last = max(first + 1, int(np.searchsorted(ends, begin + _CACHED, side="right")))
        block, starts = hashes[begin : ends[last - 1]], ends[first:last] - counts[first:last] - begin
        permuted = np.empty_like(block)
        for number, (factor, summand) in enumerate(zip(*permutations(), strict=True)):
            np.multiply(block, factor, out=permuted)
            np.add(permuted, summand, out=permuted)
            bucket = buckets[first:last, number // BUCKET_HASHES]
            bucket[:] = mix(bucket, np.minimum.reduceat(permuted, starts))
        first = last
    return buckets
