"""Conditions on columns of the DuckDB file, which say which images a search may find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        if not isinstance(condition, list) or len(condition) != 3 or condition[0] not in known:
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


def _value(field: Field, value: object) -> object:
    wrong = InputError(f"{field.name} is compared with a {field.kind}, not with {value!r}")
    if field.kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise wrong
    elif field.kind == "yes or no":
        if not isinstance(value, bool):
            raise wrong
    elif not isinstance(value, str) or (field.values and value not in field.values):
        raise wrong
    return value


@dataclass(frozen=True)
class Conditions:
    """Says which images satisfy conditions, by the published DuckDB file.

    Attributes:
        warehouse: the DuckDB file.
        sql: the conditions, as `parse_conditions` returns them.
        parameters: their parameters.
    """

    warehouse: Path
    sql: str
    parameters: Mapping[str, Any]

    def allowed(self, subset: str, ids: pa.ChunkedArray) -> np.ndarray:
        """Return which images of a subset satisfy the conditions at one of their positions: bool [n].

        Args:
            subset: the subset.
            ids: their image_ids [n].

        Raises:
            StorageError: the file does not exist, or cannot be read.
        """
        with open_report_data(self.warehouse) as data:
            found = data.table(
                f'SELECT DISTINCT i.image_id FROM images i JOIN "rows" r ON r.subset = i.subset AND r."row" = i."row" '
                f"WHERE i.subset = $subset AND ({self.sql})",
                subset=subset,
                **self.parameters,
            )
        return IdIndex(found["image_id"]).rows(ids) >= 0
