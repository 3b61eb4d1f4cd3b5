"""What thresholds and pixel verification find, and wrongly claim, on a subset's own images."""

import base64
import time

import dagster as dg
import pyarrow as pa

from visdiv_assets.corpus.image_lookup import find_first_positions
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.duplicates.calibration.measure import (
    COPIES_SCHEMA,
    NEAREST_KEPT,
    PAIRS_SCHEMA,
    SEED,
    Measurement,
    measure,
)
from visdiv_assets.duplicates.calibration.rates import (
    CALIBRATION_SCHEMA,
    SIMILARITY,
    THRESHOLDS,
    VERIFIED,
    compute_rates,
    recommended_threshold,
    row_of,
    sentences,
)
from visdiv_assets.duplicates.calibration.sampling import SampleImages, choose_sample, nearest_others, within_budget
from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.assets.common import (
    check_spec,
    column_schema,
    current_embeddings,
    materialized,
    user_errors,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import (
    CalibrationResource,
    CleaningResource,
    DecoderResource,
    LakeResource,
    SourceResource,
    SscdResource,
    VerificationResource,
)
from visdiv_assets.progress import progress
from visdiv_assets.publishing.plots.calibration import plot
from visdiv_assets.publishing.plots.figures import can_plot
from visdiv_assets.sources import Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Raise it, too, when `calibration.copies` or `search.verify` decide otherwise than before.
CODE_VERSION = "2"


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS],
    group_name="5_findings",
    kinds={"parquet", "onnx", "pytorch"},
    pool="gpu",
    code_version=CODE_VERSION,
    metadata=column_schema(CALIBRATION_SCHEMA),
    check_specs=[
        check_spec(
            "rates_sound",
            asset=LakeTable.CALIBRATION,
            partitions_def=subset_partitions,
            description="No rule finds more copies than there are, and a lower threshold never finds fewer.",
        )
    ],
)
def calibration(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    sscd: SscdResource,
    verification: VerificationResource,
    cleaning: CleaningResource,
    calibration_settings: CalibrationResource,
) -> dg.MaterializeResult:
    """Recall and precision of each threshold, and of pixel verification, measured on images of the subset itself.

    Some images (VISDIV_CALIBRATION_IMAGES) are copied in 12 ways at 3 strengths. Recall is the share of the copies
    that a rule finds. Precision is over pairs of these and further images with their nearest others in the subset, 16
    for each image copied: a pair that a threshold accepts and the pixels refuse is wrong; verification's own errors
    are counted where a copy takes the place of an image that was refused.
    """
    subset = context.partition_key
    thresholds = sorted({*THRESHOLDS, cleaning.duplicate_threshold, cleaning.contamination_threshold}, reverse=True)
    # What is below the lowest was not looked at; a user's own threshold may be.
    thresholds = [value for value in thresholds if value >= min(THRESHOLDS)]
    with user_errors():
        store = lake.open()
        images = store.require(LakeTable.SUBSET_IMAGES, subset)
        embeddings = current_embeddings(store, images)
        inputs: dict[str, str] = {LakeTable.SUBSET_IMAGES: images.digest, LakeTable.SSCD_EMBEDDINGS: embeddings.digest}
        write = store.write(
            LakeTable.CALIBRATION,
            subset,
            code_version=CODE_VERSION,
            inputs=inputs,
            model_id=embeddings.model_id,
            settings={
                "images": calibration_settings.images,
                "candidate_floor": verification.candidate_floor,
                "pdq_distance": verification.pdq_distance,
                "thresholds": thresholds,
                "seed": SEED,
            },
            source_revision=embeddings.source_revision,
            run_id=context.run.run_id,
        )
        begin = time.monotonic()
        if not write.reuse("rates", inputs):
            with write.add("rates", inputs) as unit:
                measured = _measure(
                    store,
                    source.open(),
                    images,
                    embeddings,
                    sample_size=calibration_settings.images,
                    sscd=sscd,
                    decoder=decoder,
                    verification=verification,
                )
                unit.table("rates", compute_rates(measured, thresholds), CALIBRATION_SCHEMA)
                unit.table("copies", measured.copies, COPIES_SCHEMA)
                unit.table("pairs", measured.pairs, PAIRS_SCHEMA)
        seconds = time.monotonic() - begin
        manifest = write.commit()
        table = store.read(manifest, "rates")
        recommended = recommended_threshold(store.read(manifest, "pairs"))
    whole = row_of(table, VERIFIED, None)
    defects = _defects(table)
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": table.num_rows,
            "images": whole["images"] if whole else 0,
            "copies": whole["copies"] if whole else 0,
            "seconds": seconds,
            "units_reused": write.reused,
            "recommended_threshold": "none" if recommended.threshold is None else recommended.threshold,
            "recommended_because": recommended.note,
            **_shown(table),
        },
        [dg.AssetCheckResult(check_name="rates_sound", passed=not any(defects.values()), metadata=defects)],
    )


def _measure(
    store: Lake,
    source: Source,
    images: Manifest,
    embeddings: Manifest,
    *,
    sample_size: int,
    sscd: SscdResource,
    decoder: DecoderResource,
    verification: VerificationResource,
) -> Measurement:
    subset = images.partition
    pairs = sample_size * NEAREST_KEPT
    sample = choose_sample(store.read(images, columns=["image_id", "status", "low_information"]), pairs)
    if not sample:
        return Measurement(COPIES_SCHEMA.empty_table(), PAIRS_SCHEMA.empty_table())
    embedder = sscd.load()
    if embedder.model_id != embeddings.model_id:
        raise VisdivError(
            f"the vectors of {subset!r} were made by {embeddings.model_id}, but {embedder.model_id} is set: "
            "materialize sscd_embeddings again"
        )
    image_ids = store.read(embeddings, "ids")["image_id"].combine_chunks()
    found = nearest_others(image_ids, store.array(embeddings, "vectors"), sample)
    nearest = within_budget(found, copied=sample_size, pairs=pairs)
    used = {*nearest, *(other.image_id for others in nearest.values() for other in others)}
    fetched = SampleImages(source, find_first_positions(store, subset, used), limits=decoder.limits)
    with progress(f"calibrating {subset}", len(nearest), "image") as advance:
        return measure(
            fetched.each(nearest),
            nearest,
            fetched.load,
            embedder,
            copied=sample[:sample_size],
            candidate_floor=verification.candidate_floor,
            pdq_distance=verification.pdq_distance,
            threads=decoder.thread_count,
            progress=advance,
        )


def _shown(table: pa.Table) -> dict[str, dg.MetadataValue | float]:
    """The plot, the sentences, and the rates over all copies as numbers that the UI can follow over time."""
    if not table.num_rows:
        return {}
    shown: dict[str, dg.MetadataValue | float] = {}
    for threshold in sorted({value for value in table["threshold"].to_pylist() if value is not None}, reverse=True):
        shown |= _numbers(table, SIMILARITY, threshold, f"at_{threshold:g}")
    shown |= _numbers(table, VERIFIED, None, "verified")
    if can_plot():
        image = base64.b64encode(plot(table)).decode("ascii")
        shown["rates"] = dg.MetadataValue.md(f"![recall and precision](data:image/png;base64,{image})")
    shown["in_words"] = dg.MetadataValue.md("\n".join(f"- {line}" for line in sentences(table)))
    return shown


def _numbers(table: pa.Table, rule: str, threshold: float | None, name: str) -> dict[str, float]:
    row = row_of(table, rule, threshold) or {}
    return {f"{rate}_{name}": row[rate] for rate in ("recall", "precision") if row.get(rate) is not None}


def _defects(table: pa.Table) -> dict[str, int]:
    more_than_all = fewer_below = 0
    before: dict[tuple[str, str], int] = {}
    for row in table.to_pylist():
        more_than_all += row["copies_found"] > row["copies"]
        if row["rule"] == SIMILARITY:
            group = row["kind"], row["strength"]
            fewer_below += row["copies_found"] < before.get(group, 0)
            before[group] = row["copies_found"]
    return {"more_than_all": more_than_all, "fewer_at_a_lower_threshold": fewer_below}
