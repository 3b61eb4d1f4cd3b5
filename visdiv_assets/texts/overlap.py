"""Benchmarks' texts that stand word by word in a subset's questions and answers.

Sources: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C (runs of 13 words, 8 at the least), and
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
from visdiv_assets.texts.ngrams import CountedHashes, Words, among, hashed_words, merge_hashes

SIZES = (8, 13)

#: `size` 0 is the whole text.
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
    """What is to be found of a benchmark: 8 bytes for each run of words.

    Attributes:
        name: of the benchmark.
        runs: for each size n, ascending uint64: hashes of all runs of n words of its texts.
        short: ascending uint64: hashes of its texts of fewer words than the largest n.
    """

    name: str
    runs: dict[int, np.ndarray]
    short: np.ndarray

    @classmethod
    def of(cls, name: str, texts: Texts, sizes: Sequence[int] = SIZES, *, most: int | None = None) -> BenchmarkTexts:
        """Read a benchmark's texts, such as `texts.string_columns` gives them.

        Args:
            name: of the benchmark.
            texts: Arrow strings, read in blocks.
            sizes: numbers of words of a run.
            most: runs and short texts that occur in more of its texts than this are left out: what all questions have
                in common ("answer with the letter of the option") tells nothing (Brown et al. set 10). None: none are.

        Raises:
            InputError: a size is below 1, or there is none.
        """
        if not sizes or min(sizes) < 1:
            raise InputError(f"runs of {list(sizes)} words: give one or more numbers of 1 or more")
        runs = {size: CountedHashes() for size in sorted(set(sizes))}
        short = CountedHashes()
        for words in hashed_words(texts):
            for size, gathered in runs.items():
                hashes, positions = words.ngrams(size)
                gathered.add(hashes, words.text_of(positions))
            short.add(*words.whole(max(sizes)))
        return cls(name, {size: gathered.array(most) for size, gathered in runs.items()}, short.array(most))


def find_text_overlaps(texts: Texts, benchmarks: Iterable[BenchmarkTexts], *, progress: Progress = silent) -> pa.Table:
    """What of each text stands word by word in each benchmark.

    Runs overlap: a text of w words has w - n + 1 of n words. A hash of a run that is not there would be taken for one
    that is once in 2^64 / (runs of the benchmarks) runs.

    Args:
        texts: a subset's questions and answers; Arrow strings, read in blocks, numbered from 0.
        benchmarks: all of the same sizes.
        progress: told of texts done.

    Returns:
        table of `OVERLAP_SCHEMA`, only of what was found, sorted by text, benchmark and size. For each size n: runs of
        n words in the text, how many of them the benchmark has, that share, and the longest stretch of words covered
        without a gap by runs found. A text of fewer words than the largest n that equals a whole text of the benchmark
        has a row of size 0, with share 1 and its words as `longest`.

    Raises:
        InputError: the benchmarks have different sizes.
    """
    wanted = sorted(benchmarks, key=lambda benchmark: benchmark.name)
    if len({tuple(benchmark.runs) for benchmark in wanted}) > 1:
        raise InputError("benchmarks with runs of different numbers of words: read them again with the same sizes")
    if not wanted:
        return OVERLAP_SCHEMA.empty_table()
    sizes = list(wanted[0].runs)
    # Nearly all texts are in none, which one look tells.
    of_any = BenchmarkTexts(
        "",
        {size: merge_hashes(benchmark.runs[size] for benchmark in wanted) for size in sizes},
        merge_hashes(benchmark.short for benchmark in wanted),
    )
    tables = [OVERLAP_SCHEMA.empty_table()]
    for words in hashed_words(texts):
        for size in sizes:
            hashes, positions = words.ngrams(size)
            some = among(hashes, of_any.runs[size])
            if some.any():
                runs = np.maximum(words.lengths - size + 1, 0)
                hashes, positions = hashes[some], positions[some]
                for benchmark in wanted:
                    found = positions[among(hashes, benchmark.runs[size])]
                    tables.append(_of_runs(words, benchmark.name, size, runs, found))
        hashes, places = words.whole(max(sizes))
        some = among(hashes, of_any.short)
        for benchmark in wanted if some.any() else []:
            equal = places[some][among(hashes[some], benchmark.short)]
            length = words.lengths[equal]
            ones = np.ones(len(equal))
            tables.append(_table(words.first + equal, benchmark.name, 0, ones, ones, length))
        progress(len(words.lengths))
    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in ("text", "benchmark", "size")])


def highest_share(overlaps: pa.Table, texts: int) -> np.ndarray:
    """Score of each of n texts: the largest share of its runs found in any benchmark, float32 [n].

    Args:
        overlaps: of `find_text_overlaps`.
        texts: n.
    """
    score = np.zeros(texts, np.float32)
    np.maximum.at(score, overlaps["text"].to_numpy(), overlaps["share"].to_numpy())
    return score


def _of_runs(words: Words, name: str, size: int, runs: np.ndarray, found: np.ndarray) -> pa.Table:
    """Rows of the texts that hold some of a benchmark's runs; `found` are positions of their first words, ascending."""
    if not len(found):
        return OVERLAP_SCHEMA.empty_table()
    text = words.text_of(found)
    # Runs that start one word after another, in one text, are one stretch.
    begins = np.flatnonzero((np.diff(found, prepend=-2) != 1) | (np.diff(text, prepend=-1) != 0))
    stretch = np.diff(np.append(begins, len(found))) + size - 1
    longest = np.zeros(len(words.lengths), np.int64)
    np.maximum.at(longest, text[begins], stretch)
    counted = np.bincount(text, minlength=len(words.lengths))
    held = np.flatnonzero(counted)
    return _table(words.first + held, name, size, runs[held], counted[held], longest[held])


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
