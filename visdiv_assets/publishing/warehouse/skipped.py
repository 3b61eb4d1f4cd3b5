"""Tables about what the source holds that is not read."""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.columns import SUBSET, Column, Table

SKIPPED_FILES = Table(
    "skipped_files",
    "One row per folder of the source and ending of files that are not read, such as SVG. Files about the dataset, "
    "such as a README, are not listed.",
    (
        Column("folder", "VARCHAR", "Path of the folder in the source; . for the source itself."),
        Column("ending", "VARCHAR", "Ending of the files with its dot, in lower case; empty if they have none."),
        Column(
            "kind",
            "VARCHAR",
            "What such files are: vector graphics, images or tables outside the layout, texts, data files, documents, "
            "archives, videos, sounds, other files, or unreadable folders.",
        ),
        Column("files", "BIGINT", "Number of files; 0 for a folder that cannot be listed."),
        Column("example", "VARCHAR", "Path of the first of the files, or why the folder cannot be listed."),
    ),
)

UNUSED_COLUMNS = Table(
    "unused_columns",
    "One row per subset and column of its first file that is not read.",
    (
        SUBSET,
        Column("column_name", "VARCHAR", "Name of the column."),
        Column("reason", "VARCHAR", "Why a column of a usual name is not read; NULL if the name has no meaning here."),
    ),
)
