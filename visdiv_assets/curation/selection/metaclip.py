"""MetaCLIP: balancing of texts over a list of concepts, so that frequent ones do not crowd out rare ones.

Source: Xu et al. 2023, "Demystifying CLIP Data", arXiv 2309.16671; facebookresearch/MetaCLIP, `substr_matching.py`,
`balancing.py` and, for tail shares, `curate.py`.

The paper's list of 500,000 words and titles of Wikipedia and WordNet is not included: pass the lines of a file as
entries, or use `corpus_entries`, the frequent words and word pairs of the texts themselves. The latter contains no
concept that the texts lack, so it balances their own words only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from visdiv_assets.curation.selection.options import read_lines
from visdiv_assets.errors import InputError
from visdiv_assets.texts.columns import Texts, each_text

#: Entries matched by more texts than this are sampled; the paper's choice for 400 million pairs.
THRESHOLD = 20_000
#: Punctuation that is surrounded by spaces before matching.
PUNCTUATION = re.compile(r"([,.;:?!`])")
BLANKS = str.maketrans("\t\n\r", "   ")
#: Scripts without spaces, in which a concept may occur anywhere: CJK, kana, Thai, Lao, Tibetan, Burmese, Khmer.
UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0002ebef]"
)
#: Distinct word pairs counted at a time, 150 bytes each; beyond this the rarer half is discarded.
MAX_PAIRS = 2_000_000


def spaced(text: str) -> str:
    """Return a text as it is matched: punctuation between spaces, and a space at both ends. Case is unchanged."""
    apart = PUNCTUATION.sub(r" \1 ", text)
    return f" {apart} ".translate(BLANKS)


class EntryMatcher:
    """A matcher that finds all entries of a list in a text in one pass (Aho-Corasick).

    An entry matches whole words, with the spaces around it: " new york " in the spaced text. Its first or last
    character needs no space beside it in a script without spaces.

    Attributes:
        entries: the list, without repeated and empty entries.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        """Prepare a list of words or phrases.

        Raises:
            InputError: it is empty.
        """
        import ahocorasick_rs

        self.entries: Sequence[str] = list(dict.fromkeys(stripped for entry in entries if (stripped := entry.strip())))
        if not self.entries:
            raise InputError("the list of concepts is empty: give a file with one word or phrase per line")
        self._automaton = ahocorasick_rs.AhoCorasick([_padded(entry) for entry in self.entries])

    @classmethod
    def of_file(cls, path: Path) -> EntryMatcher:
        """Read a UTF-8 file with one entry per line.

        Raises:
            InputError: the file cannot be read, or has no entry.
        """
        return cls(read_lines(path, "concept"))

    def matches(self, text: str) -> np.ndarray:
        """Return the indices of the entries that occur in a text, each once, ascending: int64 [m]."""
        found = self._automaton.find_matches_as_indexes(spaced(text), overlapping=True)
        return np.fromiter(sorted({index for index, _, _ in found}), np.int64)

    def counts(self, texts: Texts) -> np.ndarray:
        """Count the texts that each entry occurs in, int64 [entries]; counts of several subsets can be added."""
        counts = np.zeros(len(self.entries), np.int64)
        for text in each_text(texts):
            counts[self.matches(text)] += 1
        return counts

    def keep_probabilities(self, texts: Texts, counts: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
        """Compute the probability of keeping each text: 1 - product of (1 - p_e), with p_e = min(1, t / count_e).

        The product is over the entries e that occur in the text.

        Args:
            texts: Arrow strings, read one at a time.
            counts: counts of the whole corpus, as returned by `counts`.
            threshold: t; `threshold_of_tail` computes one.

        Returns:
            float32 [n]; 0 for a text that no entry matches.

        Raises:
            InputError: the counts belong to another list, or t is not positive.
        """
        if counts.shape != (len(self.entries),):
            raise InputError(
                f"there are counts of {len(counts)} entries for a list of {len(self.entries)}: count with this list"
            )
        if not threshold > 0:
            raise InputError(f"a threshold of {threshold} keeps no text: give a number above 0")
        # An entry that was never counted is rarer than any threshold.
        missed = 1 - np.minimum(1, threshold / np.maximum(counts, 1))

        def probabilities() -> Iterator[float]:
            for text in each_text(texts):
                yield 1 - float(np.prod(missed[found])) if len(found := self.matches(text)) else 0.0

        return np.fromiter(probabilities(), np.float32)


def threshold_of_tail(counts: np.ndarray, share: float) -> int:
    """Return the t for which entries with counts up to t make up a share of all matches, as MetaCLIP 2 sets it.

    Counts are sorted and cumulated; t is the count at which the cumulated share is closest to `share`, and at least 1.

    Raises:
        InputError: the share is not between 0 and 1, or no entry was counted.
    """
    if not 0 <= share <= 1:
        raise InputError(f"the tail share is {share}: give a number between 0 and 1")
    ordered = np.sort(counts)
    cumulated = np.cumsum(ordered)
    if not len(cumulated) or not cumulated[-1]:
        raise InputError("no text contains an entry of the list: give a list in the language of the texts")
    return max(1, int(ordered[np.argmin(np.abs(cumulated / cumulated[-1] - share))]))


def draw_scores(probabilities: np.ndarray, seed: int = 0) -> np.ndarray:
    """Divide each probability by u, drawn uniformly from (0, 1]: texts with a score of at least 1 are MetaCLIP's draw.

    The best texts by this score, of any number, are also a random draw, with all probabilities scaled by one factor.

    Args:
        probabilities: [n], from `EntryMatcher.keep_probabilities`.
        seed: seed of the draw.

    Returns:
        float32 [n].
    """
    # u is in (0, 1], so that a probability of 1 always keeps a text.
    u = 1 - np.random.default_rng(seed).random(len(probabilities))
    return (probabilities / u).astype(np.float32)


def corpus_entries(texts: Texts, *, words: int = 50_000, pairs: int = 50_000, min_count: int = 5) -> list[str]:
    """List the most frequent words of the texts, then the most frequent pairs of adjacent words among these.

    Words are separated by spaces in a `spaced` text and contain at least one letter or digit. All occurrences count.
    Words with equal counts are sorted alphabetically. If there are more than two million distinct pairs, a pair that is
    rare in the first texts may be counted too low or be missing.

    Args:
        texts: Arrow strings, read twice: an array, or an iterable that can be iterated again.
        words: maximum number of words.
        pairs: maximum number of pairs.
        min_count: minimum count of a word or pair.
    """
    counted: Counter[str] = Counter()
    for text in each_text(texts):
        counted.update(spaced(text).split())
    named = Counter({word: count for word, count in counted.items() if any(map(str.isalnum, word))})
    frequent = _most_frequent(named, words, min_count)
    known = set(frequent)
    together: Counter[str] = Counter()
    for text in each_text(texts):
        # Split at single spaces, so that words on both sides of punctuation are not adjacent.
        parts = spaced(text).split(" ")
        together.update(f"{a} {b}" for a, b in pairwise(parts) if a in known and b in known)
        if len(together) > MAX_PAIRS:
            together = _frequent_half(together)
    return frequent + _most_frequent(together, pairs, min_count)


def _frequent_half(counts: Counter[str]) -> Counter[str]:
    """Return the entries that are more frequent than the median, at most half of them."""
    median = int(np.partition(np.fromiter(counts.values(), np.int64), len(counts) // 2)[len(counts) // 2])
    return Counter({entry: count for entry, count in counts.items() if count > median})


def _most_frequent(counts: Counter[str], limit: int, min_count: int) -> list[str]:
    frequent = [(-count, entry) for entry, count in counts.items() if count >= min_count]
    return [entry for _, entry in sorted(frequent)[:limit]]


def _padded(entry: str) -> str:
    """Return an entry with the spaces that must surround it in a spaced text."""
    before, after = ("" if UNSPACED.match(character) else " " for character in (entry[0], entry[-1]))
    return f"{before}{entry}{after}"
