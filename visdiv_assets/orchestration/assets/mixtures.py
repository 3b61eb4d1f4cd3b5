"""The diversity of subsets together."""

from dataclasses import replace

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.export import DROPPED_SCHEMA
from visdiv_assets.curation.linked_images import partitions_with, require_one_model
from visdiv_assets.diversity.after_cleaning import CLEANED, moments_of_dropped
from visdiv_assets.diversity.mixture_budget import MixedSubset
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.published import published_scores
from visdiv_assets.diversity.tables import CORPUS_SCHEMA, corpus_table
from visdiv_assets.orchestration.assets.common import (
    column_schema,
    materialized,
    present_partitions,
    table_preview,
    user_errors,
)
from visdiv_assets.orchestration.resources import LakeResource, SourceResource
from visdiv_assets.progress import progress
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest, digest_of

CODE_VERSION = "1"


@dg.asset(
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS, LakeTable.SUBSET_DIVERSITY, LakeTable.CURATED_ROWS],
    group_name="6_corpus",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(CORPUS_SCHEMA),
)
def corpus_diversity(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource
) -> dg.MaterializeResult:
    """The diversity of all subsets together: whole, without each subset, growing by one subset, and cleaned.

    Sums of x and x x^T add, so no embedding is read again but those of rows that a clean copy leaves out. The scopes:
    `corpus` counts every readable image position; `without` lacks one subset, so the difference to `corpus` is what it
    adds; `growing` has this subset and all of earlier steps, in the order that raises the uncentered participation
    ratio fastest; `corpus_...` and `subset_...` with `decontaminated`, `deduplicated` and `clean` lack the rows that
    curated_rows drops for being contaminated, for being duplicates, and for any reason.
    """
    with user_errors():
        store = present_partitions(lake.open(), source.open())
        subsets = partitions_with(store, LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS, LakeTable.SUBSET_DIVERSITY)
        measured = {subset: store.require(LakeTable.SUBSET_DIVERSITY, subset) for subset in subsets}
        curated = store.manifest(LakeTable.CURATED_ROWS, CORPUS_PARTITION)
        write = store.write(
            LakeTable.CORPUS_DIVERSITY,
            CORPUS_PARTITION,
            code_version=CODE_VERSION,
            inputs={subset: of_subset.digest for subset, of_subset in measured.items()},
            model_id=require_one_model(measured.values()),
            run_id=context.run.run_id,
        )
        dropped = _dropped(store, curated)
        with progress("diversity without dropped rows", len(subsets), "subset") as advance:
            for subset in subsets:
                images, embeddings = (
                    store.require(table, subset) for table in (LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS)
                )
                rows = dropped.filter(pc.equal(dropped["subset"], subset)).select(["row", "reason"])
                inputs = {
                    LakeTable.SUBSET_DIVERSITY: measured[subset].digest,
                    LakeTable.SUBSET_IMAGES: images.digest,
                    "dropped": digest_of(rows.to_pydict()),
                }
                if not write.reuse(subset, inputs):
                    with write.add(subset, inputs) as unit:
                        tables = [gone.to_arrow() for gone in _dropped_moments(store, images, embeddings, rows)]
                        unit.table("dropped", pa.concat_tables(tables), tables[0].schema)
                advance(1)
        whole = {subset: _moments(store, of_subset, "moments")[0] for subset, of_subset in measured.items()}
        draft = write.draft()
        units = {unit.name: unit for unit in draft.units}

        def cleaned(subset: str) -> dict[str, Moments]:
            gone = _moments(store, replace(draft, units=(units[subset],)), "dropped")
            return {kind: whole[subset] - of_kind for kind, of_kind in zip(CLEANED, gone, strict=True)}

        inputs = {unit.name: unit.digest for unit in draft.units}
        if not write.reuse("scores", inputs):
            with (
                write.add("scores", inputs) as unit,
                progress("diversity of unions", len(subsets), "subset") as advance,
            ):
                unit.table("scores", corpus_table(whole, cleaned, advance), CORPUS_SCHEMA)
        manifest = write.commit(subsets=subsets)
        table = store.read(manifest, "scores")
    first = table.slice(0, 1).to_pylist()
    numbers = {name: value for row in first for name, value in row.items() if isinstance(value, float)}
    without = table.filter(pc.and_(pc.equal(table["scope"], "without"), table["centered"]))
    of_corpus = table.filter(pc.starts_with(table["scope"], "corpus"))
    return materialized(
        manifest,
        {
            "dagster/row_count": table.num_rows,
            "subsets": len(subsets),
            **numbers,
            "corpus": table_preview(of_corpus),
            "published": table_preview(published_scores()),
            "without_each": table_preview(without.sort_by([("score", "ascending"), ("subset", "ascending")])),
        },
    )


def mixed_subsets(store: Lake) -> list[MixedSubset]:
    """The materialized subsets that hold a readable image, by name, with their moments."""
    found = []
    for subset in partitions_with(store, LakeTable.SUBSET_IMAGES, LakeTable.SUBSET_DIVERSITY):
        measured = store.require(LakeTable.SUBSET_DIVERSITY, subset)
        (moments, *_) = _moments(store, measured, "moments")
        if moments.n:
            images = store.require(LakeTable.SUBSET_IMAGES, subset)
            rows = store.read(images, columns=["row"], where=pc.field("status") == "ok")["row"]
            found.append(MixedSubset(subset, pc.count_distinct(rows).as_py(), moments))
    return found


def _dropped(store: Lake, curated: Manifest | None) -> pa.Table:
    """Subset, row and reason of every row that a clean copy leaves out; none where nothing was decided yet."""
    if curated is None or not curated.files("dropped"):
        return DROPPED_SCHEMA.empty_table().select(["subset", "row", "reason"])
    return store.read(curated, "dropped", columns=["subset", "row", "reason"])


def _dropped_moments(store: Lake, images: Manifest, embeddings: Manifest, dropped: pa.Table) -> list[Moments]:
    """Of the images that each way of `CLEANED` takes out."""
    found = moments_of_dropped(
        store.read(images, columns=["row", "image_id"], where=pc.field("status") == "ok"),
        dropped,
        store.read(embeddings, "ids")["image_id"].combine_chunks(),
        store.array(embeddings, "vectors"),
        model_id=str(embeddings.model_id),
        dimension=embeddings.facts["dimension"],
    )
    return list(found.values())


def _moments(store: Lake, manifest: Manifest, role: str) -> list[Moments]:
    table = store.read(manifest, role)
    return [Moments.from_arrow(table.slice(number, 1)) for number in range(table.num_rows)]
