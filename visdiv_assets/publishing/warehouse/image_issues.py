"""The issues of images in the DuckDB file: columns of `images`, and the view `image_issues`."""

from __future__ import annotations

from visdiv_assets.curation.image_issues import ISSUES
from visdiv_assets.publishing.warehouse.columns import SUBSET, Column, View, enum

#: Columns of `images` that are computed when the file is published. ODBC and many BI tools have no lists, so each issue
#: is a column.
ISSUE_COLUMNS = tuple(
    Column(
        issue.name,
        "BOOLEAN",
        f"True if the image has this issue of CleanVision: {issue.meaning}. NULL if the image cannot be read.",
    )
    for issue in ISSUES
    if issue.condition
)

ISSUE_TYPE = enum(*(issue.name for issue in ISSUES))

_COUNTED = ", ".join(f"count(*) FILTER (WHERE {issue.name}) AS {issue.name}" for issue in ISSUES)
_NAMES = ", ".join(issue.name for issue in ISSUES)

IMAGE_ISSUES = View(
    "image_issues",
    "A view with one row per subset and issue of image quality: how many images have it.",
    (
        SUBSET,
        Column("issue", ISSUE_TYPE, "The issue; the comments of the columns of images have the rules."),
        Column("images", "BIGINT", "Image positions of the subset with the issue."),
        Column("share", "DOUBLE", "images / readable image positions of the subset; NULL if there are none."),
    ),
    query=f"""
    WITH counted AS (
        SELECT subset, {_COUNTED} FROM subsets LEFT JOIN images USING (subset) GROUP BY subset
    )
    SELECT c.subset, c.issue::{ISSUE_TYPE} AS issue, c.images,
        c.images / nullif(s.images - s.images_unreadable, 0) AS share
    FROM (UNPIVOT counted ON {_NAMES} INTO NAME issue VALUE images) c JOIN subsets s USING (subset)
    """,
)
