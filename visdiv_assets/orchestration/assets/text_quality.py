"""The quality of the questions and answers of a subset, and personal data in them."""

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import stored_turns
from visdiv_assets.orchestration.assets.stage import (
    check_spec,
    column_schema,
    digests_by_table,
    materialized,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import LakeResource
from visdiv_assets.progress import progress
from visdiv_assets.texts import language
from visdiv_assets.texts.turn_quality import PERSONAL_DATA_SCHEMA, TURN_QUALITY_SCHEMA, measure_turns

CODE_VERSION = "2"


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_TURNS],
    group_name="3_images",
    kinds={"parquet"},
    code_version=CODE_VERSION,
    metadata=column_schema(TURN_QUALITY_SCHEMA),
    check_specs=[
        check_spec(
            "every_turn_measured",
            asset=LakeTable.TEXT_QUALITY,
            partitions_def=subset_partitions,
            blocking=True,
            description="The table has one row for every turn of the subset.",
        )
    ],
)
def text_quality(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """Length, repetition, special characters, refusal and language of every turn, and personal data in its texts.

    Repetition is measured as in Gopher's filter. The language is detected if the extra `language` is installed, else it
    is NULL. Of e-mail addresses, phone numbers, public IP addresses and keys, the kind, the number and the position of
    the first are stored, never the values. The clean copy drops rows by these measures only if VISDIV_DROP has
    text_quality. One file of the subset is one unit of work.
    """
    with stage(context, lake, LakeTable.TEXT_QUALITY, CODE_VERSION) as run:
        turns = run.current_turns()
        languages = language.is_available()
        if not languages:
            context.log.info(f"{language.HOW_TO_INSTALL}: the language of texts is not detected")
        write = run.write(
            digests_by_table(turns), settings={"languages": languages}, source_revision=turns.source_revision
        )
        with progress(f"measuring texts of {run.partition}", turns.rows("rows"), "row") as advance:
            for shard in stored_turns(run.lake, turns):
                inputs = {"turns": shard.digest}
                if write.reuse(shard.name, inputs):
                    advance(shard.rows)
                    continue
                with write.add(shard.name, inputs) as unit:
                    found = measure_turns(
                        shard.batches(["texts"]), first_row=shard.first_row, languages=languages, progress=advance
                    )
                    unit.table("turns", found.turns, TURN_QUALITY_SCHEMA)
                    unit.table("personal", found.personal, PERSONAL_DATA_SCHEMA)
        manifest = write.commit()
        measured = run.lake.read(manifest, "turns", columns=["empty_answer", "refusal", "language"])
        personal = run.lake.read(manifest, "personal", columns=["kind", "count"])
    kinds = personal.group_by("kind", use_threads=False).aggregate([("count", "count"), ("count", "sum")])
    spoken = measured.group_by("language", use_threads=False).aggregate([([], "count_all")])
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": measured.num_rows,
            "turns": measured.num_rows,
            **{name: int(pc.sum(measured[name]).as_py() or 0) for name in ("empty_answer", "refusal")},
            "languages": table_preview(spoken.sort_by([("count_all", "descending")])),
            "personal_data": table_preview(kinds),
            "units_reused": write.reused,
        },
        [
            dg.AssetCheckResult(
                check_name="every_turn_measured",
                passed=measured.num_rows == turns.rows("turns"),
                metadata={"turns": measured.num_rows, "expected": turns.rows("turns")},
            )
        ],
    )
