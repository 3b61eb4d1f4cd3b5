"""Recall and precision of thresholds and of verification, measured on a subset's own images."""

import time

import dagster as dg
import pyarrow as pa

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.duplicates.calibration.encoded_copies import SEED
from visdiv_assets.duplicates.calibration.measure import COPIES_SCHEMA, PAIRS_SCHEMA
from visdiv_assets.duplicates.calibration.rates import (
    CALIBRATION_SCHEMA,
    CONFIDENCE,
    FLOORS,
    SIMILARITY,
    THRESHOLDS,
    VERIFIED,
    compute_rates,
    recommended_threshold,
    row_of,
    sentences,
)
from visdiv_assets.duplicates.calibration.subset import measure_subset, rate_defects
from visdiv_assets.orchestration.assets.stage import (
    check_defects,
    check_spec,
    column_schema,
    digests_by_table,
    image_markdown,
    materialized,
    stage,
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
from visdiv_assets.publishing.plots.calibration import plot
from visdiv_assets.publishing.plots.figures import can_plot

CODE_VERSION = "5"


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
            description="No rule finds more copies than exist, and a lower threshold never finds fewer.",
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
    """Recall and precision of each threshold, and of verification, measured on images of the subset itself.

    A sample of images (VISDIV_CALIBRATION_IMAGES) is edited in 53 ways, as people and programs edit images, half of
    them mildly and half strongly. Recall is the share of these copies that a rule finds, and over all of them the mean
    over the kinds of edits. Precision is measured on pairs of sampled images with their nearest other images in the
    subset, 16 pairs for each copied image: a pair that a threshold accepts and verification does not confirm counts as
    wrong. Errors of verification itself are counted on copies that replace one image of a pair that is not confirmed.
    A curve shows precision and recall of each minimum confidence. The reports and the DuckDB file contain the rates
    from their next run on.
    """
    thresholds = sorted({*THRESHOLDS, cleaning.duplicate_threshold, cleaning.contamination_threshold}, reverse=True)
    # Pairs below the lowest threshold were not measured, so a configured threshold below it is left out.
    thresholds = [value for value in thresholds if value >= min(THRESHOLDS)]
    with stage(context, lake, LakeTable.CALIBRATION, CODE_VERSION) as run:
        images = run.require(LakeTable.SUBSET_IMAGES)
        embeddings = run.current_embeddings(images)
        inputs = digests_by_table(images, embeddings)
        write = run.write(
            inputs,
            model_id=embeddings.model_id,
            settings={
                "images": calibration_settings.images,
                "candidate_floor": verification.candidate_floor,
                "pdq_distance": verification.pdq_distance,
                "thresholds": thresholds,
                "seed": SEED,
            },
            source_revision=embeddings.source_revision,
        )
        begin = time.monotonic()
        if not write.reuse("rates", inputs):
            with write.add("rates", inputs) as unit:
                measured = measure_subset(
                    run.lake,
                    source.open(),
                    images,
                    embeddings,
                    sscd.load,
                    sample_size=calibration_settings.images,
                    candidate_floor=verification.candidate_floor,
                    pdq_distance=verification.pdq_distance,
                    threads=decoder.thread_count,
                    limits=decoder.limits,
                )
                unit.table("rates", compute_rates(measured, thresholds), CALIBRATION_SCHEMA)
                unit.table("copies", measured.copies, COPIES_SCHEMA)
                unit.table("pairs", measured.pairs, PAIRS_SCHEMA)
        seconds = time.monotonic() - begin
        manifest = write.commit()
        table = run.lake.read(manifest, "rates")
        recommended = recommended_threshold(run.lake.read(manifest, "pairs"))
    whole = row_of(table, VERIFIED, None)
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
            **_show_rates(table),
        },
        [check_defects("rates_sound", rate_defects(table))],
    )


def _show_rates(table: pa.Table) -> dict[str, dg.MetadataValue | float]:
    """Return the plot, the sentences, and the rates over all copies as numbers that the UI plots over time."""
    if not table.num_rows:
        return {}
    shown: dict[str, dg.MetadataValue | float] = {}
    thresholds = {row["threshold"] for row in table.to_pylist() if row["rule"] == SIMILARITY}
    for threshold in sorted(thresholds, reverse=True):
        shown |= _rates_of_rule(table, SIMILARITY, threshold, f"at_{threshold:g}")
    for floor in FLOORS:
        shown |= _rates_of_rule(table, CONFIDENCE, floor, f"of_confidence_{floor:g}")
    shown |= _rates_of_rule(table, VERIFIED, None, "verified")
    if can_plot():
        shown["rates"] = image_markdown("recall and precision", plot(table))
    shown["in_words"] = dg.MetadataValue.md("\n".join(f"- {line}" for line in sentences(table)))
    return shown


def _rates_of_rule(table: pa.Table, rule: str, threshold: float | None, name: str) -> dict[str, float]:
    row = row_of(table, rule, threshold) or {}
    return {f"{rate}_{name}": row[rate] for rate in ("recall", "precision") if row.get(rate) is not None}
