"""Words of a list, such as insults, in texts: a report, which drops nothing.

A list has one word or phrase per line. Whole words match, in whatever case and with whatever signs between them; in a
script without spaces an entry may occur anywhere. A list knows no context: names and words of another language match.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.curation.selection.metaclip import EntryMatcher
from visdiv_assets.curation.selection.options import read_lines
from visdiv_assets.errors import InputError
from visdiv_assets.extras import is_installed
from visdiv_assets.progress import Progress, silent
from visdiv_assets.sources.conform import positions_of_entries
from visdiv_assets.texts.columns import each_text

#: Why there is no list, and what to do, in one clause.
NO_LIST = "there is no list of words: name a file by VISDIV_BLOCKLIST, or run `pip install 'visdiv-assets[words]'`"

#: All that is neither letter, mark nor digit, for RE2.
_BETWEEN_WORDS = r"[^\p{L}\p{M}\p{N}]+"
#: Signs that an entry would lose, so that a shorter one remained and matched.
_SIGNS = r"[^\p{L}\p{M}\p{N}\p{Z}\t\n\r'-]"

#: Words in texts, one row per text and word: in questions and answers (of `user` and `assistant`) by turn, in the text
#: of images by image_index.
WORDS_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("turn", pa.int32()),
        ("image_index", pa.int32()),
        ("side", pa.string()),
        ("word", pa.string()),
    ]
)


@dataclass(frozen=True)
class WordList:
    """A list of words.

    Attributes:
        name: its file, or the package that it comes from.
        words: in lower case, with one space between the words of a phrase.
    """

    name: str
    words: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The first 32 hex characters of the SHA-256 of its words."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()[:32]

    @classmethod
    def of(cls, name: str, words: Iterable[str]) -> WordList:
        """Normalize words; those with signs beside hyphens and apostrophes are left out: signs never match.

        Raises:
            InputError: none is left.
        """
        listed = pa.array(list(words), pa.string())
        with_signs = pc.match_substring_regex(listed, _SIGNS)
        texts = _normalized(listed.filter(pc.invert(with_signs))).to_pylist()
        kept = tuple(dict.fromkeys(stripped for text in texts if (stripped := text.strip())))
        if not kept:
            raise InputError(f"{name} has no word of letters and digits: give a UTF-8 file with one per line")
        return cls(name, kept)


def open_word_list(file: str) -> WordList | None:
    """Return the list of a file; without one the English list of the package glin-profanity, None if that is missing.

    Raises:
        InputError: the file cannot be read, or has no word.
    """
    if file:
        return WordList.of(Path(file).name, read_lines(Path(file), "word or phrase"))
    if not is_installed("glin_profanity"):
        return None
    import json

    # The package's code is not run, only its data is read.
    data = files("glin_profanity.data") / "dictionaries" / "english.json"
    return WordList.of("glin-profanity, English", json.loads(data.read_text(encoding="utf-8"))["words"])


class WordFinder:
    """Finds the words of a list in texts."""

    def __init__(self, words: WordList) -> None:
        """Prepare a list."""
        self._matcher = EntryMatcher(words.words)
        self._words = pa.array(self._matcher.entries, pa.string())

    def find(self, texts: pa.Array) -> tuple[np.ndarray, pa.Array]:
        """Return each word of each text once.

        Args:
            texts: strings [n]; null has no words.

        Returns:
            the index of the text of each found word, int64 [m], ascending, and the word, string [m].
        """
        found = [self._matcher.matches(text) for text in each_text(_normalized(texts))]
        index = np.repeat(np.arange(len(found)), [len(words) for words in found])
        return index, self._words.take(pa.array(np.concatenate([np.empty(0, np.int64), *found])))

    def in_shard(
        self, batches: Iterable[pa.RecordBatch], first_row: int, progress: Progress = silent
    ) -> Iterator[pa.RecordBatch]:
        """Find words in the texts of a shard: batches of `WORDS_SCHEMA`, in order.

        Args:
            batches: its rows, with the column `texts`.
            first_row: index of its first row in the subset.
            progress: called with the number of rows finished.
        """
        for batch in batches:
            yield from self.in_turns(batch, first_row).to_batches()
            first_row += batch.num_rows
            progress(batch.num_rows)

    def in_turns(self, batch: pa.RecordBatch, first_row: int) -> pa.Table:
        """Find words in the questions and answers of some rows: rows of `WORDS_SCHEMA`, in order.

        Args:
            batch: column `texts`, the turns of each row.
            first_row: index of the first of the rows in the subset.
        """
        listed = batch.column("texts")
        texts = listed.flatten()
        row, turn = positions_of_entries(listed.value_lengths())
        tables = []
        for side in ("user", "assistant"):
            index, words = self.find(texts.field(side))
            position = [pa.array(first_row + row[index]), pa.array(turn[index].astype(np.int32))]
            columns = [*position, pa.nulls(len(index), pa.int32()), _repeat(side, len(index)), words]
            tables.append(pa.table(columns, schema=WORDS_SCHEMA))
        order = [("row", "ascending"), ("turn", "ascending"), ("side", "descending"), ("word", "ascending")]
        return pa.concat_tables(tables).sort_by(order)

    def in_images(self, images: pa.Table, texts: pa.Array) -> pa.Table:
        """Find words in the text of images: rows of `WORDS_SCHEMA`.

        Args:
            images: row, image_index [n].
            texts: the text of each [n].
        """
        index, words = self.find(texts)
        row, image = (images[name].take(pa.array(index)) for name in ("row", "image_index"))
        columns = [row, pa.nulls(len(index), pa.int32()), image, _repeat("image", len(index)), words]
        return pa.table(columns, schema=WORDS_SCHEMA)


def _repeat(side: str, count: int) -> pa.Array:
    return pa.array([side] * count, pa.string())


def _normalized(texts: pa.Array) -> pa.Array:
    """Return texts in Unicode NFKC and lower case, with one space for all between two words."""
    plain = pc.utf8_lower(pc.utf8_normalize(pc.fill_null(texts, ""), "NFKC"))
    return pc.replace_substring_regex(plain, _BETWEEN_WORDS, " ")
