"""Lines of two images that contradict one another, and everything that only looks as if they did."""

from __future__ import annotations

import numpy as np
import pytest

from visdiv_assets.duplicates.text_differences import compare_texts, texts_differ
from visdiv_assets.texts.ocr.interface import ReadText, no_text

SAME = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
MIRRORED = (-1.0, 0.0, 1.0, 0.0, 1.0, 0.0)
UPSIDE_DOWN = (-1.0, 0.0, 1.0, 0.0, -1.0, 1.0)
#: The second image shows the upper half of the first.
UPPER_HALF = (1.0, 0.0, 0.0, 0.0, 0.5, 0.0)

PAGE = ("Invoice No. 48213", "Bill to: Mei Tanaka", "Lantern marble 3 120.40", "Walnut kettle 1 75.00", "Total 195.40")


def page(*lines: str, confidence: float = 0.98, height: float = 0.1, scale: float = 1.0) -> ReadText:
    """Return lines at the tops of five rows; each is as wide as its text."""
    boxes = []
    for index, line in enumerate(lines):
        left, top, right = 0.1, 0.2 * index * scale, 0.1 + 0.03 * max(len(line), 1)
        bottom = top + height * scale
        boxes.append([[left, top], [right, top], [right, bottom], [left, bottom]])
    kept = [index for index, line in enumerate(lines) if line]
    return ReadText(
        np.array(boxes, np.float32)[kept], [lines[index] for index in kept], np.full(len(kept), confidence, np.float32)
    )


def with_line(index: int, text: str) -> ReadText:
    return page(*(text if number == index else line for number, line in enumerate(PAGE)))


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (0, "Invoice No. 48313"),  # one digit
        (1, "Bill to: Ravi Kulkarni"),
        (2, "Lantern copper 3 120.40"),
        (4, "Total 971.00"),
    ],
)
def test_another_word_or_number_in_a_line_differs(index: int, text: str) -> None:
    assert texts_differ(page(*PAGE), with_line(index, text), SAME)
    assert texts_differ(with_line(index, text), page(*PAGE), SAME)


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (0, "Invoice No. 4821"),  # the end is hidden
        (0, "lnvoice N0. 482I3"),
        (2, "Lanternmarble 3120.40"),
        (2, "Lantem marble 3 120.40"),
        (3, "Walnut kettle"),
        (3, ""),  # covered
        (4, "Total 195,40"),
    ],
)
def test_misread_hidden_and_missing_text_does_not_differ(index: int, text: str) -> None:
    assert not texts_differ(page(*PAGE), with_line(index, text), SAME)


def test_only_what_both_images_show_is_compared() -> None:
    half = page(*PAGE[:2], "Lantern copper 3 120.40", scale=2)
    found = compare_texts(page(*PAGE), half, UPPER_HALF)
    assert (found.lines, found.alike, found.other) == (3, 2, [(PAGE[2], "Lantern copper 3 120.40")])
    assert compare_texts(page(*PAGE), half, SAME).other == []


@pytest.mark.parametrize("transform", [MIRRORED, UPSIDE_DOWN, ()])
def test_text_that_is_not_upright_in_both_is_not_compared(transform: tuple[float, ...]) -> None:
    wide = page(*(line.ljust(28, "x") for line in PAGE))
    assert compare_texts(wide, wide, transform).lines == 0


def test_a_caption_over_a_line_is_not_compared_with_it() -> None:
    covering = page("", "", "WHEN THE KETTLE", height=0.25)
    rest = with_line(2, "")
    covered = ReadText(
        np.concatenate([rest.boxes, covering.boxes]),
        [*rest.texts, *covering.texts],
        np.concatenate([rest.confidences, covering.confidences]),
    )
    assert not texts_differ(page(*PAGE), covered, SAME)


def test_unsure_lines_do_not_count() -> None:
    other = with_line(2, "Lantern copper 3 120.40")
    other.confidences[2] = 0.7
    assert compare_texts(page(*PAGE), other, SAME) == (4, 4, 4, [], [])


def test_of_images_that_are_misread_only_plain_differences_count() -> None:
    misread = ["Invoise Na. 48213", "Bell to: Mel Tanoka", PAGE[2], "Walrut kettle 1 76.00", "Total 196.40"]
    assert not texts_differ(page(*PAGE), page(*misread), SAME)
    misread[2] = "Lontern mattle 3 120.40"
    assert not texts_differ(page(*PAGE), page(*misread), SAME)
    misread[2] = "Lantern copper 3 120.40"
    assert texts_differ(page(*PAGE), page(*misread), SAME)


def test_a_few_lines_say_too_little() -> None:
    assert not texts_differ(page(*PAGE[:3]), page(*PAGE[:2], "Lantern copper 3 120.40"), SAME)


def test_lines_without_words_do_not_count() -> None:
    marks, others = ("!!!", "...", "--"), ("???", ",,,", "==")
    found = compare_texts(page("", *marks, "abc"), page("", *others, "xyzq"), SAME)
    assert found == (1, 0, 0, [("abc", "xyzq")], [("abc", "xyzq")])
    assert not found.differ
    assert compare_texts(page(*PAGE[:4], "!!!"), page(*PAGE[:4], "abc"), SAME).lines == 4


def test_images_without_text_are_not_told_apart() -> None:
    assert not texts_differ(no_text(), page(*PAGE), SAME)
    assert not texts_differ(page(*PAGE), no_text(), SAME)


@pytest.mark.parametrize(
    ("a", "b", "other"),
    [
        ("a degree of growth", "a dogroe of growth", False),
        ("a degree of growth", "a marble of growth", True),
        ("12 May 2019", "12 May 2014", True),
        ("B0B 1S5", "808 155", False),
        ("66", "99", False),  # upside down
        ("1669", "6991", False),
        ("68", "69", True),
        ("New York", "NewYork City", False),
    ],
)
def test_words_differ_by_more_than_a_reader_confuses(a: str, b: str, other: bool) -> None:
    one, two = (page(*PAGE[:4], line) for line in (a.ljust(20, "."), b.ljust(20, ".")))
    assert texts_differ(one, two, SAME) is other
    assert texts_differ(two, one, SAME) is other
