"""Conditions on columns of the DuckDB file, which say which images a search may find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa

from visdiv_assets.errors import InputError
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.publishing.site.report_data import open_report_data
from visdiv_assets.publishing.warehouse.images import IMAGES
from visdiv_assets.publishing.warehouse.rows import ROWS

#: Tables by their alias. A condition names a column as "images.width".
_TABLES = {"images": IMAGES, "rows": ROWS}
_ALIASES = {"images": "i", "rows": "r"}
#: Columns that name images and positions, or are long texts.
_LEFT_OUT = frozenset({"subset", "row", "image_index", "image_id", "row_in_file", "detail"})
_NUMBERS = ("INTEGER", "BIGINT", "FLOAT", "DOUBLE")
_OPERATORS = {
    "number": {"at least": ">=", "at most": "<=", "equal to": "="},
    "choice": {"is": "=", "is not": "IS DISTINCT FROM"},
    "text": {"contains": "contains", "is": "="},
    "yes or no": {"is": "="},
}


@dataclass(frozen=True)
class Field:
    """A column that a condition can be about.

    Attributes:
        name: its table and name, such as "images.width".
        kind: number, choice, text, or yes or no.
        meaning: what it holds.
        values: of a choice.
    """

    name: str
    kind: str
    meaning: str
    values: tuple[str, ...] = ()

    @property
    def operators(self) -> tuple[str, ...]:
        """What a condition on it can say."""
        return tuple(_OPERATORS[self.kind])


def fields() -> list[Field]:
    """Return the columns that conditions can be about."""
    found = []
    for table_name, table in _TABLES.items():
        for column in table.columns:
            if column.name in _LEFT_OUT:
                continue
            name = f"{table_name}.{column.name}"
            values: tuple[str, ...] = ()
            if column.type in _NUMBERS:
                kind = "number"
            elif column.type == "BOOLEAN":
                kind = "yes or no"
            elif column.type.startswith("ENUM("):
                kind, values = "choice", tuple(part.strip(" '") for part in column.type[5:-1].split(","))
            else:
                kind = "text"
            found.append(Field(name, kind, column.comment, values))
    return found


def parse_conditions(given: object) -> tuple[str, dict[str, Any]]:
    """Return SQL on `images i` and `rows r` for all conditions of a request together, with its named parameters.

    Args:
        given: a list of [column, operator, value] with the names of `fields`.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(given, list):
        raise InputError("conditions must be a list")
    known = {field.name: field for field in fields()}
    parts: list[str] = []
    parameters: dict[str, Any] = {}
    for condition in given:
        if not _is_condition(condition) or condition[0] not in known:
            raise InputError("a condition must be a list of a known column, an operator and a value")
        field, value = known[condition[0]], condition[2]
        if condition[1] not in field.operators:
            raise InputError(f"{field.name} can be {' or '.join(field.operators)}, not {condition[1]!r}")
        operator = _OPERATORS[field.kind][condition[1]]
        table, _, name = field.name.partition(".")
        column = f'{_ALIASES[table]}."{name}"'
        column = f"{column}::VARCHAR" if field.kind == "choice" else column
        parameter = f"value_{len(parameters)}"
        parts.append(
            f"contains({column}, ${parameter})" if operator == "contains" else f"{column} {operator} ${parameter}"
        )
        parameters[parameter] = _value(field, value)
    return " AND ".join(parts) or "true", parameters


def _is_condition(given: object) -> TypeGuard[list[Any]]:
    return isinstance(given, list) and len(given) == 3 and isinstance(given[0], str) and isinstance(given[1], str)


def _value(field: Field, value: object) -> object:
    kind = "true or false" if field.kind == "yes or no" else f"a {field.kind}"
    wrong = InputError(f"{field.name} is compared with {kind}, not with {value!r}")
    if field.kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise wrong
    elif field.kind == "yes or no":
        if not isinstance(value, bool):
            raise wrong
    elif not isinstance(value, str) or (field.values and value not in field.values):
        raise wrong
    return value


@contextmanager
def allowed_by(warehouse: Path, given: object) -> Iterator[Callable[[str, pa.ChunkedArray], np.ndarray]]:
    """Open the published DuckDB file, and say which images satisfy conditions.

    Args:
        warehouse: the DuckDB file.
        given: the conditions, as for `parse_conditions`.

    Yields:
        a function that is called with a subset and image_ids [n], and returns which of them satisfy the conditions at
        one of their positions in the subset: bool [n].

    Raises:
        InputError: see `parse_conditions`.
        StorageError: the file does not exist, or cannot be read.
    """
    sql, parameters = parse_conditions(given)
    joined = 'JOIN "rows" r ON r.subset = i.subset AND r."row" = i."row"' if f"{_ALIASES['rows']}." in sql else ""
    with open_report_data(warehouse) as data:

        def allowed(subset: str, ids: pa.ChunkedArray) -> np.ndarray:
            found = data.table(
                f"SELECT DISTINCT i.image_id FROM images i {joined} WHERE i.subset = $subset AND ({sql})",
                subset=subset,
                **parameters,
            )
            return IdIndex(found["image_id"]).rows(ids) >= 0

        yield allowed
