"""All findings in one DuckDB file."""

import json
from functools import partial
from pathlib import Path

import dagster as dg

from visdiv_assets.corpus.access import present_partitions
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.errors import StorageError
from visdiv_assets.orchestration.assets.stage import check_spec, image_markdown, user_errors
from visdiv_assets.orchestration.resources import (
    CleaningResource,
    LakeResource,
    ReportsResource,
    ReviewResource,
    SourceResource,
    WarehouseResource,
)
from visdiv_assets.publishing.site import maps
from visdiv_assets.publishing.site.build import refresh_page
from visdiv_assets.publishing.site.chart_png import corpus_images
from visdiv_assets.publishing.site.report_data import Corpus, open_report_data
from visdiv_assets.publishing.warehouse.publication import Publication
from visdiv_assets.publishing.warehouse.publish import publish, publish_copy
from visdiv_assets.sources.catalog import category
from visdiv_assets.sources.left_out import count_by_kind


@dg.asset(
    name="warehouse",
    deps=[
        LakeTable.SUBSET_IMAGES,
        LakeTable.SUBSET_TURNS,
        LakeTable.BENCHMARK_IMAGES,
        LakeTable.QUALITY_ROWS,
        LakeTable.SSCD_EMBEDDINGS,
        LakeTable.NEAR_DUPLICATES,
        LakeTable.SUBSET_DIVERSITY,
        LakeTable.RAREFIED_DIVERSITY,
        "contamination",
        LakeTable.TEXT_CONTAMINATION,
        LakeTable.TEXT_DUPLICATES,
        LakeTable.TEXT_QUALITY,
        LakeTable.LISTED_WORDS,
        LakeTable.IMAGE_TYPES,
        LakeTable.VERIFIED_DUPLICATES,
        LakeTable.VERIFIED_CONTAMINATION,
        LakeTable.VERIFIED_CROSS_SUBSET,
        LakeTable.ALIGNMENT,
        LakeTable.CLIP_NEAR_DUPLICATES,
        LakeTable.CLIP_IMAGE_TAGS,
        LakeTable.SELECTION_SCORES,
        LakeTable.CROSS_SUBSET_DUPLICATES,
        LakeTable.DUPLICATE_CLUSTERS,
        LakeTable.CURATED_ROWS,
        LakeTable.CORPUS_DIVERSITY,
    ],
    group_name="7_warehouse",
    kinds={"duckdb"},
    code_version="2",
    pool="warehouse",
    check_specs=[
        check_spec(
            "counts_equal_lake",
            asset="warehouse",
            blocking=True,
            description="Every table has as many rows as the lake.",
        )
    ],
)
def warehouse(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    warehouse_file: WarehouseResource,
    cleaning: CleaningResource,
    reports: ReportsResource,
    review: ReviewResource,
) -> dg.MaterializeResult:
    """The DuckDB file for BI tools: the findings about every materialized subset of the source, with comments.

    The file is built under another name and put in place with one rename, so readers and runs never wait for each
    other. A reader that has the file open sees the old state until it opens the file again. The metadata shows the
    heat maps of `visdiv report` for at most 60 subsets. The site's list of maps is written again.
    """
    with user_errors():
        opened = source.open()
        store = present_partitions(lake.open(), opened)
        if not store.partitions(LakeTable.SUBSET_IMAGES):
            raise StorageError(
                "no subset of the source is materialized, so nothing is published: run `visdiv run --all`"
            )
        store.require_space()
        publication = Publication(**json.loads(warehouse_file.publication)).with_source(opened)
        decisions = review.decisions()
        published = publish(
            store,
            warehouse_file.path,
            category=partial(category, source=opened.uri),
            publication=publication,
            decisions=decisions,
        )
        if warehouse_file.copy_to:
            publish_copy(warehouse_file.path, warehouse_file.copy_to)
        with open_report_data(Path(warehouse_file.path)) as found:
            corpus = Corpus(
                found,
                store,
                None,
                Path(reports.folder),
                contamination_threshold=cleaning.contamination_threshold,
                duplicate_threshold=cleaning.duplicate_threshold,
            )
            refresh_page(corpus, maps.page)
            drawn = {name: image_markdown(name, png) for name, png in corpus_images(corpus).items()}
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": dg.MetadataValue.path(warehouse_file.path),
            # Dagster's UI does not show the entry above.
            "file": dg.MetadataValue.path(warehouse_file.path),
            "files_not_read": count_by_kind(publication.skipped) if publication.skipped else "none",
            **{f"rows_{table}": rows for table, rows in published.rows.items()},
            **drawn,
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="counts_equal_lake",
                passed=not published.differences,
                metadata={"differences": published.differences},
            )
        ],
    )
