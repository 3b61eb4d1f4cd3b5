"""Texts out of Arrow string arrays, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.errors import InputError

#: Texts that are Python strings at a time; each may have megabytes.
TOGETHER = 64
#: A string of ASCII without a blank that is longer than this is no text: images are stored in base64.
MAX_WORD_LENGTH = 1000

#: A string or large_string array or chunked array, or several that are drawn one after the other.
Texts = Any


def each_text(texts: Texts) -> Iterator[str]:
    """Every text in order; null is the empty text.

    Args:
        texts: an Arrow array or chunked array of strings, or an iterable of these.

    Raises:
        InputError: an array holds something else.
    """
    arrays: Iterable[Any] = [texts] if isinstance(texts, pa.Array | pa.ChunkedArray) else texts
    for array in arrays:
        if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
            raise InputError(f"texts are Arrow strings, got an array of {array.type}: choose a column of texts")
        for start in range(0, len(array), TOGETHER):
            for text in array.slice(start, TOGETHER).to_pylist():
                yield text or ""


def string_columns(batch: pa.RecordBatch | pa.Table, columns: Iterable[str] | None = None) -> Iterator[pa.Array]:
    """The texts of columns of any shape: strings, and those within lists and structs, such as answers to choose from.

    Dictionary-encoded strings are decoded. Nulls, and strings that are images in base64, are left out, so positions
    in the arrays are no rows.

    Args:
        batch: rows of a benchmark.
        columns: names to look at (None: all).

    Raises:
        InputError: a column named is not there.
    """
    names = list(batch.schema.names) if columns is None else list(columns)
    missing = [name for name in names if name not in batch.schema.names]
    if missing:
        raise InputError(f"no column {', '.join(missing)}: there are {', '.join(batch.schema.names)}")
    for name in names:
        column = batch.column(name)
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            yield from _strings_in(chunk)


def _strings_in(array: pa.Array) -> Iterator[pa.Array]:
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from _strings_in(array.dictionary_decode())
    elif pa.types.is_map(kind):
        yield from _strings_in(array.keys)
        yield from _strings_in(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _strings_in(array.flatten())
    elif pa.types.is_struct(kind):
        for part in array.flatten():
            yield from _strings_in(part)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        long = pc.greater(pc.binary_length(array), MAX_WORD_LENGTH)
        encoded = pc.and_(long, pc.and_(pc.string_is_ascii(array), pc.invert(pc.match_substring_regex(array, r"\s"))))
        kept = array.filter(pc.invert(encoded))
        if len(kept):
            yield kept
