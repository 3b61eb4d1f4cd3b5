"""Real OCR of drawn pages: copies set again with another font are found, and no others. It takes minutes."""

from __future__ import annotations

from random import Random

import pyarrow as pa
import pytest

from visdiv_assets.texts.containment import WantedTexts, find_contained
from visdiv_assets.texts.ocr.rapid import RapidReader
from visdiv_assets_tests.texts.ocr.other_pages import (
    FACES,
    QUESTIONS,
    count_alarms,
    draw_text,
    random_words,
    read_text,
)


@pytest.mark.nightly
def test_drawn_questions_and_pages_set_again_are_found() -> None:
    random = Random(5)
    pages, others = ([random_words(random) for _ in range(count)] for count in (6, 30))
    reader = RapidReader(1)

    def read(text: str, face: str, size: int, width: int) -> str:
        return read_text(reader, draw_text(text, face, size, width))

    of_benchmark = [read(each, "sans", 18, 44) for each in pages]
    looked_for = WantedTexts.of(pa.array([*of_benchmark, *QUESTIONS]), max_texts=10)
    assert (looked_for.ngrams > 0).all()
    again = [read(each, face, 22, 31) for each, face in zip(pages, ("serif", "mono", "times") * 2, strict=True)]
    again += [read(f"Quiz 7: {each} Answer: none.", "serif", 20, 30) for each in QUESTIONS]
    again += [read(each, FACES[index % 3], 18, 50) for index, each in enumerate(others)]
    found = find_contained(pa.array(again), looked_for)
    assert found["text"].to_pylist() == found["wanted"].to_pylist() == list(range(8))


@pytest.mark.nightly
def test_other_pages_and_documents_raise_no_alarm() -> None:
    found = count_alarms(RapidReader(1), 60)
    assert found.words > 1000
    assert found.wanted >= 20
    assert found.alarms == found.near == 0
