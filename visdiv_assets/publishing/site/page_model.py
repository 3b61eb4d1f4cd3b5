"""The data model of the pages of the site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from visdiv_assets.corpus.image_lookup import ImageRef
from visdiv_assets.publishing.reports.model import Value

#: Maximum rows of a table; the caption says if rows are left out.
ROWS_SHOWN = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of a table.

    Attributes:
        value: the value, by which the column is sorted.
        shown: the displayed text; None: as `text_cells.cell` formats the value.
        link: address relative to the folder of the site; empty for none.
        below: text in small letters under it, such as an interval; empty for none.
    """

    value: Value
    shown: str | None = None
    link: str = ""
    below: str = ""

    @property
    def said(self) -> str:
        """The entry on one line, for a tooltip."""
        shown = str(self.value) if self.shown is None else self.shown
        return f"{shown} ({self.below})" if self.below else shown


@dataclass(frozen=True, slots=True)
class Heading:
    """A column of a table: its name, and its meaning for the tooltip."""

    name: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table that can be sorted and filtered.

    Attributes:
        caption: description of the rows.
        headings: one per column.
        rows: one entry per column; the first one names the row.
        opened: whether the table is expanded at first.
    """

    caption: str
    headings: Sequence[Heading]
    rows: Sequence[Sequence[Entry]]
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, a summary in words, and a table of its numbers.

    Attributes:
        name: identifier, unique in its page.
        heading: text above it.
        summary: one to three sentences on what it shows.
        spec: Vega-Lite specification without data. A color such as "$ink" is replaced by that of the page.
        data: the rows that it draws.
        grid: the numbers as a table; None if another table of the page has them.
    """

    name: str
    heading: str
    summary: str
    spec: dict[str, Any]
    data: pa.Table
    grid: Grid | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Images that belong together; those of a blurred group are shown when a person points at them."""

    heading: str
    about: str
    images: Sequence[ImageRef]
    blurred: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page; if it has no content, `nothing` says what to run."""

    heading: str
    paragraphs: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    charts: Sequence[Chart] = ()
    grids: Sequence[Grid] = ()
    groups: Sequence[Group] = ()
    nothing: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A file of the site."""

    file: str
    title: str
    introduction: str
    sections: Sequence[Section] = field(default_factory=tuple)


def share(part: float | None, low: float | None = None, high: float | None = None, *, link: str = "") -> Entry:
    """Make an entry for a share in percent, with its interval if there is one."""
    if part is None:
        return Entry(None)
    interval = "" if low is None or high is None else f"{100 * low:.2f} to {100 * high:.2f}"
    return Entry(part, percent(part), link, interval)


def percent(part: float) -> str:
    """Format a share: 0.0123 as 1.23 %; a share that is not 0 is never shown as 0."""
    if 0 < part < 0.00005:
        return "< 0.01 %"
    return f"{100 * part:.2f} %"


def count(number: int | None) -> Entry:
    """Make an entry for a count."""
    return Entry(number, None if number is None else f"{number:,}")


def number(value: float | None, decimals: int = 1) -> Entry:
    """Make an entry for a measured number."""
    return Entry(value, None if value is None else f"{value:,.{decimals}f}")
