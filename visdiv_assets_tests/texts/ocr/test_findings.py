"""What the text of images says, from boxes and answers made by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.texts.ocr.findings import (
    BOXES_SCHEMA,
    EXCERPT,
    READ_SCHEMA,
    Repeated,
    box_rows,
    covered_area,
    describe_failure,
    describe_text,
    repeated_answers,
    texts_by_image,
    with_answers,
)
from visdiv_assets.texts.ocr.interface import ReadText, no_text
from visdiv_assets.texts.ocr.placeholders import is_placeholder
from visdiv_assets.texts.ocr.sample import choose_images, split_into_units

A, B = "a" * 32, "b" * 32


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def text(*lines: str) -> ReadText:
    boxes = [box(0, number / 10, 0.5, number / 10 + 0.1) for number in range(len(lines))]
    return ReadText(np.array(boxes, np.float32), list(lines), np.full(len(lines), 0.9, np.float32))


def ids(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.array([random.bytes(16).hex() for _ in range(count)], "S32")


def test_overlapping_boxes_are_counted_once() -> None:
    boxes = np.array([box(0, 0, 0.5, 0.5), box(0.25, 0, 0.75, 0.5)], np.float32)
    assert covered_area(boxes) == pytest.approx(0.375)
    assert covered_area(boxes[:0]) == 0.0


def test_the_boxes_of_each_image_are_its_text_again() -> None:
    written = {A: text("one", "two"), B: no_text(), "c" * 32: text("three")}
    read = texts_by_image(pa.concat_tables([box_rows(*each) for each in written.items()]))
    assert {image: found.texts for image, found in read.items()} == {A: ["one", "two"], "c" * 32: ["three"]}
    for image, found in read.items():
        np.testing.assert_array_equal(found.boxes, written[image].boxes)
        np.testing.assert_array_equal(found.confidences, written[image].confidences)
    assert texts_by_image(BOXES_SCHEMA.empty_table()) == {}


def test_a_box_whose_corners_cross_has_an_area() -> None:
    crossed = np.array([[[0, 0], [1, 0.5], [1, 0], [0, 0.5]]], np.float32)
    assert covered_area(crossed) == pytest.approx(0.5)


def test_an_image_is_described_by_its_text() -> None:
    row = describe_text(A, text("Total: 12 USD", "x" * 400))
    assert (row["boxes"], row["characters"], row["words"]) == (2, 413, 4)
    assert row["text_area"] == pytest.approx(0.1)
    assert row["confidence"] == pytest.approx(0.9)
    assert row["excerpt"] == f"Total: 12 USD\n{'x' * 400}"[:EXCERPT]
    assert not row["placeholder"]


def test_an_image_without_text_is_described_too() -> None:
    row = describe_text(A, no_text())
    assert (row["status"], row["boxes"], row["text_area"], row["confidence"], row["excerpt"]) == (
        "read",
        0,
        0,
        None,
        "",
    )
    assert box_rows(A, no_text()) == BOXES_SCHEMA.empty_table()


def test_answers_repeat_words_and_not_letters() -> None:
    image = ["stop", "main", "street"]
    answers = ["A STOP sign.", "Stop!", "Main Street, stop", "mainly", None, "..."]
    # Distinct words: a stop sign | stop | main street stop | mainly. The last two have none.
    assert repeated_answers(image, answers) == Repeated(4, 2, 2, 8, 5)


def test_half_of_the_distinct_words_count_as_half() -> None:
    assert repeated_answers(["red"], ["red red red car"]).answers_half_in_image == 1
    assert repeated_answers(["red"], ["a red car"]).answers_half_in_image == 0


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Image not found", True),
        ("Linked Image Not Found", True),
        ("404 NOT FOUND nginx", True),
        ("No image available", True),
        ("Noah imaged", False),
        ("", False),
        ("The error page says that the image is not available in your country at this time of the day", False),
    ],
)
def test_a_placeholder_says_little_else(said: str, expected: bool) -> None:
    assert is_placeholder(said.lower().split()) is expected


def test_images_get_their_positions_and_answers() -> None:
    texts = {A: text("stop"), B: no_text()}
    read = pa.Table.from_pylist([describe_text(each, said) for each, said in texts.items()], READ_SCHEMA)
    boxes = pa.concat_tables([box_rows(each, said) for each, said in texts.items()])
    positions = pa.table({"row": [7, 9], "image_index": pa.array([0, 1], pa.int32()), "image_id": [A, B]})
    found = with_answers(positions, read, boxes, {7: ["Stop", "a stop sign"], 9: ["none"]}).to_pylist()
    assert [(each["row"], each["image_index"], each["boxes"]) for each in found] == [(7, 0, 1), (9, 1, 0)]
    assert [(each["answers"], each["answers_in_image"], each["answer_words_in_image"]) for each in found] == [
        (2, 1, 2),
        (1, 0, 0),
    ]


def test_an_image_on_which_the_reader_failed_has_no_numbers() -> None:
    read = pa.Table.from_pylist([describe_failure(A)], READ_SCHEMA)
    assert read["status"].to_pylist() == ["failed"]
    assert read["boxes"].null_count == 1


def test_a_larger_sample_begins_with_a_smaller_one() -> None:
    some = ids(300)
    small, large = choose_images(some, 20), choose_images(some, 50)
    assert large[:20].tolist() == small.tolist()
    assert len(set(large.tolist())) == 50


def test_the_sample_does_not_depend_on_other_images() -> None:
    some = ids(300)
    chosen = set(some[choose_images(some, 100)].tolist())
    kept = some[::-1][:250]
    again = set(kept[choose_images(kept, 100)].tolist())
    assert chosen & set(kept.tolist()) <= again


def test_all_images_are_read_in_their_own_order() -> None:
    assert choose_images(ids(5), 0).tolist() == [0, 1, 2, 3, 4]
    assert choose_images(ids(0), 7).tolist() == []
    assert sorted(choose_images(ids(5), 7).tolist()) == [0, 1, 2, 3, 4]


def test_units_hold_all_images_in_order() -> None:
    names = [str(number) for number in range(70)]
    units = split_into_units(names)
    assert [len(unit) for unit in units] == [32, 32, 6]
    assert [name for unit in units for name in unit] == names
