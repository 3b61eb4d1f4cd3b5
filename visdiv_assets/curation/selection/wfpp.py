"""Word-frequency-based pruning (WFPP): texts with rare words are kept, texts of only frequent words are dropped.

Source: Liang and Larson 2024, "Enhancing Vision-Language Model Pre-training with Image-text Pair Pruning Based on Word
Frequency"; MingliangLiang3/WFPP, `tests/data_counter.py` and `tests/sorting_data.py`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np

from visdiv_assets.texts.columns import Texts, each_text

#: The words of CLIP's tokenizer: endings after an apostrophe, runs of letters, single digits, runs of other characters.
WORD = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\w\s]|_)+")
#: t of the formula.
THRESHOLD = 1e-7
#: Words with a lower count are treated as unseen.
MIN_COUNT = 5
#: Number of words of a text that are scored.
FIRST_WORDS = 30


def count_words(texts: Texts) -> Counter[str]:
    """Count each lower-case word; counts of several subsets can be added. Memory grows with the vocabulary."""
    counts: Counter[str] = Counter()
    for text in each_text(texts):
        counts.update(WORD.findall(text.lower()))
    return counts


def drop_probabilities(
    counts: Counter[str], *, threshold: float = THRESHOLD, min_count: int = MIN_COUNT
) -> dict[str, float]:
    """Compute P(w) = 1 - sqrt(t / f(w)) of every word with at least `min_count`, where f is its share of these words.

    As in the released code, P is 1 where the formula is negative, that is for words rarer than t.
    """
    frequent = {word: count for word, count in counts.items() if count >= min_count}
    total = sum(frequent.values())
    probabilities = {word: 1 - math.sqrt(threshold * total / count) for word, count in frequent.items()}
    return {word: 1.0 if value < 0 else value for word, value in probabilities.items()}


def wfpp(texts: Texts, counts: Counter[str], *, threshold: float = THRESHOLD) -> np.ndarray:
    """Score each text by S = (1 - product of P(w_i)) / n over its first n <= 30 words; the highest are kept.

    P is that of `drop_probabilities`, and 1 for other words. The released code first repairs broken Unicode and HTML
    entities (ftfy); this one does not.

    Args:
        texts: Arrow strings, read one at a time.
        counts: word counts of the whole corpus.
        threshold: t.

    Returns:
        float32 [n], 0 to 1; 0 for a text without words.
    """
    probabilities = drop_probabilities(counts, threshold=threshold)

    def scores() -> Iterator[float]:
        for text in each_text(texts):
            words = [word.group() for word in islice(WORD.finditer(text.lower()), FIRST_WORDS)]
            yield (1 - math.prod(probabilities.get(word, 1.0) for word in words)) / max(len(words), 1)

    return np.fromiter(scores(), np.float32)
