"""Count false alarms of the search for leaks on pages that are read by OCR and hold no text of the benchmark.

Run as a program, it reads 500 pages by default, which takes more than half an hour on one core:

    python -m visdiv_assets_tests.texts.ocr.other_pages --pages 500
"""

from __future__ import annotations

import argparse
import logging
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from random import Random
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.texts.containment import MIN_SHARE, WantedTexts, find_contained
from visdiv_assets.texts.ocr.interface import TextReader
from visdiv_assets.texts.ocr.rapid import RapidReader
from visdiv_assets_tests.testing.corpora import draw
from visdiv_assets_tests.testing.corpora.shared import GROUP, INK, SHORT_WORDS, WORDS, font, page

logger = logging.getLogger(__name__)

QUESTIONS = (
    "How many of the seven gray geese in front of the old mill are looking at the camera?",
    "Which of the two runners crosses the finish line before the church clock strikes noon?",
)
FACES = ("sans", "serif", "mono")
#: Kinds of drawn documents with much text, and how many pages of each the benchmark has.
DOCUMENTS = ("text_page", "invoice", "form", "number_table", "chat_screen", "slide")
DOCUMENTS_OF_BENCHMARK = 3
#: Share of n-grams for the count of what nearly was an alarm; 0.7 is an alarm.
NEAR_SHARE = 0.5


class Alarms(NamedTuple):
    """What the search found on other pages.

    Attributes:
        pages: pages that were read.
        words: words that were read on them.
        wanted: texts of the benchmark that were looked for.
        alarms: pages on which a text of the benchmark was found.
        near: pages that have at least `NEAR_SHARE` of the n-grams of one.
        highest: the highest share of n-grams of a text of the benchmark on a page.
    """

    pages: int
    words: int
    wanted: int
    alarms: int
    near: int
    highest: float


def random_words(random: Random, count: int = 45) -> str:
    """Return a text of words that pages share, and short ones between them."""
    return " ".join(random.choice(random.choice((WORDS, SHORT_WORDS))) for _ in range(count))


def draw_text(text: str, face: str, size: int, width: int) -> np.ndarray:
    """Draw a text, broken into lines of at most `width` characters: RGB, uint8 [h, w, 3]."""
    lines = textwrap.wrap(text, width)
    image, canvas = page(round(0.75 * size * width) + 40, round(1.6 * size * len(lines)) + 40)
    for index, line in enumerate(lines):
        canvas.text((20, 20 + round(1.6 * size * index)), line, INK, font(size, face))
    return np.asarray(image)


def read_text(reader: TextReader, pixels: np.ndarray) -> str:
    """Return the text of an image, one line per box."""
    return "\n".join(reader.read(pixels).texts)


def benchmark_texts(reader: TextReader) -> list[str]:
    """Read the benchmark: pages of random words, and documents; and its questions, which are no images."""
    random = Random(5)
    pages = [draw_text(random_words(random), "sans", 18, 44) for _ in range(6)]
    documents = [np.asarray(draw(kind, i, GROUP)) for kind in DOCUMENTS for i in range(DOCUMENTS_OF_BENCHMARK)]
    return [*(read_text(reader, each) for each in (*pages, *documents)), *QUESTIONS]


def other_pages(count: int) -> Iterator[np.ndarray]:
    """Draw other pages, in turn of random words and a document: the first documents have templates of the benchmark."""
    random = Random(6)
    for index in range(count):
        number, is_document = divmod(index, 2)
        if is_document:
            yield np.asarray(draw(DOCUMENTS[number % len(DOCUMENTS)], number // len(DOCUMENTS), 0))
        else:
            yield draw_text(random_words(random), FACES[number % len(FACES)], 18, 50)


def logged(pages: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield pages, and log a line after every 50: reading takes seconds per page."""
    for number, each in enumerate(pages, 1):
        yield each
        if number % 50 == 0:
            logger.info("%s pages read", number)


def count_alarms(reader: TextReader, pages: int) -> Alarms:
    """Read the benchmark and some other pages, and look for the former in the latter."""
    looked_for = WantedTexts.of(pa.array(benchmark_texts(reader)), max_texts=10)
    texts = pa.array([read_text(reader, each) for each in logged(other_pages(pages))])
    found = find_contained(texts, looked_for, min_share=0.0)
    shares = found["share"].to_numpy()
    pages_from = {
        share: len(set(found["text"].to_numpy()[shares >= share].tolist())) for share in (MIN_SHARE, NEAR_SHARE)
    }
    words = sum(len(text.split()) for text in texts.to_pylist())
    highest = float(shares.max(initial=0.0))
    wanted = int((looked_for.ngrams > 0).sum())
    return Alarms(pages, words, wanted, pages_from[MIN_SHARE], pages_from[NEAR_SHARE], highest)


def main() -> None:
    """Print the number of false alarms."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pages", type=int, default=500, help="number of other pages")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    begin = time.monotonic()
    found = count_alarms(RapidReader(1), parser.parse_args().pages)
    sys.stdout.write(
        f"{found.alarms} false alarms on {found.pages} other pages of {found.words:,} words, for {found.wanted} texts "
        f"of a benchmark; {found.near} pages have {NEAR_SHARE} of the n-grams of one, the highest share is "
        f"{found.highest:.2f}; {time.monotonic() - begin:.0f} s\n"
    )


if __name__ == "__main__":
    main()
