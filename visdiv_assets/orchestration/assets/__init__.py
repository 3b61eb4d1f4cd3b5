"""The Dagster assets, one module per stage, in the order of the data flow.

Belongs here: reading the lake, one call into another room, writing the lake, metadata and checks. Does not:
computing, decoding or drawing images, SQL.
"""

from visdiv_assets.orchestration.assets import (
    alignment,
    calibration,
    clip,
    clip_pairs,
    clusters,
    contamination,
    cross_subset,
    curation,
    diversity,
    duplicates,
    image_text_leaks,
    image_texts,
    indexes,
    ingest,
    judge,
    maps,
    mixtures,
    quality,
    reports,
    selection,
    source_files,
    text_duplicates,
    text_quality,
    texts,
    verification,
    warehouse,
)

#: The stages, in order.
STAGES = (
    source_files,
    ingest,
    judge,
    quality,
    text_quality,
    indexes,
    clip,
    duplicates,
    alignment,
    clip_pairs,
    diversity,
    contamination,
    texts,
    cross_subset,
    verification,
    text_duplicates,
    calibration,
    maps,
    image_texts,
    image_text_leaks,
    selection,
    clusters,
    curation,
    mixtures,
    reports,
    warehouse,
)
