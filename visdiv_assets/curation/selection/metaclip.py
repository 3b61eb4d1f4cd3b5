"""MetaCLIP: balance texts over a list of concepts, so that none drowns the rare ones.

Source: Xu et al. 2023, "Demystifying CLIP Data", arXiv 2309.16671; facebookresearch/MetaCLIP, `substr_matching.py`,
`balancing.py` and, for tail shares, `curate.py`.

The paper's list, 500,000 words and titles of Wikipedia and WordNet, is not shipped: give a file's lines as entries, or
take `corpus_entries`, the frequent words and pairs of words of the texts themselves. The latter knows no concept that
the texts lack, so it evens out their words rather than matching them to the world.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from visdiv_assets.errors import InputError
from visdiv_assets.texts.columns import Texts, each_text

#: Entries matched by more texts than this are thinned out; the paper's choice for 400 million pairs.
THRESHOLD = 20_000
#: Signs set apart by blanks before matching.
PUNCTUATION = re.compile(r"([,.;:?!`])")
BLANKS = str.maketrans("\t\n\r", "   ")
#: Scripts written without blanks, in which a concept may stand anywhere: CJK, kana, Thai, Lao, Tibetan, Burmese, Khmer.
UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0002ebef]"
)
#: Distinct pairs of words counted at a time, 150 bytes each; beyond it the rarer half is forgotten.
PAIRS = 2_000_000


def spaced(text: str) -> str:
    """A text as it is matched: signs between blanks, and a blank at both ends. Upper and lower case stay."""
    apart = PUNCTUATION.sub(r" \1 ", text)
    return f" {apart} ".translate(BLANKS)


class EntryMatcher:
    """Finds all entries of a list in texts at once (Aho-Corasick).

    An entry matches as whole words, with its blanks: " new york " in the spaced text. Its first or last sign needs no
    blank beside it if its script is written without.

    Attributes:
        entries: the list, without repeats and empty ones.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        """Prepare a list of words or phrases.

        Raises:
            InputError: it is empty.
        """
        import ahocorasick_rs

        self.entries: Sequence[str] = list(dict.fromkeys(stripped for entry in entries if (stripped := entry.strip())))
        if not self.entries:
            raise InputError("the list of concepts is empty: give a file with one word or phrase a line")
        self._automaton = ahocorasick_rs.AhoCorasick([_padded(entry) for entry in self.entries])

    @classmethod
    def of_file(cls, path: Path) -> EntryMatcher:
        """Read a UTF-8 file with one entry a line.

        Raises:
            InputError: it cannot be read, or has no entry.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is no list of concepts, one a line in UTF-8: {error}") from error
        return cls(lines)

    def matches(self, text: str) -> np.ndarray:
        """Numbers of the entries that occur in a text, each once, ascending: int64 [m]."""
        found = self._automaton.find_matches_as_indexes(spaced(text), overlapping=True)
        return np.fromiter(sorted({number for number, _, _ in found}), np.int64)

    def counts(self, texts: Texts) -> np.ndarray:
        """How many texts each entry occurs in, int64 [entries]; those of several subsets add up."""
        counts = np.zeros(len(self.entries), np.int64)
        for text in each_text(texts):
            counts[self.matches(text)] += 1
        return counts

    def keep_probabilities(self, texts: Texts, counts: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
        """How likely each text is kept: 1 - product of (1 - p_e) over its entries, with p_e = min(1, t / count_e).

        Args:
            texts: Arrow strings, read one at a time.
            counts: of the whole corpus, as `counts` gives them.
            threshold: t; or `threshold_of_tail`.

        Returns:
            float32 [n]; 0 for a text that no entry matches.

        Raises:
            InputError: the counts are of another list, or t is not positive.
        """
        if counts.shape != (len(self.entries),):
            raise InputError(f"counts of {len(counts)} entries for a list of {len(self.entries)}: count with this list")
        if not threshold > 0:
            raise InputError(f"t = {threshold} keeps nothing: give a number above 0")
        # An entry that was never counted is rarer than any threshold.
        missed = 1 - np.minimum(1, threshold / np.maximum(counts, 1))

        def probabilities() -> Iterator[float]:
            for text in each_text(texts):
                yield 1 - float(np.prod(missed[found])) if len(found := self.matches(text)) else 0.0

        return np.fromiter(probabilities(), np.float32)


def threshold_of_tail(counts: np.ndarray, share: float) -> int:
    """The t at which entries up to that count make up a share of all matches, as MetaCLIP 2 sets it per language.

    Counts are sorted and summed up; t is the count at which the sum is closest to the share. At least 1.

    Raises:
        InputError: the share is not between 0 and 1, or nothing was counted.
    """
    if not 0 <= share <= 1:
        raise InputError(f"a tail share of {share}: it is between 0 and 1")
    ordered = np.sort(counts)
    cumulated = np.cumsum(ordered)
    if not len(cumulated) or not cumulated[-1]:
        raise InputError("no text holds any entry of the list: give a list in the language of the texts")
    return max(1, int(ordered[np.argmin(np.abs(cumulated / cumulated[-1] - share))]))


def draw_scores(probabilities: np.ndarray, seed: int = 0) -> np.ndarray:
    """Probability over u, drawn evenly from 0 to 1: at least 1 for the texts that MetaCLIP's draw keeps.

    Ordered by it, any smaller or larger share is a draw as well, by probabilities that are all scaled alike.

    Args:
        probabilities: [n], of `EntryMatcher.keep_probabilities`.
        seed: of the draw.

    Returns:
        float32 [n].
    """
    # From above 0 to 1, so that a probability of 1 always keeps.
    u = 1 - np.random.default_rng(seed).random(len(probabilities))
    return (probabilities / u).astype(np.float32)


def corpus_entries(texts: Texts, *, words: int = 50_000, pairs: int = 50_000, least_count: int = 5) -> list[str]:
    """A list made of the texts themselves: their most frequent words, then pairs of adjacent words among these.

    Where there are more than two million pairs, a pair that is rare for a long time may be counted too low or missing.

    Words are what blanks separate in a `spaced` text, without those that have no letter or digit; counted is in how
    many places they occur. Equal counts are sorted by the words.

    Args:
        texts: Arrow strings, drawn twice: an array, or an iterable that can be started again.
        words: most words.
        pairs: most pairs.
        least_count: of a word or pair.
    """
    counted: Counter[str] = Counter()
    for text in each_text(texts):
        counted.update(spaced(text).split())
    named = Counter({word: count for word, count in counted.items() if any(map(str.isalnum, word))})
    frequent = _most_frequent(named, words, least_count)
    known = set(frequent)
    together: Counter[str] = Counter()
    for text in each_text(texts):
        # Split at single blanks: words on both sides of a sign are not adjacent.
        parts = spaced(text).split(" ")
        together.update(f"{a} {b}" for a, b in pairwise(parts) if a in known and b in known)
        if len(together) > PAIRS:
            together = _frequent_half(together)
    return frequent + _most_frequent(together, pairs, least_count)


def _frequent_half(counts: Counter[str]) -> Counter[str]:
    """At most half of the entries, without those that occur least often."""
    least = int(np.partition(np.fromiter(counts.values(), np.int64), len(counts) // 2)[len(counts) // 2])
    return Counter({entry: count for entry, count in counts.items() if count > least})


def _most_frequent(counts: Counter[str], most: int, least_count: int) -> list[str]:
    often = [(-count, entry) for entry, count in counts.items() if count >= least_count]
    return [entry for _, entry in sorted(often)[:most]]


def _padded(entry: str) -> str:
    before, after = ("" if UNSPACED.match(sign) else " " for sign in (entry[0], entry[-1]))
    return f"{before}{entry}{after}"
