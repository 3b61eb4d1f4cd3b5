"""The page that lists the maps of subsets."""

from __future__ import annotations

from typing import Any

from visdiv_assets.publishing.site.page_model import ROWS_SHOWN, Entry, Grid, Heading, Page, Section, count
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.wording import several

#: Names of the vectors that a map shows.
VECTORS = {"sscd": "images, by SSCD", "clip_image": "images, by CLIP", "clip_text": "texts, by CLIP"}

_MAPS = """
SELECT subset, vectors::VARCHAR AS vectors, count(DISTINCT id) AS points,
    string_agg(DISTINCT layout::VARCHAR, ', ' ORDER BY layout::VARCHAR DESC) AS layouts,
    count(DISTINCT cluster) FILTER (cluster >= 0) AS clusters, count(DISTINCT id) FILTER (cluster < 0) AS alone
FROM map_points GROUP BY subset, vectors ORDER BY subset, vectors
"""

_CLUSTERS = f"""
SELECT subset, vectors::VARCHAR AS vectors, any_value(cluster_name) AS name, count(DISTINCT id) AS points
FROM map_points WHERE cluster >= 0 GROUP BY subset, vectors, cluster
ORDER BY points DESC, subset, vectors, cluster LIMIT {ROWS_SHOWN}
"""

_INTRODUCTION = (
    "Maps of subsets in two dimensions (UMAP, t-SNE or PCA): points close to each other are similar; large distances "
    "mean little. The name of a subset links to its map, which shows images on hover."
)


def page(corpus: Corpus) -> Page:
    """Make the page: the maps with links, and the largest clusters with their words."""
    if not corpus.warehouse.has_rows("map_points"):
        nothing = "No subset has a map: run the job maps_pipeline in `visdiv ui`."
        return Page("maps.html", "Maps", _INTRODUCTION, [Section("Maps", nothing=nothing)])
    rows = corpus.warehouse.rows(_MAPS)
    sections = [
        Section("Maps", grids=[_maps(corpus, rows)]),
        Section("Clusters", grids=[_clusters(corpus, corpus.warehouse.rows(_CLUSTERS))]),
    ]
    return Page("maps.html", "Maps", _INTRODUCTION, sections)


def _maps(corpus: Corpus, rows: list[dict[str, Any]]) -> Grid:
    headings = [
        Heading("Subset", "Links to its map."),
        Heading("Map of"),
        Heading("Layouts", "VISDIV_MAP_LAYOUTS; each is a tab of the map."),
        Heading("Points"),
        Heading("Clusters", "Dense groups of points."),
        Heading("In no cluster"),
    ]
    table = [
        [
            Entry(row["subset"], link=corpus.link("maps", row["subset"])),
            Entry(VECTORS[row["vectors"]]),
            Entry(row["layouts"]),
            *(count(row[name]) for name in ("points", "clusters", "alone")),
        ]
        for row in rows
    ]
    return Grid(several(len(rows), "map"), headings, table, opened=True)


def _clusters(corpus: Corpus, rows: list[dict[str, Any]]) -> Grid:
    headings = [
        Heading(
            "Words",
            "Words that are more frequent in the texts of the cluster than in those of the others. "
            "Template questions do not count.",
        ),
        Heading("Subset", "Links to its map."),
        Heading("Map of"),
        Heading("Points"),
    ]
    table = [
        [
            Entry(row["name"] or "(no words)"),
            Entry(row["subset"], link=corpus.link("maps", row["subset"])),
            Entry(VECTORS[row["vectors"]]),
            count(row["points"]),
        ]
        for row in rows
    ]
    return Grid(f"The largest clusters: {len(rows):,}", headings, table, opened=True)
