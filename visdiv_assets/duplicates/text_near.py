"""Near-duplicate texts of all subsets: pairs that share a MinHash bucket and reach a Jaccard similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.clusters import Pairs, components, lowest_members
from visdiv_assets.duplicates.text_corpus import PART, TextCorpus
from visdiv_assets.texts.near import bucket_pairs, jaccard
from visdiv_assets.texts.signatures import ANSWER, QUESTION, hash_names, hashes_of_names

#: Texts whose candidate pairs are compared at a time.
BLOCK = 1 << 18

#: `similarity` is the Jaccard similarity of the sets of n-grams; `question` and `answer`: both occur as one.
NEAR_SCHEMA = pa.schema(
    [
        ("text_id_a", pa.string()),
        ("text_id_b", pa.string()),
        ("similarity", pa.float32()),
        ("same_numbers", pa.bool_()),
        ("question", pa.bool_()),
        ("answer", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Distinct:
    """The distinct texts of at least 5 words of a corpus.

    Attributes:
        hashes: uint64 [n], ascending.
        index: int64 [n], index in `TextCorpus.texts` of the first row of each text.
        sides: uint8 [n], where it occurs.
        starts: int64 [n], index in `TextCorpus.ngrams` of its first n-gram.
    """

    hashes: np.ndarray
    index: np.ndarray
    sides: np.ndarray
    starts: np.ndarray


def part_count(items: int) -> int:
    """Return into how many parts hashes of some number of items are divided: a power of 2."""
    return 1 << max(0, (-(-items // PART) - 1).bit_length())


def in_part(hashes: np.ndarray, part: int, parts: int) -> np.ndarray:
    """Return the indices of the hashes, uint64 [n], that belong to a part: int64 [m]. Parts are ranges of hashes."""
    if parts == 1:
        return np.arange(len(hashes))
    return np.flatnonzero(hashes >> np.uint64(65 - parts.bit_length()) == part)


def distinct_texts(corpus: TextCorpus) -> Distinct:
    """Find the distinct texts of a corpus."""
    parts = part_count(len(corpus.texts))
    hashes, index, sides = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], [np.empty(0, np.uint8)]
    for part in range(parts):
        chosen, of_chosen = [np.empty(0, np.int64)], [np.empty((0, 2), np.uint64)]
        first = 0
        for block in corpus.texts.blocks():
            held = in_part(block[:, 0], part, parts)
            chosen.append(first + held)
            of_chosen.append(block[held][:, [0, 2]])
            first += len(block)
        rows, columns = np.concatenate(chosen), np.concatenate(of_chosen)
        order = np.argsort(columns[:, 0], kind="stable")
        ordered = columns[order]
        new = np.flatnonzero(np.append(np.ones(min(len(order), 1), bool), ordered[1:, 0] != ordered[:-1, 0]))
        hashes.append(ordered[new, 0])
        index.append(rows[order[new]])
        if len(new):
            sides.append(np.bitwise_or.reduceat(ordered[:, 1], new).astype(np.uint8))
    rows = np.concatenate(index)
    return Distinct(np.concatenate(hashes), rows, np.concatenate(sides), _ngram_starts(corpus, rows))


def bucket_candidates(corpus: TextCorpus, texts: Distinct, bucket: int) -> np.ndarray:
    """Find the pairs of texts that share a bucket and a side.

    Returns:
        uint64 [m], ascending: index of the first text in `texts`, times their number, plus that of the second.
    """
    keys = np.empty(len(texts.index), np.uint64)
    for start in range(0, len(keys), BLOCK):
        keys[start : start + BLOCK] = corpus.buckets[texts.index[start : start + BLOCK]][:, bucket]
    parts = part_count(len(keys))
    codes = [np.empty(0, np.uint64)]
    for part in range(parts):
        held = in_part(keys, part, parts)
        left, right = (held[side] for side in bucket_pairs(keys[held]))
        common = (texts.sides[left] & texts.sides[right]) > 0
        codes.append((left[common] * len(keys) + right[common]).astype(np.uint64))
    return np.sort(np.concatenate(codes))


def near_pairs(
    corpus: TextCorpus, texts: Distinct, candidates: Sequence[np.ndarray], first: int, threshold: float
) -> pa.Table:
    """Compare the candidate pairs of `BLOCK` texts.

    Args:
        corpus: the corpus.
        texts: its distinct texts.
        candidates: of each bucket, as `bucket_candidates` returns them; may be memory-mapped.
        first: index of the first of the texts.
        threshold: minimum Jaccard similarity of near duplicates.

    Returns:
        table of `NEAR_SCHEMA`: the pairs that reach the threshold.
    """
    count = max(len(texts.index), 1)
    limits = np.array([first * count, (first + BLOCK) * count], np.uint64)
    slices = [codes[slice(*np.searchsorted(codes, limits))] for codes in candidates]
    codes = np.unique(np.concatenate([np.empty(0, np.uint64), *slices]))
    left, right = ((codes // np.uint64(count)).astype(np.int64), (codes % np.uint64(count)).astype(np.int64))
    used, local = np.unique(np.concatenate([left, right]), return_inverse=True)
    stored = corpus.texts[texts.index[used]]
    sizes = stored[:, 3].astype(np.int64)
    similarity = jaccard(corpus.ngrams, texts.starts[used], sizes, local[: len(left)], local[len(left) :], threshold)
    near = np.flatnonzero(similarity >= np.float32(threshold))
    a, b = left[near], right[near]
    numbers = stored[:, 1]
    sides = texts.sides[a] & texts.sides[b]
    columns = [
        hash_names(texts.hashes[a]),
        hash_names(texts.hashes[b]),
        similarity[near],
        numbers[local[: len(left)][near]] == numbers[local[len(left) :][near]],
        (sides & QUESTION) > 0,
        (sides & ANSWER) > 0,
    ]
    return pa.table([pa.array(column) for column in columns], schema=NEAR_SCHEMA)


def _ngram_starts(corpus: TextCorpus, rows: np.ndarray) -> np.ndarray:
    """Return the index in `ngrams` of the first n-gram of some rows of `texts`: int64 [n]."""
    starts = np.empty(len(rows), np.int64)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first = before = 0
    for block in corpus.texts.blocks(BLOCK):
        sizes = block[:, 3].astype(np.int64)
        begin = before + np.cumsum(sizes) - sizes
        held = slice(*np.searchsorted(ordered, [first, first + len(block)]))
        starts[order[held]] = begin[ordered[held] - first]
        first, before = first + len(block), before + int(sizes.sum())
    return starts


@dataclass(frozen=True)
class Clusters:
    """Texts that near duplicates connect.

    Attributes:
        texts: uint64 [n], their hashes, ascending.
        leaders: uint64 [n], the lowest hash of each text's cluster.
    """

    texts: np.ndarray
    leaders: np.ndarray

    def of(self, hashes: np.ndarray) -> np.ndarray:
        """Return the leader of each text's cluster, by its hash, uint64 [n]; a text without near duplicates leads."""
        if not len(self.texts):
            return hashes
        found = np.minimum(np.searchsorted(self.texts, hashes), len(self.texts) - 1)
        leaders: np.ndarray = np.where(self.texts[found] == hashes, self.leaders[found], hashes)
        return leaders


def text_clusters(pairs: pa.Table, side: str) -> Clusters:
    """Connect the near duplicates of one side whose numbers are equal.

    Args:
        pairs: table of `NEAR_SCHEMA`.
        side: `question` or `answer`.
    """
    linked = pairs.filter(pc.and_(pairs["same_numbers"], pairs[side]))
    a, b = (hashes_of_names(linked[name]) for name in ("text_id_a", "text_id_b"))
    texts = np.unique(np.concatenate([a, b]))
    links = Pairs(np.searchsorted(texts, a), np.searchsorted(texts, b), linked["similarity"].to_numpy())
    return Clusters(texts, texts[lowest_members(components(len(texts), links))])
