"""Find texts that stand in other texts although some characters differ, as in text that was read from images.

Readers of text (OCR) confuse characters, lose spaces and break lines anywhere. So texts are compared by n-grams of
characters, of the letters and digits of `ngrams.split_words` without what separates them, and a text counts as standing
in another one if that has most of its n-grams, in whatever order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.texts.columns import Texts
from visdiv_assets.texts.ngrams import CountedHashes, Words, hash_words, is_among, split_words

#: Characters of an n-gram, and the share of a text's n-grams that stand in another text from which on it counts. Chosen
#: on generated pages that were read by OCR; see docs/guides/ocr.md.
SIZE = 8
MIN_SHARE = 0.7

#: Distinct n-grams of the shortest text that is looked for: labels, numbers and short questions stand in other texts by
#: chance.
MIN_NGRAMS = 40

FOUND_SCHEMA = pa.schema(
    [
        ("text", pa.int64()),
        ("wanted", pa.int64()),
        ("ngrams", pa.int32()),
        ("ngrams_found", pa.int32()),
        ("share", pa.float32()),
    ]
)


@dataclass(frozen=True, eq=False)
class WantedTexts:
    """The n-grams of texts that are looked for.

    Attributes:
        hashes: uint64 [m], ascending.
        wanted: int64 [m], index of the text that each n-gram is of.
        ngrams: int64 [t], distinct n-grams of each text; 0 if it is too short, or consists of what others share.
    """

    hashes: np.ndarray
    wanted: np.ndarray
    ngrams: np.ndarray

    @classmethod
    def of(cls, texts: Texts, *, max_texts: int) -> WantedTexts:
        """Hash texts.

        Args:
            texts: Arrow strings, read in blocks.
            max_texts: drop n-grams that occur in more of the texts than this: what they have in common is a template.
        """
        hashes, wanted, counted = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], CountedHashes()
        count = 0
        for characters in hash_words(texts, split_characters):
            of_block, text = distinct_ngrams(characters)
            counted.add(of_block, text)
            hashes.append(of_block)
            wanted.append(text)
            count = characters.first + len(characters.lengths)
        found, of_text = np.concatenate(hashes), np.concatenate(wanted)
        rare = is_among(found, counted.array(max_texts))
        ngrams = np.bincount(of_text[rare], minlength=count)
        # A text that is mostly template says little by the rest of it.
        ngrams[(ngrams < MIN_NGRAMS) | (2 * ngrams < np.bincount(of_text, minlength=count))] = 0
        kept = rare & (ngrams[of_text] > 0)
        order = np.argsort(found[kept], kind="stable")
        return cls(found[kept][order], of_text[kept][order], ngrams)


def merge_wanted(parts: Sequence[WantedTexts]) -> WantedTexts:
    """Join the texts of several; their indices follow one another."""
    offsets = np.cumsum([0, *(len(part.ngrams) for part in parts)])
    hashes = np.concatenate([np.empty(0, np.uint64), *(part.hashes for part in parts)])
    wanted = np.concatenate(
        [np.empty(0, np.int64), *(part.wanted + offset for part, offset in zip(parts, offsets, strict=False))]
    )
    order = np.argsort(hashes, kind="stable")
    ngrams = np.concatenate([np.empty(0, np.int64), *(part.ngrams for part in parts)])
    return WantedTexts(hashes[order], wanted[order], ngrams)


def find_contained(texts: Texts, wanted: WantedTexts, *, min_share: float = MIN_SHARE) -> pa.Table:
    """Find which of the wanted texts stand in each text.

    Args:
        texts: Arrow strings, read in blocks.
        wanted: the texts that are looked for.
        min_share: the share of the n-grams of a wanted text that must stand in a text.

    Returns:
        table of `FOUND_SCHEMA`, sorted by text and wanted: the indices of both, the distinct n-grams of the wanted
        text, and how many of them, and which share, the text has.
    """
    tables = [FOUND_SCHEMA.empty_table()]
    for characters in hash_words(texts, split_characters):
        hashes, text = distinct_ngrams(characters)
        begin, end = (np.searchsorted(wanted.hashes, hashes, side=side) for side in ("left", "right"))
        times = end - begin
        # Every wanted text that has the n-gram: consecutive entries of the sorted hashes.
        entry = np.repeat(begin - np.cumsum(times) + times, times) + np.arange(times.sum())
        # One number for each pair: unique rows of two columns take ten times as long.
        count = max(1, len(wanted.ngrams))
        pairs, shared = np.unique(np.repeat(text, times) * count + wanted.wanted[entry], return_counts=True)
        of_text, of_wanted = np.divmod(pairs, count)
        ngrams = wanted.ngrams[of_wanted]
        enough = shared >= min_share * ngrams
        columns = [of_text[enough], of_wanted[enough], ngrams[enough], shared[enough], shared[enough] / ngrams[enough]]
        tables.append(
            pa.table(
                [pa.array(c).cast(f.type) for c, f in zip(columns, FOUND_SCHEMA, strict=True)], schema=FOUND_SCHEMA
            )
        )
    return pa.concat_tables(tables)


def matching_lines(lines: Sequence[str], texts: Iterable[str], *, min_share: float = MIN_SHARE) -> list[bool]:
    """Return which lines stand in some texts: most of their n-grams do, or a line shorter than these as a whole.

    The texts are joined, since one of them may be a line of a page whose lines are broken elsewhere.
    """
    known = "".join(split_characters("\n".join(texts)))
    grams = {known[start : start + SIZE] for start in range(len(known) - SIZE + 1)}
    found = []
    for line in lines:
        characters = "".join(split_words(line))
        of_line = [characters[start : start + SIZE] for start in range(len(characters) - SIZE + 1)]
        if of_line:
            found.append(sum(gram in grams for gram in of_line) >= min_share * len(of_line))
        else:
            found.append(bool(characters) and characters in known)
    return found


def split_characters(text: str) -> list[str]:
    """Split a text into its letters and digits, without white space and punctuation."""
    return list("".join(split_words(text)))


def distinct_ngrams(characters: Words) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct n-grams of each text, uint64 [m], and the index of the text of each, int64 [m]."""
    hashes, starts = characters.ngrams(SIZE)
    text = characters.first + characters.text_of(starts)
    order = np.lexsort((hashes, text))
    hashes, text = hashes[order], text[order]
    first = np.ones(len(hashes), bool)
    first[1:] = (hashes[1:] != hashes[:-1]) | (text[1:] != text[:-1])
    return hashes[first], text[first]
