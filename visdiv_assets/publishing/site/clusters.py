"""The page on the largest groups of copies, with images."""

from __future__ import annotations

from typing import Any

from visdiv_assets.corpus.image_lookup import ImagePosition
from visdiv_assets.publishing.site.page_model import Entry, Grid, Group, Heading, Page, Section, count, number, several
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.sources import Kind

#: Groups with images, images per group, and groups in the table.
GROUPS, IMAGES, LISTED = 24, 8, 500
#: Subsets that are named per group.
NAMED = 3

#: Components: images connected by chains of copies. Byte-equal positions count as well.
_LARGEST = """
WITH positions AS (
    SELECT component_id, count(*) AS positions, count(DISTINCT image_id) AS images, count(DISTINCT subset) AS subsets,
        list(DISTINCT subset ORDER BY subset)[:$named] AS names
    FROM duplicate_clusters GROUP BY component_id
)
SELECT p.*, s.min_similarity FROM positions p
LEFT JOIN cluster_summary s ON s.grouping = 'component' AND s.group_id = p.component_id
ORDER BY p.positions DESC, p.images DESC, p.component_id LIMIT $limit
"""

_POSITIONS = """
SELECT component_id, subset, "row", image_index, image_id FROM duplicate_clusters
WHERE component_id IN (SELECT unnest($components))
QUALIFY row_number() OVER (PARTITION BY component_id, image_id ORDER BY subset, "row", image_index) = 1
ORDER BY component_id, subset, "row", image_index
"""

_INTRODUCTION = (
    "Groups of images in all subsets that are connected by chains of copies. With VISDIV_COPIES_BY=pixels, each link "
    "of a chain is confirmed by pixels. Each different image is shown once, at its first position."
)


def page(corpus: Corpus) -> Page:
    """Make the page: the largest groups by number of positions, and a table of more groups."""
    largest: list[dict[str, Any]] = []
    if corpus.warehouse.has_rows("duplicate_clusters"):
        largest = corpus.warehouse.rows(_LARGEST, limit=LISTED, named=NAMED)
    if not largest:
        nothing = "No copies were found yet: run `visdiv run --all`."
        return Page(
            "clusters.html", "Groups of copies", _INTRODUCTION, [Section("The largest groups", nothing=nothing)]
        )
    sections = [Section("The largest groups", groups=_groups(corpus, largest[:GROUPS]))] if corpus.images else []
    sections.append(Section("Sizes", grids=[_grid(largest)]))
    return Page("clusters.html", "Groups of copies", _INTRODUCTION, sections)


def _groups(corpus: Corpus, largest: list[dict[str, Any]]) -> list[Group]:
    assert corpus.images is not None
    chosen: dict[str, list[ImagePosition]] = {row["component_id"]: [] for row in largest}
    for row in corpus.warehouse.rows(_POSITIONS, components=list(chosen)):
        places = chosen[row["component_id"]]
        if len(places) < IMAGES:
            places.append(ImagePosition(row["subset"], row["row"], row["image_index"], row["image_id"]))
    found = corpus.images.read(Kind.SUBSET, [place for places in chosen.values() for place in places])
    groups = []
    for rank, row in enumerate(largest, start=1):
        places = chosen[row["component_id"]]
        similarity = row["min_similarity"]
        about = f"{several(row['images'], 'different image')} in {_subsets(row)}"
        if similarity is not None:
            about += f", any two of them with a similarity of {similarity:.2f} or more"
        if len(places) < row["images"]:
            about += f"; {len(places)} are shown"
        heading = f"Group {rank}: {several(row['positions'], 'position')}"
        groups.append(Group(heading, f"{about}.", [found[place] for place in places]))
    return groups


def _subsets(row: dict[str, Any]) -> str:
    """Name the subsets; if there are many, the first ones."""
    rest = row["subsets"] - len(row["names"])
    return ", ".join(row["names"]) + (f" and {several(rest, 'other subset')}" if rest else "")


def _grid(largest: list[dict[str, Any]]) -> Grid:
    headings = [
        Heading("Group", "The component_id of the table duplicate_clusters."),
        Heading("Positions"),
        Heading("Different images", "By their bytes."),
        Heading("Subsets"),
        Heading("Lowest similarity", "Of any two of its images; none if all are byte-equal."),
    ]
    rows = [
        [
            Entry(row["component_id"]),
            count(row["positions"]),
            count(row["images"]),
            Entry(_subsets(row)),
            number(row["min_similarity"], 2),
        ]
        for row in largest
    ]
    most = f", the {LISTED} largest" if len(rows) == LISTED else ""
    return Grid(f"Groups of copies{most}", headings, rows, opened=True)
