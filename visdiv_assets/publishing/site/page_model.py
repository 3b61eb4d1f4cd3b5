"""What the pages of the site are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from visdiv_assets.corpus.image_lookup import ImageRef
from visdiv_assets.publishing.reports.model import Value

#: Rows of a table at most; what has more is cut, and says so.
ROWS_SHOWN = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of a table.

    Attributes:
        value: what it is sorted by, too.
        shown: as people read it; None: as `reports.text.cell` writes the value.
        link: address relative to the site's folder; empty: none.
        below: in small letters below it, such as its interval; empty: nothing.
    """

    value: Value
    shown: str | None = None
    link: str = ""
    below: str = ""

    @property
    def said(self) -> str:
        """All of it in one line, for a tooltip."""
        shown = str(self.value) if self.shown is None else self.shown
        return f"{shown} ({self.below})" if self.below else shown


@dataclass(frozen=True, slots=True)
class Heading:
    """A column of a table: its name, and what it means, for who points at it."""

    name: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table that can be sorted and filtered.

    Attributes:
        caption: what it lists.
        headings: one a column.
        rows: the first entry of each names the row.
        opened: whether it shows at once; else it opens below a line.
    """

    caption: str
    headings: Sequence[Heading]
    rows: Sequence[Sequence[Entry]]
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, what it says in words, and the table behind it.

    Attributes:
        name: unique in its page.
        heading: above it.
        summary: one to three sentences that say what there is to see.
        spec: Vega-Lite, without data. A color such as "$ink" is the page's, light or dark.
        data: the rows that it draws.
        grid: the same numbers to read; None where another table of the page has them.
    """

    name: str
    heading: str
    summary: str
    spec: dict[str, Any]
    data: pa.Table
    grid: Grid | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Images that belong together."""

    heading: str
    about: str
    images: Sequence[ImageRef]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page; one without anything says in `nothing` what to run."""

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
    """A share in percent, with its interval where there is one."""
    if part is None:
        return Entry(None)
    interval = "" if low is None or high is None else f"{100 * low:.2f} to {100 * high:.2f}"
    return Entry(part, percent(part), link, interval)


def percent(part: float) -> str:
    """0.0123 as 1.23 %; what is not 0 is not shown as 0."""
    if 0 < part < 0.00005:
        return "< 0.01 %"
    return f"{100 * part:.2f} %"


def count(number: int | None) -> Entry:
    """A number of things."""
    return Entry(number, None if number is None else f"{number:,}")


def number(value: float | None, decimals: int = 1) -> Entry:
    """A measured number."""
    return Entry(value, None if value is None else f"{value:,.{decimals}f}")


def several(how_many: int, thing: str, things: str = "") -> str:
    """1 subset, 2 subsets."""
    return f"{how_many:,} {thing if how_many == 1 else things or thing + 's'}"
