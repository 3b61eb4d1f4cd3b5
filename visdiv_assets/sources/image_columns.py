"""Find the columns with images in a file, and convert them to one list of images per row.

FineVision's subsets have one column, `images`, a list of images. Files of the library `datasets` (Parquet or Arrow) may
declare their columns: the schema's metadata have a key "huggingface" with the features, among them `Image` and lists of
`Image`. Declared columns come first. Otherwise, and among several declared columns, these names are looked for in this
order (columns with several images per row before columns with one):

1. `images`
2. `image_list`
3. numbered columns, `image_0`, `image_1`, ..., in the order of their numbers; gaps are allowed
4. `query_image`, then `choice_image_0`, `choice_image_1`, ... in the order of their numbers
5. `decoded_image`
6. `image`

Declared columns with none of these names are read side by side, in the order of the file.

Columns of strings come after all others, because `image` is often the path of the image in `decoded_image`; columns
that hold only nulls come last. A column or group whose type cannot hold images is skipped.

In each of these columns an image may be a struct of bytes and path, bytes, or a string in base64, with or without a
data-URI prefix. A string that is not base64 is read as its own UTF-8 bytes, so that it is reported as unreadable
instead of lost. An empty string is no image, as is null. Each column may hold single images or lists of images.

The `image_index` of an image is its index in the row's list of existing images. In single columns a null is no image;
in groups of columns, so is an entry with neither bytes nor path. A null within a list is an entry without bytes: lists
have no gaps.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.sources.conform import IMAGE, conform, is_list, is_text, lists_of, plain

IMAGES = pa.list_(IMAGE)

#: The key of a schema's metadata under which `datasets` stores the features.
FEATURES_KEY = b"huggingface"

#: The columns that are looked for, as messages list them.
LOOKED_FOR = (
    "images, image_list, image_0 (and so on), query_image, decoded_image, image, "
    "or a column that `datasets` features declare as Image"
)

_DATA_URI = re.compile(r"data:[^,]*;\s*base64\s*,", re.IGNORECASE)

#: The `_type` of lists in the features of `datasets`.
_LIST_TYPES = frozenset({"List", "LargeList", "Sequence"})


def candidates(schema: pa.Schema) -> list[tuple[str, ...]]:
    """Return the columns or groups of columns that may hold a file's images, the preferred one first.

    Args:
        schema: the file's Arrow schema.
    """
    declared = declared_images(schema)
    named = _known_groups(declared)
    rest = tuple(name for name in declared if not any(name in group for group in named))
    groups = [*_by_type(named, schema), *([rest] if rest else []), *_by_type(_known_groups(schema.names), schema)]
    return list(dict.fromkeys(groups))


def declared_images(schema: pa.Schema) -> list[str]:
    """Return the columns that the features of `datasets` declare as Image or a list of Image, in the file's order.

    Args:
        schema: the file's Arrow schema, with its metadata. Metadata that cannot be parsed declare nothing.
    """
    try:
        features = json.loads((schema.metadata or {})[FEATURES_KEY])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return []
    if not isinstance(features, dict):
        return []
    return [name for name in dict.fromkeys(schema.names) if _is_image(features.get(name))]


def images(columns: Sequence[pa.Array]) -> pa.Array:
    """Convert images in any accepted shape to one list per row.

    Args:
        columns: the columns of a group, or a single one, each of length n.

    Returns:
        list<struct<bytes, path>> [n], never null.

    Raises:
        WrongTypeError: a column's type cannot hold images.
        pa.ArrowException: a value cannot be read.
    """
    lists = [_to_lists(column) for column in columns]
    return lists[0] if len(lists) == 1 else _join_columns(lists)


def _is_image(feature: Any) -> bool:
    """Return whether a feature is Image or a list of Image, in the form of any version of `datasets`."""
    if isinstance(feature, list):
        return len(feature) == 1 and _is_image(feature[0])
    if not isinstance(feature, dict):
        return False
    return feature.get("_type") == "Image" or (
        feature.get("_type") in _LIST_TYPES and _is_image(feature.get("feature"))
    )


def _known_groups(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the known columns and groups of columns among some names, in the order of the module's docstring."""
    names = list(dict.fromkeys(names))
    query = [name for name in names if name == "query_image"]
    groups = [
        *((name,) for name in ("images", "image_list") if name in names),
        _numbered("image_", names),
        (*query, *_numbered("choice_image_", names)),
        *((name,) for name in ("decoded_image", "image") if name in names),
    ]
    return [group for group in groups if group]


def _by_type(groups: Sequence[tuple[str, ...]], schema: pa.Schema) -> list[tuple[str, ...]]:
    """Return the groups with those that hold bytes first, then strings, then only nulls."""
    return sorted(groups, key=lambda group: min(_rank(schema.field(schema.names.index(name)).type) for name in group))


def _numbered(prefix: str, names: Sequence[str]) -> tuple[str, ...]:
    numbers = {name: match[1] for name in names if (match := re.fullmatch(rf"{prefix}([0-9]+)", name))}
    return tuple(sorted(numbers, key=lambda name: (int(numbers[name]), name)))


def _rank(kind: pa.DataType) -> int:
    """Return 0 for a type that holds bytes, 1 for strings, 2 for nulls."""
    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif pa.types.is_dictionary(kind) or is_list(kind):
            kind = kind.value_type
        else:
            return 1 if is_text(kind) else 2 if pa.types.is_null(kind) else 0


def _to_lists(array: pa.Array) -> pa.Array:
    """Convert one column to lists of images, never null."""
    array = plain(array)
    if pa.types.is_null(array.type):
        array = pa.nulls(len(array), IMAGES)
    if is_list(array.type):
        if is_text(plain(array.flatten()).type):
            array = _list_of_bytes(array)
        lists = conform(array, IMAGES)
        return lists if lists.null_count == 0 else lists_of(pc.list_value_length(lists), lists.flatten(), IMAGES)
    if is_text(array.type):
        array = _decode_all(array)
    # One image per row: a null is a row without images.
    entries = conform(array, IMAGE)
    if array.null_count:
        entries = entries.filter(array.is_valid())
    return lists_of(pc.cast(array.is_valid(), pa.int32()), entries, IMAGES)


def _list_of_bytes(array: pa.Array) -> pa.Array:
    entries = _decode_all(plain(array.flatten()))
    return lists_of(pc.list_value_length(array), entries, pa.list_(pa.binary()), mask=array.is_null())


def _join_columns(columns: Sequence[pa.Array]) -> pa.Array:
    """Join the lists of several columns to one per row, in the order of the columns, without missing images."""
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


def _decode_all(strings: pa.Array) -> pa.Array:
    """Decode strings [n] to bytes [n], null where a string is null or empty."""
    return pa.array([_decode(string) if string else None for string in strings.to_pylist()], pa.binary())


def _decode(string: str) -> bytes:
    """Decode a base64 string, or return its UTF-8 if it is not base64; line breaks and lost padding are accepted."""
    match = _DATA_URI.match(string)
    text = "".join((string[match.end() :] if match else string).split()).translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return string.encode()


_URL_SAFE = str.maketrans("-_", "+/")
