"""Word-frequency pruning against the formula over words found by the pattern that CLIP publishes."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.curation.selection.wfpp import count_words, drop_probabilities, wfpp
from visdiv_assets.errors import VisdivError

CLIP_WORDS = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")

TEXTS = st.lists(
    st.one_of(
        st.lists(
            st.sampled_from(["cat", "Cat", "a", "it's", "don't", "7", "42", "—", "你好", "_", "été", "!?"]), max_size=40
        ).map(" ".join),
        st.text("abCé日ß' .!_-1\uff12\n\t", max_size=20),
    ),
    max_size=12,
)


def plain(texts: list[str], threshold: float, min_count: int) -> list[float]:
    words = [CLIP_WORDS.findall(" ".join(text.split()).lower()) for text in texts]
    counts = Counter(word for found in words for word in found)
    total = sum(count for count in counts.values() if count >= min_count)
    scores = []
    for found in words:
        product = 1.0
        for word in found[:30]:
            if counts[word] >= min_count:
                value = 1 - math.sqrt(threshold / (counts[word] / total))
                product *= value if value >= 0 else 1
        scores.append((1 - product) / len(found[:30]) if found else 0)
    return scores


@settings(deadline=None, max_examples=150)
@given(texts=TEXTS, threshold=st.sampled_from([1e-7, 0.01, 0.2]), large=st.booleans())
def test_scores_are_those_of_the_formula(texts: list[str], threshold: float, large: bool) -> None:
    array = pa.array(texts, pa.large_string() if large else pa.string())
    found = wfpp(array, count_words(array), threshold=threshold)
    np.testing.assert_allclose(found, plain(texts, threshold, 5), atol=1e-6)


def test_rare_words_are_unseen_or_never_dropped() -> None:
    counts = Counter({"common": 90, "rare": 5, "seldom": 4})
    probabilities = drop_probabilities(counts, threshold=0.1)
    assert probabilities == {"common": pytest.approx(1 - math.sqrt(0.1 / (90 / 95))), "rare": 1.0}


def test_a_rarer_word_raises_the_score_of_a_text() -> None:
    corpus = pa.array(["a cat on a mat"] * 50 + ["a yak on a mat"] * 5)
    scores = wfpp(pa.array(["a cat on a mat", "a yak on a mat"]), count_words(corpus))
    assert scores[0] < scores[1]


def test_counts_of_subsets_add_up_and_streams_equal_arrays() -> None:
    a, b = pa.array(["one two", "two"]), pa.array(["Two three", None])
    together = pa.chunked_array([a, b])
    assert count_words(a) + count_words(b) == count_words(together) == Counter(two=3, one=1, three=1)
    counts = count_words(pa.array(["two words"] * 9))
    np.testing.assert_array_equal(wfpp(iter([a, b]), counts), wfpp(together, counts))


def test_words_after_the_thirtieth_do_not_count() -> None:
    corpus = pa.array(["word " * 100])
    thirty, more = wfpp(pa.array(["new " * 30, "new " * 30 + "word " * 1000]), count_words(corpus))
    assert thirty == more == 0


def test_no_texts_and_empty_texts() -> None:
    assert wfpp(pa.array([], pa.string()), Counter()).shape == (0,)
    assert wfpp(pa.array(["", "  \n", None]), Counter(a=9)).tolist() == [0, 0, 0]


def test_a_text_of_a_megabyte_is_a_text() -> None:
    text = pa.array(["Wort für Wort " * 75_000])
    counts = count_words(text)
    assert counts == {"wort": 150_000, "für": 75_000}
    assert 0 < wfpp(text, counts)[0] < 1 / 30


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(VisdivError, match="texts must be Arrow strings, not int64"):
        count_words(pa.array([1, 2]))
