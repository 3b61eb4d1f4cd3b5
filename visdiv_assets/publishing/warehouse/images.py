"""The warehouse's tables of subsets, their images and ratings, and which rows a clean copy leaves out."""

from __future__ import annotations

from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS
from visdiv_assets.publishing.warehouse.columns import (
    IMAGE_ID,
    IMAGE_INDEX,
    MATERIALIZED_AT,
    MODEL_ID,
    ROW,
    SUBSET,
    Column,
    Table,
)


def neighbors_column(threshold_name: str) -> str:
    """The column of `images` that counts neighbors at a named threshold: `neighbors_finevision`."""
    return f"neighbors_{threshold_name}"


SUBSETS = Table(
    "subsets",
    "One row per subset: how much is in it.",
    (
        SUBSET,
        Column("category", "VARCHAR", "Category in FineVision's taxonomy; NULL for subsets that are not in it."),
        Column("rows", "BIGINT", "Rows of the subset."),
        Column(
            "rows_kept",
            "BIGINT",
            "Rows that the quality thresholds keep (all that have a turn, unless some are set).",
        ),
        Column("images", "BIGINT", "Image positions, unreadable ones included."),
        Column("images_unique", "BIGINT", "Different readable images, by their bytes."),
        Column(
            "images_unreadable",
            "BIGINT",
            "Image positions that cannot be decoded; the table images says why.",
        ),
        Column("source_revision", "VARCHAR", "Version of the subset's rows: a digest over its files."),
        MODEL_ID,
        MATERIALIZED_AT,
    ),
)

IMAGES = Table(
    "images",
    "One row per image position: what the image is, or why it cannot be read.",
    (
        SUBSET,
        ROW,
        IMAGE_INDEX,
        IMAGE_ID,
        Column("format", "VARCHAR", "File format: jpeg, png, ...; NULL if it is not an image."),
        Column("width", "INTEGER", "Pixels, as shown (EXIF orientation applied)."),
        Column("height", "INTEGER", "Pixels, as shown (EXIF orientation applied)."),
        Column("size_bytes", "BIGINT", "Size of the encoded image in bytes."),
        Column("status", "VARCHAR", "ok, empty, not_an_image, truncated, corrupt or too_large."),
        Column("detail", "VARCHAR", "Why it cannot be read; empty if it can."),
        Column("brightness_deviation", "FLOAT", "Standard deviation of brightness, 0 to 127.5, in a 64 x 64 copy."),
        Column("colors", "INTEGER", "Colors, of 512, that cover 99 % of a 64 x 64 copy."),
        Column(
            "low_information",
            "BOOLEAN",
            "Near-constant or few colors, as blank and text pages are: a similarity says less there.",
        ),
        Column(
            "background_similarity",
            "FLOAT",
            "Mean similarity to the 3 nearest images of a seeded sample of the subset's other images; subtract it "
            "from a similarity for SSCD's normalized score. NULL if not computed.",
        ),
        *(
            Column(
                neighbors_column(name),
                "BIGINT",
                f"Other images of the subset with similarity >= {value} (threshold {name}), counted in full; NULL if "
                "not computed, or if the floor is above the threshold.",
            )
            for name, value in NAMED_THRESHOLDS.items()
        ),
    ),
)

QUALITY = Table(
    "quality",
    "How often each rating was given, by subset and criterion.",
    (
        SUBSET,
        Column("criterion", "VARCHAR", "relevance, image_correspondence, visual_dependency or formatting."),
        Column("rating", "INTEGER", "1 (worst) to 5 (best); NULL: turns without this rating."),
        Column("turns", "BIGINT", "Turns (a question and its answer) with that rating."),
    ),
)

DROPPED_ROWS = Table(
    "dropped_rows",
    "One row per row that a clean copy leaves out: why, and the image that is the reason.",
    (
        SUBSET,
        ROW,
        Column("reason", "VARCHAR", "unreadable, quality, contaminated, selection or duplicate: the first one."),
        Column("detail", "VARCHAR", "More about the reason."),
        Column("witness_kind", "VARCHAR", "subset or benchmark: where the witness lies; NULL where there is none."),
        Column("witness", "VARCHAR", "Subset or benchmark of the image that made the row redundant or contaminated."),
        Column("witness_row", "BIGINT", "Row of the witness."),
        Column("witness_image", "INTEGER", "Place of the witness in its row."),
        Column("similarity", "FLOAT", "Cosine similarity to the witness."),
        Column("image_index", "INTEGER", "Place in the dropped row of the image that it is about."),
    ),
)
