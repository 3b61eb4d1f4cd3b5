"""The page on the largest groups of copies, with images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from visdiv_assets.corpus.image_lookup import ImagePosition
from visdiv_assets.publishing.site.judged import judged_by_subset
from visdiv_assets.publishing.site.page_model import Entry, Grid, Group, Heading, Page, Section, count, number
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.sources import Kind
from visdiv_assets.wording import several

#: Groups with images, images per group, and groups in the table.
GROUPS, IMAGES, LISTED = 24, 8, 500
#: Subsets that are named per group.
NAMED = 3

#: Byte-equal positions count as well.
_LARGEST = """
WITH positions AS (
    SELECT cluster_id, count(*) AS positions, count(DISTINCT image_id) AS images, count(DISTINCT subset) AS subsets,
        min(confidence) AS confidence, list(DISTINCT subset ORDER BY subset)[:$named] AS names
    FROM duplicate_clusters GROUP BY cluster_id
)
SELECT p.*, s.min_similarity FROM positions p
LEFT JOIN cluster_summary s ON s.grouping = 'cluster' AND s.group_id = p.cluster_id
ORDER BY p.positions DESC, p.images DESC, p.cluster_id LIMIT $limit
"""

_POSITIONS = """
SELECT cluster_id, subset, "row", image_index, image_id, reason, similarity, confidence, evidence
FROM duplicate_clusters
WHERE cluster_id IN (SELECT unnest($clusters))
QUALIFY row_number() OVER (
    PARTITION BY cluster_id, image_id ORDER BY reason != 'best', subset, "row", image_index
) = 1
ORDER BY cluster_id, reason != 'best', subset, "row", image_index
"""

_INTRODUCTION = (
    "Groups of images in all subsets. A clean copy keeps the first image of a group; each other image is a copy of the "
    "first one itself, confirmed by comparing features and pixels, or with VISDIV_COPIES_BY=similarity by its "
    "similarity. The text under each image says what decided. Each different image is shown once."
)


def page(corpus: Corpus) -> Page:
    """Make the page: the largest groups by number of positions, and a table of more groups."""
    largest = corpus.warehouse.rows_of("duplicate_clusters", _LARGEST, limit=LISTED, named=NAMED)
    if not largest:
        nothing = "No copies were found yet: run `visdiv run --all`."
        return Page(
            "clusters.html", "Groups of copies", _INTRODUCTION, [Section("The largest groups", nothing=nothing)]
        )
    sections = [Section("The largest groups", groups=_groups(corpus, largest[:GROUPS]))] if corpus.images else []
    sections += [Section("Sizes", grids=[_grid(largest)]), *judged_by_subset(corpus, "duplicates")]
    return Page("clusters.html", "Groups of copies", _INTRODUCTION, sections)


def _groups(corpus: Corpus, largest: list[dict[str, Any]]) -> list[Group]:
    assert corpus.images is not None
    chosen: dict[str, dict[ImagePosition, str]] = {row["cluster_id"]: {} for row in largest}
    for row in corpus.warehouse.rows(_POSITIONS, clusters=list(chosen)):
        positions = chosen[row["cluster_id"]]
        if len(positions) < IMAGES:
            positions[ImagePosition(row["subset"], row["row"], row["image_index"], row["image_id"])] = _decided(row)
    found = corpus.images.read(Kind.SUBSET, [position for positions in chosen.values() for position in positions])
    groups = []
    for rank, row in enumerate(largest, start=1):
        positions = chosen[row["cluster_id"]]
        about = f"{several(row['images'], 'different image')} in {_subsets(row)}"
        if len(positions) < row["images"]:
            about += f"; {len(positions)} are shown"
        heading = f"Group {rank}: {several(row['positions'], 'position')}"
        images = [replace(found[position], note=note) for position, note in positions.items()]
        groups.append(Group(heading, f"{about}.", images))
    return groups


def _decided(row: dict[str, Any]) -> str:
    """Say why a clean copy keeps or drops an image of a group: its verdict with the kept one."""
    if row["reason"] == "best":
        return "kept"
    if row["similarity"] is None:
        return "its row is dropped for another reason"
    parts = [f"similarity {row['similarity']:.2f}"]
    parts += [] if row["confidence"] is None else [f"confidence {row['confidence']:.3f}"]
    parts += [row["evidence"].replace("_", " ")] if row["evidence"] else []
    return ", ".join(parts)


def _subsets(row: dict[str, Any]) -> str:
    """Name the subsets; if there are many, the first ones."""
    rest = row["subsets"] - len(row["names"])
    return ", ".join(row["names"]) + (f" and {several(rest, 'other subset')}" if rest else "")


def _grid(largest: list[dict[str, Any]]) -> Grid:
    headings = [
        Heading("Group", "The cluster_id of the table duplicate_clusters: the image_id of the kept image."),
        Heading("Positions"),
        Heading("Different images", "By their bytes."),
        Heading("Subsets"),
        Heading("Lowest similarity", "Of any two of its images; none if all are byte-equal."),
        Heading("Lowest confidence", "Of the verdicts on its images and the kept one; none if it was not estimated."),
    ]
    rows = [
        [
            Entry(row["cluster_id"]),
            count(row["positions"]),
            count(row["images"]),
            Entry(_subsets(row)),
            number(row["min_similarity"], 2),
            number(row["confidence"], 3),
        ]
        for row in largest
    ]
    most = f", the {LISTED} largest" if len(rows) == LISTED else ""
    return Grid(f"Groups of copies{most}", headings, rows, opened=True)
