"""What a page of the site holds, read from its HTML as a browser would."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


@dataclass
class ReadPage(HTMLParser):
    """The tables, links and charts of a page.

    Attributes:
        path: the file.
        tables: by their id, rows of texts, the headings first.
        numbers: by the table's id, what each cell below the headings is sorted by; None where it is no number.
        links: addresses of all links and scripts.
        tags: every element, by name and attributes.
        charts: by name, the specification with `columns` expanded to rows.
        text: all that is read, without scripts and styles.
    """

    path: Path
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    numbers: dict[str, list[list[float | None]]] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    charts: dict[str, dict[str, Any]] = field(default_factory=dict)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._table = self._chart = ""
        self._unseen = self._in_cell = False
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        self.links += [str(given[name]) for name in ("href", "src") if given.get(name)]
        if tag == "table":
            self._table = str(given["id"])
            self.tables[self._table], self.numbers[self._table] = [], []
        elif tag == "tr":
            self.tables[self._table].append([])
            self.numbers[self._table].append([])
        elif tag in ("td", "th"):
            self._in_cell = True
            self.tables[self._table][-1].append("")
            number = given.get("data-number")
            self.numbers[self._table][-1].append(None if number is None else float(number))
        elif tag in ("script", "style"):
            self._unseen = True
            self._chart = str(given.get("id") or "").removesuffix("-data")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False
        elif tag in ("script", "style"):
            self._unseen, self._chart = False, ""

    def handle_data(self, data: str) -> None:
        if self._chart:
            self.charts[self._chart] = _expanded(json.loads(data))
        if self._unseen:
            return
        self.text += data
        if self._in_cell:
            cell = self.tables[self._table][-1]
            cell[-1] = (cell[-1] + data).strip()

    def column(self, table: str, heading: str) -> list[str]:
        """The texts below a heading."""
        headings, *rows = self.tables[table]
        return [row[headings.index(heading)] for row in rows]

    def values(self, table: str, heading: str) -> list[float | None]:
        """The numbers below a heading."""
        headings = self.tables[table][0]
        return [row[headings.index(heading)] for row in self.numbers[table][1:]]

    @property
    def policy(self) -> str:
        """What the page may load and run."""
        found = [given["content"] for tag, given in self.tags if given.get("http-equiv") == "Content-Security-Policy"]
        return str(found[0])

    @property
    def words(self) -> str:
        """The text with single spaces."""
        return re.sub(r"\s+", " ", self.text)


def _expanded(chart: dict[str, Any]) -> dict[str, Any]:
    columns = {
        name: [None if code < 0 else column["levels"][code] for code in column["codes"]]
        if isinstance(column, dict)
        else column
        for name, column in chart["columns"].items()
    }
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    assert len(rows) == chart["rows"] or not columns
    return {**chart, "values": rows}
