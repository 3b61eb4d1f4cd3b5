"""The page on texts of benchmarks in the questions and answers of subsets."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.publishing.site import charts, heat_maps
from visdiv_assets.publishing.site.page_model import (
    ROWS_SHOWN,
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

_RATES = """
SELECT subset, benchmark, ngram_size, "rows", rows_matched, rows_half_matched, rate, ci_low, ci_high
FROM text_contamination_rates WHERE benchmark <> 'ALL' AND rate IS NOT NULL
ORDER BY ngram_size DESC, rows_matched DESC, subset, benchmark
"""

#: Longest passages that are listed.
_PASSAGES = 300

_LONGEST = f"""
SELECT subset, "row", turn, side::VARCHAR AS side, benchmark, ngrams_matched, ngrams, share, longest_match
FROM text_overlaps WHERE ngram_size = $size
ORDER BY longest_match DESC, share DESC, subset, "row", turn, benchmark LIMIT {_PASSAGES}
"""

_INTRODUCTION = (
    "Questions and answers that contain texts of a benchmark: they share a run of words. A long shared run is rarely "
    "chance; 8 words may be a common phrase or the same instruction."
)


def page(corpus: Corpus) -> Page:
    """Make the page: a heat map of subsets and benchmarks, its table, and the longest passages."""
    rows = corpus.warehouse.rows_of("text_contamination_rates", _RATES)
    if not rows:
        nothing = (
            "No texts were compared with a benchmark: add benchmarks with texts to the source, then run "
            "`visdiv run --all`."
        )
        return Page("texts.html", "Texts", _INTRODUCTION, [Section("Rates", nothing=nothing)])
    sections = [Section("Subsets by benchmarks", charts=[_heat_map(rows)])]
    longest = max(row["ngram_size"] for row in rows)
    if passages := corpus.warehouse.rows(_LONGEST, size=longest):
        sections.append(Section("Longest passages", grids=[_passages(passages, longest)]))
    return Page("texts.html", "Texts", _INTRODUCTION, sections)


def _rule(size: int) -> str:
    return f"{size} words in a row are shared" if size else "a short text is shared as a whole"


def _heat_map(rows: list[dict[str, Any]]) -> Chart:
    rules = list(dict.fromkeys(_rule(row["ngram_size"]) for row in rows))
    # Of the rules that find something, the strictest one.
    shown = next((_rule(row["ngram_size"]) for row in rows if row["rows_matched"]), rules[0])
    first = [row for row in rows if _rule(row["ngram_size"]) == shown]
    found = [row for row in first if row["rows_matched"]]
    if found:
        worst = max(found, key=lambda row: row["rate"])
        summary = (
            f"A row counts if {shown}: {len(found):,} of {len(first):,} cells are not 0. The highest rate is "
            f"{percent(worst['rate'])}, of {worst['subset']} in {worst['benchmark']}. Hover over a cell for its "
            "numbers."
        )
    else:
        summary = f"No row has a text of a benchmark (a row counts if {shown})."
    drawn = pa.table(
        {
            "subset": [row["subset"] for row in rows],
            "benchmark": [row["benchmark"] for row in rows],
            "rule": [_rule(row["ngram_size"]) for row in rows],
            "value": [round(row["rate"], 6) for row in rows],
            "rate": [share(row["rate"], row["ci_low"], row["ci_high"]).said for row in rows],
            "matched": [f"{row['rows_matched']:,} of {row['rows']:,}" for row in rows],
        }
    )
    subsets, benchmarks = (heat_maps.most_first(first, column, "rows_matched") for column in ("subset", "benchmark"))
    return Chart(
        "texts",
        f"{several(len(subsets), 'subset')} by {several(len(benchmarks), 'benchmark')}",
        summary,
        heat_maps.heat_map(
            subsets,
            benchmarks,
            row="subset",
            column="benchmark",
            title="share of the rows of the subset (gray: 0)",
            tooltip={"subset": "subset", "benchmark": "benchmark", "rate": "rate (95 % interval)", "matched": "rows"},
            choice=charts.choose("rule", rules, "A row counts if", shown),
        ),
        drawn,
        _rates(rows),
    )


def _rates(rows: list[dict[str, Any]]) -> Grid:
    headings = [
        Heading("Subset"),
        Heading("Benchmark"),
        Heading("A row counts if"),
        Heading("Rate", "Share of the rows of the subset, with the 95 % interval."),
        Heading("Rows"),
        Heading("Rows, half matched", "Rows with a text of which at least half of the word runs are shared."),
    ]
    found = sorted((row for row in rows if row["rows_matched"]), key=lambda row: -row["rate"])
    table = [
        [
            Entry(row["subset"]),
            Entry(row["benchmark"]),
            Entry(_rule(row["ngram_size"])),
            share(row["rate"], row["ci_low"], row["ci_high"]),
            count(row["rows_matched"]),
            count(row["rows_half_matched"]),
        ]
        for row in found[:ROWS_SHOWN]
    ]
    return Grid(f"Rates: {len(found):,} of {len(rows):,} are not 0; listed: {len(table):,}", headings, table)


def _passages(rows: list[dict[str, Any]], size: int) -> Grid:
    headings = [
        Heading("Subset"),
        Heading("Row", "`visdiv show SUBSET ROW` prints the row with its texts."),
        Heading("Turn"),
        Heading("Side"),
        Heading("Benchmark"),
        Heading("Longest shared passage, words"),
        Heading("Share", f"Share of the runs of {size} words of the text that are in the benchmark."),
    ]
    sides = {"user": "question", "assistant": "answer"}
    table = [
        [
            Entry(row["subset"]),
            Entry(row["row"]),
            Entry(row["turn"]),
            Entry(sides[row["side"]]),
            Entry(row["benchmark"]),
            count(row["longest_match"]),
            share(row["share"]),
        ]
        for row in rows
    ]
    return Grid(f"The {len(table):,} longest shared passages, in runs of {size} words", headings, table, opened=True)
