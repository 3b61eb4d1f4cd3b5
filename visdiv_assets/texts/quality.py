"""Measures of the quality of texts: length, repetition, special characters, refusals and empty answers.

Repetition is measured as in Gopher's filter (Rae et al. 2021, "Scaling Language Models", table A1), which
huggingface/datatrove has as `GopherRepetitionFilter`. Where those count characters, words are counted here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.texts.columns import each_text
from visdiv_assets.texts.ngrams import Words, hash_words, split_words

#: Words of the n-grams of which the most frequent is counted, and of those that must not repeat.
TOP_WORDS, REPEATED_WORDS = 3, 5

#: Characters from the beginning of an answer in which a refusal is looked for.
REFUSAL_CHARACTERS = 200

#: Characters of texts whose runs are counted at a time; each takes 4 bytes, and a run some 24.
BLOCK_CHARACTERS = 4 << 20

_REFUSALS = Path(__file__).with_name("refusals.txt")
#: Neither letters, marks, digits nor white space, for RE2.
_SPECIAL = r"[^\p{L}\p{M}\p{N}\p{Z}\t-\r\x1c-\x1f\x85]"
#: All characters of white space, as code points.
_SPACES = np.array([code for code in range(0x3001) if chr(code).isspace()], np.uint32)

#: The measures of a text, and their types.
MEASURES = {
    "characters": pa.int32(),
    "words": pa.int32(),
    "repeated_lines": pa.float32(),
    "top_ngram": pa.float32(),
    "repeated_ngrams": pa.float32(),
    "longest_run": pa.int32(),
    "special_characters": pa.float32(),
}


def measure_texts(texts: pa.Array) -> dict[str, pa.Array]:
    """Measure texts.

    Args:
        texts: strings [n]; null counts as the empty text.

    Returns:
        arrays [n] by the names of `MEASURES`, of their types:

        - characters: code points.
        - words: as n-grams are made of: letters and digits in a row, or one Chinese or Japanese character.
        - repeated_lines: share of the lines that an earlier line equals, blank ones and white space around them left
          out.
        - top_ngram: number of words in occurrences of the most frequent 3-word n-gram by the number of words, at most
          1; 0 if no n-gram occurs twice.
        - repeated_ngrams: share of the words in 5-word n-grams that occur earlier in the text.
        - longest_run: length of the longest run of one character, white space left out.
        - special_characters: share of the characters that are neither letters, digits nor white space.
    """
    texts = pc.fill_null(texts, "")
    characters = pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
    special = pc.count_substring_regex(texts, _SPECIAL).to_numpy(zero_copy_only=False)
    words, top, repeated = _count_words(texts)
    values = {
        "characters": characters,
        "words": words,
        "repeated_lines": _repeated_lines(texts),
        "top_ngram": top,
        "repeated_ngrams": repeated,
        "longest_run": _longest_runs(texts, characters),
        "special_characters": special / np.maximum(characters, 1),
    }
    return {name: pa.array(values[name]).cast(kind) for name, kind in MEASURES.items()}


def count_words(texts: pa.Array) -> np.ndarray:
    """Return the number of words of each text, int64 [n]; null has none."""
    return np.fromiter((len(split_words(text)) for text in each_text(texts)), np.int64, len(texts))


def are_empty(texts: pa.Array) -> pa.Array:
    """Return which texts are null, or only white space: bool [n]."""
    return pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(pc.fill_null(texts, ""))), 0)


def are_refusals(answers: pa.Array) -> pa.Array:
    """Return which answers begin with a pattern of `refusals.txt`, or an early sentence does: bool [n]."""
    begins = pc.utf8_slice_codeunits(pc.fill_null(answers, ""), 0, REFUSAL_CHARACTERS)
    return pc.match_substring_regex(begins, _refusal_pattern())


@cache
def _refusal_pattern() -> str:
    lines = _REFUSALS.read_text(encoding="utf-8").splitlines()
    phrases = (line for line in lines if line and not line.startswith("#"))
    return rf"(?i)(?:^|[.!?]|\n)[\s\"*]*(?:{'|'.join(phrases)})\b".replace("'", "['\u2019]")


def _repeated_lines(texts: pa.Array) -> np.ndarray:
    """Return the share of each text's lines that an earlier line equals, float64 [n]."""
    lines = pc.split_pattern(texts, "\n")
    stripped = pc.utf8_trim_whitespace(lines.flatten())
    filled = pc.not_equal(stripped, "")
    text = pc.list_parent_indices(lines).filter(filled).to_numpy(zero_copy_only=False).astype(np.int64)
    encoded = stripped.filter(filled).dictionary_encode()
    code = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    distinct = np.unique(text * max(len(encoded.dictionary), 1) + code) // max(len(encoded.dictionary), 1)
    total = np.bincount(text, minlength=len(texts))
    share: np.ndarray = 1 - np.bincount(distinct, minlength=len(texts)) / np.maximum(total, 1)
    share[total == 0] = 0
    return share


def _count_words(texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the number of words of each text, int64 [n], and its top_ngram and repeated_ngrams, float64 [n]."""
    parts = [(np.empty(0, np.int64), np.empty(0), np.empty(0))]
    for words in hash_words(texts):
        count = np.maximum(words.lengths, 1)
        covered = np.minimum(_most_frequent(words, TOP_WORDS) * TOP_WORDS, words.lengths)
        parts.append((words.lengths, covered / count, _words_repeated(words, REPEATED_WORDS) / count))
    lengths, top, repeated = (np.concatenate(part) for part in zip(*parts, strict=True))
    return lengths, top, repeated


def _sorted_ngrams(words: Words, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the n-grams of all texts sorted by text, hash and position.

    Returns:
        text of each, int64 [m]; index of its first word, int64 [m]; whether it is the first of its kind in its text,
        bool [m].
    """
    hashes, positions = words.ngrams(size)
    text = words.text_of(positions)
    order = np.lexsort((positions, hashes, text))
    hashes, text = hashes[order], text[order]
    same = (hashes[1:] == hashes[:-1]) & (text[1:] == text[:-1])
    return text, positions[order], np.append(np.ones(min(len(hashes), 1), bool), ~same)


def _most_frequent(words: Words, size: int) -> np.ndarray:
    """Return how often the most frequent n-gram of each text occurs, int64 [t]; 0 if none occurs twice."""
    text, _, first = _sorted_ngrams(words, size)
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, len(text)))
    most = np.zeros(len(words.lengths), np.int64)
    np.maximum.at(most, text[starts], counts)
    most[most < 2] = 0
    return most


def _words_repeated(words: Words, size: int) -> np.ndarray:
    """Return how many words of each text are in an n-gram that occurs earlier in it, int64 [t]."""
    _, positions, first = _sorted_ngrams(words, size)
    # A repeated n-gram covers `size` words from its position on.
    change = np.zeros(len(words.hashes) + size + 1, np.int64)
    np.add.at(change, positions[~first], 1)
    np.add.at(change, positions[~first] + size, -1)
    covered = np.flatnonzero(np.cumsum(change) > 0)
    found: np.ndarray = np.bincount(words.text_of(covered), minlength=len(words.lengths))
    return found


def _longest_runs(texts: pa.Array, characters: np.ndarray) -> np.ndarray:
    """Return the length of the longest run of one character of each text, int64 [n], white space left out."""
    longest = np.zeros(len(texts), np.int64)
    blocks = np.cumsum(characters) // BLOCK_CHARACTERS
    for part in np.split(np.arange(len(texts)), np.flatnonzero(np.diff(blocks)) + 1):
        longest[part] = _runs_of_block(texts.take(pa.array(part)), characters[part])
    return longest


def _runs_of_block(texts: pa.Array, characters: np.ndarray) -> np.ndarray:
    # White space between texts ends a run.
    codes = np.frombuffer("\n".join(texts.to_pylist()).encode("utf-32-le"), np.uint32)
    changes = np.flatnonzero(codes[1:] != codes[:-1]) + 1
    starts = np.concatenate([np.zeros(min(len(codes), 1), np.int64), changes])
    lengths = np.diff(np.append(starts, len(codes)))
    lengths[np.isin(codes[starts], _SPACES)] = 0
    ends = np.cumsum(characters + 1)
    longest = np.zeros(len(texts), np.int64)
    np.maximum.at(longest, np.minimum(np.searchsorted(ends, starts, side="right"), len(texts) - 1), lengths)
    return longest
