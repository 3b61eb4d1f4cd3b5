"""Near-duplicate texts, compared with brute force over sets of n-grams."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.texts import near
from visdiv_assets.texts.near import bucket_pairs, jaccard
from visdiv_assets.texts.signatures import NGRAM_WORDS, Signatures, text_hash
from visdiv_assets_tests.testing.edited_texts import edited, random_texts
from visdiv_assets_tests.texts.test_signatures import batch, sign


def starts_of(signed: Signatures) -> tuple[np.ndarray, np.ndarray]:
    counts = signed.texts[:, 3].astype(np.int64)
    return np.cumsum(counts) - counts, counts


def candidates(signed: Signatures) -> set[tuple[int, int]]:
    columns = (bucket_pairs(bucket) for bucket in signed.buckets.T)
    return {pair for left, right in columns for pair in zip(left.tolist(), right.tolist(), strict=True)}


@given(keys=st.lists(st.integers(0, 5), max_size=40), window=st.integers(1, 6))
def test_texts_of_a_bucket_meet_the_first_and_the_next(keys: list[int], window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "WINDOW", window)
        left, right = bucket_pairs(np.array(keys, np.uint64))
    expected = set()
    for key in set(keys):
        members = [index for index, other in enumerate(keys) if other == key]
        for a, b in itertools.combinations(range(len(members)), 2):
            if a == 0 or b - a <= window:
                expected.add((members[a], members[b]))
    found = list(zip(left.tolist(), right.tolist(), strict=True))
    assert sorted(found) == sorted(expected)


@settings(deadline=None)
@given(
    sets=st.lists(st.sets(st.integers(0, 12), min_size=1), min_size=1, max_size=8),
    block=st.integers(1, 40),
    threshold=st.sampled_from([0.0, 0.5, 0.8]),
)
def test_similarity_is_that_of_sets(sets: list[set[int]], block: int, threshold: float) -> None:
    ngrams = np.concatenate([np.array(sorted(each), np.uint32) for each in sets])[:, None]
    counts = np.array([len(each) for each in sets])
    left, right = np.triu_indices(len(sets), 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "BLOCK_NGRAMS", block)
        found = jaccard(ngrams, np.cumsum(counts) - counts, counts, left, right, threshold)
    expected = [len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in zip(left, right, strict=True)]
    for value, plain in zip(found.tolist(), expected, strict=True):
        assert value == pytest.approx(plain) or (value == 0 and plain < threshold)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.2, 0.3])
def test_edited_copies_are_found_as_by_brute_force(share: float) -> None:
    random = np.random.default_rng(1)
    texts = random_texts(150, 60)
    copies = [edited(text, share, random) for text in texts]
    signed = sign(batch([[(text, copy)] for text, copy in zip(texts, copies, strict=True)]))
    known = {text_hash(text): text.split() for text in (*texts, *copies)}
    words = [known[key] for key in signed.texts[:, 0].tolist()]
    sets = [{tuple(each[i : i + NGRAM_WORDS]) for i in range(len(each) - NGRAM_WORDS + 1)} for each in words]
    brute = {
        (a, b): alike
        for a, b in itertools.combinations(range(len(sets)), 2)
        if (alike := len(sets[a] & sets[b]) / len(sets[a] | sets[b])) >= 0.8
    }
    pairs = np.array(sorted(candidates(signed)), np.int64).reshape(-1, 2)
    similarity = jaccard(signed.ngrams, *starts_of(signed), pairs[:, 0], pairs[:, 1], 0.8)
    found = {tuple(pair) for pair in pairs[similarity >= np.float32(0.8)].tolist()}
    # Verified by exact similarity: no false pair. Missed ones are close to the threshold.
    assert found <= set(brute)
    assert all(brute[pair] < 0.95 for pair in set(brute) - found)
    assert len(found) >= 0.85 * len(brute)
    if share <= 0.02:
        assert len(brute) >= 100
