"""The page on thresholds: what each one finds, and its measured recall and precision."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS
from visdiv_assets.publishing.site import charts
from visdiv_assets.publishing.site.calibration import calibration_section
from visdiv_assets.publishing.site.overview import OTHER
from visdiv_assets.publishing.site.page_model import Chart, Entry, Grid, Heading, Page, Section, count, percent, share
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.publishing.warehouse.images import neighbors_column

_INTRODUCTION = (
    "A similarity threshold accepts similar images that are not copies, and misses copies that were changed. This page "
    "shows what each threshold finds, and its measured recall and precision."
)

_NEIGHBORS = f"""
SELECT i.subset, coalesce(any_value(s.category), $other) AS category, count(*) AS images,
    {", ".join(f"count(*) FILTER (i.{neighbors_column(name)} > 0) AS {name}" for name in NAMED_THRESHOLDS)},
    {", ".join(f"count(i.{neighbors_column(name)}) AS known_{name}" for name in NAMED_THRESHOLDS)}
FROM images i LEFT JOIN subsets s USING (subset) WHERE i.status = 'ok' GROUP BY i.subset ORDER BY i.subset
"""

_LEAKED = """
SELECT r.subset, coalesce(s.category, $other) AS category, threshold, images_contaminated, r.images, rate
FROM contamination_rates r LEFT JOIN subsets s USING (subset)
WHERE benchmark = 'ALL' AND rule = 'similarity' AND rate IS NOT NULL ORDER BY r.subset, threshold
"""


def page(corpus: Corpus) -> Page:
    """Make the page: calibration, close images and contamination by threshold, and components by threshold."""
    return Page(
        "thresholds.html",
        "Thresholds",
        _INTRODUCTION,
        [calibration_section(corpus), _found(corpus), _components(corpus)],
    )


def _found(corpus: Corpus) -> Section:
    heading = "What each threshold finds"
    found: list[dict[str, Any]] = []
    if corpus.warehouse.has_rows("images"):
        found += _neighbors(corpus)
    if corpus.warehouse.has_rows("contamination_rates"):
        found += [
            {**row, "measure": "in a benchmark", "found": row["images_contaminated"], "value": row["rate"]}
            for row in corpus.warehouse.rows(_LEAKED, other=OTHER)
        ]
    if not found:
        return Section(heading, nothing="No images were compared: run `visdiv run --all`.")
    measures = list(dict.fromkeys(row["measure"] for row in found))
    drawn = pa.table(
        {
            **{name: [row[name] for row in found] for name in ("subset", "category", "measure", "threshold")},
            "value": [round(row["value"], 6) for row in found],
            "said": [f"{percent(row['value'])}: {row['found']:,} of {row['images']:,}" for row in found],
        }
    )
    headings = [
        Heading("Subset"),
        Heading("Images that are"),
        Heading("Threshold"),
        Heading("Share"),
        Heading("Images"),
    ]
    rows = [
        [
            Entry(row["subset"]),
            Entry(row["measure"]),
            Entry(row["threshold"], f"{row['threshold']:g}"),
            share(row["value"]),
            count(row["found"]),
        ]
        for row in found
    ]
    chart = Chart(
        "found",
        "Share of the images by threshold",
        "Each line is a subset. Images count as close if another image of the subset is this close, and as in a "
        "benchmark if a benchmark image is. Where a line rises steeply to the left, the threshold starts to accept "
        "similar images that are not copies.",
        charts.curves(
            x=charts.similarity("threshold", {row["threshold"] for row in found}),
            y=charts.quantity("value", "share of the readable positions", form="~%"),
            line="subset",
            names={row["subset"] for row in found},
            color=charts.colored_by([row["subset"] for row in found]),
            tooltip={
                "subset": "subset",
                "threshold": "minimum similarity",
                "measure": "images that are",
                "said": "share",
            },
            choice=charts.choose("measure", measures, "Images that are"),
        ),
        drawn,
        Grid("Shares by subset and threshold", headings, rows),
    )
    return Section(heading, charts=[chart])


def _neighbors(corpus: Corpus) -> list[dict[str, Any]]:
    return [
        {
            "subset": row["subset"],
            "category": row["category"],
            "measure": "close to another image",
            "threshold": threshold,
            "found": row[name],
            "images": row["images"],
            "value": row[name] / row["images"],
        }
        for row in corpus.warehouse.rows(_NEIGHBORS, other=OTHER)
        for name, threshold in NAMED_THRESHOLDS.items()
        if row[f"known_{name}"]
    ]


def _components(corpus: Corpus) -> Section:
    heading = "How groups of copies grow"
    if not corpus.warehouse.has_rows("component_sizes"):
        return Section(heading, nothing="There are no groups of copies yet: run `visdiv run --all`.")
    sizes = corpus.warehouse.rows("FROM component_sizes ORDER BY threshold")
    names = {"components": "groups", "images": "images in them", "largest_component": "images of the largest"}
    drawn = [
        {"threshold": row["threshold"], "what": name, "value": row[column], "said": f"{row[column]:,}"}
        for column, name in names.items()
        for row in sizes
    ]
    lowest = sizes[0]
    summary = (
        f"Images of all subsets that are connected by chains of close pairs. At {lowest['threshold']:g} there are "
        f"{lowest['components']:,} groups with {lowest['images']:,} images; the largest has "
        f"{lowest['largest_component']:,}. If the largest group grows suddenly, it no longer consists of copies."
    )
    chart = Chart(
        "components",
        "Groups of images connected by chains of close pairs",
        summary,
        charts.curves(
            x=charts.similarity("threshold", {row["threshold"] for row in sizes}),
            y=charts.quantity("value", "groups, or images"),
            line="what",
            names=list(names.values()),
            color="what",
            tooltip={"threshold": "minimum similarity", "what": "what", "said": "number"},
        ),
        pa.Table.from_pylist(drawn),
        Grid(
            "Groups by threshold",
            [Heading("Minimum similarity"), *(Heading(name.capitalize()) for name in names.values())],
            [
                [Entry(row["threshold"], f"{row['threshold']:g}"), *(count(row[column]) for column in names)]
                for row in sizes
            ],
        ),
    )
    return Section(heading, charts=[chart])
