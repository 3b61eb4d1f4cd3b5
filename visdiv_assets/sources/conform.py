"""Convert Arrow arrays to the types of the normalized columns, whatever types a writer chose."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


class WrongTypeError(Exception):
    """An array's type cannot be converted to the wanted type."""


def conform(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Convert an array to a type of the normalized columns; copies only where the type differs.

    Args:
        array: length n.
        target: int64, string, binary, or lists and structs of these.

    Returns:
        Length n, of type target. NaN becomes null, and so does an optional field that a struct lacks.

    Raises:
        WrongTypeError: the array's type cannot be converted.
        pa.ArrowException: a value cannot be converted.
    """
    array = plain(array)
    if pa.types.is_struct(target):
        return _struct(array, target)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    if pa.types.is_list(target):
        return _list(array, target)
    if array.type == target:
        return array
    if pa.types.is_int64(target) and pa.types.is_integer(array.type):
        return array.cast(target)
    if pa.types.is_int64(target) and pa.types.is_floating(array.type):
        numbers = array.cast(pa.float64())
        return pc.if_else(pc.is_nan(numbers), None, numbers).cast(target)
    if pa.types.is_string(target) and is_text(array.type):
        return array.cast(target)
    if pa.types.is_binary(target) and is_binary(array.type):
        return array.cast(target)
    raise WrongTypeError


def plain(array: pa.Array) -> pa.Array:
    """Return the array without extension types and dictionaries, which only change how values are stored."""
    if isinstance(array.type, pa.BaseExtensionType):
        return plain(array.storage)
    if pa.types.is_dictionary(array.type):
        return plain(array.dictionary_decode())
    return array


def without_broken_text(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Replace the strings of an array that are not UTF-8 by nulls.

    Args:
        array: length n, of any type.

    Returns:
        The array, and which of its entries had such a string: bool [n].
    """
    array = plain(array)
    broken = np.zeros(len(array), bool)
    if is_text(array.type):
        raw = array.cast(pa.large_binary()).to_pylist()
        broken |= [value is not None and not _is_utf8(value) for value in raw]
        kept = [None if bad else value for bad, value in zip(broken, raw, strict=True)]
        return pa.array(kept, pa.large_binary()).cast(pa.large_string()).cast(array.type), broken
    if is_list(array.type):
        entries, bad = without_broken_text(array.flatten())
        broken[rows_of_entries(array)[bad]] = True
        return lists_of(pc.list_value_length(array), entries, pa.list_(entries.type), mask=array.is_null()), broken
    if pa.types.is_struct(array.type) and array.type.num_fields:
        fields = []
        for field in array.flatten():
            fixed, bad = without_broken_text(field)
            fields.append(fixed)
            broken |= bad
        names = [field.name for field in array.type]
        return pa.StructArray.from_arrays(fields, names, mask=array.is_null()), broken
    return array, broken


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def lists_of(lengths: pa.Array, entries: pa.Array, target: pa.DataType, *, mask: pa.Array | None = None) -> pa.Array:
    """Return lists with the given lengths [n] (null: 0) over concatenated entries; null where mask [n] is true."""
    ends = pc.cumulative_sum(pc.fill_null(lengths, 0).cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, entries, target, mask=mask)


def rows_of_entries(lists: pa.Array) -> np.ndarray:
    """Return which of the lists [n] each of their concatenated entries is of, int64 [entries]."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(lists)), lengths)


def positions_of_entries(lengths: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return which list each entry is of, int64 [entries], and its index in that list, int64 [entries].

    Args:
        lengths: number of entries of each list [n]; null: 0.
    """
    counts = pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.repeat(np.arange(len(counts)), counts)
    return rows, np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows]


def empty(kind: pa.DataType) -> pa.Array:
    """Return an array without values, of any type."""
    return pa.schema([("column", kind)]).empty_table().column(0).combine_chunks()


def is_list(kind: pa.DataType) -> bool:
    """Return whether the type is a list type, however its offsets are stored."""
    tests = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(getattr(pa.types, test)(kind) for test in tests)


def is_text(kind: pa.DataType) -> bool:
    """Return whether the type is a string type."""
    return any(getattr(pa.types, test)(kind) for test in ("is_string", "is_large_string", "is_string_view"))


def is_binary(kind: pa.DataType) -> bool:
    """Return whether the type is a type of bytes."""
    tests = ("is_binary", "is_large_binary", "is_binary_view", "is_fixed_size_binary")
    return any(getattr(pa.types, test)(kind) for test in tests)


def _list(array: pa.Array, target: pa.DataType) -> pa.Array:
    if not is_list(array.type):
        raise WrongTypeError
    entries = array.flatten()
    if array.type == target and not (pa.types.is_struct(target.value_type) and entries.null_count):
        return array
    entries = conform(entries, target.value_type)
    return lists_of(pc.list_value_length(array), entries, target, mask=array.is_null())


def _struct(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Convert to structs with the target's fields; a null struct becomes a struct of nulls."""
    if pa.types.is_null(array.type):
        return _from_fields([pa.nulls(len(array), field.type) for field in target], target)
    if target == IMAGE and is_binary(array.type):
        return _from_fields([conform(array, pa.binary()), pa.nulls(len(array), pa.string())], target)
    if not pa.types.is_struct(array.type):
        raise WrongTypeError
    names = [field.name for field in array.type]
    fields = []
    for field in target:
        if names.count(field.name) == 1:
            fields.append(conform(pc.struct_field(array, field.name), field.type))
        elif field.name == "path" or (target == IMAGE and names.count("path") == 1):
            fields.append(pa.nulls(len(array), field.type))
        else:
            raise WrongTypeError
    return _from_fields(fields, target)


def _from_fields(fields: list[pa.Array], target: pa.DataType) -> pa.Array:
    return pa.StructArray.from_arrays(fields, fields=list(target))
