"""The page on the scores by which published methods select rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.publishing.site import charts
from visdiv_assets.publishing.site.overview import OTHER
from visdiv_assets.publishing.site.page_model import Chart, Entry, Grid, Heading, Page, Section, count, number
from visdiv_assets.publishing.site.report_data import Corpus

#: Columns of `selection_scores`: name of the method, and what its scores mean.
METHODS = {
    "semdedup": (
        "SemDeDup",
        "Similarity to the closest earlier image of the same k-means cluster; rows with low scores are kept.",
    ),
    "conformity": ("Conformity", "Mean similarity to all other images; rows with low scores, rare images, are kept."),
    "whitened_clip": ("Whitened CLIP", "Log-likelihood of the image; low scores are outliers."),
    "clip_score": ("CLIPScore", "Mean CLIPScore of the turns of the row; rows with high scores are kept."),
}

_SCORES = """
SELECT x.subset, coalesce(any_value(s.category), $other) AS category, method, count(score) AS scored,
    quantile_cont(score, 0.1) AS low, quantile_cont(score, 0.5) AS median, quantile_cont(score, 0.9) AS high
FROM (UNPIVOT (SELECT subset, semdedup, conformity, whitened_clip, clip_score FROM selection_scores)
    ON semdedup, conformity, whitened_clip, clip_score INTO NAME method VALUE score) x
LEFT JOIN subsets s USING (subset) WHERE isfinite(score)
GROUP BY x.subset, method ORDER BY method, median DESC, x.subset
"""

_INTRODUCTION = (
    "Scores of published methods for selecting rows, computed over all subsets together. `visdiv select` writes the "
    "rows that a method keeps, and VISDIV_KEEP_BY makes a clean copy keep the best share of them."
)


def page(corpus: Corpus) -> Page:
    """Make the page: the range of each method's scores by subset."""
    rows = corpus.warehouse.rows_of("selection_scores", _SCORES, other=OTHER)
    if not rows:
        nothing = (
            "No row has a selection score. Scores need texts or CLIP weights, and more than a few images: where there "
            "are both, run `visdiv run --all`."
        )
        return Page("selection.html", "Selection", _INTRODUCTION, [Section("Scores", nothing=nothing)])
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    means = [f"{METHODS[method][0]}: {METHODS[method][1]}" for method in methods]
    sections = [Section("Scores", paragraphs=means, charts=[_chart(rows, methods)])]
    return Page("selection.html", "Selection", _INTRODUCTION, sections)


def _chart(rows: list[dict[str, Any]], methods: list[str]) -> Chart:
    ordered = sorted(rows, key=lambda row: methods.index(row["method"]))
    first = [row for row in ordered if row["method"] == methods[0]]
    summary = (
        f"By {METHODS[methods[0]][0]}, the median score is highest in {first[0]['subset']} "
        f"({first[0]['median']:.3f}) and lowest in {first[-1]['subset']} ({first[-1]['median']:.3f}). A line holds "
        "80 % of a subset."
    )
    drawn = [
        {
            **{name: row[name] for name in ("subset", "category")},
            "method": METHODS[row["method"]][0],
            **{name: round(row[name], 5) for name in ("low", "median", "high")},
            "said": f"{row['median']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
            "scored": f"{row['scored']:,}",
            "too_few": False,
        }
        for row in ordered
    ]
    headings = [
        Heading("Subset"),
        Heading("Method"),
        Heading("Median"),
        Heading("10 %", "Score that 10 % of the rows do not exceed."),
        Heading("90 %", "Score that 90 % of the rows do not exceed."),
        Heading("Rows scored"),
    ]
    table = [
        [
            Entry(row["subset"]),
            Entry(METHODS[row["method"]][0]),
            *(number(row[name], 3) for name in ("median", "low", "high")),
            count(row["scored"]),
        ]
        for row in ordered
    ]
    return Chart(
        "selection",
        "Scores by subset and method",
        summary,
        charts.ranking(
            value="median",
            low="low",
            high="high",
            name="subset",
            title="score: median, with 80 % of the rows",
            color=charts.colored_by([row["subset"] for row in rows]),
            tooltip={"subset": "subset", "said": "median (80 %)", "scored": "rows scored"},
            choice=charts.choose("method", [METHODS[method][0] for method in methods], "Method"),
        ),
        pa.Table.from_pylist(drawn),
        Grid("Scores by subset and method", headings, table),
    )
