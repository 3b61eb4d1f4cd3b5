"""The tables of the warehouse, in one place: which there are, and in what order they are listed.

This is a contract with BI tools: columns may be added, never renamed or removed.
"""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.clip import (
    ALIGNMENT,
    ALIGNMENT_SUMMARY,
    CLIP_PAIRS,
    MAP_POINTS,
    SELECTION_SCORES,
)
from visdiv_assets.publishing.warehouse.columns import MATERIALIZED_AT, MODEL_ID, SUBSET, Column, Table
from visdiv_assets.publishing.warehouse.contamination import CALIBRATION, CONTAMINATION_PAIRS, CONTAMINATION_RATES
from visdiv_assets.publishing.warehouse.diversity import (
    DIVERSITY,
    DIVERSITY_PUBLISHED,
    DIVERSITY_RAREFIED,
    MIXTURE_WEIGHTS,
)
from visdiv_assets.publishing.warehouse.duplicates import (
    CLUSTER_SIZES,
    CLUSTER_SUMMARY,
    DUPLICATE_CLUSTERS,
    DUPLICATE_PAIR_POSITIONS,
    DUPLICATE_PAIRS,
    SUBSET_OVERLAP,
)
from visdiv_assets.publishing.warehouse.images import DROPPED_ROWS, IMAGES, QUALITY, SUBSETS
from visdiv_assets.publishing.warehouse.texts import TEXT_CONTAMINATION_RATES, TEXT_OVERLAPS

__all__ = [
    "CALIBRATION",
    "CLUSTER_SIZES",
    "CLUSTER_SUMMARY",
    "CONTAMINATION_RATES",
    "DIVERSITY",
    "DIVERSITY_PUBLISHED",
    "DIVERSITY_RAREFIED",
    "DROPPED_ROWS",
    "DUPLICATE_CLUSTERS",
    "MIXTURE_WEIGHTS",
    "PROVENANCE",
    "SUBSETS",
    "SUBSET_OVERLAP",
    "TABLES",
    "VIEWS",
]

PROVENANCE = Table(
    "provenance",
    "Where each partition of each table of the lake came from.",
    (
        Column("table_name", "VARCHAR", "Table of the lake, named as the asset that makes it."),
        SUBSET,
        MODEL_ID,
        Column("source_revision", "VARCHAR", "Version of the subset's rows that it was made from."),
        Column("settings", "VARCHAR", "Settings that its content depends on, as JSON."),
        Column("code_version", "VARCHAR", "Version of the code that made it."),
        Column("run_id", "VARCHAR", "Dagster run that wrote it."),
        MATERIALIZED_AT,
    ),
)

TABLES = (
    SUBSETS,
    IMAGES,
    QUALITY,
    DUPLICATE_PAIRS,
    DUPLICATE_CLUSTERS,
    CLUSTER_SUMMARY,
    CLUSTER_SIZES,
    SUBSET_OVERLAP,
    CONTAMINATION_PAIRS,
    CONTAMINATION_RATES,
    TEXT_OVERLAPS,
    TEXT_CONTAMINATION_RATES,
    CALIBRATION,
    DIVERSITY,
    DIVERSITY_RAREFIED,
    DIVERSITY_PUBLISHED,
    MIXTURE_WEIGHTS,
    DROPPED_ROWS,
    ALIGNMENT,
    ALIGNMENT_SUMMARY,
    CLIP_PAIRS,
    SELECTION_SCORES,
    MAP_POINTS,
    PROVENANCE,
)
VIEWS = (DUPLICATE_PAIR_POSITIONS,)
