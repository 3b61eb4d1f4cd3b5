"""The page of what leaked from benchmarks."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.publishing.site import charts, heat_maps
from visdiv_assets.publishing.site.judged import judged_by_subset
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
SELECT subset, benchmark, rule, images, images_contaminated, rows_contaminated, benchmark_images,
    benchmark_images_leaked, rate, ci_low, ci_high
FROM contamination_rates WHERE rule = 'confirmed' OR threshold = $threshold
ORDER BY rule, images_contaminated DESC, subset, benchmark
"""

_CONFIRMED = "verification confirms it"

_INTRODUCTION = (
    "How much of each subset is in a benchmark. Confirmed: comparing features and pixels found one image to be a "
    "copy of the other. By similarity: the vectors of the images are close, which does not prove that they are copies."
)


def page(corpus: Corpus) -> Page:
    """Make the page: a heat map of subsets and benchmarks, and a table of benchmarks with their reports."""
    rows = corpus.warehouse.rows_of("contamination_rates", _RATES, threshold=corpus.contamination_threshold)
    rules = {"confirmed": _CONFIRMED, "similarity": f"its similarity is at least {corpus.contamination_threshold}"}
    named = [{**row, "rule": rules[row["rule"]]} for row in rows if row["benchmark"] != "ALL"]
    # Subsets without images have no rate.
    rates = [row for row in named if row["rate"] is not None]
    without = len({row["subset"] for row in named}) - len({row["subset"] for row in rates})
    if not rates:
        nothing = (
            "No subset was compared with a benchmark: add benchmarks to the source (`visdiv benchmarks` lists them), "
            "then run `visdiv run --all`."
        )
        return Page("contamination.html", "Contamination", _INTRODUCTION, [Section("Rates", nothing=nothing)])
    shown = [rule for rule in rules.values() if any(row["rule"] == rule for row in rates)]
    sections = [
        Section("Subsets by benchmarks", charts=[_heat_map(corpus, rates, shown, without)]),
        Section("Benchmarks", grids=[_benchmarks(corpus, rates, shown)]),
        *judged_by_subset(corpus, "contamination"),
    ]
    return Page("contamination.html", "Contamination", _INTRODUCTION, sections)


def _heat_map(corpus: Corpus, rates: list[dict[str, Any]], rules: list[str], without: int) -> Chart:
    first = [row for row in rates if row["rule"] == rules[0]]
    links = {name: corpus.link("leaks", name) for name in {row["benchmark"] for row in rates}}
    subsets, benchmarks = (
        heat_maps.most_first(first, column, "images_contaminated") for column in ("subset", "benchmark")
    )
    found = [row for row in rates if row["images_contaminated"]]
    left_out = f" {several(without, 'subset')} without images cannot be compared." if without else ""
    drawn = pa.table(
        {
            "subset": [row["subset"] for row in rates],
            "benchmark": [row["benchmark"] for row in rates],
            "rule": [row["rule"] for row in rates],
            "value": [round(row["rate"], 6) for row in rates],
            "rate": [share(row["rate"], row["ci_low"], row["ci_high"]).said for row in rates],
            "images": [f"{row['images_contaminated']:,} of {row['images']:,}" for row in rates],
            "leaked": [f"{row['benchmark_images_leaked']:,} of {row['benchmark_images']:,}" for row in rates],
            "link": [links[row["benchmark"]] for row in rates],
        }
    )
    return Chart(
        "rates",
        f"{several(len(subsets), 'subset')} by {several(len(benchmarks), 'benchmark')}",
        _summary(first, rules[0]) + left_out,
        heat_maps.heat_map(
            subsets,
            benchmarks,
            row="subset",
            column="benchmark",
            title="share of the images of the subset (gray: 0)",
            tooltip={
                "subset": "subset",
                "benchmark": "benchmark",
                "rate": "rate (95 % interval)",
                "images": "images",
                "leaked": "images of the benchmark",
            },
            choice=charts.choose("rule", rules, "An image counts if"),
            link=True,
        ),
        drawn,
        _pairs(found, links, len(rates)),
    )


def _summary(rates: list[dict[str, Any]], rule: str) -> str:
    hit = [row for row in rates if row["images_contaminated"]]
    if not hit:
        return f"No subset has an image of a benchmark (an image counts if {rule}): all {len(rates):,} cells are 0."
    worst = max(hit, key=lambda row: row["rate"])
    return (
        f"An image counts if {rule}: {several(len({row['subset'] for row in hit}), 'subset')} and "
        f"{several(len({row['benchmark'] for row in hit}), 'benchmark')} share images: {len(hit):,} of "
        f"{len(rates):,} cells are not 0. The highest rate is {percent(worst['rate'])}, of "
        f"{worst['subset']} in {worst['benchmark']}. Subsets and benchmarks with the most such "
        "images come first. Hover over a cell for its numbers; click it, or a link of the table, for the report of the "
        "benchmark."
    )


def _pairs(found: list[dict[str, Any]], links: dict[str, str], cells: int) -> Grid:
    headings = [
        Heading("Subset"),
        Heading("Benchmark", "Links to its report."),
        Heading("An image counts if"),
        Heading("Rate", "Share of the readable positions of the subset, with the 95 % interval."),
        Heading("Images"),
        Heading("Rows"),
        Heading("Benchmark images leaked"),
    ]
    # The highest rates of both rules are shown.
    ranked = sorted(found, key=lambda row: -row["rate"])[:ROWS_SHOWN]
    rows = [
        [
            Entry(row["subset"]),
            Entry(row["benchmark"], link=links[row["benchmark"]]),
            Entry(row["rule"]),
            share(row["rate"], row["ci_low"], row["ci_high"]),
            count(row["images_contaminated"]),
            count(row["rows_contaminated"]),
            count(row["benchmark_images_leaked"]),
        ]
        for row in ranked
    ]
    listed = "all" if len(rows) == len(found) else f"the {len(rows):,} highest"
    return Grid(f"Rates: {len(found):,} of {cells:,} are not 0; listed: {listed}", headings, rows)


def _benchmarks(corpus: Corpus, rates: list[dict[str, Any]], rules: list[str]) -> Grid:
    headings = [
        Heading("Benchmark", "Links to its report: the images side by side."),
        Heading("Images", "Readable image positions of the benchmark."),
    ]
    for rule in rules:
        by = "confirmed" if rule == _CONFIRMED else "by similarity"
        headings += [
            Heading(f"Subsets, {by}", f"Subsets that contain some of its images; an image counts if {rule}."),
            Heading(
                f"Images of subsets, {by}", f"Image positions of subsets that are in it; an image counts if {rule}."
            ),
        ]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rates:
        by_name.setdefault(row["benchmark"], []).append(row)
    rows = []
    for name in sorted(by_name):
        entries = [Entry(name, link=corpus.link("leaks", name)), count(by_name[name][0]["benchmark_images"])]
        for rule in rules:
            of_rule = [row["images_contaminated"] for row in by_name[name] if row["rule"] == rule]
            entries += [count(sum(map(bool, of_rule))), count(sum(of_rule))]
        rows.append(entries)
    return Grid(several(len(rows), "benchmark"), headings, rows, opened=True)
