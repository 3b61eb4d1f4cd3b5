"""Word-Frequency-based Pruning: texts of rare words are kept, those made of frequent words alone go.

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

#: The words of CLIP's tokenizer: endings after an apostrophe, letters, single digits, other signs in a row.
WORD = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\w\s]|_)+")
#: t of the formula.
THRESHOLD = 1e-7
#: Words counted less often are taken as unseen.
LEAST_COUNT = 5
#: Words of a text that are looked at.
FIRST_WORDS = 30


def count_words(texts: Texts) -> Counter[str]:
    """How often each word occurs, in lower case; counts of several subsets add up. Memory grows with the vocabulary."""
    counts: Counter[str] = Counter()
    for text in each_text(texts):
        counts.update(WORD.findall(text.lower()))
    return counts


def drop_probabilities(
    counts: Counter[str], *, threshold: float = THRESHOLD, least_count: int = LEAST_COUNT
) -> dict[str, float]:
    """P(w) = 1 - sqrt(t / f(w)) of every word counted often enough, f its share of these words.

    As in the released code, it is 1 where the formula gives less than 0, for words rarer than t.
    """
    often = {word: count for word, count in counts.items() if count >= least_count}
    total = sum(often.values())
    probabilities = {word: 1 - math.sqrt(threshold * total / count) for word, count in often.items()}
    return {word: 1.0 if value < 0 else value for word, value in probabilities.items()}


def wfpp(texts: Texts, counts: Counter[str], *, threshold: float = THRESHOLD) -> np.ndarray:
    """Score of each text: S = (1 - product of P(w_i)) / n over its first n <= 30 words; the highest are kept.

    P as `drop_probabilities`, and 1 for a word that it lacks. The released code also repairs broken Unicode and HTML
    entities first (ftfy), which is left out here.

    Args:
        texts: Arrow strings, read one at a time.
        counts: of the whole corpus.
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
