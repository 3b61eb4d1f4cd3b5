"""The page on how well the texts of subsets fit their images, by CLIP."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.publishing.site import charts
from visdiv_assets.publishing.site.overview import OTHER
from visdiv_assets.publishing.site.page_model import (
    Chart,
    Entry,
    Grid,
    Heading,
    Page,
    Section,
    count,
    number,
    share,
)
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.wording import several

_QUANTILES = """
SELECT a.subset, coalesce(any_value(s.category), $other) AS category, unit::VARCHAR AS unit,
    max(clip_score) FILTER (name = 'p10') AS low, max(clip_score) FILTER (name = 'p50') AS median,
    max(clip_score) FILTER (name = 'p90') AS high, max(count_scored) AS scored
FROM alignment_summary a LEFT JOIN subsets s USING (subset) WHERE statistic = 'quantile'
GROUP BY a.subset, unit HAVING median IS NOT NULL ORDER BY median DESC, a.subset
"""

_FILTERS = """
SELECT subset, unit::VARCHAR AS unit, name, clip_score, share, count_reached, count_scored FROM alignment_summary
WHERE statistic = 'filter' AND count_scored > 0 ORDER BY subset, unit, name
"""

_TRUNCATED = """
SELECT subset, count_reached, count_scored, share FROM alignment_summary
WHERE statistic = 'truncated' ORDER BY share DESC NULLS LAST, subset
"""

_CLOSE = """
SELECT subset, images, images_in_pairs, clip_floor, pairs, pairs_stored, kept_per_image FROM clip_pair_summary
WHERE pairs > 0 ORDER BY pairs DESC, subset
"""

_INTRODUCTION = (
    "How well the questions and answers fit their images: CLIPScore, which is 2.5 times the cosine similarity of the "
    "CLIP vectors of a text and of its image, and at least 0. Long texts, charts and pages of text score low without "
    "being wrong: compare a row with its own subset."
)


def page(corpus: Corpus) -> Page:
    """Make the page: the range of the scores by subset, what published filters keep, and truncated texts."""
    rows = corpus.warehouse.rows_of("alignment_summary", _QUANTILES, other=OTHER)
    if not rows:
        nothing = (
            "No text was compared with its image: set VISDIV_CLIP_MODEL to CLIP weights, then run `visdiv run --all`."
        )
        return Page("alignment.html", "CLIP", _INTRODUCTION, [Section("Scores", nothing=nothing)])
    sections = [
        Section("Scores", charts=[_ranges(rows)]),
        Section("Published filters", grids=[_filters(corpus.warehouse.rows(_FILTERS))]),
        Section("Truncated texts", grids=[_truncated(corpus.warehouse.rows(_TRUNCATED))]),
    ]
    if close := corpus.warehouse.rows_of("clip_pair_summary", _CLOSE):
        sections.append(Section("Close images", grids=[_close(close)]))
    return Page("alignment.html", "CLIP", _INTRODUCTION, sections)


def _ranges(rows: list[dict[str, Any]]) -> Chart:
    units = list(dict.fromkeys(row["unit"] for row in rows))
    first = [row for row in rows if row["unit"] == units[0]]
    summary = (
        f"By {units[0]}, the texts of {first[0]['subset']} fit best (median {first[0]['median']:.3f}) and those of "
        f"{first[-1]['subset']} least ({first[-1]['median']:.3f}). A line holds 80 % of a subset."
    )
    drawn = [
        {
            **{name: row[name] for name in ("subset", "category", "unit")},
            **{name: round(row[name], 5) for name in ("low", "median", "high")},
            "said": f"{row['median']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
            "scored": f"{row['scored']:,}",
            "too_few": False,
        }
        for row in rows
    ]
    headings = [
        Heading("Subset"),
        Heading("By", "What is scored: a turn, or a row with the mean of its turns."),
        Heading("Median"),
        Heading("10 %", "Score that 10 % do not exceed."),
        Heading("90 %", "Score that 90 % do not exceed."),
        Heading("Scored", "Turns or rows that have a score."),
    ]
    table = [
        [
            Entry(row["subset"]),
            Entry(row["unit"]),
            *(number(row[name], 3) for name in ("median", "low", "high")),
            count(row["scored"]),
        ]
        for row in rows
    ]
    return Chart(
        "alignment",
        "CLIPScore by subset",
        summary,
        charts.ranking(
            value="median",
            low="low",
            high="high",
            name="subset",
            title="CLIPScore: median, with 80 % of the subset",
            color=charts.colored_by([row["subset"] for row in rows]),
            tooltip={"subset": "subset", "said": "median (80 %)", "scored": "scored"},
            choice=charts.choose("unit", units, "By"),
        ),
        pa.Table.from_pylist(drawn),
        Grid("Scores by subset", headings, table),
    )


def _filters(rows: list[dict[str, Any]]) -> Grid:
    headings = [
        Heading("Subset"),
        Heading("By"),
        Heading("Filter", "A published filter; the thresholds were chosen for alt-text of web pages."),
        Heading("Minimum CLIPScore"),
        Heading("Share kept"),
        Heading("Kept"),
    ]
    table = [
        [
            Entry(row["subset"]),
            Entry(row["unit"]),
            Entry(row["name"].replace("_", " ")),
            number(row["clip_score"], 3),
            share(row["share"]),
            count(row["count_reached"]),
        ]
        for row in rows
    ]
    subsets = len({row["subset"] for row in rows})
    return Grid(f"What published filters would keep: {several(subsets, 'subset')}", headings, table, opened=True)


def _truncated(rows: list[dict[str, Any]]) -> Grid:
    headings = [
        Heading("Subset"),
        Heading("Truncated", "Texts that are longer than CLIP's context; only their beginning is scored."),
        Heading("Texts"),
        Heading("Share"),
    ]
    table = [
        [Entry(row["subset"]), count(row["count_reached"]), count(row["count_scored"]), share(row["share"])]
        for row in rows
    ]
    return Grid("Texts longer than CLIP's context", headings, table)


def _close(rows: list[dict[str, Any]]) -> Grid:
    headings = [
        Heading("Subset"),
        Heading("Images"),
        Heading("Close images", "Images that are close to another one by CLIP: they show similar things."),
        Heading("From", "Minimum cosine similarity of a close pair."),
        Heading("Pairs", "Pairs of images that are close."),
        Heading("Stored", "Pairs that clip_pairs holds: the best of each image."),
        Heading("Left out"),
    ]
    table = [
        [
            Entry(row["subset"]),
            count(row["images"]),
            count(row["images_in_pairs"]),
            number(row["clip_floor"], 2),
            count(row["pairs"]),
            count(row["pairs_stored"]),
            count(row["pairs"] - row["pairs_stored"]),
        ]
        for row in rows
    ]
    kept = ", ".join(str(value) for value in sorted({row["kept_per_image"] for row in rows}))
    return Grid(f"Pairs of images that are close by CLIP; stored are the best {kept} of each image", headings, table)
