"""The normalized columns, and how the columns of a file are converted to them.

Beyond the types of `READABLE`: `images` and `strings` are never null (a row without them has an empty list), and no
entry of `images`, `texts` or `strings` is null (fields of one may be). An image known only by its path has null bytes.
`strings` gathers all texts of a row, in whatever columns they are; see `strings`. A text, source or rating that cannot
be read is null, and `unread` counts those of the texts and ratings of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.errors import SourceError
from visdiv_assets.sources.conform import (
    WrongTypeError,
    conform,
    empty,
    is_list,
    lists_of,
    plain,
    rows_of_entries,
    without_broken_text,
)
from visdiv_assets.sources.conversations import TEXT_COLUMNS, TURNS, read_turns
from visdiv_assets.sources.image_columns import IMAGES, LOOKED_FOR, candidates, columns_by_content, images
from visdiv_assets.sources.interface import ColumnsTaken, Kind
from visdiv_assets.sources.reading import Reading
from visdiv_assets.sources.strings import STRINGS, columns_with_strings, strings

CRITERIA = ("relevance", "image_correspondence", "visual_dependency", "formatting")

RATINGS = pa.list_(pa.int64())

SCHEMA = pa.schema(
    [
        ("images", IMAGES),
        ("texts", TURNS),
        ("source", pa.string()),
        *((f"{criterion}_ratings", RATINGS) for criterion in CRITERIA),
    ]
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)

#: The number of texts and ratings of a row that cannot be read.
UNREAD = "unread"

#: All columns that can be read.
READABLE = pa.schema([*SCHEMA, ("strings", STRINGS), (UNREAD, pa.int32())])

#: Rows from which the columns of images are found if their names and the file's features do not tell.
PEEKED_ROWS = 8

#: Whole numbers below this are exact as float64.
_MAX_WHOLE = 2.0**53

_NAMES_SHOWN = 30


@dataclass(frozen=True)
class Peek:
    """Access to a file's content, for files whose schema does not tell where the images are.

    Attributes:
        rows: returns the first rows of some columns, at most `PEEKED_ROWS`; None if the file has none.
        is_file: whether a path leads to a file that rows may name.
    """

    rows: Callable[[Sequence[str]], pa.RecordBatch | None]
    is_file: Callable[[str], bool]


@dataclass(frozen=True)
class ColumnPlan:
    """The way to read normalized columns from one file; made by `plan_columns`.

    Attributes:
        columns: the names of the normalized columns.
        found: the file's columns by normalized name (only images, texts and strings may have several); columns that
            are not in it are read as nulls.
        file: the file's name for messages.
        wrong: the types of the file's texts, source and ratings that cannot be read, by the name of the column.
        captions: whether texts that are no conversations are answers, because the user named their column.
        names: all columns of the file.
    """

    columns: tuple[str, ...]
    found: dict[str, tuple[str, ...]]
    file: str
    wrong: dict[str, str] = field(default_factory=dict)
    captions: bool = False
    names: tuple[str, ...] = ()

    @property
    def file_columns(self) -> list[str]:
        """The file's columns that must be read, each once."""
        return list(dict.fromkeys(name for names in self.found.values() for name in names))

    def normalize(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Convert a batch of the file's columns to a batch of the normalized columns.

        Raises:
            SourceError: an image cannot be converted.
        """
        unread = np.full(batch.num_rows, len(self.wrong), np.int32)
        arrays = {}
        for column in self.columns:
            if column != UNREAD:
                arrays[column], broken = self._array(column, batch)
                if column not in ("images", "strings", "source"):
                    unread += broken
        arrays[UNREAD] = pa.array(unread)
        return pa.RecordBatch.from_arrays([arrays[column] for column in self.columns], schema=schema_of(self.columns))

    def _array(self, column: str, batch: pa.RecordBatch) -> tuple[pa.Array, np.ndarray]:
        """Return a normalized column, and which rows have a value that cannot be read: bool [rows]."""
        if column not in self.found and column != "strings":
            return pa.nulls(batch.num_rows, READABLE.field(column).type), np.zeros(batch.num_rows, bool)
        names = self.found.get(column, ())
        given = [batch.column(name) for name in names]
        try:
            array, broken = self._convert(column, given, batch.num_rows)
            array.validate(full=True)
        except (pa.ArrowInvalid, UnicodeDecodeError):
            fixed, bad = zip(*map(without_broken_text, given), strict=True)
            array, broken = self._convert_again(column, fixed, batch.num_rows)
            broken = broken | np.logical_or.reduce(bad)
        except WrongTypeError:
            types = " and ".join(dict.fromkeys(str(one.type) for one in given))
            raise SourceError(
                f"{self.file}: column {_quoted(names)} is {types}, which cannot be read as "
                f"{READABLE.field(column).type}: write it with that type"
            ) from None
        return array, broken

    def _convert_again(self, column: str, given: Sequence[pa.Array], rows: int) -> tuple[pa.Array, np.ndarray]:
        try:
            array, broken = self._convert(column, given, rows)
            array.validate(full=True)
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise SourceError(
                f"{self.file}: column {_quoted(self.found.get(column, ()))} holds a value that cannot be read as "
                f"{READABLE.field(column).type} ({error}): remove or correct the value"
            ) from None
        return array, broken

    def _convert(self, column: str, given: Sequence[pa.Array], rows: int) -> tuple[pa.Array, np.ndarray]:
        if column == "texts":
            return read_turns(given, captions=self.captions)
        if column.endswith("_ratings"):
            return _ratings(given[0])
        if column == "images":
            array = images(given)
        else:
            array = strings(given, rows) if column == "strings" else conform(given[0], READABLE.field(column).type)
        return array, np.zeros(rows, bool)


def schema_of(columns: Sequence[str]) -> pa.Schema:
    """Return the schema of batches with these normalized columns.

    Raises:
        ValueError: a name is not in READABLE.
    """
    if unknown := [column for column in columns if column not in READABLE.names]:
        raise ValueError(f"unknown columns {unknown}: choose from {READABLE.names}")
    return pa.schema([READABLE.field(column) for column in columns])


def plan_columns(
    kind: Kind,
    schema: pa.Schema,
    columns: Sequence[str],
    file: str,
    *,
    reading: Reading | None = None,
    peek: Peek | None = None,
) -> ColumnPlan:
    """Plan how to read normalized columns from a file.

    Args:
        kind: subset or benchmark; for messages.
        schema: the file's Arrow schema.
        columns: normalized names, out of READABLE.
        file: the file's name for messages.
        reading: the columns that the user has set.
        peek: the file's content; None: only names and features tell which columns hold images.

    Raises:
        SourceError: the file has no column of images (see `image_columns`), or it appears twice or has the wrong type;
            or a column that the user has set is missing.
        ValueError: a name is not in READABLE.
    """
    schema_of(columns)
    reading = reading or Reading()
    plan = ColumnPlan(tuple(columns), {}, file, captions=bool(reading.text_columns), names=tuple(schema.names))
    options = _image_options(kind, schema, file, reading, peek)
    for column in columns:
        if column == "images":
            plan.found[column] = _first_suitable(column, schema, options, file)
        elif column == "strings":
            plan.found[column] = columns_with_strings(schema)
            _require_once(plan.found[column], schema, file)
        elif column != UNREAD:
            _add_other(plan, column, schema, _named(column, schema, file, reading), required=_is_set(column, reading))
    return plan


def columns_taken(plan: ColumnPlan) -> ColumnsTaken:
    """Return what a plan reads and does not read, for people."""
    return ColumnsTaken(
        plan.found.get("images", ()),
        plan.found.get("texts", ()),
        tuple(sorted(plan.wrong.items())),
        tuple(name for name in plan.names if name not in plan.file_columns),
    )


def _ratings(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return ratings [n] as lists of integers, with null for other numbers, and which rows had one: bool [n]."""
    array = plain(array)
    broken = np.zeros(len(array), bool)
    if is_list(array.type) and pa.types.is_floating(plain(array.flatten()).type):
        entries = plain(array.flatten()).cast(pa.float64()).to_numpy(zero_copy_only=False)
        whole = np.abs(entries) < _MAX_WHOLE
        whole[whole] = entries[whole] == np.rint(entries[whole])
        broken[rows_of_entries(array)[~whole & ~np.isnan(entries)]] = True
        kept = pa.array(np.where(whole, entries, 0), pa.float64(), mask=~whole)
        array = lists_of(pc.list_value_length(array), kept, pa.list_(pa.float64()), mask=array.is_null())
    return conform(array, RATINGS), broken


def _image_options(
    kind: Kind, schema: pa.Schema, file: str, reading: Reading, peek: Peek | None
) -> list[tuple[str, ...]]:
    """Return the columns or groups of columns that may hold the images, the preferred one first."""
    if reading.image_columns:
        _require(reading.image_columns, schema, file, "VISDIV_IMAGE_COLUMNS")
        return [reading.image_columns]
    if options := candidates(schema):
        return options
    names = [name for name in schema.names if schema.names.count(name) == 1]
    rows = peek.rows(names) if peek is not None and names else None
    if peek is not None and rows is not None and (found := columns_by_content(rows, peek.is_file)):
        return [found]
    raise SourceError(_missing_message(kind, schema, file))


def _named(column: str, schema: pa.Schema, file: str, reading: Reading) -> list[tuple[str, ...]]:
    if _is_set(column, reading):
        _require(reading.text_columns, schema, file, "VISDIV_TEXT_COLUMNS")
        return [reading.text_columns]
    names = TEXT_COLUMNS if column == "texts" else (column,)
    return [(name,) for name in names if name in schema.names]


def _is_set(column: str, reading: Reading) -> bool:
    return column == "texts" and bool(reading.text_columns)


def _require(names: Sequence[str], schema: pa.Schema, file: str, variable: str) -> None:
    if missing := [name for name in names if name not in schema.names]:
        raise SourceError(f"{file} has no column {missing[0]!r}, columns found: {_shown(schema)}: correct {variable}")


def _add_other(
    plan: ColumnPlan, column: str, schema: pa.Schema, options: Sequence[tuple[str, ...]], *, required: bool
) -> None:
    """Add texts, source or ratings to a plan: the first option of a suitable type, else the type that it has.

    Of a file whose other columns are not FineVision's, a name may mean anything; what cannot be read is null.
    """
    try:
        if options:
            plan.found[column] = _first_suitable(column, schema, options, plan.file)
    except SourceError:
        if required:
            raise
        first = options[0][0]
        plan.wrong[column] = f"{first} is {schema.field(schema.names.index(first)).type}"


def _first_suitable(column: str, schema: pa.Schema, options: Sequence[tuple[str, ...]], file: str) -> tuple[str, ...]:
    """Return the first option of a suitable type."""
    failed: SourceError | None = None
    for names in options:
        _require_once(names, schema, file)
        try:
            # On an empty batch, so that a file without rows is checked too.
            no_rows = pa.RecordBatch.from_arrays([empty(schema.field(name).type) for name in names], names=names)
            ColumnPlan((column,), {column: names}, file).normalize(no_rows)
        except SourceError as error:
            failed = failed or error
        else:
            return names
    raise failed or SourceError(f"{file} has no column of {column}")


def _require_once(names: Sequence[str], schema: pa.Schema, file: str) -> None:
    if twice := [name for name in names if schema.names.count(name) > 1]:
        raise SourceError(f"{file} has the column {twice[0]!r} more than once: keep one")


def _quoted(names: Sequence[str]) -> str:
    return " and ".join(repr(name) for name in names)


def _shown(schema: pa.Schema) -> str:
    shown = ", ".join(schema.names[:_NAMES_SHOWN]) or "none"
    return shown + (f" and {len(schema.names) - _NAMES_SHOWN} more" if len(schema.names) > _NAMES_SHOWN else "")


def _missing_message(kind: Kind, schema: pa.Schema, file: str) -> str:
    return (
        f"{file} lacks a column of images (one of {LOOKED_FOR}, or one whose first rows hold images); columns found: "
        f"{_shown(schema)}. A file of {kind.value} needs one: name it in VISDIV_IMAGE_COLUMNS, or leave the file out"
    )
