"""Tables as text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def text_table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, floats: str = "g") -> str:
    """Return rows as a table.

    Args:
        headers: names of the columns.
        rows: their values.
        floats: format of floating-point numbers.
    """
    from tabulate import tabulate

    from visdiv_assets.errors import printable

    rows = [[printable(value) if isinstance(value, str) else value for value in row] for row in rows]
    # tabulate parses strings as numbers by default: it would print a subset named "1e3" as 1000.
    texts = [index for index in range(len(headers)) if any(isinstance(row[index], str) for row in rows)]
    return tabulate(rows, headers, tablefmt="simple", floatfmt=floats, disable_numparse=texts)


def arrow_table(table: pa.Table, *, floats: str = "g") -> str:
    """Return an Arrow table as text."""
    return text_table(table.column_names, [list(record.values()) for record in table.to_pylist()], floats=floats)
