"""Which rows a clean copy keeps."""

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.export import DROPPED_SCHEMA
from visdiv_assets.curation.reasons import DROP_REASONS
from visdiv_assets.curation.row_findings import dropped_rows, load_row_facts
from visdiv_assets.curation.selection.keep_masks import as_mask
from visdiv_assets.orchestration.assets.clusters import CODE_VERSION as CLUSTERS_VERSION
from visdiv_assets.orchestration.assets.clusters import USED
from visdiv_assets.orchestration.assets.common import check_spec, column_schema, materialized, user_errors
from visdiv_assets.orchestration.resources import LakeResource

CODE_VERSION = "1"


@dg.asset(
    deps=[*USED, LakeTable.DUPLICATE_CLUSTERS, LakeTable.SELECTION_SCORES],
    group_name="6_corpus",
    kinds={"parquet"},
    code_version=CODE_VERSION,
    metadata=column_schema(DROPPED_SCHEMA),
    check_specs=[
        check_spec(
            "each_row_once",
            asset=LakeTable.CURATED_ROWS,
            blocking=True,
            description="No row is dropped twice, and no witness of a duplicate is a row that goes.",
        )
    ],
)
def curated_rows(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """The rows that a clean copy leaves out, each with its reason and witness; all others are kept.

    A row goes for the first of: an image of it cannot be read, its quality ratings, an image of it is close to a
    benchmark's, it is not selected (only with VISDIV_KEEP_BY or VISDIV_KEEP_ROWS), its images are copies of images
    in rows that stay. VISDIV_DROP says which of these count,
    VISDIV_ROW_RULE how many images of a row must be redundant. `visdiv export` writes the copy.
    """
    with user_errors():
        store = lake.open()
        clusters = store.require(LakeTable.DUPLICATE_CLUSTERS, CORPUS_PARTITION)
        subsets = clusters.facts["subsets"]
        inputs: dict[str, str] = {
            LakeTable.DUPLICATE_CLUSTERS: clusters.digest,
            **clusters.inputs,
            "version": CLUSTERS_VERSION,
        }
        write = store.write(
            LakeTable.CURATED_ROWS,
            CORPUS_PARTITION,
            code_version=CODE_VERSION,
            inputs=inputs,
            model_id=clusters.model_id,
            settings=clusters.settings,
            run_id=context.run.run_id,
        )
        positions = store.read(clusters, "positions")
        not_selected = store.read(clusters, "not_selected")
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
                    drop=clusters.settings["drop"],
                    not_selected=as_mask(not_selected, subset, rows[subset]),
                )
                duplicates = duplicate_rows(positions, subset)
                if "duplicate" not in clusters.settings["drop"]:
                    duplicates = duplicates.slice(0, 0)
                unit.table("dropped", dropped_rows(facts, duplicates), DROPPED_SCHEMA)
        manifest = write.commit(subsets=subsets, rows=rows)
        dropped = store.read(manifest, "dropped") if subsets else DROPPED_SCHEMA.empty_table()
    reasons = {pair["values"]: pair["counts"] for pair in dropped["reason"].value_counts().to_pylist()}
    once = dropped.group_by(["subset", "row"]).aggregate([]).num_rows
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
                passed=once == dropped.num_rows and not _witnesses_dropped(dropped),
                metadata={"rows": once, "witnesses_dropped": _witnesses_dropped(dropped)},
            )
        ],
    )


def duplicate_rows(positions: pa.Table, subset: str) -> pa.Table:
    """One entry for each row of a subset that goes as a duplicate: its first image that another row holds."""
    mine = positions.filter(pc.and_(pc.equal(positions["subset"], subset), positions["row_duplicate"]))
    first = mine.append_column("place", pa.array(range(mine.num_rows), pa.int64()))
    first = first.filter(pc.is_in(first["reason"], pa.array(["exact_copy", "near_copy"])))
    chosen = first.group_by("row", use_threads=False).aggregate([("place", "min")])["place_min"]
    return mine.take(chosen)


def _witnesses_dropped(dropped: pa.Table) -> int:
    """Duplicates whose witness goes itself."""
    witnesses = dropped.filter(pc.equal(dropped["witness_kind"], "subset")).select(["witness", "witness_row"])
    gone = dropped.select(["subset", "row"])
    return int(witnesses.join(gone, ["witness", "witness_row"], ["subset", "row"], join_type="left semi").num_rows)
