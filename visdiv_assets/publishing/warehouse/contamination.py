"""Tables of benchmark images in subsets, and of the measured recall and precision of the rules that find copies."""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.columns import (
    CONFIDENCE,
    DECIDED,
    EVIDENCE,
    EXPLANATION,
    IMAGE_ID,
    IMAGE_INDEX,
    LOW_INFORMATION,
    MODEL_ID,
    NORMALIZED,
    OF_SUBSET,
    ROW,
    RULE_TYPE,
    RULE_VALUES,
    SIMILARITY,
    SUBSET,
    THRESHOLD,
    VERDICT,
    Column,
    Table,
    View,
    enum,
)

CONTAMINATION_PAIRS = Table(
    "contamination_pairs",
    "One row per image position of a subset and benchmark image that are close, confirmed copies or decided on by a "
    "person. A benchmark image that occurs several times is listed at its first position.",
    (
        SUBSET,
        ROW,
        IMAGE_INDEX,
        IMAGE_ID,
        Column("benchmark", "VARCHAR", "Name of the benchmark."),
        Column("benchmark_row", "BIGINT", "Index of the row in the benchmark, from 0."),
        Column(
            "benchmark_image_index",
            "INTEGER",
            "Index of the image in the benchmark's row, from 0.",
            stored="benchmark_image",
        ),
        SIMILARITY,
        VERDICT,
        CONFIDENCE,
        EVIDENCE,
        NORMALIZED,
        LOW_INFORMATION,
        Column("benchmark_image_id", "VARCHAR", "The image_id of the benchmark image."),
        Column("benchmark_positions", "BIGINT", "Number of positions of the benchmark that hold that image."),
        MODEL_ID,
        *EXPLANATION,
        *DECIDED,
    ),
)

CONTAMINATION_RATES = Table(
    "contamination_rates",
    "One row per subset, benchmark, rule and threshold: how many images of the subset are in the benchmark, and how "
    "many of the benchmark are in the subset. The benchmark ALL is all benchmarks together.",
    (
        SUBSET,
        Column("benchmark", "VARCHAR", "Name of the benchmark, or ALL."),
        Column(
            "rule",
            RULE_TYPE,
            "When an image counts as contaminated. confirmed: the pixels confirm that it is a copy of a benchmark "
            "image. similarity: its similarity to a benchmark image is at least the threshold.",
            values=RULE_VALUES,
        ),
        Column(THRESHOLD.name, THRESHOLD.type, f"{THRESHOLD.comment} NULL for the rule confirmed."),
        Column("images", "BIGINT", "Readable image positions of the subset."),
        Column("images_contaminated", "BIGINT", "Image positions that count as contaminated by the rule."),
        Column("rows", "BIGINT", "Rows of the subset."),
        Column("rows_contaminated", "BIGINT", "Rows with a contaminated image."),
        Column("benchmark_images", "BIGINT", "Readable image positions of the benchmark."),
        Column("benchmark_images_leaked", "BIGINT", "Image positions of the benchmark that are in the subset."),
        Column("rate", "DOUBLE", "images_contaminated / images; NULL if the subset has no readable image."),
        Column("ci_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the rate."),
        Column("ci_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the rate."),
    ),
    references=OF_SUBSET,
)

_CONFIRMED_COLUMNS = tuple(
    Column(name, kind, comment)
    for name, kind, comment in (
        ("images", "BIGINT", "Readable image positions of the subset."),
        ("images_contaminated", "BIGINT", "Image positions that are confirmed copies of a benchmark image."),
        ("rate", "DOUBLE", "images_contaminated / images; NULL if the subset has no readable image."),
        ("ci_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the rate."),
        ("ci_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the rate."),
        ("rows", "BIGINT", "Rows of the subset."),
        ("rows_contaminated", "BIGINT", "Rows with a contaminated image."),
        ("benchmark_images", "BIGINT", "Readable image positions of the benchmark."),
        ("benchmark_images_leaked", "BIGINT", "Image positions of the benchmark that are in the subset."),
    )
)

CONTAMINATION = View(
    "contamination",
    "A view with one row per subset and benchmark: how many images of the subset are confirmed copies of images of the "
    "benchmark. The table contamination_rates has other rules and thresholds.",
    (SUBSET, Column("benchmark", "VARCHAR", "Name of the benchmark."), *_CONFIRMED_COLUMNS),
    query="FROM contamination_rates WHERE rule = 'confirmed' AND benchmark <> 'ALL'",
)

CONTAMINATION_TOTAL = View(
    "contamination_total",
    "A view with one row per subset: how many of its images are confirmed copies of images of any benchmark. An image "
    "that is in several benchmarks counts once.",
    (SUBSET, *_CONFIRMED_COLUMNS),
    query="FROM contamination_rates WHERE rule = 'confirmed' AND benchmark = 'ALL'",
)

CALIBRATED_RULE_TYPE = enum("confirmed", "confidence", "similarity")
CALIBRATION = Table(
    "calibration",
    "One row per subset, copy_kind, strength, rule and threshold: the recall of the rule on copies made of the "
    "subset's own images, and its precision on pairs of these images and their nearest other images.",
    (
        SUBSET,
        Column(
            "copy_kind",
            "VARCHAR",
            "How the copies were made, such as jpeg or crop; ALL for all of them together.",
            stored="kind",
        ),
        Column(
            "strength",
            enum("mild", "strong", "ALL"),
            "How much the copies were changed: mild or strong; ALL for all of them.",
        ),
        Column(
            "rule",
            CALIBRATED_RULE_TYPE,
            "When a candidate pair counts as a copy. confirmed: verification confirms it. confidence: its confidence "
            "is at least the threshold. similarity: its similarity is at least the threshold, candidate or not.",
            values=RULE_VALUES,
        ),
        Column(
            THRESHOLD.name,
            THRESHOLD.type,
            f"{THRESHOLD.comment} For the rule confidence, the minimum confidence. NULL for the rule confirmed.",
        ),
        Column("images", "BIGINT", "Images of the subset of which copies were made."),
        Column("copies", "BIGINT", "Copies made."),
        Column("copies_found", "BIGINT", "Copies that the rule finds."),
        Column(
            "recall",
            "DOUBLE",
            "copies_found / copies; with copy_kind ALL, the mean over the kinds of copies. NULL if copies is 0.",
        ),
        Column("recall_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the recall."),
        Column("recall_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the recall."),
        Column(
            "other_pairs",
            "BIGINT",
            "Pairs of these images and their nearest other images. NULL unless copy_kind and strength are ALL.",
        ),
        Column("other_pairs_accepted", "BIGINT", "Other pairs that the rule accepts."),
        Column("false_positives", "BIGINT", "Accepted pairs whose pixels show that they are not copies."),
        Column("precision", "DOUBLE", "Share of the accepted pairs that are copies; NULL if no pair is accepted."),
        Column("precision_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the precision."),
        Column("precision_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the precision."),
    ),
    references=OF_SUBSET,
)
