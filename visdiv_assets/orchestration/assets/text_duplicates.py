"""Duplicates among the questions and answers of subsets."""

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.access import digests_by_partition, partitions_with
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.corpus.turns import stored_turns
from visdiv_assets.duplicates.text_corpus import current_signatures, open_texts
from visdiv_assets.duplicates.text_groups import SUMMARY_SCHEMA
from visdiv_assets.orchestration.assets.stage import (
    check_spec,
    column_schema,
    digests_by_table,
    materialized,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import LakeResource, SourceResource, TextRulesResource
from visdiv_assets.orchestration.work.text_duplicates import TextSearch
from visdiv_assets.progress import progress
from visdiv_assets.statistics import ALL
from visdiv_assets.texts.signatures import BUCKET_HASHES, BUCKETS, NGRAM_WORDS, sign_turns

SIGNATURES_VERSION = "1"
CODE_VERSION = "1"

#: Tables of a subset that is compared; a subset that lacks one is left out.
_NEEDED = (LakeTable.SUBSET_IMAGES, LakeTable.SUBSET_TURNS, LakeTable.TEXT_SIGNATURES)


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_TURNS],
    group_name="5_findings",
    kinds={"numpy"},
    code_version=SIGNATURES_VERSION,
    check_specs=[
        check_spec(
            "every_turn_signed",
            asset=LakeTable.TEXT_SIGNATURES,
            partitions_def=subset_partitions,
            blocking=True,
            description="Every turn of the subset has a signature, and every text of 5 words or more has n-grams.",
        )
    ],
)
def text_signatures(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """The text_ids of the question and answer of every turn, and n-grams and MinHash of every distinct text.

    Texts are normalized as datatrove does: lower case, no punctuation, no accents, every number as 0. MinHash has
    datatrove's defaults: n-grams of 5 words, 14 buckets of 8 hashes. text_duplicates is found from them. One file of
    the subset is one unit of work.
    """
    with stage(context, lake, LakeTable.TEXT_SIGNATURES, SIGNATURES_VERSION) as run:
        turns = run.current_turns()
        write = run.write(
            digests_by_table(turns),
            settings={"words": NGRAM_WORDS, "buckets": BUCKETS, "hashes": BUCKET_HASHES},
            source_revision=turns.source_revision,
        )
        with progress(f"signing texts of {run.partition}", turns.rows("rows"), "row") as advance:
            for shard in stored_turns(run.lake, turns):
                inputs = {"turns": shard.digest}
                if write.reuse(shard.name, inputs):
                    advance(shard.rows)
                    continue
                with write.add(shard.name, inputs) as unit:
                    signed = sign_turns(shard.batches(["texts"]), first_row=shard.first_row, progress=advance)
                    unit.array("turns", signed.turns)
                    unit.array("texts", signed.texts)
                    unit.array("buckets", signed.buckets)
                    unit.array("ngrams", signed.ngrams)
        manifest = write.commit()
        ngrams = sum(int(block[:, 3].sum()) for block in run.lake.array(manifest, "texts").blocks())
    counts = {name: manifest.rows(name) for name in ("turns", "texts", "ngrams")}
    return materialized(
        manifest,
        {"dagster/partition_row_count": counts["turns"], **counts, "units_reused": write.reused},
        [
            dg.AssetCheckResult(
                check_name="every_turn_signed",
                passed=counts["turns"] == turns.rows("turns")
                and counts["texts"] == manifest.rows("buckets")
                and ngrams == counts["ngrams"],
                metadata={"turns": counts["turns"], "expected": turns.rows("turns")},
            )
        ],
    )


@dg.asset(
    deps=[*_NEEDED, LakeTable.VERIFIED_DUPLICATES, LakeTable.VERIFIED_CROSS_SUBSET],
    group_name="6_corpus",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(SUMMARY_SCHEMA),
    check_specs=[
        check_spec(
            "every_turn_once",
            asset=LakeTable.TEXT_DUPLICATES,
            blocking=True,
            description="The turns of all subsets add up, and no group has more turns than the subsets hold.",
        )
    ],
)
def text_duplicates(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource, text_rules: TextRulesResource
) -> dg.MaterializeResult:
    """Questions, answers and question-answer pairs that repeat, within and across subsets, exactly or nearly.

    Near duplicates share a MinHash bucket, reach the Jaccard similarity VISDIV_TEXT_SIMILARITY of their sets of 5-word
    n-grams, which is computed exactly, and have the same numbers. A question that stands beside at least
    VISDIV_TEMPLATE_IMAGES different images and has several answers is a template and no duplicate. Questions and pairs
    are also compared among rows with the same images, which are byte-equal or connected by confirmed pairs.
    """
    with stage(context, lake, LakeTable.TEXT_DUPLICATES, CODE_VERSION, present_in=source) as run:
        store = run.lake
        subsets = partitions_with(store, *_NEEDED)
        images = [store.require(LakeTable.SUBSET_IMAGES, subset) for subset in subsets]
        signatures = [current_signatures(store, subset) for subset in subsets]
        verified = [store.manifest(LakeTable.VERIFIED_DUPLICATES, subset) for subset in subsets]
        verified.append(store.manifest(LakeTable.VERIFIED_CROSS_SUBSET, CORPUS_PARTITION))
        of_texts = digests_by_partition(signatures)
        of_images = digests_by_partition([*images, *(each for each in verified if each)])
        rules = text_rules.rules()
        write = run.write({**of_texts, **of_images}, settings=rules.settings())
        corpus = open_texts(store, subsets)
        TextSearch(store, corpus, write, rules, of_texts, of_images).find()
        manifest = write.commit(subsets=subsets)
        summary = store.read(manifest, "summary")
    overall = summary.filter(pc.equal(summary["subset"], ALL))
    by_subset = summary.filter(pc.not_equal(summary["subset"], ALL))
    added = int(pc.sum(by_subset["turns"]).as_py() or 0)
    most = int(pc.max(overall["turns"]).as_py() or 0)
    return materialized(
        manifest,
        {
            "dagster/row_count": summary.num_rows,
            "turns": corpus.turn_count,
            "near_duplicates": manifest.rows("near"),
            "rows_repeated": manifest.rows("rows"),
            "all_subsets": table_preview(overall),
            "units_reused": write.reused,
        },
        [
            dg.AssetCheckResult(
                check_name="every_turn_once",
                passed=added == int(pc.sum(overall["turns"]).as_py() or 0) and most <= corpus.turn_count,
                metadata={"turns": corpus.turn_count, "largest": most},
            )
        ],
    )
