"""Maps of a subset: its images and texts, laid out in two dimensions."""

import time
from pathlib import Path

import dagster as dg

from visdiv_assets.corpus.image_lookup import ImageReader
from visdiv_assets.corpus.tables import LakeTable
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
from visdiv_assets.orchestration.presentation import report_metadata
from visdiv_assets.orchestration.resources import (
    DecoderResource,
    LakeResource,
    MapsResource,
    ReportsResource,
    SourceResource,
)
from visdiv_assets.publishing.maps.layout import SEED
from visdiv_assets.publishing.maps.points import POINTS_SCHEMA
from visdiv_assets.publishing.maps.subset import KINDS, map_subset, point_defects, write_subset_page
from visdiv_assets.publishing.plots.maps import plot
from visdiv_assets.publishing.site_head import report_head, write_missing_pages
from visdiv_assets.storage.files import escape
from visdiv_assets.storage.lake import Lake

CODE_VERSION = "2"


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_TURNS, LakeTable.SUBSET_THUMBNAILS, *KINDS],
    group_name="5_findings",
    kinds={"parquet", "html"},
    code_version=CODE_VERSION,
    metadata=column_schema(POINTS_SCHEMA),
    check_specs=[
        check_spec(
            "points_sound",
            asset=LakeTable.MAPS,
            partitions_def=subset_partitions,
            description="Every point has coordinates, and occurs once on each layout of each map.",
        )
    ],
)
def maps(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    reports: ReportsResource,
    map_settings: MapsResource,
) -> dg.MaterializeResult:
    """Maps of a subset: its images by SSCD and, if there are CLIP vectors, its images and texts by CLIP.

    Each is laid out by UMAP, t-SNE or PCA (VISDIV_MAP_LAYOUTS). Dense groups of points are clusters, named by the words
    that distinguish the texts of their rows; template questions do not count. Of a large subset a seeded sample is
    shown (VISDIV_MAP_POINTS). The page in reports/maps shows images on hover and opens from disk. Only the job
    maps_pipeline includes this asset, since UMAP takes minutes; the sensor keep_corpus_fresh then publishes the result.
    """
    subset = context.partition_key
    path = Path(reports.folder) / "maps" / f"{escape(subset)}.html"
    with stage(context, lake, LakeTable.MAPS, CODE_VERSION) as run:
        images = run.require(LakeTable.SUBSET_IMAGES)
        used = [run.current_embeddings(images, table) for table in KINDS if _is_used(run.lake, table, subset)]
        inputs = digests_by_table(images, run.current_turns(), *used)
        write = run.write(
            inputs,
            settings={
                "map_points": map_settings.points,
                "map_layouts": map_settings.layouts,
                "template_images": map_settings.template_images,
                "seed": SEED,
            },
            source_revision=images.source_revision,
        )
        begin = time.monotonic()
        made = not write.reuse("points", inputs)
        if made:
            with write.add("points", inputs) as unit:
                mapped = map_subset(run.lake, images, used, map_settings.rules())
                unit.table("layouts", mapped, POINTS_SCHEMA)
        points = run.lake.read(write.draft(), "layouts")
        if points.num_rows and (made or not path.is_file()):
            head = report_head(source.uri)
            write_missing_pages(Path(reports.folder), head)
            write_subset_page(path, ImageReader(run.lake, source.open, decoder.limits), subset, points, head)
        manifest = write.commit()
    each_once = points.group_by(["kind", "id"]).aggregate([])
    counts = {pair["values"]: pair["counts"] for pair in each_once["kind"].value_counts().to_pylist()}
    shown: dict[str, dg.MetadataValue] = {}
    if points.num_rows:
        shown = {"maps": image_markdown("maps", plot(points)), **report_metadata(path, Path(reports.folder))}
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": points.num_rows,
            **{f"points_{kind}": count for kind, count in counts.items()},
            "seconds": time.monotonic() - begin,
            **shown,
        },
        [check_defects("points_sound", point_defects(points))],
    )


def _is_used(lake: Lake, table: str, subset: str) -> bool:
    """Return whether a subset has vectors of a kind; SSCD's are required: missing ones must fail."""
    return KINDS[table] == "sscd" or lake.manifest(table, subset) is not None
