"""Find texts of benchmarks that occur verbatim in a subset's questions and answers.

Sources: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C (n-grams of 13 words, at least 8), and
Dodge et al. 2021, "Documenting Large Webtext Corpora", arXiv 2104.08758 (C4, verbatim inputs and labels).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.errors import InputError
from visdiv_assets.progress import Progress, silent
from visdiv_assets.texts.columns import Texts
from visdiv_assets.texts.ngrams import CountedHashes, Words, hash_words, is_among, merge_hashes

#: Words of an n-gram.
SIZES = (8, 13)

#: `size` 0 is a whole text; `runs` and `runs_found` count n-grams.
OVERLAP_SCHEMA = pa.schema(
    [
        ("text", pa.int64()),
        ("benchmark", pa.string()),
        ("size", pa.int32()),
        ("runs", pa.int32()),
        ("runs_found", pa.int32()),
        ("share", pa.float32()),
        ("longest", pa.int32()),
    ]
)


@dataclass(frozen=True, eq=False)
class BenchmarkTexts:
    """The hashed texts of a benchmark: 8 bytes per n-gram.

    Attributes:
        name: name of the benchmark.
        ngrams: for each size n, the hashes of all n-grams of its texts, ascending uint64.
        short: hashes of its texts of fewer words than the largest n, ascending uint64.
    """

    name: str
    ngrams: dict[int, np.ndarray]
    short: np.ndarray

    @classmethod
    def of(
        cls, name: str, texts: Texts, sizes: Sequence[int] = SIZES, *, max_texts: int | None = None
    ) -> BenchmarkTexts:
        """Hash a benchmark's texts.

        Args:
            name: name of the benchmark.
            texts: Arrow strings, read in blocks.
            sizes: numbers of words of an n-gram.
            max_texts: drop n-grams and short texts that occur in more of its texts than this (None: keep all). What
                all questions have in common ("answer with the letter of the option") is no evidence; Brown et al. use
                10.

        Raises:
            InputError: a size is less than 1, or there is none.
        """
        if not sizes or min(sizes) < 1:
            raise InputError(f"n-grams cannot have {list(sizes)} words: give one or more sizes of at least 1")
        counted = {size: CountedHashes() for size in sorted(set(sizes))}
        short = CountedHashes()
        for words in hash_words(texts):
            for size, hashes_of_size in counted.items():
                hashes, starts = words.ngrams(size)
                hashes_of_size.add(hashes, words.text_of(starts))
            short.add(*words.whole_texts(max(sizes)))
        ngrams = {size: hashes_of_size.array(max_texts) for size, hashes_of_size in counted.items()}
        return cls(name, ngrams, short.array(max_texts))


def find_text_overlaps(texts: Texts, benchmarks: Iterable[BenchmarkTexts], *, progress: Progress = silent) -> pa.Table:
    """Find the n-grams and short texts of each benchmark in each text.

    N-grams overlap: a text of w words has w - n + 1 of n words. A false match of hashes is expected once in
    2^64 / (n-grams of the benchmarks) n-grams.

    Args:
        texts: a subset's questions and answers; Arrow strings, read in blocks.
        benchmarks: hashed with the same sizes.
        progress: called with the number of texts finished.

    Returns:
        table of `OVERLAP_SCHEMA` of the matches, sorted by text (its index), benchmark and size. For each size n:
        the number of n-grams in the text (`runs`), the number found in the benchmark (`runs_found`), their share, and
        the length in words of the longest stretch that matching n-grams cover without a gap (`longest`). A text of
        fewer words than the largest n that equals a whole text of the benchmark has a row of size 0, with share 1 and
        its number of words as `longest`.

    Raises:
        InputError: the benchmarks have different sizes.
    """
    wanted = sorted(benchmarks, key=lambda benchmark: benchmark.name)
    if len({tuple(benchmark.ngrams) for benchmark in wanted}) > 1:
        raise InputError("the benchmarks were hashed with different n-gram sizes: hash them again with the same sizes")
    if not wanted:
        return OVERLAP_SCHEMA.empty_table()
    sizes = list(wanted[0].ngrams)
    # Nearly all texts match no benchmark, which one lookup in their union tells.
    of_any = BenchmarkTexts(
        "",
        {size: merge_hashes(benchmark.ngrams[size] for benchmark in wanted) for size in sizes},
        merge_hashes(benchmark.short for benchmark in wanted),
    )
    tables = [OVERLAP_SCHEMA.empty_table()]
    for words in hash_words(texts):
        for size in sizes:
            hashes, starts = words.ngrams(size)
            some = is_among(hashes, of_any.ngrams[size])
            if some.any():
                counts = np.maximum(words.lengths - size + 1, 0)
                hashes, starts = hashes[some], starts[some]
                for benchmark in wanted:
                    found = starts[is_among(hashes, benchmark.ngrams[size])]
                    tables.append(_ngram_rows(words, benchmark.name, size, counts, found))
        hashes, indices = words.whole_texts(max(sizes))
        some = is_among(hashes, of_any.short)
        for benchmark in wanted if some.any() else []:
            equal = indices[some][is_among(hashes[some], benchmark.short)]
            length = words.lengths[equal]
            ones = np.ones(len(equal))
            tables.append(_table(words.first + equal, benchmark.name, 0, ones, ones, length))
        progress(len(words.lengths))
    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in ("text", "benchmark", "size")])


def highest_share(overlaps: pa.Table, texts: int) -> np.ndarray:
    """Return the largest share of each text's n-grams that is found in any benchmark: float32 [texts].

    Args:
        overlaps: table of `find_text_overlaps`.
        texts: number of texts.
    """
    score = np.zeros(texts, np.float32)
    np.maximum.at(score, overlaps["text"].to_numpy(), overlaps["share"].to_numpy())
    return score


def _ngram_rows(words: Words, name: str, size: int, counts: np.ndarray, found: np.ndarray) -> pa.Table:
    """Return the rows of texts with n-grams of a benchmark.

    Args:
        words: the texts.
        name: name of the benchmark.
        size: words of an n-gram.
        counts: int64 [t], number of n-grams of each text.
        found: int64 [m], index of the first word of each matching n-gram, ascending.
    """
    if not len(found):
        return OVERLAP_SCHEMA.empty_table()
    text = words.text_of(found)
    # N-grams of one text that start at consecutive words form one stretch.
    begins = np.flatnonzero((np.diff(found, prepend=-2) != 1) | (np.diff(text, prepend=-1) != 0))
    stretch = np.diff(np.append(begins, len(found))) + size - 1
    longest = np.zeros(len(words.lengths), np.int64)
    np.maximum.at(longest, text[begins], stretch)
    counted = np.bincount(text, minlength=len(words.lengths))
    held = np.flatnonzero(counted)
    return _table(words.first + held, name, size, counts[held], counted[held], longest[held])


def _table(
    texts: np.ndarray, name: str, size: int, runs: np.ndarray, found: np.ndarray, longest: np.ndarray
) -> pa.Table:
    columns = {
        "text": texts,
        "benchmark": pa.array([name] * len(texts), pa.string()),
        "size": np.full(len(texts), size, np.int32),
        "runs": runs.astype(np.int32),
        "runs_found": found.astype(np.int32),
        "share": (found / np.maximum(runs, 1)).astype(np.float32),
        "longest": longest.astype(np.int32),
    }
    return pa.table(columns, schema=OVERLAP_SCHEMA)
