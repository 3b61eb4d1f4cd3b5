"""The normalised columns, and how the columns that a file has become them.

Promises of the normalised form, beyond the types of `SCHEMA`: `images` is never null (a row without pictures
has an empty list), and no entry of `images` or `texts` is null (its fields may be). A picture known by path
only has null bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources.interface import Kind

CRITERIA = ("relevance", "image_correspondence", "visual_dependency", "formatting")

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TURN = pa.struct([("user", pa.string()), ("assistant", pa.string())])

SCHEMA = pa.schema(
    [
        ("images", pa.list_(PICTURE)),
        ("texts", pa.list_(TURN)),
        ("source", pa.string()),
        *((f"{criterion}_ratings", pa.list_(pa.int64())) for criterion in CRITERIA),
    ]
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)

#: Columns that a file of the kind must have; any other that it lacks is read as nulls.
_REQUIRED = {Kind.SUBSET: ("images", "texts"), Kind.BENCHMARK: ("images",)}

#: Where the pictures of the kind may lie, best first.
_PICTURE_COLUMNS = {Kind.SUBSET: ("images",), Kind.BENCHMARK: ("images", "image")}

_NAMES_SHOWN = 30


class _WrongTypeError(Exception):
    """An array's type cannot stand for the one wanted."""


@dataclass(frozen=True)
class Reading:
    """How to read the asked normalised columns from one file. Made by `reading`.

    Attributes:
        kind: subset or benchmark.
        columns: normalised names asked for.
        found: normalised name -> the file's column; those asked for but not in it are read as nulls.
        file: the file's name for messages.
    """

    kind: Kind
    columns: tuple[str, ...]
    found: dict[str, str]
    file: str

    @property
    def file_columns(self) -> list[str]:
        """The file's columns that have to be read."""
        return list(self.found.values())

    def normalise(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Turn a batch of the file's columns into one of the normalised columns.

        Raises:
            VisdivError: a value cannot be kept, such as a rating of 3.5, or a text that is not UTF-8.
        """
        arrays = [self._array(column, batch) for column in self.columns]
        return pa.RecordBatch.from_arrays(arrays, schema=schema_of(self.columns))

    def _array(self, column: str, batch: pa.RecordBatch) -> pa.Array:
        target = SCHEMA.field(column).type
        if column not in self.found:
            return pa.nulls(batch.num_rows, target)
        given = batch.column(self.found[column])
        try:
            array = _pictures(given, self.kind) if column == "images" else conform(given, target)
            array.validate(full=True)
        except _WrongTypeError:
            raise VisdivError(
                f"{self.file}: column {self.found[column]!r} is {given.type}, "
                f"which cannot be read as {target}: write it again with that type"
            ) from None
        except pa.ArrowException as error:
            raise VisdivError(
                f"{self.file}: column {self.found[column]!r} holds a value that cannot be read as {target} "
                f"({error}): write it again without it"
            ) from None
        return array


def schema_of(columns: Sequence[str]) -> pa.Schema:
    """The schema of batches with these normalised columns.

    Raises:
        ValueError: a name is not in COLUMNS.
    """
    if unknown := [column for column in columns if column not in COLUMNS]:
        raise ValueError(f"unknown columns {unknown}: choose from {list(COLUMNS)}")
    return pa.schema([SCHEMA.field(column) for column in columns])


def reading(kind: Kind, schema: pa.Schema, columns: Sequence[str], file: str) -> Reading:
    """Find out how to read normalised columns from a file with this schema.

    Args:
        kind: subset or benchmark; a benchmark may keep its pictures in other columns and needs nothing else.
        schema: the file's Arrow schema.
        columns: normalised names, out of COLUMNS.
        file: the file's name for messages.

    Raises:
        VisdivError: a column that the kind needs is missing, there twice, or of the wrong type.
        ValueError: a name is not in COLUMNS.
    """
    schema_of(columns)
    found = {column: column for column in COLUMNS if column in schema.names}
    found.pop("images", None)
    # Shapes still to come (image_0 .. image_15, decoded_image, base64) belong here and in _pictures.
    if pictures := next((name for name in _PICTURE_COLUMNS[kind] if name in schema.names), None):
        found["images"] = pictures
    for column in _REQUIRED[kind]:
        if column not in found:
            raise VisdivError(_missing(kind, column, schema, file))
    found = {column: found[column] for column in columns if column in found}
    for name in found.values():
        if schema.names.count(name) > 1:
            raise VisdivError(f"{file} has the column {name!r} more than once: keep one")
    return _checked(Reading(kind, tuple(columns), found, file), schema)


def _missing(kind: Kind, column: str, schema: pa.Schema, file: str) -> str:
    wanted = " or ".join(repr(name) for name in (_PICTURE_COLUMNS[kind] if column == "images" else (column,)))
    shown = ", ".join(schema.names[:_NAMES_SHOWN]) or "none"
    more = f" and {len(schema.names) - _NAMES_SHOWN} more" if len(schema.names) > _NAMES_SHOWN else ""
    needs = "images and texts" if kind is Kind.SUBSET else "a column of pictures"
    return (
        f"{file} lacks the column {wanted}; columns found: {shown}{more}. "
        f"A file under {kind.value}/ needs {needs}: rename the column, or leave the file out"
    )


def _checked(plan: Reading, schema: pa.Schema) -> Reading:
    """Try the types on no rows at all, so that a file without rows is checked as well."""
    empty = pa.RecordBatch.from_arrays(
        [_empty(schema.field(name).type) for name in plan.file_columns], names=plan.file_columns
    )
    found = {}
    for column, name in plan.found.items():
        try:
            Reading(plan.kind, (column,), {column: name}, plan.file).normalise(empty)
        except VisdivError:
            # In a benchmark, a column with one of our names may mean anything: only its pictures are ours.
            if plan.kind is Kind.SUBSET or column == "images":
                raise
        else:
            found[column] = name
    return Reading(plan.kind, plan.columns, found, plan.file)


def _empty(kind: pa.DataType) -> pa.Array:
    return pa.schema([("column", kind)]).empty_table().column(0).combine_chunks()


def conform(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Give an array one of the types that SCHEMA is made of; copies only where the type differs.

    Args:
        array: length n.
        target: int64, string, binary, or lists and structs of these.

    Returns:
        Length n, of type target; NaN has become null, and so have fields that a struct lacks and may lack.

    Raises:
        _WrongTypeError: the array's type cannot stand for the target.
        pa.ArrowException: a value cannot.
    """
    array = _plain(array)
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
    if pa.types.is_string(target) and _is_text(array.type):
        return array.cast(target)
    if pa.types.is_binary(target) and _is_binary(array.type):
        return array.cast(target)
    raise _WrongTypeError


def _pictures(array: pa.Array, kind: Kind) -> pa.Array:
    """Pictures in any accepted shape as list<struct<bytes, path>> [n], never null."""
    array = _plain(array)
    target = SCHEMA.field("images").type
    if pa.types.is_null(array.type) or _is_list(array.type):
        lists = conform(array, target)
        return lists if lists.null_count == 0 else _lists(pc.list_value_length(lists), lists.flatten(), target)
    if kind is Kind.SUBSET:
        raise _WrongTypeError
    # One picture a row: a null one is a row without pictures.
    entries = conform(array, PICTURE)
    if array.null_count:
        entries = entries.filter(array.is_valid())
    return _lists(pc.cast(array.is_valid(), pa.int32()), entries, target)


def _list(array: pa.Array, target: pa.DataType) -> pa.Array:
    if not _is_list(array.type):
        raise _WrongTypeError
    entries = array.flatten()
    if array.type == target and not (pa.types.is_struct(target.value_type) and entries.null_count):
        return array
    entries = conform(entries, target.value_type)
    return _lists(pc.list_value_length(array), entries, target, mask=array.is_null())


def _lists(lengths: pa.Array, entries: pa.Array, target: pa.DataType, *, mask: pa.Array | None = None) -> pa.Array:
    """Lists of the given lengths [n] (null: 0) over their entries end to end; null where mask [n] says."""
    ends = pc.cumulative_sum(pc.fill_null(lengths, 0).cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, entries, target, mask=mask)


def _struct(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Structs with the target's fields; a null struct becomes one of null fields."""
    if pa.types.is_null(array.type):
        return _of_fields([pa.nulls(len(array), field.type) for field in target], target)
    if target == PICTURE and _is_binary(array.type):
        return _of_fields([conform(array, pa.binary()), pa.nulls(len(array), pa.string())], target)
    if not pa.types.is_struct(array.type):
        raise _WrongTypeError
    names = [field.name for field in array.type]
    fields = []
    for field in target:
        if names.count(field.name) == 1:
            fields.append(conform(pc.struct_field(array, field.name), field.type))
        elif field.name == "path":
            fields.append(pa.nulls(len(array), field.type))
        else:
            raise _WrongTypeError
    return _of_fields(fields, target)


def _of_fields(fields: list[pa.Array], target: pa.DataType) -> pa.Array:
    return pa.StructArray.from_arrays(fields, fields=list(target))


def _plain(array: pa.Array) -> pa.Array:
    """Without the wrappings that only change how values are stored."""
    if isinstance(array.type, pa.BaseExtensionType):
        return _plain(array.storage)
    if pa.types.is_dictionary(array.type):
        return _plain(array.dictionary_decode())
    return array


def _is_list(kind: pa.DataType) -> bool:
    tests = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(getattr(pa.types, test)(kind) for test in tests)


def _is_text(kind: pa.DataType) -> bool:
    return any(getattr(pa.types, test)(kind) for test in ("is_string", "is_large_string", "is_string_view"))


def _is_binary(kind: pa.DataType) -> bool:
    tests = ("is_binary", "is_large_binary", "is_binary_view", "is_fixed_size_binary")
    return any(getattr(pa.types, test)(kind) for test in tests)
