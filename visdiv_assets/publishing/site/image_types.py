"""The page on what kinds of images the subsets have."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.curation.image_types.by_features import TYPES
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

#: What images without a type are called.
UNKNOWN = "unknown"

_SHARES = f"""
SELECT subset, method::VARCHAR AS method, coalesce(type::VARCHAR, '{UNKNOWN}') AS type, images, share
FROM image_type_summary ORDER BY subset, method DESC, images DESC, type
"""

_AGREEMENT = f"""
SELECT coalesce(type_by_features::VARCHAR, '{UNKNOWN}') AS by_features,
    coalesce(type_by_clip::VARCHAR, '{UNKNOWN}') AS by_clip, sum(images)::BIGINT AS images
FROM image_type_agreement GROUP BY ALL ORDER BY images DESC, by_features, by_clip
"""

_METHODS = {"features": "features", "clip": "CLIP"}

_INTRODUCTION = (
    "What kinds of images each subset has. By features, photo, chart, document, screenshot and drawing are told from "
    "measures of the image, and many images stay unknown; table, math and map are never named. By CLIP, all types are "
    "told from its vectors without training."
)


def page(corpus: Corpus) -> Page:
    """Make the page: the shares of types by subset, and where the two methods agree."""
    rows = corpus.warehouse.rows_of("image_types", _SHARES)
    if not rows:
        nothing = "No image has been given a type: run `visdiv run --all`."
        return Page("image_types.html", "Image types", _INTRODUCTION, [Section("Types by subset", nothing=nothing)])
    charts_of = [
        _chart(method, [row for row in rows if row["method"] == method])
        for method in _METHODS
        if any(row["method"] == method for row in rows)
    ]
    sections = [Section("Types by subset", charts=charts_of)]
    if both := corpus.warehouse.rows(_AGREEMENT):
        sections.append(Section("Agreement", grids=[_agreement(both)]))
    return Page("image_types.html", "Image types", _INTRODUCTION, sections)


def _chart(method: str, rows: list[dict[str, Any]]) -> Chart:
    totals: dict[str, int] = {}
    for row in rows:
        totals[row["type"]] = totals.get(row["type"], 0) + row["images"]
    images = sum(totals.values())
    said = ", ".join(f"{name} {percent(part / images)}" for name, part in sorted(totals.items(), key=lambda x: -x[1]))
    subsets = list(dict.fromkeys(row["subset"] for row in rows))
    drawn = pa.table(
        {
            "subset": [row["subset"] for row in rows],
            "type": [row["type"] for row in rows],
            "value": [round(row["share"], 6) for row in rows],
            "said": [f"{percent(row['share'])}: {several(row['images'], 'image')}" for row in rows],
        }
    )
    headings = [Heading("Subset"), Heading("Type"), Heading("Images"), Heading("Share")]
    table = [[Entry(row["subset"]), Entry(row["type"]), count(row["images"]), share(row["share"])] for row in rows]
    return Chart(
        f"types-{method}",
        f"Types by {_METHODS[method]}",
        f"Of {several(images, 'image')}: {said}.",
        charts.stacked(
            names=subsets,
            name="subset",
            part="type",
            parts=[name for name in (*TYPES, UNKNOWN) if name in totals],
            title="share of the images of the subset",
            tooltip={"subset": "subset", "type": "type", "said": "share"},
        ),
        drawn,
        Grid(f"Types by {_METHODS[method]}", headings, table),
    )


def _agreement(rows: list[dict[str, Any]]) -> Grid:
    named = [row for row in rows if UNKNOWN not in (row["by_features"], row["by_clip"])]
    agreed = sum(row["images"] for row in named if row["by_features"] == row["by_clip"])
    total = sum(row["images"] for row in named)
    headings = [Heading("By features"), Heading("By CLIP"), Heading("Images")]
    table = [[Entry(row["by_features"]), Entry(row["by_clip"]), count(row["images"])] for row in rows]
    caption = f"Of {several(total, 'image')} that both methods name, they agree on {agreed:,}"
    return Grid(caption, headings, table, opened=True)
