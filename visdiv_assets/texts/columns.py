"""Read texts from Arrow string arrays, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.errors import InputError

#: Texts converted to Python strings at a time; each may have megabytes.
BLOCK = 64
#: Maximum length of an ASCII string without white space; a longer one is an image in base64.
MAX_WORD_LENGTH = 1000

#: An array or chunked array of string or large_string, or an iterable of these.
Texts = Any


def each_text(texts: Texts) -> Iterator[str]:
    """Yield every text in order; null becomes the empty text.

    Args:
        texts: an Arrow array or chunked array of strings, or an iterable of these.

    Raises:
        InputError: an array does not hold strings.
    """
    arrays: Iterable[Any] = [texts] if isinstance(texts, pa.Array | pa.ChunkedArray) else texts
    for array in arrays:
        if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
            raise InputError(f"texts must be Arrow strings, not {array.type}: choose a column of texts")
        for start in range(0, len(array), BLOCK):
            for text in array.slice(start, BLOCK).to_pylist():
                yield text or ""


def string_columns(batch: pa.RecordBatch | pa.Table, columns: Iterable[str] | None = None) -> Iterator[pa.Array]:
    """Yield the strings in columns of any type, also those in lists and structs, such as options of a question.

    Dictionary-encoded strings are decoded. Nulls and images in base64 are dropped, so that positions in the arrays do
    not correspond to rows.

    Args:
        batch: rows of a benchmark.
        columns: names of columns (None: all).

    Raises:
        InputError: a column does not exist.
    """
    names = list(batch.schema.names) if columns is None else list(columns)
    missing = [name for name in names if name not in batch.schema.names]
    if missing:
        raise InputError(f"no column {', '.join(missing)}: the columns are {', '.join(batch.schema.names)}")
    for name in names:
        column = batch.column(name)
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            yield from _extract_strings(chunk)


def _extract_strings(array: pa.Array) -> Iterator[pa.Array]:
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from _extract_strings(array.dictionary_decode())
    elif pa.types.is_map(kind):
        yield from _extract_strings(array.keys)
        yield from _extract_strings(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _extract_strings(array.flatten())
    elif pa.types.is_struct(kind):
        for part in array.flatten():
            yield from _extract_strings(part)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        long = pc.greater(pc.binary_length(array), MAX_WORD_LENGTH)
        encoded = pc.and_(long, pc.and_(pc.string_is_ascii(array), pc.invert(pc.match_substring_regex(array, r"\s"))))
        kept = array.filter(pc.invert(encoded))
        if len(kept):
            yield kept
