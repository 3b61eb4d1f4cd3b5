"""How much variety a subset has."""

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.rarefaction import RAREFIED_SCHEMA, rarefied_table, too_few
from visdiv_assets.diversity.spectrum import spectrum
from visdiv_assets.diversity.tables import SCORES_SCHEMA, score_table
from visdiv_assets.orchestration.assets.common import (
    check_spec,
    column_schema,
    current_embeddings,
    image_markdown,
    materialized,
    table_preview,
    user_errors,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import LakeResource
from visdiv_assets.publishing.plots.diversity import plot_rarefied, plot_spectrum
from visdiv_assets.publishing.plots.figures import can_plot
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

CODE_VERSION = "2"
RAREFIED_VERSION = "1"


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
            description="The moments hold every readable image position, and every different image once.",
        )
    ],
)
def subset_diversity(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """Effective rank, participation ratio, Vendi and FineVision's score of a subset, and the moments behind them.

    The sums of x and x x^T are taken over the SSCD embeddings in float64, once with every readable image position
    (scope `subset`, as FineVision counts) and once with every different image (scope `subset_unique`). Each is
    scored centered and not. Fewer than two images have no score.
    """
    subset = context.partition_key
    with user_errors():
        store = lake.open()
        images = store.require(LakeTable.SUBSET_IMAGES, subset)
        embeddings = current_embeddings(store, images)
        write = store.write(
            LakeTable.SUBSET_DIVERSITY,
            subset,
            code_version=CODE_VERSION,
            inputs={LakeTable.SUBSET_IMAGES: images.digest, LakeTable.SSCD_EMBEDDINGS: embeddings.digest},
            model_id=embeddings.model_id,
            source_revision=embeddings.source_revision,
            run_id=context.run.run_id,
        )
        inputs: dict[str, str] = {LakeTable.SUBSET_IMAGES: images.digest, LakeTable.SSCD_EMBEDDINGS: embeddings.digest}
        if not write.reuse("moments", inputs):
            with write.add("moments", inputs) as unit:
                moments = _moments(store, images, embeddings)
                tables = [
                    of_scope.to_arrow().add_column(0, "scope", pa.array([scope])) for scope, of_scope in moments.items()
                ]
                unit.table("moments", pa.concat_tables(tables), tables[0].schema)
                unit.table("scores", score_table(moments), SCORES_SCHEMA)
        manifest = write.commit()
        table = store.read(manifest, "scores")
        of_positions = Moments.from_arrow(store.read(manifest, "moments").slice(0, 1))
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
            # Fewer than two images a dimension: low for that alone.
            "too_few": first["too_few"],
            **numbers,
            "scores": table_preview(table),
            **_spectrum(of_positions),
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
    """Effective rank, participation ratio and score of equally many images, which compares subsets of any size.

    256, 1,024, 4,096 and 16,384 readable image positions, as far as there are as many, are drawn 8 times each with
    fixed seeds; the interval holds 90 % of the draws. Centered, as FineVision scores.
    """
    subset = context.partition_key
    with user_errors():
        store = lake.open()
        images = store.require(LakeTable.SUBSET_IMAGES, subset)
        embeddings = current_embeddings(store, images)
        inputs: dict[str, str] = {LakeTable.SUBSET_IMAGES: images.digest, LakeTable.SSCD_EMBEDDINGS: embeddings.digest}
        write = store.write(
            LakeTable.RAREFIED_DIVERSITY,
            subset,
            code_version=RAREFIED_VERSION,
            inputs=inputs,
            model_id=embeddings.model_id,
            source_revision=embeddings.source_revision,
            run_id=context.run.run_id,
        )
        if not write.reuse("scores", inputs):
            with write.add("scores", inputs) as unit:
                unit.table(
                    "scores",
                    rarefied_table(
                        store.array(embeddings, "vectors"),
                        np.repeat(np.arange(embeddings.rows("ids")), _occurrences(store, images, embeddings)),
                        model_id=str(embeddings.model_id),
                    ),
                    RAREFIED_SCHEMA,
                )
        manifest = write.commit()
        table = store.read(manifest, "scores")
    metadata = {"dagster/partition_row_count": table.num_rows, "scores": table_preview(table)}
    if table.num_rows and can_plot():
        metadata["against_sample_size"] = image_markdown("scores", plot_rarefied(table))
    return materialized(manifest, metadata)


def _spectrum(moments: Moments) -> dict[str, dg.MarkdownMetadataValue]:
    shares = spectrum(moments)
    if not len(shares) or not can_plot():
        return {}
    few = too_few(moments.n, moments.dimension)
    return {"spectrum": image_markdown("spectrum", plot_spectrum(shares, moments.n, few=few))}


def _occurrences(store: Lake, images: Manifest, embeddings: Manifest) -> np.ndarray:
    """How many readable positions show each embedded image, int64 [vectors]."""
    listed = store.read(images, columns=["image_id", "status"])
    occurrences = listed.filter(pc.equal(listed["status"], "ok"))["image_id"].value_counts()
    ids = store.read(embeddings, "ids")["image_id"]
    counts: np.ndarray = occurrences.field("counts").take(pc.index_in(ids, occurrences.field("values"))).to_numpy()
    return counts


def _moments(store: Lake, images: Manifest, embeddings: Manifest) -> dict[str, Moments]:
    weights = _occurrences(store, images, embeddings)
    vectors = store.array(embeddings, "vectors")
    model_id, dimension = str(embeddings.model_id), embeddings.facts["dimension"]
    block = 16_384
    starts = np.arange(0, len(vectors), block)
    return {
        "subset": Moments.from_batches(
            vectors.blocks(block),
            [weights[start : start + block] for start in starts],
            dimension=dimension,
            model_id=model_id,
        ),
        "subset_unique": Moments.from_batches(vectors.blocks(block), dimension=dimension, model_id=model_id),
    }
