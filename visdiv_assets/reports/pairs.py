"""What a report holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

#: A page with more pairs than this is neither looked at nor quick to open.
PAIRS_SHOWN = 300

#: The column that says how close a pair is: the page is ordered by it, and its slider sets a bound on it.
SIMILARITY = "similarity"

Value: TypeAlias = float | int | str | bool | None


@dataclass(frozen=True)
class PictureRef:
    """One picture of a pair.

    Attributes:
        place: the subset or benchmark that it is in.
        row: its row there, from 0.
        image_index: its index in the row, from 0.
        image_id: its identity.
        data: the encoded picture; None if it cannot be had.
        note: a text to show beside it, such as its row's; of any length and content.
    """

    place: str
    row: int
    image_index: int
    image_id: str
    data: bytes | None
    note: str = ""


@dataclass(frozen=True)
class PairEntry:
    """Two pictures, and what is known about the pair.

    Attributes:
        left: one picture.
        right: the other.
        columns: further columns, by name; the page has a column for every name that any of its pairs has.
    """

    left: PictureRef
    right: PictureRef
    columns: Mapping[str, Value]

    @property
    def similarity(self) -> float | None:
        """The column of that name, if it is a finite number."""
        value = self.columns.get(SIMILARITY)
        if value is None or isinstance(value, str | bool) or not math.isfinite(value):
            return None
        return float(value)


@dataclass(frozen=True)
class Table:
    """A small table above the pairs, such as the rate in each subset.

    Attributes:
        headers: one per column.
        rows: each as long as `headers`; the first value names the row.
        caption: what the table tells.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[Value]]
    caption: str

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headers):
                raise ValueError(f"a row of {len(row)} values under {len(self.headers)} headers: {row!r:.200}")


@dataclass(frozen=True)
class Report:
    """All that a page says.

    Attributes:
        title: the heading and the window's title.
        introduction: plain sentences; an empty line begins a new paragraph.
        facts: counts, threshold, model_id, date: what must be known to read or repeat the report.
        pairs: in any order; those beyond the `PAIRS_SHOWN` closest are left out of the page.
        pairs_total: how many pairs were found, of which `pairs` may be a part.
        left_heading: what the left pictures are.
        right_heading: what the right pictures are.
        table: shown above the pairs.
    """

    title: str
    introduction: str
    facts: Mapping[str, str]
    pairs: Sequence[PairEntry]
    pairs_total: int
    left_heading: str
    right_heading: str
    table: Table | None = None

    def __post_init__(self) -> None:
        if self.pairs_total < len(self.pairs):
            raise ValueError(f"pairs_total is {self.pairs_total}, but {len(self.pairs)} pairs are given")

    def pairs_shown(self) -> list[PairEntry]:
        """The pairs of the page, the closest first; those without a similarity last, ties as given."""
        ordered = sorted(self.pairs, key=lambda pair: math.inf if pair.similarity is None else -pair.similarity)
        return ordered[:PAIRS_SHOWN]
