"""The diversity of all subsets together."""

from dataclasses import replace

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import partitions_with, require_one_model
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.witnesses import read_dropped_rows
from visdiv_assets.diversity.after_cleaning import CLEANED
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.published import published_scores
from visdiv_assets.diversity.stored import compute_dropped_moments, read_moments
from visdiv_assets.diversity.tables import CORPUS_SCHEMA, corpus_table
from visdiv_assets.orchestration.assets.stage import column_schema, materialized, stage, table_preview
from visdiv_assets.orchestration.resources import LakeResource, SourceResource
from visdiv_assets.progress import progress
from visdiv_assets.storage.manifest import digest_of

CODE_VERSION = "2"


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
    """The diversity of all subsets together: complete, without each subset, growing by one subset, and cleaned.

    Sums of x and x x^T are additive, so only the embeddings of dropped rows are read again. The scopes are: `corpus`,
    every readable image position; `without`, all but one subset, whose difference to `corpus` is the contribution of
    that subset; `growing`, this subset and those of earlier steps, in the order that raises the uncentered
    participation ratio fastest; `corpus_...` and `subset_...` with `decontaminated`, `deduplicated` and `clean`,
    without the rows that curated_rows drops as contaminated, as duplicates, and for any reason.
    """
    with stage(context, lake, LakeTable.CORPUS_DIVERSITY, CODE_VERSION, present_in=source) as run:
        store = run.lake
        subsets = partitions_with(store, LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS, LakeTable.SUBSET_DIVERSITY)
        measured = {subset: store.require(LakeTable.SUBSET_DIVERSITY, subset) for subset in subsets}
        curated = store.manifest(LakeTable.CURATED_ROWS, CORPUS_PARTITION)
        write = run.write(
            {subset: of_subset.digest for subset, of_subset in measured.items()},
            model_id=require_one_model(measured.values()),
        )
        dropped = read_dropped_rows(store, curated)
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
                        removed = compute_dropped_moments(store, images, embeddings, rows)
                        tables = [moments.to_arrow() for moments in removed]
                        unit.table("dropped", pa.concat_tables(tables), tables[0].schema)
                advance(1)
        whole = {subset: read_moments(store, of_subset)[0] for subset, of_subset in measured.items()}
        draft = write.draft()
        units = {unit.name: unit for unit in draft.units}

        def cleaned(subset: str) -> dict[str, Moments]:
            removed = read_moments(store, replace(draft, units=(units[subset],)), "dropped")
            return {kind: whole[subset] - of_kind for kind, of_kind in zip(CLEANED, removed, strict=True)}

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
