"""Gather all texts of a row, whatever columns they are in: questions, options, answers.

Columns of any type count, also lists and structs of strings. Columns with bytes do not: they hold images, and beside
them only the names of files. Strings that are images in base64 are left out, as are nulls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.sources.conform import is_binary, is_list, is_text, lists_of, plain

STRINGS = pa.list_(pa.string())

#: Maximum length in bytes of an ASCII string without white space; a longer one is an image in base64.
MAX_WORD_LENGTH = 1000


def columns_with_strings(schema: pa.Schema) -> tuple[str, ...]:
    """Return the names of the columns that hold strings and no bytes, in the order of the file."""
    return tuple(field.name for field in schema if _nests(field.type, is_text) and not _nests(field.type, is_binary))


def strings(columns: Sequence[pa.Array], rows: int) -> pa.Array:
    """Gather the strings of each row.

    Args:
        columns: columns of any type, each of length n.
        rows: n.

    Returns:
        list<string> [n], never null: the strings of a row column by column, each in its order there.

    Raises:
        pa.ArrowException: a value cannot be read.
    """
    found = [part for column in columns for part in _leaves(column, np.arange(rows))]
    texts = pa.concat_arrays([pa.array([], pa.string()), *(leaf for leaf, _ in found)])
    row_of_text = np.concatenate([np.empty(0, np.int64), *(of_leaf for _, of_leaf in found)])
    order = np.argsort(row_of_text, kind="stable")
    return lists_of(pa.array(np.bincount(row_of_text, minlength=rows)), texts.take(pa.array(order)), STRINGS)


def _nests(kind: pa.DataType, test: Callable[[pa.DataType], bool]) -> bool:
    """Return whether a type, or one within it, passes a test."""
    if isinstance(kind, pa.BaseExtensionType):
        return _nests(kind.storage_type, test)
    if pa.types.is_dictionary(kind):
        return _nests(kind.value_type, test)
    return test(kind) or any(_nests(kind.field(index).type, test) for index in range(kind.num_fields))


def _leaves(array: pa.Array, rows: np.ndarray) -> Iterator[tuple[pa.Array, np.ndarray]]:
    """Yield the strings [m] within an array [n], and their rows, int64 [m]; `rows` are the array's, int64 [n]."""
    array = plain(array)
    if is_list(array.type):
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        yield from _leaves(array.flatten(), np.repeat(rows, lengths))
    elif pa.types.is_map(array.type):
        yield from _leaves(array.view(pa.list_(array.type.field(0))), rows)
    elif pa.types.is_struct(array.type):
        for part in array.flatten():
            yield from _leaves(part, rows)
    elif is_text(array.type):
        texts = array.cast(pa.string())
        kept = pc.fill_null(pc.invert(_is_encoded(texts)), False)
        yield texts.filter(kept), rows[kept.to_numpy(zero_copy_only=False)]


def _is_encoded(texts: pa.Array) -> pa.Array:
    """Return which strings are images in base64; null where the string is."""
    long = pc.greater(pc.binary_length(texts), MAX_WORD_LENGTH)
    return pc.and_(long, pc.and_(pc.string_is_ascii(texts), pc.invert(pc.match_substring_regex(texts, r"\s"))))
