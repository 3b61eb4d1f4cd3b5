"""The rows that a clean copy drops."""

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import LakeTable, remedy
from visdiv_assets.curation.export import DROPPED_SCHEMA
from visdiv_assets.curation.reasons import DROP_REASONS
from visdiv_assets.curation.row_findings import dropped_rows, load_row_facts
from visdiv_assets.curation.selection.keep_masks import as_mask
from visdiv_assets.curation.witnesses import count_dropped_witnesses, duplicate_rows
from visdiv_assets.errors import StaleError
from visdiv_assets.orchestration.assets.clusters import CODE_VERSION as CLUSTERS_VERSION
from visdiv_assets.orchestration.assets.clusters import USED
from visdiv_assets.orchestration.assets.stage import check_spec, column_schema, materialized, stage
from visdiv_assets.orchestration.resources import LakeResource

CODE_VERSION = "4"


@dg.asset(
    deps=[*USED, LakeTable.TEXT_QUALITY, LakeTable.DUPLICATE_CLUSTERS, LakeTable.SELECTION_SCORES],
    group_name="6_corpus",
    kinds={"parquet"},
    code_version=CODE_VERSION,
    metadata=column_schema(DROPPED_SCHEMA),
    check_specs=[
        check_spec(
            "each_row_once",
            asset=LakeTable.CURATED_ROWS,
            blocking=True,
            description="No row is dropped twice, and no witness of a duplicate is in a dropped row.",
        )
    ],
)
def curated_rows(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """The rows that a clean copy drops, each with its reason and witness; all other rows are kept.

    A row is dropped for the first reason that applies: an unreadable image, its quality ratings, images or turns that
    are all poor (image_quality and text_quality, not by default), an image that is in a benchmark, a text that is in a
    benchmark (text_contaminated, not by default), not being selected (only with VISDIV_KEEP_BY or VISDIV_KEEP_ROWS),
    images that are copies of images in kept rows themselves, not by way of others, or images and question-answer pairs
    that are all in one kept row (text_duplicate, not by default). VISDIV_DROP selects the reasons that count,
    VISDIV_ROW_RULE the number of images of a row that must be redundant. `visdiv export` writes the clean copy.
    """
    with stage(context, lake, LakeTable.CURATED_ROWS, CODE_VERSION) as run:
        store = run.lake
        clusters = run.require(LakeTable.DUPLICATE_CLUSTERS)
        if clusters.code_version != CLUSTERS_VERSION:
            raise StaleError(
                f"{clusters.table} was written by another version of this program: "
                f"{remedy(clusters.table, clusters.partition)}"
            )
        subsets = clusters.facts["subsets"]
        inputs: dict[str, str] = {
            LakeTable.DUPLICATE_CLUSTERS: clusters.digest,
            **clusters.inputs,
            "version": CLUSTERS_VERSION,
        }
        write = run.write(inputs, model_id=clusters.model_id, settings=clusters.settings)
        positions = store.read(clusters, "positions")
        not_selected, text_rows = store.read(clusters, "not_selected"), store.read(clusters, "text_rows")
        rows = {subset: store.require(LakeTable.SUBSET_IMAGES, subset).facts["rows"] for subset in subsets}
        for subset in subsets:
            if write.reuse(subset, inputs):
                continue
            with write.add(subset, inputs) as unit:
                facts = load_row_facts(
                    store,
                    subset,
                    copies_by=clusters.settings["copies_by"],
                    contamination_threshold=clusters.settings["contamination_threshold"],
                    text_contamination_share=clusters.settings["text_contamination_share"],
                    image_profile=clusters.settings["image_profile"],
                    text_profile=clusters.settings["text_profile"],
                    drop=clusters.settings["drop"],
                    not_selected=as_mask(not_selected, subset, rows[subset]),
                )
                duplicates = duplicate_rows(positions, subset)
                if "duplicate" not in clusters.settings["drop"]:
                    duplicates = duplicates.slice(0, 0)
                repeated = text_rows.filter(pc.equal(text_rows["subset"], subset))
                unit.table("dropped", dropped_rows(facts, duplicates, repeated), DROPPED_SCHEMA)
        manifest = write.commit(subsets=subsets, rows=rows)
        dropped = store.read(manifest, "dropped") if subsets else DROPPED_SCHEMA.empty_table()
    reasons = {pair["values"]: pair["counts"] for pair in dropped["reason"].value_counts().to_pylist()}
    once = dropped.group_by(["subset", "row"]).aggregate([]).num_rows
    witnesses_dropped = count_dropped_witnesses(dropped)
    return materialized(
        manifest,
        {
            "dagster/row_count": dropped.num_rows,
            "rows": sum(rows.values()),
            "rows_kept": sum(rows.values()) - dropped.num_rows,
            **{f"dropped_{reason}": reasons.get(reason, 0) for reason in DROP_REASONS},
        },
        [
            dg.AssetCheckResult(
                check_name="each_row_once",
                passed=once == dropped.num_rows and not witnesses_dropped,
                metadata={"rows": once, "witnesses_dropped": witnesses_dropped},
            )
        ],
    )
