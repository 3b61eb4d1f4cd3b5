"""Overlaps of texts, compared with sets of tuples of words."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import VisdivError
from visdiv_assets.texts import ngrams
from visdiv_assets.texts.ngrams import hash_words, split_words
from visdiv_assets.texts.overlap import OVERLAP_SCHEMA, BenchmarkTexts, find_text_overlaps, highest_share

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=14).map(" ".join)
TEXTS = st.lists(WORDS, max_size=8)


def ngrams_of(words: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]


def plain(texts: list[str], benchmarks: dict[str, list[str]], sizes: list[int]) -> list[dict[str, Any]]:
    rows = []
    for number, text in enumerate(texts):
        words = text.split()
        for name, known in sorted(benchmarks.items()):
            if 0 < len(words) < max(sizes) and words in [other.split() for other in known]:
                rows.append((number, name, 0, 1, 1, 1.0, len(words)))
            for size in sorted(set(sizes)):
                there = {run for other in known for run in ngrams_of(other.split(), size)}
                found = [run in there for run in ngrams_of(words, size)]
                if not any(found):
                    continue
                longest = max(len(part) for part in "".join("x" if hit else " " for hit in found).split())
                share = sum(found) / len(found)
                rows.append((number, name, size, len(found), sum(found), share, longest + size - 1))
    return [dict(zip(OVERLAP_SCHEMA.names, row, strict=True)) for row in rows]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=TEXTS,
    first=TEXTS,
    second=TEXTS,
    sizes=st.sampled_from([[2], [3, 5], [5, 2], [1, 4], [13, 8]]),
    together=st.integers(1, 30),
)
def test_matches_equal_those_of_sets_of_words(
    monkeypatch: pytest.MonkeyPatch,
    texts: list[str],
    first: list[str],
    second: list[str],
    sizes: list[int],
    together: int,
) -> None:
    monkeypatch.setattr(ngrams, "BLOCK", together)
    monkeypatch.setattr(ngrams, "MAX_CACHED_WORDS", 2)
    benchmarks = {"beta": first, "alpha": second}
    read = [BenchmarkTexts.of(name, pa.array(known, pa.string()), sizes) for name, known in benchmarks.items()]
    told: list[int] = []
    found = find_text_overlaps(pa.array(texts, pa.string()), read, progress=told.append)
    assert found.schema == OVERLAP_SCHEMA
    assert sum(told) == len(texts)
    wanted = plain(texts, benchmarks, sizes)
    assert [{**row, "share": pytest.approx(row["share"], abs=1e-6)} for row in wanted] == found.to_pylist()


def test_case_punctuation_and_width_do_not_matter() -> None:
    question = "Which of the following is NOT a mammal? (A) whale; (B) shark"
    benchmark = BenchmarkTexts.of("b", pa.array([question]))
    copies = [
        "which of the following is not a mammal  a whale b shark",
        "Q: Which of the following\nis not a mammal?\n\nA. Whale\nB. Shark",
        # Full-width letters, as Chinese keyboards write them.
        "\uff37\uff48\uff49\uff43\uff48 of the following is not a mammal: A whale, B shark",
    ]
    found = find_text_overlaps(pa.array([*copies, "Which of the following is a mammal?"]), [benchmark])
    assert set(found["text"].to_pylist()) == {0, 1, 2}
    assert highest_share(found, 4).tolist() == pytest.approx([1, 5 / 6, 1, 0])


def test_words_are_normalized_and_chinese_signs_are_words() -> None:
    assert split_words("Café") == split_words("Cafe\u0301") == ["café"]
    assert split_words("图中有3只猫, two cats_and dogs") == [
        "图",
        "中",
        "有",
        "3",
        "只",
        "猫",
        "two",
        "cats",
        "and",
        "dogs",
    ]
    benchmark = BenchmarkTexts.of("cn", pa.array(["请问图中一共有几只猫和狗"]))
    found = find_text_overlaps(pa.array(["问题\uff1a请问图中一共有几只猫\uff1f"]), [benchmark]).to_pylist()
    assert [(row["size"], row["runs"], row["runs_found"], row["longest"]) for row in found] == [(8, 5, 3, 10)]


def test_a_short_text_is_found_only_if_it_is_equal() -> None:
    benchmark = BenchmarkTexts.of("b", pa.array(["A blue car", "yes", ""]))
    found = find_text_overlaps(pa.array(["a blue car.", "a blue", "a blue car there", "Yes!", "", None]), [benchmark])
    assert found.select(["text", "size", "longest"]).to_pylist() == [
        {"text": 0, "size": 0, "longest": 3},
        {"text": 3, "size": 0, "longest": 1},
    ]


def test_the_longest_stretch_has_no_gap_and_ends_with_the_text() -> None:
    words = [f"w{number}" for number in range(40)]
    benchmark = BenchmarkTexts.of("b", pa.array([" ".join(words)]), [3])
    texts = [" ".join([*words[:6], "gap", *words[6:16]]), " ".join(words[16:20])]
    found = find_text_overlaps(pa.array(texts), [benchmark]).to_pylist()
    assert [(row["runs"], row["runs_found"], row["longest"]) for row in found] == [(15, 12, 10), (2, 2, 4)]


def test_hashes_are_the_same_in_every_process() -> None:
    code = (
        "import pyarrow as pa\n"
        "from visdiv_assets.texts.ngrams import hash_words\n"
        "print(*[int(h) for words in hash_words(pa.array(['Ein Text über alles'])) for h in words.ngrams(2)[0]])"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout.split()
    here = [int(h) for words in hash_words(pa.array(["Ein Text über alles"])) for h in words.ngrams(2)[0]]
    assert [int(number) for number in shown] == here


def test_the_order_of_words_matters_to_their_hash() -> None:
    (words,) = hash_words(pa.array(["a b", "b a", "a a", "b b"]))
    assert len(set(words.ngrams(2)[0].tolist())) == 4
    assert len(set(words.whole_texts(5)[0].tolist())) == 4


def test_a_text_of_a_megabyte_is_searched_to_its_end() -> None:
    needle = "one two three four five six seven eight nine ten eleven twelve thirteen"
    benchmark = BenchmarkTexts.of("b", pa.array([needle]))
    texts = pa.array(["short", "füllwort " * 110_000 + needle, needle])
    found = find_text_overlaps(texts, [benchmark]).to_pylist()
    assert [(row["text"], row["size"], row["runs_found"]) for row in found] == [
        (1, 8, 6),
        (1, 13, 1),
        (2, 8, 6),
        (2, 13, 1),
    ]


@settings(deadline=None)
@given(texts=TEXTS, most=st.integers(1, 4), together=st.integers(1, 30))
def test_ngrams_of_too_many_texts_of_a_benchmark_are_dropped(texts: list[str], most: int, together: int) -> None:
    holding: Counter[tuple[str, ...]] = Counter()
    whole: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        holding.update(set(ngrams_of(text.split(), 2)))
        whole.update([tuple(text.split())] if len(text.split()) == 1 else [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "BLOCK", together)
        benchmark = BenchmarkTexts.of("b", pa.array(texts, pa.string()), [2], max_texts=most)
    assert len(benchmark.ngrams[2]) == sum(count <= most for count in holding.values())
    assert len(benchmark.short) == sum(count <= most for count in whole.values())
    looked_for = [" ".join(run) for run in holding]
    found = set(find_text_overlaps(pa.array(looked_for, pa.string()), [benchmark])["text"].to_pylist())
    assert found == {number for number, run in enumerate(holding) if holding[run] <= most}


def test_counted_hashes_are_sorted_and_distinct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "BLOCK", 1)
    gathered = ngrams.CountedHashes()
    random = np.random.default_rng(0)
    seen: Counter[int] = Counter()
    for _ in range(40):
        hashes, texts = random.integers(100, size=7).astype(np.uint64), random.integers(3, size=7)
        seen.update(value for value, _ in set(zip(hashes.tolist(), texts.tolist(), strict=True)))
        gathered.add(hashes, texts)
    assert gathered.array().tolist() == sorted(seen)
    assert gathered.array(2).tolist() == sorted(value for value, count in seen.items() if count <= 2)


def test_empty_texts_and_benchmarks_give_an_empty_table() -> None:
    benchmark = BenchmarkTexts.of("b", pa.array([], pa.string()))
    texts = pa.array(["a b c d e f g h i"])
    for found in (
        find_text_overlaps(texts, [benchmark]),
        find_text_overlaps(texts, []),
        find_text_overlaps(pa.array([], pa.string()), [benchmark]),
    ):
        assert found.schema == OVERLAP_SCHEMA
        assert found.num_rows == 0
    assert highest_share(OVERLAP_SCHEMA.empty_table(), 0).shape == (0,)


def test_different_and_impossible_sizes_are_refused() -> None:
    texts = pa.array(["a"])
    with pytest.raises(VisdivError, match="hash them again with the same sizes"):
        find_text_overlaps(texts, [BenchmarkTexts.of("a", texts, [2]), BenchmarkTexts.of("b", texts, [3])])
    for sizes in ([], [0, 3]):
        with pytest.raises(VisdivError, match="give one or more sizes of at least 1"):
            BenchmarkTexts.of("a", texts, sizes)
