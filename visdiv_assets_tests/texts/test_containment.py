"""Texts that stand in other texts, as a reader of images with errors returns them."""

from __future__ import annotations

import textwrap
from random import Random

import pyarrow as pa
import pytest

from visdiv_assets.texts.containment import MIN_NGRAMS, WantedTexts, find_contained, matching_lines, merge_wanted
from visdiv_assets_tests.testing.corpora.shared import SHORT_WORDS, WORDS

QUESTION = "How many of the seven gray geese in front of the old mill are looking at the camera?"
PAGES = 500


def page(random: Random, words: int = 60) -> str:
    return " ".join(random.choice(random.choice((WORDS, SHORT_WORDS))) for _ in range(words))


def misread(text: str, random: Random, errors: float = 0.01) -> str:
    """Return a text as a reader may: some characters confused, a tenth of the spaces lost."""
    return "".join(
        random.choice("il1o0ecrnm") if random.random() < errors else character
        for character in text
        if character != " " or random.random() > 0.1
    )


def wanted(*texts: str, max_texts: int = 10) -> WantedTexts:
    return WantedTexts.of(pa.array(texts), max_texts=max_texts)


def pairs(texts: list[str], looked_for: WantedTexts) -> list[tuple[int, int]]:
    found = find_contained(pa.array(texts), looked_for)
    return list(zip(found["text"].to_pylist(), found["wanted"].to_pylist(), strict=True))


def test_misread_pages_are_found_and_no_others() -> None:
    random = Random(3)
    pages = [page(random) for _ in range(100)]
    looked_for = wanted(*pages, QUESTION)
    others = [page(random) for _ in range(PAGES)]
    assert pairs(others, looked_for) == []
    read = [*(misread(each, random) for each in pages), f"Quiz 7\n{misread(QUESTION, random)}\n{page(random)}"]
    assert pairs(read, looked_for) == [(index, index) for index in range(101)]


def test_short_texts_and_templates_are_not_looked_for() -> None:
    short = "A red car, 1,234.56"
    templates = [f"Answer the question with the letter of the right option from the choices: {i}" for i in range(11)]
    looked_for = wanted(short, *templates, QUESTION)
    assert (looked_for.ngrams[:-1] == 0).all()
    assert looked_for.ngrams[-1] >= MIN_NGRAMS
    assert pairs([short, *templates, f"{short} {QUESTION}"], looked_for) == [(12, 12)]


def test_merged_texts_follow_one_another() -> None:
    random = Random(1)
    pages = [page(random) for _ in range(4)]
    merged = merge_wanted([wanted(*pages[:3]), wanted(pages[3])])
    assert pairs(pages[::-1], merged) == [(0, 3), (1, 2), (2, 1), (3, 0)]
    assert pairs(pages, merge_wanted([])) == []


@pytest.mark.parametrize(
    ("line", "matches"),
    [("seven gray geese infrontof", True), ("the camera?", True), ("of a new barn are looking", False), ("", False)],
)
def test_lines_match_as_a_whole_or_by_most_ngrams(line: str, matches: bool) -> None:
    assert matching_lines([line], [QUESTION]) == [matches]


@pytest.mark.parametrize("width", [20, 33, 50])
def test_lines_match_where_the_other_text_is_broken_elsewhere(width: int) -> None:
    text = page(Random(3))
    assert all(matching_lines(textwrap.wrap(text, 37), textwrap.wrap(text, width)))
    assert not any(matching_lines(textwrap.wrap(page(Random(4)), 37), textwrap.wrap(text, width)))
