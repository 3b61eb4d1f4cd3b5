"""Tables of subsets, their images and ratings, and the rows that a clean copy drops."""

from __future__ import annotations

from visdiv_assets.curation.reasons import DROP_REASONS
from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS
from visdiv_assets.imaging.color_modes import Background
from visdiv_assets.imaging.decode import ImageStatus
from visdiv_assets.publishing.warehouse.columns import (
    CRITERION_TYPE,
    DECIDING_PAIR,
    IMAGE_ID,
    IMAGE_INDEX,
    MATERIALIZED_AT,
    MODEL_ID,
    OF_SUBSET,
    ROW,
    SUBSET,
    Column,
    Table,
    enum,
)
from visdiv_assets.publishing.warehouse.image_issues import ISSUE_COLUMNS


def neighbors_column(threshold_name: str) -> str:
    """Return the column of `images` that counts neighbors at a named threshold: `neighbors_finevision`."""
    return f"neighbors_{threshold_name}"


SUBSETS = Table(
    "subsets",
    "One row per subset: how many rows and images it has.",
    (
        SUBSET,
        Column("category", "VARCHAR", "Category in FineVision's taxonomy; NULL for subsets that are not in it."),
        Column("rows", "BIGINT", "Rows of the subset."),
        Column(
            "rows_passing_quality",
            "BIGINT",
            "Rows with a turn that meets all minimum ratings. Rows may be dropped for other reasons too: rows_clean of "
            "subset_summary counts those that a clean copy keeps.",
        ),
        Column("images", "BIGINT", "Image positions, unreadable ones included."),
        Column("images_unique", "BIGINT", "Different readable images, by their bytes."),
        Column(
            "images_unreadable",
            "BIGINT",
            "Image positions that cannot be decoded; the table images has the reasons.",
        ),
        Column("source_revision", "VARCHAR", "Version of the subset's rows: a digest of its files."),
        MODEL_ID,
        MATERIALIZED_AT,
    ),
    key=("subset",),
)

IMAGES = Table(
    "images",
    "One row per image position: the properties of the image, or why it cannot be read.",
    (
        SUBSET,
        ROW,
        IMAGE_INDEX,
        Column("file", "VARCHAR", "File of the source that holds the row, by its path in the subset."),
        Column("row_in_file", "BIGINT", "Row of the file, from 0."),
        Column("path", "VARCHAR", "Path of the image that the source states; NULL if it states none."),
        IMAGE_ID,
        Column("format", "VARCHAR", "File format, such as jpeg or png; NULL if the bytes are not an image."),
        Column("width", "INTEGER", "Width in pixels, after applying the EXIF orientation."),
        Column("height", "INTEGER", "Height in pixels, after applying the EXIF orientation."),
        Column("aspect_ratio", "FLOAT", "Width divided by height; NULL if the image cannot be read."),
        Column("size_bytes", "BIGINT", "Size of the encoded image in bytes."),
        Column(
            "status",
            enum(*ImageStatus),
            "ok if the image can be read, else why not. empty: no bytes. not_found: the row names a file that is not "
            "there. not_an_image: other data. unsupported: an image of a format that is not read. truncated and "
            "corrupt: a damaged file. too_large: above the limits.",
        ),
        Column("detail", "VARCHAR", "Why the image cannot be read; empty if it can."),
        Column(
            "black_level",
            "DOUBLE",
            "Value that became black in an image of more than 8 bits per channel, by its content. NULL for others.",
        ),
        Column(
            "white_level",
            "DOUBLE",
            "Value that became white in an image of more than 8 bits per channel, by its content. NULL for others.",
        ),
        Column(
            "background",
            enum(*Background),
            "What transparent pixels were laid on: white; black if nothing would show on white; none if nothing shows "
            "on either, because the image is fully transparent: its colors are taken as if they were opaque. NULL if "
            "no pixel is transparent.",
        ),
        Column(
            "brightness",
            "FLOAT",
            "Mean brightness, 0 to 255. The brightness of a pixel is the root of 0.241 R^2 + 0.691 G^2 + 0.068 B^2.",
        ),
        Column("brightness_p5", "FLOAT", "Brightness that 5 % of the pixels do not exceed."),
        Column("brightness_p99", "FLOAT", "Brightness that 99 % of the pixels do not exceed."),
        Column("contrast", "FLOAT", "Standard deviation of the brightness of the pixels, 0 to 127.5."),
        Column("entropy", "FLOAT", "Shannon entropy of the levels of brightness in bits, 0 to 8."),
        Column(
            "sharpness",
            "FLOAT",
            "Variance of the Laplacian of the luminance, clipped to 0 to 255, of the image at 64 pixels or less; low "
            "for blurred images.",
        ),
        Column(
            "histogram_deviation",
            "FLOAT",
            "Standard deviation of the 256 counts of levels of luminance of the image at 64 pixels or less; high for "
            "graphics, which have few levels.",
        ),
        Column("grayscale", "BOOLEAN", "True if the image has no color, whether stored in gray or in color."),
        Column(
            "brightness_deviation",
            "FLOAT",
            "Standard deviation of the brightness, 0 to 127.5, of the image at 64 x 64 pixels.",
        ),
        Column("colors", "INTEGER", "Number of colors, of 512, that cover 99 % of the image at 64 x 64 pixels."),
        Column(
            "low_information",
            "BOOLEAN",
            "True if the image is nearly constant or has few colors, such as a blank page or a page of text. A high "
            "similarity is weaker evidence for such images.",
        ),
        *ISSUE_COLUMNS,
        Column(
            "background_similarity",
            "FLOAT",
            "Mean similarity to the 3 nearest images of a random sample of the subset's other images. Subtract it from "
            "a similarity for SSCD's normalized score. NULL if not computed.",
        ),
        *(
            Column(
                neighbors_column(name),
                "BIGINT",
                f"Number of other images of the subset with similarity >= {value} (threshold {name}). All of them are "
                "counted, also those whose pair is not stored. NULL if not computed, or if VISDIV_SIMILARITY_FLOOR is "
                "higher than the threshold.",
            )
            for name, value in NAMED_THRESHOLDS.items()
        ),
    ),
)

QUALITY = Table(
    "quality",
    "One row per subset, criterion and rating: how often the rating was given.",
    (
        SUBSET,
        Column("criterion", CRITERION_TYPE, "What is rated."),
        Column("rating", "INTEGER", "1 (worst) to 5 (best); NULL for turns without this rating."),
        Column("turns", "BIGINT", "Number of turns (a question and its answer) with that rating."),
    ),
    references=OF_SUBSET,
)

DROPPED_ROWS = Table(
    "dropped_rows",
    "One row per row that a clean copy drops: the reason, and the image that makes the row contaminated or a duplicate "
    "(the witness).",
    (
        SUBSET,
        ROW,
        Column("file", "VARCHAR", "File of the source that holds the row, by its path in the subset."),
        Column("row_in_file", "BIGINT", "Row of the file, from 0."),
        Column(
            "path",
            "VARCHAR",
            "Path, as the source states it, of the image that the reason is about, else of the row's first image.",
        ),
        Column("reason", enum(*DROP_REASONS), "Why the row is dropped. If several reasons apply, the first of them."),
        Column("detail", "VARCHAR", "Details of the reason."),
        Column(
            "witness_kind",
            enum("subset", "benchmark"),
            "Whether the witness is in a subset or in a benchmark; NULL if the reason has no witness.",
        ),
        Column("witness", "VARCHAR", "Name of the subset or benchmark that holds the witness."),
        Column("witness_row", "BIGINT", "Row of the witness."),
        Column(
            "witness_image_index",
            "INTEGER",
            "Index of the witness in its row, from 0.",
            stored="witness_image",
        ),
        Column("similarity", "FLOAT", "Cosine similarity of the SSCD vectors of the dropped image and the witness."),
        *DECIDING_PAIR,
        Column(
            "image_index",
            "INTEGER",
            "Index, in the dropped row, of the image that the reason is about; NULL if it is about the whole row.",
        ),
    ),
)
