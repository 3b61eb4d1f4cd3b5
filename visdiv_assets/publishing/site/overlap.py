"""The page on images that subsets share."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.publishing.site import heat_maps
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

_OVERLAP = """
SELECT subset, other_subset, images, images_shared, images_shared_exactly, share FROM subset_overlap
WHERE threshold = $threshold AND images_shared > 0 ORDER BY share DESC, subset, other_subset
"""

_SUBSETS = """
SELECT subset FROM (SELECT subset FROM subset_overlap UNION SELECT other_subset FROM subset_overlap)
ORDER BY lower(subset), subset
"""


def page(corpus: Corpus) -> Page:
    """Make the page: a matrix of subsets with each other."""
    threshold = corpus.duplicate_threshold
    introduction = (
        "The share of the images of a subset (row) that occur in another subset (column): byte-equal, or with a "
        f"similarity of at least {threshold}."
    )
    rows: list[dict[str, Any]] = []
    subsets: list[str] = []
    if corpus.warehouse.has_rows("subset_overlap"):
        rows = corpus.warehouse.rows(_OVERLAP, threshold=threshold)
        subsets = [row["subset"] for row in corpus.warehouse.rows(_SUBSETS)]
    if not subsets:
        nothing = "No subsets were compared: run `visdiv run --all` with two or more subsets."
        return Page("overlap.html", "Overlap", introduction, [Section("Subsets by subsets", nothing=nothing)])
    return Page(
        "overlap.html", "Overlap", introduction, [Section("Subsets by subsets", charts=[_chart(rows, subsets)])]
    )


def _chart(rows: list[dict[str, Any]], subsets: list[str]) -> Chart:
    cells = len(subsets) * (len(subsets) - 1)
    summary = f"No two of the {several(len(subsets), 'subset')} share an image."
    if rows:
        most = rows[0]
        summary = (
            f"{len(rows):,} of {cells:,} cells are not 0. The highest share is {percent(most['share'])}, of "
            f"{most['subset']} in {most['other_subset']}: {several(most['images_shared'], 'image')}, "
            f"{most['images_shared_exactly']:,} of them byte-equal. Hover over a cell for its numbers."
        )
    drawn = pa.table(
        {
            "subset": pa.array([row["subset"] for row in rows], pa.string()),
            "other": pa.array([row["other_subset"] for row in rows], pa.string()),
            "value": pa.array([round(row["share"], 6) for row in rows], pa.float64()),
            "share": pa.array([percent(row["share"]) for row in rows], pa.string()),
            "images": pa.array([f"{row['images_shared']:,} of {row['images']:,}" for row in rows], pa.string()),
        }
    )
    return Chart(
        "overlap",
        f"{several(len(subsets), 'subset')} by {several(len(subsets), 'subset')}",
        summary,
        heat_maps.heat_map(
            subsets,
            subsets,
            row="subset",
            column="other",
            title="share of the images of the subset in the row (gray: 0)",
            tooltip={"subset": "of", "other": "in", "share": "share", "images": "images"},
            sparse=True,
        ),
        drawn,
        _grid(rows),
    )


def _grid(rows: list[dict[str, Any]]) -> Grid:
    headings = [
        Heading("Of subset"),
        Heading("In subset"),
        Heading("Share"),
        Heading("Images"),
        Heading("Byte-equal"),
    ]
    shown = [
        [
            Entry(row["subset"]),
            Entry(row["other_subset"]),
            share(row["share"]),
            count(row["images_shared"]),
            count(row["images_shared_exactly"]),
        ]
        for row in rows[:ROWS_SHOWN]
    ]
    rest = f", the {len(shown):,} largest of {len(rows):,}" if len(shown) < len(rows) else ""
    return Grid(f"Shares that are not 0{rest}", headings, shown)
