"""Reports with pairs of images side by side, as HTML files that need no server."""

from pathlib import Path

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.image_lookup import ImageReader
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.dataset_card import code_span
from visdiv_assets.duplicates.calibration.rates import SIMILARITY, VERIFIED, sentence
from visdiv_assets.orchestration.assets.stage import digests_by_table, stage
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.presentation import report_metadata, report_url
from visdiv_assets.orchestration.resources import (
    CleaningResource,
    DecoderResource,
    LakeResource,
    ReportsResource,
    SourceResource,
)
from visdiv_assets.publishing.reports import contamination, duplicates, with_alignments, write_report
from visdiv_assets.publishing.site_head import report_head, write_missing_pages
from visdiv_assets.storage.files import escape
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

CODE_VERSION = "8"


@dg.asset(
    partitions_def=subset_partitions,
    deps=[
        LakeTable.SUBSET_IMAGES,
        LakeTable.SUBSET_THUMBNAILS,
        LakeTable.NEAR_DUPLICATES,
        LakeTable.VERIFIED_DUPLICATES,
    ],
    group_name="5_findings",
    kinds={"html"},
    code_version=CODE_VERSION,
)
def duplicates_report(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    cleaning: CleaningResource,
    reports: ReportsResource,
) -> dg.MaterializeResult:
    """A page with pairs of images of a subset side by side and their verdicts.

    It shows at most 300 pairs: the closest, the least similar confirmed ones, and the most similar rejected ones. If
    `calibration` of the subset was materialized before, it states the recall and precision of the rules. The page opens
    from disk.
    """
    subset = context.partition_key
    path = Path(reports.folder) / "duplicates" / f"{escape(subset)}.html"
    with stage(context, lake, LakeTable.DUPLICATES_REPORT, CODE_VERSION) as run:
        store = run.lake
        nearest, images = run.require(LakeTable.NEAR_DUPLICATES), run.require(LakeTable.SUBSET_IMAGES)
        verified = run.require(LakeTable.VERIFIED_DUPLICATES)
        calibrated = store.manifest(LakeTable.CALIBRATION, subset)
        inputs = digests_by_table(nearest, images, verified, calibrated)
        head = report_head(source.uri)
        write_missing_pages(Path(reports.folder), head)
        inputs |= {"threshold": str(cleaning.duplicate_threshold), "dataset": head.dataset}
        write = run.write(inputs)
        if not (write.reuse("page", inputs) and path.is_file()):
            with write.add("page", inputs):
                report = duplicates.duplicates_report(
                    ImageReader(store, source.open, decoder.limits),
                    nearest,
                    images,
                    verified=verified,
                    measured=_describe_calibration(store, calibrated, cleaning.duplicate_threshold),
                )
                write_report(with_alignments(report), path, head)
        write.commit()
    return dg.MaterializeResult(
        metadata={**report_metadata(path, Path(reports.folder)), "pairs": verified.rows("pairs")}
    )


@dg.asset(
    deps=[
        LakeTable.CONTAMINATION,
        LakeTable.VERIFIED_CONTAMINATION,
        LakeTable.SUBSET_THUMBNAILS,
        LakeTable.BENCHMARK_IMAGES,
        LakeTable.BENCHMARK_THUMBNAILS,
    ],
    group_name="6_corpus",
    kinds={"html"},
    code_version=CODE_VERSION,
)
def leak_reports(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    cleaning: CleaningResource,
    reports: ReportsResource,
) -> dg.MaterializeResult:
    """A page for each benchmark: its images beside the training images that are close to them or copies of them.

    Each page shows at most 300 pairs with their verdicts, and the contamination rate of every subset. The pages open
    from disk.
    """
    with stage(context, lake, LakeTable.LEAK_REPORTS, CODE_VERSION, present_in=source) as run:
        store = run.lake
        reader = ImageReader(store, source.open, decoder.limits)
        tables_of = {
            name: store.require(LakeTable.CONTAMINATION, name) for name in store.partitions(LakeTable.CONTAMINATION)
        }
        tables = (LakeTable.VERIFIED_CONTAMINATION, LakeTable.CALIBRATION)
        verified, calibrated = (
            {name: store.require(table, name) for name in store.partitions(table)} for table in tables
        )
        paths = {}
        folder = Path(reports.folder)
        head = report_head(source.uri)
        write_missing_pages(folder, head)
        for benchmark in store.partitions(LakeTable.BENCHMARK_EMBEDDINGS):
            path = folder / "leaks" / f"{escape(benchmark)}.html"
            paths[benchmark] = path
            inputs = {name: manifest.digest for name, manifest in tables_of.items()}
            inputs |= {
                f"{name} {part.table}": part.digest for found in (verified, calibrated) for name, part in found.items()
            }
            inputs |= {"threshold": str(cleaning.contamination_threshold), "dataset": head.dataset}
            write = run.write(inputs, partition=benchmark)
            if not (write.reuse("page", inputs) and path.is_file()):
                with write.add("page", inputs):
                    threshold = cleaning.contamination_threshold
                    measured = [
                        f"{name}: {line}"
                        for name, manifest in calibrated.items()
                        for line in _describe_calibration(store, manifest, threshold)
                    ]
                    report = contamination.leak_report(
                        reader, benchmark, tables_of, threshold, verified=verified, measured=measured
                    )
                    write_report(with_alignments(report), path, head)
            write.commit()
    links = [f"- [{code_span(name)}]({report_url(path, folder)})" for name, path in paths.items()]
    return dg.MaterializeResult(
        metadata={
            "benchmarks": len(paths),
            "reports": dg.MetadataValue.md("\n".join(links)),
            "folder": dg.MetadataValue.path(folder / "leaks"),
        }
    )


def _describe_calibration(lake: Lake, calibrated: Manifest | None, threshold: float) -> list[str]:
    """Return sentences with the calibration of verification and, if it was measured, of the similarity threshold."""
    if calibrated is None:
        return []
    rates = lake.read(calibrated, "rates")
    thresholds = rates.filter(pc.equal(rates["rule"], SIMILARITY))["threshold"].to_pylist()
    rules = [(SIMILARITY, threshold)] if threshold in thresholds else []
    return [sentence(rates, rule, value) for rule, value in [*rules, (VERIFIED, None)]]
