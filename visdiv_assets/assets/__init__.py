"""The Dagster assets, one module a stage, in the order in which data flows.

Belongs here: reading the lake, one call into a room below, writing the lake, metadata and checks. Does not:
mathematics, decoding, SQL.
"""

from visdiv_assets.assets import (
    calibration,
    clusters,
    contamination,
    cross_subset,
    curation,
    diversity,
    duplicates,
    embeddings,
    images,
    indexes,
    quality,
    reports,
    verification,
    warehouse,
)

#: The stages, in order.
STAGES = (
    images,
    quality,
    embeddings,
    indexes,
    duplicates,
    diversity,
    contamination,
    cross_subset,
    verification,
    calibration,
    clusters,
    curation,
    reports,
    warehouse,
)
