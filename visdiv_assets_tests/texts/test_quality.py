"""Measures of texts, compared with plain references in Python; refusals and empty answers by example."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.texts import quality
from visdiv_assets.texts.ngrams import split_words
from visdiv_assets.texts.quality import are_empty, are_refusals, measure_texts

#: Few letters, so that lines, n-grams and runs repeat; and all that is counted in its own way.
TEXTS = st.one_of(
    st.none(),
    st.text(alphabet="ab \n.", max_size=60),
    st.lists(st.sampled_from(["a", "b", "the", "字", "\n", "9."]), max_size=40).map(" ".join),
    st.text(max_size=20),
)


def top_ngram(words: list[str]) -> float:
    counts = Counter(tuple(words[at : at + 3]) for at in range(len(words) - 2))
    most = max(counts.values(), default=0)
    return min(3 * most / len(words), 1) if most > 1 else 0


def repeated_ngrams(words: list[str]) -> float:
    seen: set[tuple[str, ...]] = set()
    covered: set[int] = set()
    for at in range(len(words) - 4):
        ngram = tuple(words[at : at + 5])
        covered |= set(range(at, at + 5)) if ngram in seen else set()
        seen.add(ngram)
    return len(covered) / max(len(words), 1)


def repeated_lines(text: str) -> float:
    lines = [stripped for line in text.split("\n") if (stripped := line.strip())]
    return 1 - len(set(lines)) / len(lines) if lines else 0


def is_special(char: str) -> bool:
    return unicodedata.category(char)[0] not in "LMNZ" and not char.isspace()


def reference(text: str) -> dict[str, float]:
    words = split_words(text)
    runs = [len(list(run)) for char, run in itertools.groupby(text) if not char.isspace()]
    return {
        "characters": len(text),
        "words": len(words),
        "repeated_lines": repeated_lines(text),
        "top_ngram": top_ngram(words),
        "repeated_ngrams": repeated_ngrams(words),
        "longest_run": max(runs, default=0),
        "special_characters": sum(map(is_special, text)) / max(len(text), 1),
    }


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_measures_are_those_of_a_plain_reference(texts: list[str | None]) -> None:
    # Versions of Unicode differ in what they assign, and thus in letters and in what is trimmed.
    texts = [text and "".join(char for char in text if ord(char) < 0x1000 or char == "字") for text in texts]
    measured = measure_texts(pa.array(texts, pa.string()))
    for index, text in enumerate(texts):
        found = {name: values[index].as_py() for name, values in measured.items()}
        assert found == pytest.approx(reference(text or ""), abs=1e-6), text


def test_runs_do_not_depend_on_blocks_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pa.array(["aaa", "aab", "", "abbbb", "a"])
    whole = measure_texts(texts)["longest_run"].to_pylist()
    monkeypatch.setattr(quality, "BLOCK_CHARACTERS", 3)
    assert measure_texts(texts)["longest_run"].to_pylist() == whole == [3, 2, 0, 4, 1]


@pytest.mark.parametrize(
    "answer",
    [
        "I cannot see the image.",
        "As an AI language model, I have no eyes.",
        "Hello. I\u2019m sorry, but I can't assist with that.",
        '"I\'m unable to read this."',
        "Unfortunately, I cannot tell.",
        "Unfortunately, I\u2019m unable to help.",
        "I can\u2019t directly view images.",
        "I can not provide that.",
    ],
)
def test_refusals_are_found_at_the_beginning_of_a_sentence(answer: str) -> None:
    assert are_refusals(pa.array([answer])).to_pylist() == [True]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        "The sign says that I cannot park here.",
        "The sign says: I can't believe it's not butter.",
        "The sign says: I can't help you.",
        "I can't believe how blue the sky is!",
        "I cannot seem to lose.",
        "Unfortunately, I'm late, says the rabbit.",
        "As an aide, he stands.",
        "x" * 200 + ". I cannot see it.",
    ],
)
def test_other_answers_are_no_refusals(answer: str | None) -> None:
    assert are_refusals(pa.array([answer], pa.string())).to_pylist() == [False]


def test_white_space_is_an_empty_answer() -> None:
    assert are_empty(pa.array([None, "", " \n\t\u00a0", "."])).to_pylist() == [True, True, True, False]
