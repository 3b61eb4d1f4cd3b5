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
that hold only nulls come last. A column or group whose type cannot hold images is skipped. In a file without any of
these, the columns whose first rows hold images are read side by side (`columns_by_content`).

In each of these columns an image may be a struct of bytes and path, bytes, or a string: an image in base64, with or
without a data-URI prefix, else the path of a file. A long string that is neither is read as the bytes it encodes, so
that it is reported as unreadable instead of lost. An empty string is no image, as is null. Each column may hold single
images or lists of images.

The `image_index` of an image is its index in the row's list of existing images. In single columns a null is no image;
in groups of columns, so is an entry with neither bytes nor path. A null within a list is an entry without bytes: lists
have no gaps.
"""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.imaging.formats import sniff
from visdiv_assets.sources.conform import IMAGE, WrongTypeError, conform, is_binary, is_list, is_text, lists_of, plain

IMAGES = pa.list_(IMAGE)

#: The key of a schema's metadata under which `datasets` stores the features.
FEATURES_KEY = b"huggingface"

#: The columns that are looked for, as messages list them.
LOOKED_FOR = (
    "images, image_list, image_0 (and so on), query_image, decoded_image, image, "
    "or a column that `datasets` features declare as Image"
)

#: Maximum length of the path of a file; a longer string is an image in base64.
MAX_PATH_LENGTH = 1000

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


def holds_strings(schema: pa.Schema, name: str) -> bool:
    """Return whether a column holds strings, which may be paths of images."""
    return _rank(schema.field(schema.names.index(name)).type) == 1


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


def columns_by_content(rows: pa.RecordBatch, is_file: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the columns whose values are images, in the order of the file.

    Columns of bytes come before columns of strings: of the latter, a value is an image in base64, or the path of a file
    that exists. A column of the type that `datasets` gives images counts if it holds no bytes yet.

    Args:
        rows: the first rows of a file.
        is_file: whether a path leads to a file that may be read.
    """
    by_bytes = [name for name in rows.schema.names if _holds_images(rows, name, None)]
    return tuple(by_bytes or [name for name in rows.schema.names if _holds_images(rows, name, is_file)])


def _holds_images(rows: pa.RecordBatch, name: str, is_file: Callable[[str], bool] | None) -> bool:
    index = rows.schema.get_field_index(name)
    if index < 0 or (_rank(rows.schema.field(index).type) != 0) == (is_file is None):
        return False
    try:
        entries = _to_lists(rows.column(index)).flatten()
        entries.validate(full=True)
    except (WrongTypeError, pa.ArrowException, UnicodeDecodeError):
        return False
    values = [value for value in entries.field("bytes").to_pylist() if value]
    paths = [path for path in entries.field("path").to_pylist() if path]
    if values:
        return any(sniff(value) is not None for value in values)
    if is_file is not None:
        return any(map(is_file, paths))
    # A struct of bytes and path, as an image without bytes is stored.
    return _is_image_struct(rows.schema.field(index).type) and (not paths or any(map(looks_like_image, paths)))


def looks_like_image(path: str) -> bool:
    """Return whether a path ends as the names of image files do."""
    kind, _ = mimetypes.guess_type(path)
    return kind is not None and kind.startswith("image/")


def _is_image_struct(kind: pa.DataType) -> bool:
    while is_list(kind) or isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind.value_type
    if not pa.types.is_struct(kind):
        return False
    types = {field.name: field.type for field in kind}
    return set(types) == {"bytes", "path"} and is_binary(types["bytes"]) and is_text(types["path"])


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
            entries = _read_strings(plain(array.flatten()))
            array = lists_of(pc.list_value_length(array), entries, IMAGES, mask=array.is_null())
        lists = conform(array, IMAGES)
        return lists if lists.null_count == 0 else lists_of(pc.list_value_length(lists), lists.flatten(), IMAGES)
    # One image per row: a null is a row without images, as is an empty string.
    if is_text(array.type):
        array = pc.if_else(pc.equal(pc.binary_length(array), 0), None, array)
    entries = _read_strings(array) if is_text(array.type) else conform(array, IMAGE)
    if array.null_count:
        entries = entries.filter(array.is_valid())
    return lists_of(pc.cast(array.is_valid(), pa.int32()), entries, IMAGES)


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


def _read_strings(strings: pa.Array) -> pa.Array:
    """Read strings [n] as images: structs of bytes and path [n], without either where a string is null or empty."""
    read = [_read(string) if string else (None, None) for string in strings.to_pylist()]
    encoded, paths = zip(*read, strict=True) if read else ((), ())
    return pa.StructArray.from_arrays(
        [pa.array(encoded, pa.binary()), pa.array(paths, pa.string())], fields=list(IMAGE)
    )


def _read(string: str) -> tuple[bytes | None, str | None]:
    """Return the bytes of an image in base64, or the path of a file; line breaks and lost padding are accepted."""
    match = _DATA_URI.match(string)
    text = "".join((string[match.end() :] if match else string).split()).translate(_URL_SAFE).rstrip("=")
    try:
        encoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        encoded = None
    if string.startswith("data:") or len(string) > MAX_PATH_LENGTH or (encoded and sniff(encoded)):
        return string.encode() if encoded is None else encoded, None
    return None, string


_URL_SAFE = str.maketrans("-_", "+/")
