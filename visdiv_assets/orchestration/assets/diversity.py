"""The diversity of a subset."""

import dagster as dg

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.rarefaction import RAREFIED_SCHEMA
from visdiv_assets.diversity.scores import too_few
from visdiv_assets.diversity.spectrum import spectrum
from visdiv_assets.diversity.stored import compute_moments, compute_rarefied, moments_table, read_moments
from visdiv_assets.diversity.tables import SCORES_SCHEMA, score_table
from visdiv_assets.orchestration.assets.stage import (
    check_spec,
    column_schema,
    digests_by_table,
    image_markdown,
    materialized,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import LakeResource
from visdiv_assets.publishing.plots.diversity import plot_rarefied, plot_spectrum
from visdiv_assets.publishing.plots.figures import can_plot

CODE_VERSION = "3"
RAREFIED_VERSION = "2"


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS],
    group_name="5_findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(SCORES_SCHEMA),
    check_specs=[
        check_spec(
            "every_position_counted",
            asset=LakeTable.SUBSET_DIVERSITY,
            partitions_def=subset_partitions,
            blocking=True,
            description="The moments count every readable image position, and every distinct image once.",
        )
    ],
)
def subset_diversity(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """Effective rank, participation ratio, Vendi score and FineVision's score of a subset, and the moments behind them.

    The sums of x and x x^T over the SSCD embeddings are accumulated in float64, once over every readable image position
    (scope `subset`, as FineVision counts) and once over every distinct image (scope `subset_unique`). Each scope is
    scored centered and uncentered. A set of fewer than two images has no score.
    """
    with stage(context, lake, LakeTable.SUBSET_DIVERSITY, CODE_VERSION) as run:
        images = run.require(LakeTable.SUBSET_IMAGES)
        embeddings = run.current_embeddings(images)
        inputs = digests_by_table(images, embeddings)
        write = run.write(inputs, model_id=embeddings.model_id, source_revision=embeddings.source_revision)
        if not write.reuse("moments", inputs):
            with write.add("moments", inputs) as unit:
                moments = compute_moments(run.lake, images, embeddings)
                stored = moments_table(moments)
                unit.table("moments", stored, stored.schema)
                unit.table("scores", score_table(moments), SCORES_SCHEMA)
        manifest = write.commit()
        table = run.lake.read(manifest, "scores")
        (of_positions, _) = read_moments(run.lake, manifest)
    scored = table.to_pylist()
    first = scored[0]
    counted = {row["scope"]: row["images"] for row in scored}
    expected = {
        "subset": images.facts["images"] - images.facts["images_unreadable"],
        "subset_unique": images.facts["images_unique"],
    }
    numbers = {name: value for name, value in first.items() if isinstance(value, float)}
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": len(scored),
            "images": first["images"],
            # True for fewer than two images per dimension: the scores are low for this reason.
            "too_few": first["too_few"],
            **numbers,
            "scores": table_preview(table),
            **_plot_spectrum(of_positions),
        },
        [
            dg.AssetCheckResult(
                check_name="every_position_counted",
                passed=counted == expected,
                metadata={"counted": counted, "expected": expected},
            )
        ],
    )


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS],
    group_name="5_findings",
    kinds={"parquet", "numpy"},
    code_version=RAREFIED_VERSION,
    metadata=column_schema(RAREFIED_SCHEMA),
)
def rarefied_diversity(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """Effective rank, participation ratio and score of samples of equal size, to compare subsets of any size.

    256, 1,024, 4,096 and 16,384 readable image positions are drawn 8 times each with fixed seeds, as long as the subset
    has that many; the interval holds 90 % of the draws. Centered, as FineVision scores.
    """
    with stage(context, lake, LakeTable.RAREFIED_DIVERSITY, RAREFIED_VERSION) as run:
        images = run.require(LakeTable.SUBSET_IMAGES)
        embeddings = run.current_embeddings(images)
        inputs = digests_by_table(images, embeddings)
        write = run.write(inputs, model_id=embeddings.model_id, source_revision=embeddings.source_revision)
        if not write.reuse("scores", inputs):
            with write.add("scores", inputs) as unit:
                unit.table("scores", compute_rarefied(run.lake, images, embeddings), RAREFIED_SCHEMA)
        manifest = write.commit()
        table = run.lake.read(manifest, "scores")
    metadata = {"dagster/partition_row_count": table.num_rows, "scores": table_preview(table)}
    if table.num_rows and can_plot():
        metadata["against_sample_size"] = image_markdown("scores", plot_rarefied(table))
    return materialized(manifest, metadata)


def _plot_spectrum(moments: Moments) -> dict[str, dg.MarkdownMetadataValue]:
    """Return the plot of the spectrum as metadata; none without a spectrum."""
    shares = spectrum(moments)
    if not len(shares) or not can_plot():
        return {}
    few = too_few(moments.n, moments.dimension)
    return {"spectrum": image_markdown("spectrum", plot_spectrum(shares, moments.n, few=few))}
