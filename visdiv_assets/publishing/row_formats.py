"""Write rows as text for a terminal, as CSV, or as JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from wcwidth import wcwidth

from visdiv_assets.errors import printable

#: The formats; `text` is for people, the others hold all of every value.
FORMATS = ("text", "csv", "json")

#: First characters with which a spreadsheet takes a cell for a formula, full-width ones included.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")

#: Fewest columns of the terminal to which a text is shortened.
_MIN_TEXT = 8

_SHORTENED = "(… marks what was shortened: --format csv or json prints it in full)"

_SEPARATOR = 2


@dataclass(frozen=True)
class Rows:
    """Rows under named columns.

    Attributes:
        name: the name of the table.
        columns: the names of the columns.
        values: the rows, each with a value per column.
        title: what the table shows, printed above its text.
        floats: format of floating-point numbers in text.
        missing: what stands for None in text.
    """

    name: str
    columns: Sequence[str]
    values: Sequence[Sequence[Any]]
    title: str = ""
    floats: str = "g"
    missing: str = ""


def as_csv(rows: Rows) -> str:
    """Return rows as CSV with a header; an apostrophe precedes texts that a spreadsheet would take for a formula."""
    lines = _Lines()
    # With both characters in its terminator, the writer quotes texts with either of them.
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerow(map(_inert, rows.columns))
    writer.writerows(map(_inert, row) for row in rows.values)
    return "".join(f"{line}\n" for line in lines)


def as_json(rows: Rows, *, named: bool = False) -> str:
    """Return one JSON object per row and line.

    Args:
        rows: the rows.
        named: whether each object begins with the key `table`, the name of the table.
    """
    first = {"table": rows.name} if named else {}
    records = (first | dict(zip(rows.columns, row, strict=True)) for row in rows.values)
    return "".join(json.dumps(record, default=str, ensure_ascii=False) + "\n" for record in records)


def as_text(rows: Rows, width: int = 0) -> str:
    """Return rows as a table of text without an end of line: numbers to the right, control characters replaced.

    A table that is too wide has the words of its column names below each other, then its longest texts shortened, with
    a note that says so. If that does not suffice, each row is a block with one value per line, in full.

    Args:
        rows: the rows.
        width: columns of the terminal; 0: unlimited.
    """
    values = [[_shown(value) for value in row] for row in rows.values]
    # tabulate parses strings as numbers by default: it would print a subset named "1e3" as 1000.
    texts = [at for at in range(len(rows.columns)) if any(isinstance(row[at], str) for row in values)]
    table = _tabulate(rows, list(map(printable, rows.columns)), values, texts)
    if not width or max(map(_cells, table.splitlines()), default=0) <= width:
        return table
    return _narrow(rows, values, texts, width) or _blocks(rows, values)


class _Lines(list[str]):
    """Lines of CSV, as a stream to which a writer writes each."""

    def write(self, line: str) -> None:
        """Append a line without its terminator."""
        self.append(line.removesuffix("\r\n"))


def _inert(value: Any) -> Any:
    """Return a value for a spreadsheet, which would run a text that begins like a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _shown(value: Any) -> Any:
    """Return a value for the terminal: numbers as they are, all else as printable text."""
    return value if value is None or isinstance(value, (bool, int, float, Decimal)) else printable(str(value))


def _tabulate(rows: Rows, columns: Sequence[str], values: Sequence[Sequence[Any]], texts: Sequence[int]) -> str:
    from tabulate import tabulate

    return tabulate(
        values,
        columns,
        tablefmt="simple",
        floatfmt=rows.floats,
        missingval=rows.missing,
        disable_numparse=list(texts),
    )


def _narrow(rows: Rows, values: Sequence[Sequence[Any]], texts: Sequence[int], width: int) -> str:
    """Return a table that is no wider than a terminal; empty if there is none."""
    cells: list[list[str]] = []
    for at in range(len(rows.columns)):
        column = [[_one_line(row[at])] for row in values]
        # Without a name the column is as wide as its values, and numbers stand below each other by their points.
        _, ruler, *body = _tabulate(rows, [""], column, [0] if at in texts else []).split("\n")
        # tabulate removes the blanks behind numbers with fewer decimals.
        cells.append([cell.rstrip() if at in texts else cell.ljust(len(ruler)) for cell in body])
    widths = [max(map(_cells, column), default=0) for column in cells]
    names = [_stack(printable(name), wide) for name, wide in zip(rows.columns, widths, strict=True)]
    widths = [max(wide, *map(_cells, name)) for wide, name in zip(widths, names, strict=True)]
    room = width - _SEPARATOR * (len(widths) - 1)
    limits = _limits(widths, [max(map(_cells, name)) if at in texts else 0 for at, name in enumerate(names)], room)
    if limits is None:
        return ""
    shortened = [[_shorten(cell, wide) for cell in column] for column, wide in zip(cells, limits, strict=True)]
    height = max(map(len, names))
    heads = [[*[""] * (height - len(name)), *name, "-" * wide] for name, wide in zip(names, limits, strict=True)]
    padded = [
        [_pad(cell, wide, left=at in texts) for cell in (*head, *column)]
        for at, (head, column, wide) in enumerate(zip(heads, shortened, limits, strict=True))
    ]
    lines = ((" " * _SEPARATOR).join(line) for line in zip(*padded, strict=True))
    note = [] if shortened == cells else [_SHORTENED]
    return "\n".join([*(line.rstrip() for line in lines), *note])


def _stack(name: str, width: int) -> list[str]:
    """Return the lines of a column's name, whose words are below each other where they are wider than its values."""
    lines = [""]
    for word in name.replace("_", "_ ").split():
        joined = f"{lines[-1]}{'' if lines[-1].endswith('_') else ' '}{word}".strip()
        if not lines[-1] or _cells(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _limits(widths: Sequence[int], names: Sequence[int], room: int) -> list[int] | None:
    """Return the width of each column with which a table fits; None if there is none.

    The widest columns are narrowed first, all to the same width.

    Args:
        widths: the widths of the columns.
        names: the widths of the names of columns of texts; 0 for others, which are not narrowed.
        room: the columns of the terminal beside separators.
    """
    limits = list(widths)
    least = [min(wide, max(name, _MIN_TEXT)) if name else wide for wide, name in zip(widths, names, strict=True)]
    if sum(least) > room:
        return None
    for level in range(max(widths, default=0), 0, -1):
        if sum(limits) <= room:
            break
        limits = [max(small, min(wide, level)) for small, wide in zip(least, limits, strict=True)]
    return limits


def _one_line(value: Any) -> Any:
    return " ".join(value.split()) if isinstance(value, str) else value


def _pad(cell: str, width: int, *, left: bool) -> str:
    blanks = " " * max(width - _cells(cell), 0)
    return f"{cell}{blanks}" if left else f"{blanks}{cell}"


def _shorten(text: str, width: int) -> str:
    """Return a text of at most so many columns; paths keep their ends."""
    if _cells(text) <= width:
        return text
    if "/" in text and " " not in text:
        return f"…{_head(text[::-1], width - 1)[::-1]}"
    return f"{_head(text, width - 1).rstrip()}…"


def _head(text: str, width: int) -> str:
    """Return the beginning of a text, of at most so many columns."""
    used = 0
    for at, character in enumerate(text):
        used += _cells(character)
        if used > width:
            return text[:at]
    return text


def _cells(text: str) -> int:
    """Return how many columns of the terminal a text takes."""
    return sum(max(wcwidth(character), 0) for character in text)


def _blocks(rows: Rows, values: Sequence[Sequence[Any]]) -> str:
    width = max(map(len, rows.columns), default=0)
    blocks = (
        "\n".join(
            f"{printable(column):<{width}}  {_alone(value, rows)}".rstrip()
            for column, value in zip(rows.columns, row, strict=True)
        )
        for row in values
    )
    return "\n\n".join(blocks)


def _alone(value: Any, rows: Rows) -> str:
    """Return a value of a block, on one line."""
    if value is None:
        return rows.missing
    return format(value, rows.floats) if isinstance(value, float) else " ".join(str(value).split())
