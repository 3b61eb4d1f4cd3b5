"""Read texts from Arrow string arrays, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from visdiv_assets.errors import InputError

#: Texts converted to Python strings at a time; each may have megabytes.
BLOCK = 64

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
