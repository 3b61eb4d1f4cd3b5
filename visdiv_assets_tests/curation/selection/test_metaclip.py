"""MetaCLIP's balancing against plain substring search."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.curation.selection import metaclip as module
from visdiv_assets.curation.selection.metaclip import (
    EntryMatcher,
    corpus_entries,
    draw_scores,
    spaced,
    threshold_of_tail,
)
from visdiv_assets.errors import VisdivError

WORDS = ["cat", "a", "New", "York", "new", "été", "東京", "c"]
TEXTS = st.lists(
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([" ", ", ", ".", "\n", "  ", ""])), max_size=8).map(
        lambda parts: "".join(word + gap for word, gap in parts)
    ),
    max_size=10,
)
ENTRIES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join), min_size=1, max_size=8)


def plain_matches(text: str, entries: list[str]) -> list[int]:
    for sign in ",.;:?!`":
        text = text.replace(sign, f" {sign} ")
    text = " " + text.replace("\t", " ").replace("\n", " ").replace("\r", " ") + " "
    # Only these words here are written without spaces.
    return [
        number
        for number, entry in enumerate(entries)
        if ("" if entry.startswith("東京") else " ") + entry + ("" if entry.endswith("東京") else " ") in text
    ]


@settings(deadline=None, max_examples=150)
@given(texts=TEXTS, entries=ENTRIES, threshold=st.sampled_from([0.5, 1, 2, 20_000]))
def test_matches_and_probabilities_equal_plain_search(texts: list[str], entries: list[str], threshold: float) -> None:
    matcher = EntryMatcher(entries)
    distinct = list(dict.fromkeys(entries))
    assert list(matcher.entries) == distinct
    wanted = [plain_matches(text, distinct) for text in texts]
    assert [matcher.matches(text).tolist() for text in texts] == wanted
    array = pa.array(texts, pa.string())
    counts = matcher.counts(array)
    assert counts.tolist() == [sum(number in found for found in wanted) for number in range(len(distinct))]
    kept = matcher.keep_probabilities(array, counts, threshold)
    chances = [1 - math.prod(1 - min(1, threshold / counts[number]) for number in found) for found in wanted]
    np.testing.assert_allclose(kept, chances, atol=1e-6)


def test_only_whole_words_match_in_the_case_given() -> None:
    matcher = EntryMatcher(["cat", "New York", "York"])
    matched = [matcher.matches(text).tolist() for text in ("a cat, sat", "catalog", "Cat", "new york", "In New York!")]
    assert matched == [[0], [], [], [], [1, 2]]


def test_entries_of_scripts_without_spaces_match_anywhere() -> None:
    matcher = EntryMatcher(["東京", "กรุงเทพ", "東京 tower"])
    assert matcher.matches("私は東京に住む").tolist() == [0]
    assert matcher.matches("ในกรุงเทพมหานคร").tolist() == [1]
    assert matcher.matches("at東京 tower").tolist() == [0, 2]
    assert matcher.matches("at東京 towers").tolist() == [0]


def test_rare_concepts_are_kept_and_common_ones_thinned_out() -> None:
    texts = pa.array(["a cat"] * 90 + ["a yak"] * 10 + ["nothing"])
    matcher = EntryMatcher(["cat", "yak"])
    kept = matcher.keep_probabilities(texts, matcher.counts(texts), 10)
    np.testing.assert_allclose(kept, [1 / 9] * 90 + [1] * 10 + [0], rtol=1e-6)


def test_counts_of_subsets_add_up() -> None:
    matcher = EntryMatcher(["a", "b c"])
    first, second = pa.array(["a b c a", "b"]), pa.array(["b c", ""])
    assert (matcher.counts(first) + matcher.counts(second)).tolist() == matcher.counts(iter([first, second])).tolist()


@pytest.mark.parametrize(("share", "threshold"), [(0, 1), (0.09, 1), (0.2, 2), (0.5, 5), (1, 12)])
def test_the_threshold_of_a_tail_share_is_the_closest_count(share: float, threshold: int) -> None:
    # Sums 1, 3, 8 and 20 of 20.
    assert threshold_of_tail(np.array([5, 1, 12, 0, 2]), share) == threshold


def test_every_top_part_of_the_scores_is_a_draw() -> None:
    probabilities = np.repeat(np.array([0, 0.1, 0.5, 1], np.float32), 20_000)
    scores = draw_scores(probabilities, seed=5)
    kept = (scores >= 1).reshape(4, -1).mean(axis=1)
    assert kept[0] == 0
    assert kept[3] == 1
    np.testing.assert_allclose(kept, [0, 0.1, 0.5, 1], atol=0.02)
    # Half as many: all probabilities are halved alike, where they are not cut off at 1.
    np.testing.assert_allclose((scores >= 2).reshape(4, -1).mean(axis=1), [0, 0.05, 0.25, 0.5], atol=0.02)
    np.testing.assert_array_equal(scores, draw_scores(probabilities, seed=5))
    assert (scores != draw_scores(probabilities, seed=6)).any()


def test_corpus_entries_are_frequent_words_and_adjacent_pairs() -> None:
    texts = pa.array(["the old cat, the old dog", "the old cat - the end", None] * 3)
    assert corpus_entries(texts, min_count=6) == ["the", "old", "cat", "the old", "old cat"]
    assert corpus_entries(texts, words=2, pairs=9, min_count=1) == ["the", "old", "the old"]
    # "cat, the" and "cat - the" are not pairs.
    assert "cat the" not in corpus_entries(texts, min_count=1)


def test_every_entry_of_the_corpus_matches_where_it_came_from() -> None:
    texts = pa.array(["A cat's life: one, two", "one two  three\tfour", "日本 の 猫"])
    matcher = EntryMatcher(corpus_entries(texts, min_count=1))
    assert matcher.counts(texts).min() > 0


def test_rare_pairs_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAIRS", 3)
    entries = corpus_entries(pa.array(["a b"] * 5 + ["c d", "e f", "g h"]), min_count=1)
    assert "a b" in entries
    assert "c d" not in entries


def test_the_pairs_counted_stay_few_however_many_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAIRS", 40)
    sizes: list[int] = []
    halved = module._frequent_half

    def told(counts: Counter[str]) -> Counter[str]:
        sizes.append(len(counts))
        return halved(counts)

    monkeypatch.setattr(module, "_frequent_half", told)
    texts = [f"w{number % 90} v{number % 90}" for number in range(900)]
    corpus_entries(pa.array([f"{text}. {text}" for text in texts]), min_count=1)
    assert max(sizes) == 41
    # Each time, at least half of the room is made free again.
    assert len(sizes) <= 900 / 20


def test_a_file_of_entries_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "concepts.txt"
    path.write_text("cat\n\n  New York \ncat\nété\n", encoding="utf-8")
    assert list(EntryMatcher.of_file(path).entries) == ["cat", "New York", "été"]


def test_lists_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VisdivError, match=r"cannot read .*missing\.txt .*one concept per line"):
        EntryMatcher.of_file(tmp_path / "missing.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(VisdivError, match=r"cannot read .*latin\.txt .*one concept per line"):
        EntryMatcher.of_file(tmp_path / "latin.txt")
    with pytest.raises(VisdivError, match="the list of concepts is empty"):
        EntryMatcher(["", "  "])


def test_impossible_thresholds_and_counts_are_refused() -> None:
    matcher = EntryMatcher(["a"])
    with pytest.raises(VisdivError, match="count with this list"):
        matcher.keep_probabilities(pa.array(["a"]), np.array([1, 2]))
    with pytest.raises(VisdivError, match="give a number above 0"):
        matcher.keep_probabilities(pa.array(["a"]), np.array([1]), 0)
    with pytest.raises(VisdivError, match="give a number between 0 and 1"):
        threshold_of_tail(np.array([1]), 1.5)
    for counts in (np.zeros(3, np.int64), np.empty(0, np.int64)):
        with pytest.raises(VisdivError, match="no text contains an entry"):
            threshold_of_tail(counts, 0.1)


def test_no_texts_empty_texts_and_texts_of_a_megabyte() -> None:
    matcher = EntryMatcher(["a", "the end"])
    assert matcher.keep_probabilities(pa.array([], pa.string()), np.array([1, 1])).shape == (0,)
    assert matcher.keep_probabilities(pa.array(["", None]), np.array([1, 1])).tolist() == [0, 0]
    assert matcher.matches("über " * 200_000 + "the end.").tolist() == [1]
    assert spaced("") == "  "
