"""The page on what a clean copy keeps: the decision about every row, by subset and by reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from visdiv_assets.curation.reasons import DROP_REASONS
from visdiv_assets.publishing.site import charts
from visdiv_assets.publishing.site.page_model import (
    Chart,
    Entry,
    Grid,
    Heading,
    Page,
    Section,
    count,
    percent,
    share,
)
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.wording import several

#: What each reason for dropping a row means.
MEANINGS = {
    "unreadable": "One of the images of the row cannot be read.",
    "quality": "No turn of the row reaches the minimum ratings.",
    "contaminated": "One of the images of the row is in a benchmark.",
    "text_contaminated": "One of the texts of the row is in a benchmark.",
    "duplicate": "The images of the row are copies of images in kept rows.",
    "text_duplicate": "The texts of the row repeat those of a kept row.",
    "selection": "The row is not selected by VISDIV_KEEP_BY or VISDIV_KEEP_ROWS.",
}

#: Name of the table of the lake with the decisions.
_DECIDED = "SELECT 1 FROM provenance WHERE table_name = 'curated_rows'"

_KEPT = f"""
WITH decided AS (
    SELECT DISTINCT subset FROM "rows" WHERE kept IS NOT NULL
), dropped AS (
    SELECT subset, count(*) AS dropped,
        {", ".join(f"count(*) FILTER (reason = '{name}') AS {name}" for name in DROP_REASONS)}
    FROM dropped_rows GROUP BY subset
)
SELECT s.subset, s."rows", s."rows" = 0 OR k.subset IS NOT NULL AS decided,
    CASE WHEN decided THEN s."rows" - coalesce(d.dropped, 0) END AS kept, kept / nullif(s."rows", 0) AS share,
    coalesce(d.dropped, 0) AS dropped,
    {", ".join(f"coalesce(d.{name}, 0) AS {name}" for name in DROP_REASONS)}
FROM subsets s LEFT JOIN decided k USING (subset) LEFT JOIN dropped d USING (subset)
ORDER BY dropped / greatest(s."rows", 1) DESC, s.subset
"""

_WITNESSES = """
SELECT witness_kind, witness, count(*) AS "rows", count(DISTINCT subset) AS subsets
FROM dropped_rows WHERE witness IS NOT NULL GROUP BY ALL ORDER BY "rows" DESC, witness LIMIT 200
"""

_INTRODUCTION = (
    "The rows that `visdiv export` writes, and why it leaves the others out. If several reasons apply to a row, the "
    "first of them counts."
)


def kept_rows(corpus: Corpus) -> list[dict[str, Any]]:
    """Return the rows that a clean copy keeps and drops, by subset; empty if it was not decided yet.

    Returns:
        subset, rows, decided, kept and share (None for a subset that was added after the last decision), dropped, and
        the number of dropped rows by each of `DROP_REASONS`; the subset that loses the largest share comes first.
    """
    return corpus.warehouse.rows(_KEPT) if corpus.warehouse.rows(_DECIDED) else []


def kept_facts(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return how many rows are kept, and how many are dropped by each reason that occurs."""
    decided = [row for row in rows if row["decided"]]
    total = sum(row["rows"] for row in decided)

    def said(number: int) -> str:
        return f"{number:,} ({percent(number / total)})" if total else f"{number:,}"

    facts = [("rows", f"{total:,}"), ("kept", said(sum(row["kept"] for row in decided)))]
    dropped = {name: sum(row[name] for row in rows) for name in DROP_REASONS}
    facts += [(f"dropped: {_words(name)}", said(number)) for name, number in dropped.items() if number]
    if open_rows := [row["rows"] for row in rows if not row["decided"]]:
        facts.append(("not decided yet", f"{sum(open_rows):,} rows of {several(len(open_rows), 'subset')}"))
    return facts


def _words(reason: str) -> str:
    return reason.replace("_", " ")


def page(corpus: Corpus) -> Page:
    """Make the page: the totals, a chart and a table by subset, and the witnesses."""
    rows = kept_rows(corpus)
    if not rows:
        nothing = "No rows were decided on yet: run `visdiv run --all`."
        return Page("clean_copy.html", "Clean copy", _INTRODUCTION, [Section("Rows", nothing=nothing)])
    sections = [
        Section("Total", facts=kept_facts(rows)),
        Section("By subset", charts=[_chart(rows)] if any(row["dropped"] for row in rows) else [], grids=[_grid(rows)]),
    ]
    if witnesses := corpus.warehouse.rows(_WITNESSES):
        sections.append(Section("Witnesses", grids=[_witnesses(corpus, witnesses)]))
    return Page("clean_copy.html", "Clean copy", _INTRODUCTION, sections)


def _chart(rows: list[dict[str, Any]]) -> Chart:
    drawn = [
        {
            "subset": row["subset"],
            "reason": _words(name),
            "value": round(row[name] / row["rows"], 6),
            "said": f"{row[name]:,} of {row['rows']:,} rows ({percent(row[name] / row['rows'])})",
        }
        for row in rows
        for name in DROP_REASONS
        if row[name]
    ]
    losing = [row for row in rows if row["dropped"]]
    most = losing[0]
    summary = (
        f"{several(len(losing), 'subset loses', 'subsets lose')} rows; the largest share is "
        f"{percent(most['dropped'] / most['rows'])}, of {most['subset']}. Hover over a bar for its numbers."
    )
    return Chart(
        "dropped",
        "Share of the rows that are dropped, by reason",
        summary,
        charts.stacked(
            names=[row["subset"] for row in losing],
            name="subset",
            part="reason",
            parts=[_words(name) for name in DROP_REASONS if any(row[name] for row in losing)],
            title="share of the rows of the subset",
            tooltip={"subset": "subset", "reason": "reason", "said": "dropped"},
        ),
        pa.Table.from_pylist(drawn),
    )


def _grid(rows: list[dict[str, Any]]) -> Grid:
    used = [name for name in DROP_REASONS if any(row[name] for row in rows)]
    headings = [
        Heading("Subset"),
        Heading("Rows"),
        Heading("Kept"),
        Heading("Share kept"),
        *(Heading(_words(name).capitalize(), MEANINGS[name]) for name in used),
    ]
    table = [
        [
            Entry(row["subset"], below="" if row["decided"] else "not decided yet"),
            count(row["rows"]),
            count(row["kept"]),
            share(row["share"]),
            *(count(row[name] if row["decided"] else None) for name in used),
        ]
        for row in rows
    ]
    return Grid(f"Rows kept and dropped: {several(len(rows), 'subset')}", headings, table, opened=True)


def _witnesses(corpus: Corpus, rows: list[dict[str, Any]]) -> Grid:
    headings = [
        Heading("Witness", "The benchmark or subset whose images make the rows contaminated or duplicates."),
        Heading("Kind"),
        Heading("Rows dropped"),
        Heading("Of subsets", "Number of subsets that lose rows because of it."),
    ]
    folders = {"benchmark": "leaks", "subset": "duplicates"}
    table = [
        [
            Entry(row["witness"], link=corpus.link(folders[row["witness_kind"]], row["witness"])),
            Entry(row["witness_kind"]),
            count(row["rows"]),
            count(row["subsets"]),
        ]
        for row in rows
    ]
    return Grid("Witnesses: the benchmarks and subsets because of which rows are dropped", headings, table)
