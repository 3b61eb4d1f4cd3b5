"""Frequencies of concepts beside plain counts."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.curation.selection.concept_frequencies import concept_frequencies
from visdiv_assets.curation.selection.metaclip import EntryMatcher
from visdiv_assets.errors import InputError

WORDS = ["cat", "dog", "red", "red dog", "never"]


def test_frequencies_and_tail_shares_equal_plain_counts() -> None:
    random = np.random.default_rng(0)
    drawn = {
        name: [" ".join(random.choice(["cat", "dog", "red", "a", "of"], 4, p=p)) for _ in range(60)]
        for name, p in (
            ("one", [0.1, 0.4, 0.1, 0.2, 0.2]),
            ("two", [0.02, 0.5, 0.08, 0.2, 0.2]),
            ("none", [0, 0, 0, 0.5, 0.5]),
        )
    }
    found = concept_frequencies(
        EntryMatcher(WORDS), {name: pa.array(texts) for name, texts in drawn.items()}, tail_share=0.2
    )
    has = {
        name: np.array([[re.search(rf"\b{word}\b", text) is not None for word in WORDS] for text in texts])
        for name, texts in drawn.items()
    }
    counts = sum(each.sum(axis=0) for each in has.values())
    order = sorted(range(len(WORDS)), key=lambda index: -counts[index])
    assert found.concepts["concept"].to_pylist() == [WORDS[index] for index in order]
    assert found.concepts["texts"].to_pylist() == [counts[index] for index in order]
    assert found.concepts["share"].to_pylist() == pytest.approx([counts[index] / 180 for index in order])
    assert found.concepts["subsets"].to_pylist() == [2, 2, 2, 2, 0]
    tail = counts <= found.threshold
    assert 0 < counts[tail].sum() < 0.5 * counts.sum()
    for record, (name, each) in zip(found.subsets.to_pylist(), has.items(), strict=True):
        of_subset = each.sum(axis=0)
        assert record == {
            "subset": name,
            "texts": 60,
            "texts_matched": each.any(axis=1).sum(),
            "concepts": (of_subset > 0).sum(),
            "matches": of_subset.sum(),
            "tail_concepts": ((of_subset > 0) & tail).sum(),
            "tail_matches": of_subset[tail].sum(),
            "tail_share": of_subset[tail].sum() / of_subset.sum() if of_subset.sum() else None,
        }


def test_texts_without_any_concept_are_refused() -> None:
    with pytest.raises(InputError, match="no text contains an entry"):
        concept_frequencies(EntryMatcher(["bird"]), {"one": pa.array(["a cat"])})
