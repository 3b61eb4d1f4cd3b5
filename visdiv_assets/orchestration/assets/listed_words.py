"""Words of a list, such as insults, in the texts of a subset and in the text of its images."""

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.access import read_pairs, require_made_from
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import stored_turns
from visdiv_assets.curation.listed_words import (
    NO_LIST,
    WORDS_SCHEMA,
    WordFinder,
    WordList,
    open_word_list,
)
from visdiv_assets.orchestration.assets.stage import column_schema, digests_by_table, materialized, stage
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import LakeResource, WordsResource
from visdiv_assets.progress import progress
from visdiv_assets.texts.ocr.findings import BOXES_SCHEMA, READ, texts_of_images

CODE_VERSION = "1"

#: Name of the setting of the list in manifests, where there is none.
_NONE = "none"


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_TURNS],
    group_name="3_images",
    kinds={"parquet"},
    code_version=CODE_VERSION,
    metadata=column_schema(WORDS_SCHEMA),
)
def listed_words(
    context: dg.AssetExecutionContext, lake: LakeResource, word_list: WordsResource
) -> dg.MaterializeResult:
    """Words of a list, such as insults, in questions and answers: a report, which drops nothing.

    The list is the file of VISDIV_BLOCKLIST, or the English one of glin-profanity if the extra `words` is installed;
    without a list the table is empty. Whole words match, in whatever case. A list knows no context. One file of the
    subset is one unit of work.
    """
    with stage(context, lake, LakeTable.LISTED_WORDS, CODE_VERSION) as run:
        turns, words = run.current_turns(), open_word_list(word_list.blocklist)
        if words is None:
            context.log.info(NO_LIST)
        write = run.write(digests_by_table(turns), settings=_settings(words), source_revision=turns.source_revision)
        finder = WordFinder(words) if words else None
        with progress(f"looking for listed words in {run.partition}", turns.rows("rows"), "row") as advance:
            for shard in stored_turns(run.lake, turns):
                inputs = {"turns": shard.digest}
                if finder is None or write.reuse(shard.name, inputs):
                    advance(shard.rows)
                    continue
                with write.add(shard.name, inputs) as unit:
                    found = finder.in_shard(shard.batches(["texts"]), shard.first_row, advance)
                    unit.table("words", found, WORDS_SCHEMA)
        manifest = write.commit(rows=turns.rows("rows"))
        matches = run.lake.read(manifest, "words", columns=["row", "word"]) if manifest.files("words") else None
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": matches.num_rows if matches else 0,
            "rows_with_listed_words": pc.count_distinct(matches["row"]).as_py() if matches else 0,
            "different_words": pc.count_distinct(matches["word"]).as_py() if matches else 0,
            "list": words.name if words else NO_LIST,
        },
    )


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.IMAGE_TEXTS],
    group_name="5_findings",
    kinds={"parquet"},
    code_version=CODE_VERSION,
    metadata=column_schema(WORDS_SCHEMA),
)
def image_listed_words(
    context: dg.AssetExecutionContext, lake: LakeResource, word_list: WordsResource
) -> dg.MaterializeResult:
    """Words of a list, such as insults, in the text that image_texts has read from images: a report.

    The list and its matching are those of listed_words. Only the job ocr_pipeline and `visdiv run --ocr` include this
    asset.
    """
    with stage(context, lake, LakeTable.IMAGE_LISTED_WORDS, CODE_VERSION) as run:
        images = run.require(LakeTable.SUBSET_IMAGES)
        read, words = require_made_from(run.require(LakeTable.IMAGE_TEXTS), images), open_word_list(word_list.blocklist)
        inputs = digests_by_table(images, read)
        write = run.write(inputs, settings=_settings(words), source_revision=images.source_revision)
        if words and not write.reuse("words", inputs):
            columns = ["row", "image_index", "image_id"]
            found = run.lake.read(read, "images", columns=columns, where=pc.field("status") == READ)
            texts = texts_of_images(found["image_id"].to_pylist(), read_pairs(run.lake, read, BOXES_SCHEMA, "boxes"))
            with write.add("words", inputs) as unit:
                unit.table("words", WordFinder(words).in_images(found, texts), WORDS_SCHEMA)
        manifest = write.commit()
        status = run.lake.read(read, "images", columns=["status"])["status"]
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": manifest.rows("words"),
            "images_read": pc.sum(pc.equal(status, READ)).as_py() or 0,
            "list": words.name if words else NO_LIST,
        },
    )


def _settings(words: WordList | None) -> dict[str, str]:
    return {"list": words.name if words else _NONE, "words": words.digest if words else _NONE}
