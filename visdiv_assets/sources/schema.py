"""The normalized columns, and how the columns of a file are converted to them.

Beyond the types of `READABLE`: `images` and `strings` are never null (a row without them has an empty list), and no
entry of `images`, `texts` or `strings` is null (fields of one may be). An image known only by its path has null bytes.
`strings` gathers all texts of a row, in whatever columns they are; see `strings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from visdiv_assets.errors import SourceError, VisdivError
from visdiv_assets.sources.conform import WrongTypeError, conform, empty
from visdiv_assets.sources.image_columns import IMAGES, LOOKED_FOR, candidates, declared_images, images
from visdiv_assets.sources.interface import Kind
from visdiv_assets.sources.strings import STRINGS, columns_with_strings, strings

CRITERIA = ("relevance", "image_correspondence", "visual_dependency", "formatting")

TURN = pa.struct([("user", pa.string()), ("assistant", pa.string())])

SCHEMA = pa.schema(
    [
        ("images", IMAGES),
        ("texts", pa.list_(TURN)),
        ("source", pa.string()),
        *((f"{criterion}_ratings", pa.list_(pa.int64())) for criterion in CRITERIA),
    ]
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)

#: All columns that can be read.
READABLE = pa.schema([*SCHEMA, ("strings", STRINGS)])

_NAMES_SHOWN = 30


@dataclass(frozen=True)
class ColumnPlan:
    """The way to read normalized columns from one file; made by `plan_columns`.

    Attributes:
        columns: the names of the normalized columns.
        found: the file's columns by normalized name (only images and strings may have several); columns that are not
            in it are read as nulls.
        file: the file's name for messages.
    """

    columns: tuple[str, ...]
    found: dict[str, tuple[str, ...]]
    file: str

    @property
    def file_columns(self) -> list[str]:
        """The file's columns that must be read, each once."""
        return list(dict.fromkeys(name for names in self.found.values() for name in names))

    def normalize(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Convert a batch of the file's columns to a batch of the normalized columns.

        Raises:
            SourceError: a value cannot be converted, for example a rating of 3.5, or a text that is not UTF-8.
        """
        arrays = [self._array(column, batch) for column in self.columns]
        return pa.RecordBatch.from_arrays(arrays, schema=schema_of(self.columns))

    def _array(self, column: str, batch: pa.RecordBatch) -> pa.Array:
        target = READABLE.field(column).type
        if column not in self.found and column != "strings":
            return pa.nulls(batch.num_rows, target)
        found = self.found.get(column, ())
        given = [batch.column(name) for name in found]
        names = " and ".join(repr(name) for name in found)
        try:
            if column == "strings":
                array = strings(given, batch.num_rows)
            else:
                array = images(given) if column == "images" else conform(given[0], target)
            array.validate(full=True)
        except WrongTypeError:
            types = " and ".join(dict.fromkeys(str(one.type) for one in given))
            raise SourceError(
                f"{self.file}: column {names} is {types}, which cannot be read as {target}: write it with that type"
            ) from None
        except pa.ArrowException as error:
            raise SourceError(
                f"{self.file}: column {names} holds a value that cannot be read as {target} ({error}): "
                f"remove or correct the value"
            ) from None
        return array


def schema_of(columns: Sequence[str]) -> pa.Schema:
    """Return the schema of batches with these normalized columns.

    Raises:
        ValueError: a name is not in READABLE.
    """
    if unknown := [column for column in columns if column not in READABLE.names]:
        raise ValueError(f"unknown columns {unknown}: choose from {READABLE.names}")
    return pa.schema([READABLE.field(column) for column in columns])


def plan_columns(kind: Kind, schema: pa.Schema, columns: Sequence[str], file: str) -> ColumnPlan:
    """Plan how to read normalized columns from a file.

    Args:
        kind: subset or benchmark; for messages, and because only subsets have a strict schema (see `_strict`).
        schema: the file's Arrow schema.
        columns: normalized names, out of READABLE.
        file: the file's name for messages.

    Raises:
        SourceError: the file has no column of images (see `image_columns`), or a column appears twice or has the wrong
            type.
        ValueError: a name is not in READABLE.
    """
    schema_of(columns)
    if not (options := candidates(schema)):
        raise SourceError(_missing_message(kind, schema, file))
    strict = _strict(kind, schema)
    found = {column: _find_columns(column, strict, schema, options, file) for column in columns}
    return ColumnPlan(tuple(columns), {column: names for column, names in found.items() if names}, file)


def _strict(kind: Kind, schema: pa.Schema) -> bool:
    """Return whether `texts`, `source` and ratings must have our types: in a subset with FineVision's columns.

    In other files these names may mean anything, and only the images are read.
    """
    declared = declared_images(schema)
    return kind is Kind.SUBSET and "images" in (declared or schema.names)


def _find_columns(
    column: str, strict: bool, schema: pa.Schema, options: Sequence[tuple[str, ...]], file: str
) -> tuple[str, ...] | None:
    """Return the file's columns for a normalized one: the first candidate of a suitable type; None if there is none."""
    if column == "strings":
        options = [columns_with_strings(schema)]
    elif column != "images":
        options = [(column,)] if column in schema.names else []
    failed: VisdivError | None = None
    for names in options:
        if twice := [name for name in names if schema.names.count(name) > 1]:
            raise SourceError(f"{file} has the column {twice[0]!r} more than once: keep one")
        try:
            # On an empty batch, so that a file without rows is checked too.
            no_rows = pa.RecordBatch.from_arrays([empty(schema.field(name).type) for name in names], names=names)
            ColumnPlan((column,), {column: names}, file).normalize(no_rows)
        except VisdivError as error:
            failed = failed or error
        else:
            return names
    if failed and (strict or column == "images"):
        raise failed
    return None


def _missing_message(kind: Kind, schema: pa.Schema, file: str) -> str:
    shown = ", ".join(schema.names[:_NAMES_SHOWN]) or "none"
    more = f" and {len(schema.names) - _NAMES_SHOWN} more" if len(schema.names) > _NAMES_SHOWN else ""
    return (
        f"{file} lacks a column of images (one of {LOOKED_FOR}); columns found: {shown}{more}. "
        f"A file of {kind.value} needs one: rename the column, or leave the file out"
    )
