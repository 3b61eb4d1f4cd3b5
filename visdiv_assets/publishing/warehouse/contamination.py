"""The warehouse's tables of images that leaked from benchmarks, and of how far the rules that find copies go."""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.columns import (
    EVIDENCE,
    IMAGE_ID,
    IMAGE_INDEX,
    LOW_INFORMATION,
    MODEL_ID,
    NORMALIZED,
    ROW,
    SIMILARITY,
    SUBSET,
    THRESHOLD,
    VERDICT,
    VERIFIED,
    Column,
    Table,
)

CONTAMINATION_PAIRS = Table(
    "contamination_pairs",
    "One row per image position of a subset and benchmark image that are close or copies; a benchmark image that "
    "occurs several times stands at its first position.",
    (
        SUBSET,
        ROW,
        IMAGE_INDEX,
        IMAGE_ID,
        Column("benchmark", "VARCHAR", "Name of the benchmark."),
        Column("benchmark_row", "BIGINT", "Row of the benchmark's test set, from 0."),
        Column("benchmark_image", "INTEGER", "Place of the image in its row, from 0."),
        SIMILARITY,
        VERIFIED,
        EVIDENCE,
        NORMALIZED,
        LOW_INFORMATION,
        Column("benchmark_image_id", "VARCHAR", "image_id of the benchmark's image."),
        Column("benchmark_positions", "BIGINT", "How often the benchmark holds that image."),
        MODEL_ID,
        *VERDICT,
    ),
)

CONTAMINATION_RATES = Table(
    "contamination_rates",
    "How much of a subset is close to a benchmark, and how much of the benchmark to the subset; ALL is all benchmarks.",
    (
        SUBSET,
        Column("benchmark", "VARCHAR", "Name of the benchmark, or ALL."),
        Column(
            "rule",
            "VARCHAR",
            "similarity: an image counts from the threshold on; verified: it counts if the pixels confirm it, and the "
            "threshold is NULL.",
        ),
        THRESHOLD,
        Column("images", "BIGINT", "Readable image positions of the subset."),
        Column("images_contaminated", "BIGINT", "Those whose best match reaches the threshold."),
        Column("rows", "BIGINT", "Rows of the subset."),
        Column("rows_contaminated", "BIGINT", "Rows with a contaminated image."),
        Column("benchmark_images", "BIGINT", "Readable image positions of the benchmark."),
        Column("benchmark_images_leaked", "BIGINT", "Those that are close to an image of the subset."),
        Column("rate", "DOUBLE", "images_contaminated / images; NULL without images."),
        Column("ci_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the rate."),
        Column("ci_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the rate."),
    ),
)

CALIBRATION = Table(
    "calibration",
    "How much of the copies made of a subset's own images each rule finds, and how much of what it accepts of the "
    "subset's nearest other images is wrong.",
    (
        SUBSET,
        Column("kind", "VARCHAR", "Kind of copy, such as jpeg or crop; ALL for all of them."),
        Column("strength", "VARCHAR", "mild, medium or strong; ALL for all of them."),
        Column("rule", "VARCHAR", "similarity: at or above the threshold; verified: confirmed by the pixels."),
        THRESHOLD,
        Column("images", "BIGINT", "Images of the subset that copies were made of."),
        Column("copies", "BIGINT", "Copies made."),
        Column("copies_found", "BIGINT", "Those that the rule finds."),
        Column("recall", "DOUBLE", "copies_found / copies; NULL without copies."),
        Column("recall_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the recall."),
        Column("recall_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the recall."),
        Column("other_pairs", "BIGINT", "Pairs of those images and their nearest others; NULL but for ALL, ALL."),
        Column("other_pairs_accepted", "BIGINT", "Those that the rule accepts."),
        Column("false_positives", "BIGINT", "Accepted pairs that are not copies, as far as their pixels tell."),
        Column("precision", "DOUBLE", "Share of the accepted pairs that are copies; NULL if none is accepted."),
        Column("precision_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the precision."),
        Column("precision_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the precision."),
    ),
)
