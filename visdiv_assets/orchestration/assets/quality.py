"""FineVision's quality ratings of the rows of a subset."""

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import stored_turns
from visdiv_assets.curation import quality
from visdiv_assets.curation.judge.ratings import as_ratings_from, judged_units, with_judge
from visdiv_assets.orchestration.assets.stage import (
    check_spec,
    column_schema,
    digests_by_table,
    materialized,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import JudgeResource, LakeResource, QualityResource
from visdiv_assets.sources import CRITERIA

CODE_VERSION = "2"


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_TURNS],
    group_name="3_images",
    kinds={"parquet"},
    code_version=CODE_VERSION,
    metadata=column_schema(quality.QUALITY_SCHEMA),
    check_specs=[
        check_spec(
            "every_row_rated",
            asset=LakeTable.QUALITY_ROWS,
            partitions_def=subset_partitions,
            blocking=True,
            description="The table has one row for every row of the subset.",
        )
    ],
)
def quality_rows(
    context: dg.AssetExecutionContext, lake: LakeResource, judge: JudgeResource, quality_filter: QualityResource
) -> dg.MaterializeResult:
    """Every row of a subset with the number of turns that its quality ratings keep, and a histogram of the ratings.

    A turn is dropped if one of its four ratings is below its threshold (VISDIV_QUALITY_THRESHOLDS); a missing rating
    never drops a turn. A row is dropped when no turn is left or, with VISDIV_QUALITY_RULE=row, when one of them is
    dropped. By default there is no threshold. Ratings are those of the source and, where it has
    none, of judge_ratings if that was materialized (VISDIV_RATINGS_FROM).
    """
    with stage(context, lake, LakeTable.QUALITY_ROWS, CODE_VERSION) as run:
        turns = run.current_turns()
        thresholds, rule = quality.parse_thresholds(quality_filter.thresholds), quality.as_row_rule(quality_filter.rule)
        which = as_ratings_from(judge.ratings_from)
        judged, judged_shards = judged_units(run.lake, turns) if which != "source" else (None, {})
        if judged is None and which == "judge":
            context.log.warning(
                "VISDIV_RATINGS_FROM=judge, but no judge has rated the present turns of this subset by the profile "
                "finevision: no rating counts, and no turn is dropped. Run judge_pipeline, then quality_rows again"
            )
        elif judged is None and not judge.url:
            context.log.info(
                "VISDIV_JUDGE_URL is not set, and no judge has rated this subset: the source's ratings count"
            )
        write = run.write(
            digests_by_table(turns, judged),
            settings={"thresholds": thresholds, "rule": rule, "ratings_from": which},
            source_revision=turns.source_revision,
        )
        for shard in stored_turns(run.lake, turns):
            of_judge = judged_shards.get(shard.name)
            inputs = {"turns": shard.digest, **({"judge": of_judge.digest} if of_judge else {})}
            if write.reuse(shard.name, inputs):
                continue
            with write.add(shard.name, inputs) as unit:
                counts = quality.RatingCounts()
                ratings = run.lake.read(of_judge, columns=list(CRITERIA)) if of_judge else None
                rated = quality.rate_rows(
                    with_judge(shard.batches(quality.COLUMNS), ratings, which),
                    thresholds,
                    first_row=shard.first_row,
                    counts=counts,
                    rule=rule,
                )
                unit.table("rows", rated, quality.QUALITY_SCHEMA)
                unit.table("histogram", counts.table(), quality.HISTOGRAM_SCHEMA)
                unit.table("rules", counts.rules_table(), quality.RULES_SCHEMA)
        draft = write.draft()
        rows = run.lake.read(draft, columns=["turns", "turns_kept", "kept"])
        rules = quality.sum_counts(run.lake.read(draft, "rules"), ["criterion"])
        manifest = write.commit(
            rows=rows.num_rows,
            rows_kept=int(pc.sum(rows["kept"]).as_py() or 0),
            turns=int(pc.sum(rows["turns"]).as_py() or 0),
            turns_kept=int(pc.sum(rows["turns_kept"]).as_py() or 0),
        )
    facts = manifest.facts
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": facts["rows"],
            "rows": facts["rows"],
            "rows_passing_quality": facts["rows_kept"],
            "turns": facts["turns"],
            "turns_kept": facts["turns_kept"],
            "thresholds": thresholds,
            "rule": rule,
            "ratings_from": which,
            "rated_by_judge": judged is not None,
            "dropped_by_each_rule": table_preview(rules),
        },
        [
            dg.AssetCheckResult(
                check_name="every_row_rated",
                passed=facts["rows"] == turns.rows("rows"),
                metadata={"rows": facts["rows"], "expected": turns.rows("rows")},
            )
        ],
    )
