"""Real OCR of drawn pages: copies set again with another font are found, and no others. It takes minutes."""

from __future__ import annotations

import textwrap
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.texts.containment import WantedTexts, find_contained
from visdiv_assets.texts.ocr.rapid import RapidReader
from visdiv_assets_tests.testing.corpora.shared import INK, SHORT_WORDS, WORDS, font, page

QUESTIONS = (
    "How many of the seven gray geese in front of the old mill are looking at the camera?",
    "Which of the two runners crosses the finish line before the church clock strikes noon?",
)


def draw(text: str, face: str, size: int, width: int) -> np.ndarray:
    """Draw a text, broken into lines of at most `width` characters."""
    lines = textwrap.wrap(text, width)
    image, canvas = page(round(0.75 * size * width) + 40, round(1.6 * size * len(lines)) + 40)
    for index, line in enumerate(lines):
        canvas.text((20, 20 + round(1.6 * size * index)), line, INK, font(size, face))
    return np.asarray(image)


@pytest.mark.nightly
def test_drawn_questions_and_pages_set_again_are_found() -> None:
    random = Random(5)
    pages, others = (
        [" ".join(random.choice(random.choice((WORDS, SHORT_WORDS))) for _ in range(45)) for _ in range(count)]
        for count in (6, 30)
    )
    reader = RapidReader(1)

    def read(text: str, face: str, size: int, width: int) -> str:
        return "\n".join(reader.read(draw(text, face, size, width)).texts)

    of_benchmark = [read(each, "sans", 18, 44) for each in pages]
    looked_for = WantedTexts.of(pa.array([*of_benchmark, *QUESTIONS]), max_texts=10)
    assert (looked_for.ngrams > 0).all()
    again = [read(each, face, 22, 31) for each, face in zip(pages, ("serif", "mono", "times") * 2, strict=True)]
    again += [read(f"Quiz 7: {each} Answer: none.", "serif", 20, 30) for each in QUESTIONS]
    faces = ("sans", "serif", "mono")
    again += [read(each, faces[index % 3], 18, 50) for index, each in enumerate(others)]
    found = find_contained(pa.array(again), looked_for)
    assert found["text"].to_pylist() == found["wanted"].to_pylist() == list(range(8))
