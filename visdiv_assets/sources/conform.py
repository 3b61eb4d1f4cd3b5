"""Giving Arrow arrays the types that the normalized columns are made of, whatever types a writer chose."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


class WrongTypeError(Exception):
    """An array's type cannot stand for the one wanted."""


def conform(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Give an array one of the types that the normalized columns are made of; copies only where the type differs.

    Args:
        array: length n.
        target: int64, string, binary, or lists and structs of these.

    Returns:
        Length n, of type target; NaN has become null, and so have fields that a struct lacks and may lack.

    Raises:
        WrongTypeError: the array's type cannot stand for the target.
        pa.ArrowException: a value cannot.
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
    if pa.types.is_binary(target) and _is_binary(array.type):
        return array.cast(target)
    raise WrongTypeError


def plain(array: pa.Array) -> pa.Array:
    """Without the wrappings that only change how values are stored."""
    if isinstance(array.type, pa.BaseExtensionType):
        return plain(array.storage)
    if pa.types.is_dictionary(array.type):
        return plain(array.dictionary_decode())
    return array


def lists_of(lengths: pa.Array, entries: pa.Array, target: pa.DataType, *, mask: pa.Array | None = None) -> pa.Array:
    """Lists of the given lengths [n] (null: 0) over their entries end to end; null where mask [n] says."""
    ends = pc.cumulative_sum(pc.fill_null(lengths, 0).cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, entries, target, mask=mask)


def empty(kind: pa.DataType) -> pa.Array:
    """An array without values, of any type at all."""
    return pa.schema([("column", kind)]).empty_table().column(0).combine_chunks()


def is_list(kind: pa.DataType) -> bool:
    """Whether the type is one of lists, however their offsets are stored."""
    tests = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(getattr(pa.types, test)(kind) for test in tests)


def is_text(kind: pa.DataType) -> bool:
    """Whether the type is one of strings."""
    return any(getattr(pa.types, test)(kind) for test in ("is_string", "is_large_string", "is_string_view"))


def _is_binary(kind: pa.DataType) -> bool:
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
    """Structs with the target's fields; a null struct becomes one of null fields."""
    if pa.types.is_null(array.type):
        return _of_fields([pa.nulls(len(array), field.type) for field in target], target)
    if target == IMAGE and _is_binary(array.type):
        return _of_fields([conform(array, pa.binary()), pa.nulls(len(array), pa.string())], target)
    if not pa.types.is_struct(array.type):
        raise WrongTypeError
    names = [field.name for field in array.type]
    fields = []
    for field in target:
        if names.count(field.name) == 1:
            fields.append(conform(pc.struct_field(array, field.name), field.type))
        elif field.name == "path":
            fields.append(pa.nulls(len(array), field.type))
        else:
            raise WrongTypeError
    return _of_fields(fields, target)


def _of_fields(fields: list[pa.Array], target: pa.DataType) -> pa.Array:
    return pa.StructArray.from_arrays(fields, fields=list(target))
