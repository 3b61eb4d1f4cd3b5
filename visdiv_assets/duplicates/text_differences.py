"""Find lines that overlap in two aligned images, are legible in both, and read differently.

Readers of text miss lines, lose spaces and confuse characters; copies are cropped, covered and captioned. So only a
contradiction counts: two overlapping lines, upright in both images and both read with confidence, of which one has
another word or number than the other. A line that only one image has says nothing, nor does one that goes on where the
other ends. Lines that read alike show that the reader can be trusted with these two images; lines without words, such
as bullets and rules, show nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

import numpy as np

from visdiv_assets.duplicates.verify.geometry import map_points, matrix_of
from visdiv_assets.texts.ngrams import split_words
from visdiv_assets.texts.ocr.interface import ReadText

#: The version of the rule. Raise it with every change that can alter what differs: text is compared again then, while
#: the verdicts of pixels stay known.
TEXTS_VERSION = "1"

#: Minimum confidence of a line.
MIN_CONFIDENCE = 0.9
#: Minimum intersection over union of the boxes of overlapping lines.
MIN_OVERLAP = 0.6

#: Another word differs from the first in at least this many characters, and in this share of the longer one: where the
#: reader can be trusted, and where it confuses characters throughout.
LEGIBLE, POOR = (3, 0.5), (4, 0.6)
#: Lines that must read alike, and their share of the overlapping lines, for the reader to be trusted.
ALIKE_LINES, ALIKE_SHARE = 3, 0.6
#: Share of the characters of a line that differ in one that reads nearly alike.
NEAR_SHARE = 0.25

#: Characters that readers take for one another count as the same.
_CONFUSED = str.maketrans("oqdiljtfszbg", "000111115286")
#: Digits, and what they are upside down.
_TURNED = str.maketrans("69", "96")


class Compared(NamedTuple):
    """Lines with words that overlap in two images.

    Attributes:
        lines: number of such lines.
        alike: number that read alike.
        nearly: number that read nearly alike, those that read alike included.
        other: the texts of both images of each line that has another word or number in one of them.
        plainly: those that differ by more than a reader confuses even in images that are hard to read.
    """

    lines: int
    alike: int
    nearly: int
    other: list[tuple[str, str]]
    plainly: list[tuple[str, str]]

    @property
    def differ(self) -> list[tuple[str, str]]:
        """The texts of the lines that show that the images differ; empty if none does."""
        least = max(ALIKE_LINES, ALIKE_SHARE * self.lines)
        if self.alike >= least:
            return self.other
        return self.plainly if self.nearly >= least else []


def texts_differ(a: ReadText, b: ReadText, transform: Sequence[float]) -> bool:
    """Return whether two aligned images read differently; see `compare_texts`."""
    return bool(compare_texts(a, b, transform).differ)


def compare_texts(a: ReadText, b: ReadText, transform: Sequence[float]) -> Compared:
    """Compare the lines with words that overlap in two images.

    Args:
        a: the text of the first image.
        b: the text of the second.
        transform: the map from the second image to the first, as verification stores it.
    """
    lines, alike, nearly = 0, 0, 0
    other, plainly = [], []
    for texts in _overlapping(_legible(a), _legible(b), transform):
        words = split_words(texts[0]), split_words(texts[1])
        if not all(words):
            continue
        one, two = map("".join, words)
        lines += 1
        alike += one == two
        nearly += one == two or _edit_distance(one, two) <= NEAR_SHARE * max(len(one), len(two))
        replaced = list(_replaced(*words))
        if any(_is_other_number(*pair) or _is_other_word(*pair, LEGIBLE) for pair in replaced):
            other.append(texts)
        if any(_is_other_word(*pair, POOR) for pair in replaced):
            plainly.append(texts)
    return Compared(lines, alike, nearly, other, plainly)


def _replaced(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the words of a line that stand in for others of a second one, each side joined.

    What is only in one of them may be hidden in the other, and readers lose the spaces between words. They also guess
    which way up a short line is: 66 may be read as 99, and 16 as 91.
    """
    for tag, start_a, end_a, start_b, end_b in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        one, two = "".join(a[start_a:end_a]), "".join(b[start_b:end_b])
        if tag == "replace" and one[::-1].translate(_TURNED) != two:
            yield one, two


def _is_other_number(a: str, b: str) -> bool:
    """Return whether two words are the same but for digits."""
    if len(a) != len(b):
        return False
    unequal = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
    return bool(unequal) and all(x.isdecimal() and y.isdecimal() for x, y in unequal)


def _is_other_word(a: str, b: str, least: tuple[int, float]) -> bool:
    """Return whether two words differ by more than characters that readers confuse, and neither is a part of the other.

    Args:
        a: the word.
        b: the word that stands in for it.
        least: characters that must differ, and their share of the longer word.
    """
    one, two = a.translate(_CONFUSED), b.translate(_CONFUSED)
    if one in two or two in one:
        return False
    edits, longer = _edit_distance(one, two), max(len(one), len(two))
    return edits >= max(least[0], least[1] * longer)


def _edit_distance(a: str, b: str) -> int:
    """Return the number of characters to replace, insert or remove (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def _legible(text: ReadText) -> ReadText:
    kept = np.flatnonzero(text.confidences >= MIN_CONFIDENCE)
    return ReadText(text.boxes[kept], [text.texts[index] for index in kept], text.confidences[kept])


def _overlapping(a: ReadText, b: ReadText, transform: Sequence[float]) -> Iterator[tuple[str, str]]:
    """Yield the texts of lines whose boxes cover one another, upright in both images."""
    import shapely

    if not (len(a.texts) and len(b.texts) and len(transform)):
        return
    mapped = map_points(matrix_of(transform), b.boxes.reshape(-1, 2).astype(np.float64)).reshape(-1, 4, 2)
    # Corners begin at the top left of a line: of two upright ones, the first is nearest to the first.
    hulls_a, hulls_b = (shapely.convex_hull(shapely.polygons(boxes)) for boxes in (a.boxes.astype(np.float64), mapped))
    index_b, index_a = shapely.STRtree(hulls_a).query(hulls_b)
    shared = shapely.area(shapely.intersection(hulls_a[index_a], hulls_b[index_b]))
    united = shapely.area(hulls_a)[index_a] + shapely.area(hulls_b)[index_b] - shared
    same = (shared > 0) & (shared >= MIN_OVERLAP * united)
    for i, j in zip(index_a[same], index_b[same], strict=True):
        if np.linalg.norm(a.boxes[i] - mapped[j, 0], axis=1).argmin() == 0:
            yield a.texts[i], b.texts[j]
