"""Reports that people look at: pairs side by side, as HTML files that need no server."""

from pathlib import Path

import dagster as dg

from visdiv_assets.assets.common import user_errors
from visdiv_assets.partitions import subset_partitions
from visdiv_assets.reports import duplicates, leaks, write_report
from visdiv_assets.resources import CleaningResource, DecoderResource, LakeResource, ReportsResource, SourceResource
from visdiv_assets.storage.files import escape

CODE_VERSION = "1"


@dg.asset(
    partitions_def=subset_partitions,
    deps=["subset_images", "near_duplicates"],
    group_name="findings",
    kinds={"html"},
    code_version=CODE_VERSION,
)
def duplicates_report(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    reports: ReportsResource,
) -> dg.MaterializeResult:
    """A page with the closest pairs of a subset side by side, at most 300; it opens from disk."""
    subset = context.partition_key
    path = Path(reports.folder) / "duplicates" / f"{escape(subset)}.html"
    with user_errors():
        store = lake.open()
        nearest = store.require("near_duplicates", subset)
        images = store.require("subset_images", subset)
        inputs = {part.table: part.digest for part in (nearest, images)}
        write = store.write(
            "duplicates_report", subset, code_version=CODE_VERSION, inputs=inputs, run_id=context.run.run_id
        )
        if not (write.reuse("page", inputs) and path.is_file()):
            with write.add("page", inputs):
                report = duplicates.duplicates_report(store, source.open(), nearest, images)
                write_report(report, path, max_pixels=decoder.max_pixels)
        write.commit()
    return dg.MaterializeResult(metadata={"report": dg.MetadataValue.path(path), "pairs": nearest.rows("pairs")})


@dg.asset(
    deps=["contamination", "benchmark_images"],
    group_name="corpus",
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
    """A page for each benchmark: its pictures beside the training pictures that are close to them, closest first.

    At most 300 pairs each, with the leak rate of every subset; the pages open from disk.
    """
    with user_errors():
        store, opened = lake.open(), source.open()
        contamination = {name: store.require("contamination", name) for name in store.partitions("contamination")}
        paths = {}
        for benchmark in store.partitions("benchmark_embeddings"):
            path = Path(reports.folder) / "leaks" / f"{escape(benchmark)}.html"
            paths[benchmark] = path
            inputs = {name: manifest.digest for name, manifest in contamination.items()}
            inputs["threshold"] = str(cleaning.contamination_threshold)
            write = store.write(
                "leak_reports", benchmark, code_version=CODE_VERSION, inputs=inputs, run_id=context.run.run_id
            )
            if not (write.reuse("page", inputs) and path.is_file()):
                with write.add("page", inputs):
                    report = leaks.leak_report(
                        store, opened, benchmark, contamination, cleaning.contamination_threshold
                    )
                    write_report(report, path, max_pixels=decoder.max_pixels)
            write.commit()
    return dg.MaterializeResult(
        metadata={
            "benchmarks": len(paths),
            "reports": dg.MetadataValue.md("\n".join(f"- {name}: `{path}`" for name, path in paths.items())),
        }
    )
