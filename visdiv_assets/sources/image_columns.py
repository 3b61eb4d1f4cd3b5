"""Where a file keeps its images, and how the shapes that benchmarks give them become one list a row.

FineVision's subsets have one column, `images`, a list of images. Other data sets use, looked for in this order (what
holds several images a row before what holds one):

1. `images`
2. `image_list`
3. numbered columns, `image_0`, `image_1`, ..., in the order of their numbers; gaps are fine
4. `query_image`, then `choice_image_0`, `choice_image_1`, ... in the order of their numbers
5. `decoded_image`
6. `image`

A column of strings comes after all others, because `image` is often the path of what `decoded_image` holds; a
column of nothing but nulls comes last. A column or group whose type cannot hold images is passed over.

In each of them an image may be a struct of bytes and path, bytes alone, or a string: base64, with or without a
data-URI prefix. A string that is not base64 stands for its own UTF-8 bytes, so that it is later found to be no image
rather than lost. An empty string is no image, like a null one. Each column may hold single images or lists of them.

An image's `image_index` is its place in the row's list of existing images. In the single columns a null is no
image; in groups of columns (3 and 4), so is an entry with neither bytes nor path. A null within a list is an entry
without bytes: lists have no gaps.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.sources.conform import IMAGE, conform, is_list, is_text, lists_of, plain

IMAGES = pa.list_(IMAGE)

#: What messages say of the places looked in.
LOOKED_FOR = "images, image_list, image_0 (and so on), query_image, decoded_image, image"

_DATA_URI = re.compile(r"data:[^,]*;\s*base64\s*,", re.IGNORECASE)


def candidates(schema: pa.Schema) -> list[tuple[str, ...]]:
    """Columns or groups of columns that may hold a file's images, the one to prefer first.

    Args:
        schema: the file's Arrow schema.
    """
    names = list(dict.fromkeys(schema.names))
    query = [name for name in names if name == "query_image"]
    groups = [
        *((name,) for name in ("images", "image_list") if name in names),
        _numbered("image_", names),
        (*query, *_numbered("choice_image_", names)),
        *((name,) for name in ("decoded_image", "image") if name in names),
    ]
    found = [group for group in groups if group]
    return sorted(found, key=lambda group: min(_rank(schema.field(schema.names.index(name)).type) for name in group))


def images(columns: Sequence[pa.Array]) -> pa.Array:
    """Images in any accepted shape as one list a row.

    Args:
        columns: the columns of a group, or a single one, each of length n.

    Returns:
        list<struct<bytes, path>> [n], never null.

    Raises:
        WrongTypeError: a column's type cannot hold images.
        pa.ArrowException: a value cannot be read.
    """
    lists = [_lists(column) for column in columns]
    return lists[0] if len(lists) == 1 else _side_by_side(lists)


def _numbered(prefix: str, names: Sequence[str]) -> tuple[str, ...]:
    numbers = {name: match[1] for name in names if (match := re.fullmatch(rf"{prefix}([0-9]+)", name))}
    return tuple(sorted(numbers, key=lambda name: (int(numbers[name]), name)))


def _rank(kind: pa.DataType) -> int:
    """0 for what holds bytes, 1 for strings, 2 for nothing but nulls."""
    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif pa.types.is_dictionary(kind) or is_list(kind):
            kind = kind.value_type
        else:
            return 1 if is_text(kind) else 2 if pa.types.is_null(kind) else 0


def _lists(array: pa.Array) -> pa.Array:
    """One column as lists of images, never null."""
    array = plain(array)
    if pa.types.is_null(array.type):
        array = pa.nulls(len(array), IMAGES)
    if is_list(array.type):
        if is_text(plain(array.flatten()).type):
            array = _list_of_bytes(array)
        lists = conform(array, IMAGES)
        return lists if lists.null_count == 0 else lists_of(pc.list_value_length(lists), lists.flatten(), IMAGES)
    if is_text(array.type):
        array = _from_base64(array)
    # One image a row: a null one is a row without images.
    entries = conform(array, IMAGE)
    if array.null_count:
        entries = entries.filter(array.is_valid())
    return lists_of(pc.cast(array.is_valid(), pa.int32()), entries, IMAGES)


def _list_of_bytes(array: pa.Array) -> pa.Array:
    entries = _from_base64(plain(array.flatten()))
    return lists_of(pc.list_value_length(array), entries, pa.list_(pa.binary()), mask=array.is_null())


def _side_by_side(columns: Sequence[pa.Array]) -> pa.Array:
    """The lists of several columns as one a row, in the columns' order, without positions that do not exist."""
    count = len(columns[0])
    rows = [np.repeat(np.arange(count), column.value_lengths().to_numpy(zero_copy_only=False)) for column in columns]
    entries = pa.concat_arrays([column.flatten() for column in columns])
    exists = np.zeros(len(entries), bool)
    for field in ("bytes", "path"):
        lengths = pc.binary_length(pc.struct_field(entries, field))
        exists |= pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False) > 0
    row_of_entry = np.concatenate(rows)
    order = np.argsort(row_of_entry, kind="stable")
    order = order[exists[order]]
    lengths = np.bincount(row_of_entry[order], minlength=count)
    return lists_of(pa.array(lengths), entries.take(pa.array(order)), IMAGES)


def _from_base64(strings: pa.Array) -> pa.Array:
    """Strings [n] as the bytes [n] that they stand for, null where they are null or empty."""
    return pa.array([_decoded(string) if string else None for string in strings.to_pylist()], pa.binary())


def _decoded(string: str) -> bytes:
    """What a base64 string stands for, its own UTF-8 if it is not base64; line breaks and lost padding are forgiven."""
    match = _DATA_URI.match(string)
    text = "".join((string[match.end() :] if match else string).split()).translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return string.encode()


_URL_SAFE = str.maketrans("-_", "+/")
