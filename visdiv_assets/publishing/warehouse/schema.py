"""All tables and views of the DuckDB file, in the order in which they are listed.

They are a contract with BI tools: a change that renames or removes a table, a column or a value raises `SCHEMA_VERSION`
and is listed in the changelog. Tables and columns may be added without that.
"""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.clip import (
    ALIGNMENT,
    ALIGNMENT_SUMMARY,
    CLIP_PAIR_SUMMARY,
    CLIP_PAIRS,
    MAP_POINTS,
    SELECTION_SCORES,
)
from visdiv_assets.publishing.warehouse.columns import MATERIALIZED_AT, MODEL_ID, Column, Table
from visdiv_assets.publishing.warehouse.contamination import (
    CALIBRATION,
    CONTAMINATION,
    CONTAMINATION_PAIRS,
    CONTAMINATION_RATES,
    CONTAMINATION_TOTAL,
)
from visdiv_assets.publishing.warehouse.diversity import (
    DIVERSITY,
    DIVERSITY_PUBLISHED,
    DIVERSITY_RAREFIED,
    MIXTURE_WEIGHTS,
)
from visdiv_assets.publishing.warehouse.duplicates import (
    CLOSE_PAIR_POSITIONS,
    CLOSE_PAIRS,
    CLUSTER_SUMMARY,
    COMPONENT_SIZES,
    DUPLICATE_CLUSTERS,
    DUPLICATES,
    SUBSET_OVERLAP,
)
from visdiv_assets.publishing.warehouse.history import HISTORY
from visdiv_assets.publishing.warehouse.image_issues import IMAGE_ISSUES
from visdiv_assets.publishing.warehouse.image_texts import (
    IMAGE_PERSONAL_DATA,
    IMAGE_TEXT_LEAK_RATES,
    IMAGE_TEXT_LEAK_SUMMARY,
    IMAGE_TEXT_LEAKS,
    IMAGE_TEXT_SUMMARY,
    IMAGE_TEXTS,
)
from visdiv_assets.publishing.warehouse.image_types import (
    IMAGE_TYPE_AGREEMENT,
    IMAGE_TYPE_SUMMARY,
    IMAGE_TYPES,
    INAPPROPRIATE_IMAGE_SUMMARY,
    INAPPROPRIATE_IMAGES,
    LISTED_WORD_SUMMARY,
    LISTED_WORDS,
)
from visdiv_assets.publishing.warehouse.images import DROPPED_ROWS, IMAGES, QUALITY, SUBSETS
from visdiv_assets.publishing.warehouse.judge import JUDGE_RATINGS, JUDGE_SUMMARY
from visdiv_assets.publishing.warehouse.masked_alignment import MASKED_ALIGNMENT, MASKED_ALIGNMENT_SUMMARY
from visdiv_assets.publishing.warehouse.review import REVIEW_DECISIONS, REVIEW_PRECISION
from visdiv_assets.publishing.warehouse.rows import ROWS
from visdiv_assets.publishing.warehouse.skipped import SKIPPED_FILES, UNUSED_COLUMNS
from visdiv_assets.publishing.warehouse.summaries import BENCHMARK_SUMMARY, BENCHMARKS, SUBSET_SUMMARY
from visdiv_assets.publishing.warehouse.text_quality import (
    PERSONAL_DATA,
    PERSONAL_DATA_SUMMARY,
    QUALITY_QUANTILES,
    TEXT_QUALITY,
    TEXT_QUALITY_SUMMARY,
)
from visdiv_assets.publishing.warehouse.texts import (
    BENCHMARK_LEAKS,
    REPEATED_TURNS,
    TEXT_CONTAMINATION_RATES,
    TEXT_DUPLICATE_SUMMARY,
    TEXT_GROUPS,
    TEXT_NEAR_DUPLICATES,
    TEXT_OVERLAPS,
    TEXT_SUMMARY,
)

__all__ = [
    "BENCHMARKS",
    "CALIBRATION",
    "CLUSTER_SUMMARY",
    "COMPONENT_SIZES",
    "CONTAMINATION_RATES",
    "DIVERSITY",
    "DIVERSITY_PUBLISHED",
    "DIVERSITY_RAREFIED",
    "DROPPED_ROWS",
    "DUPLICATE_CLUSTERS",
    "IMAGES",
    "IMAGE_TEXTS",
    "JUDGE_RATINGS",
    "META",
    "MIXTURE_WEIGHTS",
    "PROVENANCE",
    "REVIEW_DECISIONS",
    "ROWS",
    "SCHEMA_VERSION",
    "SKIPPED_FILES",
    "SUBSETS",
    "SUBSET_OVERLAP",
    "TABLES",
    "UNUSED_COLUMNS",
    "VIEWS",
]

#: Version of the tables, columns and values of the DuckDB file. Files of version 1 have no table `meta`.
SCHEMA_VERSION = 3

META = Table(
    "meta",
    "One row: which version of the product made this file, when, and from what.",
    (
        Column("schema_version", "INTEGER", "Version of the tables, columns and values of this file."),
        Column("product_version", "VARCHAR", "Version of visdiv-assets that published the file; NULL if unknown."),
        Column("source", "VARCHAR", "The dataset, as set by VISDIV_SOURCE, without credentials; NULL if unknown."),
        Column("settings", "JSON", "All settings of the publishing run that are not secret, by name."),
        Column("published_at", "TIMESTAMP WITH TIME ZONE", "When the file was published."),
        Column("lake_format_version", "INTEGER", "Version of the file format of the lake; NULL if unknown."),
    ),
)

PROVENANCE = Table(
    "provenance",
    "One row per partition of each table of the lake: what it was made from, and when.",
    (
        Column("table_name", "VARCHAR", "Table of the lake, named as the asset that writes it."),
        Column(
            "partition",
            "VARCHAR",
            "Partition of the table: a subset, a benchmark, or all for tables that concern all subsets together.",
        ),
        MODEL_ID,
        Column("source_revision", "VARCHAR", "Version of the rows that it was made from."),
        Column("settings", "JSON", "Settings that its content depends on, by name."),
        Column("code_version", "VARCHAR", "Version of the code that made it."),
        Column("run_id", "VARCHAR", "Dagster run that wrote it."),
        MATERIALIZED_AT,
    ),
)

TABLES = (
    META,
    SUBSETS,
    BENCHMARKS,
    ROWS,
    IMAGES,
    QUALITY,
    JUDGE_RATINGS,
    CLOSE_PAIRS,
    DUPLICATE_CLUSTERS,
    CLUSTER_SUMMARY,
    COMPONENT_SIZES,
    SUBSET_OVERLAP,
    CONTAMINATION_PAIRS,
    CONTAMINATION_RATES,
    TEXT_OVERLAPS,
    TEXT_CONTAMINATION_RATES,
    TEXT_DUPLICATE_SUMMARY,
    TEXT_GROUPS,
    TEXT_NEAR_DUPLICATES,
    REPEATED_TURNS,
    IMAGE_TEXTS,
    IMAGE_PERSONAL_DATA,
    IMAGE_TEXT_LEAKS,
    IMAGE_TEXT_LEAK_RATES,
    MASKED_ALIGNMENT,
    IMAGE_TYPES,
    INAPPROPRIATE_IMAGES,
    LISTED_WORDS,
    TEXT_QUALITY,
    PERSONAL_DATA,
    QUALITY_QUANTILES,
    CALIBRATION,
    DIVERSITY,
    DIVERSITY_RAREFIED,
    DIVERSITY_PUBLISHED,
    MIXTURE_WEIGHTS,
    DROPPED_ROWS,
    ALIGNMENT,
    ALIGNMENT_SUMMARY,
    CLIP_PAIRS,
    CLIP_PAIR_SUMMARY,
    SELECTION_SCORES,
    MAP_POINTS,
    REVIEW_DECISIONS,
    PROVENANCE,
    SKIPPED_FILES,
    UNUSED_COLUMNS,
    HISTORY,
)
#: In the order in which they are created: a view may read those before it.
VIEWS = (
    CONTAMINATION,
    CONTAMINATION_TOTAL,
    SUBSET_SUMMARY,
    BENCHMARK_SUMMARY,
    CLOSE_PAIR_POSITIONS,
    DUPLICATES,
    IMAGE_ISSUES,
    TEXT_SUMMARY,
    IMAGE_TEXT_SUMMARY,
    IMAGE_TEXT_LEAK_SUMMARY,
    MASKED_ALIGNMENT_SUMMARY,
    IMAGE_TYPE_SUMMARY,
    IMAGE_TYPE_AGREEMENT,
    INAPPROPRIATE_IMAGE_SUMMARY,
    LISTED_WORD_SUMMARY,
    BENCHMARK_LEAKS,
    TEXT_QUALITY_SUMMARY,
    PERSONAL_DATA_SUMMARY,
    REVIEW_PRECISION,
    JUDGE_SUMMARY,
)
