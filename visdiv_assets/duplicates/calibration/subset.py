"""The calibration of a subset from the lake: which of its images are copied, and the measurement of them."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from visdiv_assets.corpus.tables import LakeTable, remedy
from visdiv_assets.duplicates.calibration.measure import (
    COPIES_SCHEMA,
    NEAREST_KEPT,
    PAIRS_SCHEMA,
    Measurement,
    measure,
)
from visdiv_assets.duplicates.calibration.rates import CONFIDENCE, SIMILARITY
from visdiv_assets.duplicates.calibration.sampling import choose_sample, nearest_others, within_budget
from visdiv_assets.duplicates.pair_images import PairImages
from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.errors import ModelError
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest


def measure_subset(
    lake: Lake,
    source: Source,
    images: Manifest,
    embeddings: Manifest,
    load_embedder: Callable[[], Embedder],
    *,
    sample_size: int,
    candidate_floor: float,
    pdq_distance: int,
    threads: int,
    limits: DecodeLimits,
) -> Measurement:
    """Measure what thresholds and verification find on a subset's own images; see `measure`.

    Args:
        lake: where its images and vectors are listed.
        source: where its images are.
        images: manifest of `subset_images`.
        embeddings: manifest of `sscd_embeddings`.
        load_embedder: loads the model that made the vectors; not called if the subset has no image to sample.
        sample_size: images that are copied.
        candidate_floor: smallest similarity of a candidate pair.
        pdq_distance: largest number of differing bits of a candidate pair.
        threads: threads that decode and compare.
        limits: of images.

    Raises:
        ModelError: the vectors were made by another model.
    """
    subset = images.partition
    pairs = sample_size * NEAREST_KEPT
    sample = choose_sample(lake.read(images, columns=["image_id", "status", "low_information"]), pairs)
    if not sample:
        return Measurement(COPIES_SCHEMA.empty_table(), PAIRS_SCHEMA.empty_table())
    embedder = load_embedder()
    if embedder.model_id != embeddings.model_id:
        raise ModelError(
            f"the vectors of {subset!r} were made by {embeddings.model_id}, but {embedder.model_id} is set: "
            f"{remedy(LakeTable.SSCD_EMBEDDINGS, subset)} first"
        )
    image_ids = lake.read(embeddings, "ids")["image_id"].combine_chunks()
    found = nearest_others(image_ids, lake.array(embeddings, "vectors"), sample)
    nearest = within_budget(found, copied=sample_size, pairs=pairs)
    access = PairImages(lake, source, [(Kind.SUBSET, images)], limits)
    with progress(f"calibrating {subset}", len(nearest), "image") as advance:
        return measure(
            access,
            nearest,
            embedder,
            copied=sample[:sample_size],
            candidate_floor=candidate_floor,
            pdq_distance=pdq_distance,
            threads=threads,
            limits=limits,
            progress=advance,
        )


def rate_defects(table: pa.Table) -> dict[str, int]:
    """Count the impossible rates in a table of `rates.CALIBRATION_SCHEMA`.

    Returns:
        `more_than_all`: rules that find more copies than there are; `fewer_at_a_lower_threshold`: thresholds that find
        fewer than a higher one of the same rule.
    """
    more_than_all = fewer_below = 0
    before: dict[tuple[str, str, str], int] = {}
    for row in table.to_pylist():
        more_than_all += row["copies_found"] > row["copies"]
        if row["rule"] in (SIMILARITY, CONFIDENCE):
            group = row["rule"], row["kind"], row["strength"]
            fewer_below += row["copies_found"] < before.get(group, 0)
            before[group] = row["copies_found"]
    return {"more_than_all": more_than_all, "fewer_at_a_lower_threshold": fewer_below}
