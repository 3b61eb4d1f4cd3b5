"""Leaks across modalities: texts of benchmarks in training images, and text of their images in training data."""

from collections.abc import Iterator
from functools import cache

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination import cross_modal
from visdiv_assets.contamination.cross_modal import MATCHES_SCHEMA, RATES_SCHEMA, TRAINING_SCHEMA, WANTED_SCHEMA, Wanted
from visdiv_assets.corpus.access import digests_by_partition, read_pairs, require_made_from
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import ShardTurns, joined_texts, located_strings, stored_turns
from visdiv_assets.orchestration.assets.stage import Stage, column_schema, digests_by_table, materialized, stage
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import LakeResource, SourceResource
from visdiv_assets.progress import Progress, progress
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest, digest_of
from visdiv_assets.texts.containment import MIN_NGRAMS, MIN_SHARE, SIZE
from visdiv_assets.texts.ocr.findings import BOXES_SCHEMA, READ, texts_of_images

CODE_VERSION = "1"


@dg.asset(
    partitions_def=subset_partitions,
    deps=[
        LakeTable.SUBSET_IMAGES,
        LakeTable.IMAGE_TEXTS,
        LakeTable.SUBSET_TURNS,
        *(
            dg.AssetDep(table, partition_mapping=dg.AllPartitionMapping())
            for table in (LakeTable.BENCHMARK_STRINGS, LakeTable.BENCHMARK_IMAGE_TEXTS)
        ),
    ],
    group_name="5_findings",
    kinds={"parquet"},
    code_version=CODE_VERSION,
    metadata=column_schema(MATCHES_SCHEMA),
)
def image_text_leaks(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource
) -> dg.MaterializeResult:
    """Texts of benchmarks in the images of a subset, and text of benchmark images in its images, questions and answers.

    Text in images is what image_texts and benchmark_image_texts have read. A text counts as found if 0.7 of its n-grams
    of 8 letters and digits are there: so it is found although the reader has confused some characters. It must have 40
    n-grams that at most 10 texts of the benchmark share. Only the job ocr_pipeline and `visdiv run --ocr` include this
    asset.
    """
    with stage(context, lake, LakeTable.IMAGE_TEXT_LEAKS, CODE_VERSION, present_in=source) as run:
        store, listed, turns = run.lake, run.require(LakeTable.SUBSET_IMAGES), run.current_turns()
        read = require_made_from(run.require(LakeTable.IMAGE_TEXTS), listed)
        strings = _of_benchmarks(run, LakeTable.BENCHMARK_STRINGS)
        images = _of_benchmarks(run, LakeTable.BENCHMARK_IMAGE_TEXTS)
        used = digests_by_partition((*strings, *images))
        write = run.write(
            digests_by_table(listed, turns, read) | used,
            settings={"size": SIZE, "share": MIN_SHARE, "ngrams": MIN_NGRAMS},
            source_revision=turns.source_revision,
        )

        # Only read if something is to be compared.
        @cache
        def wanted() -> list[Wanted]:
            return [
                *(Wanted.of(each.partition, _strings(store, each), of_images=False) for each in strings),
                *(Wanted.of(each.partition, _image_texts(store, each), of_images=True) for each in images),
            ]

        benchmarks = digest_of(used)
        with progress(f"comparing text in images of {run.partition}", turns.rows("rows"), "row") as advance:
            if not write.reuse("images", inputs := {"texts": read.digest, "benchmarks": benchmarks}):
                training = _image_texts(store, read).drop_columns(["benchmark_string"])
                training = training.rename_columns(["row", "image_index", "image_id", "text"])
                with write.add("images", inputs) as unit:
                    unit.table("matches", _found([training], wanted(), of_images=True), MATCHES_SCHEMA)
            for shard in stored_turns(store, turns):
                inputs = {"turns": shard.digest, "benchmarks": benchmarks}
                if write.reuse(f"texts {shard.name}", inputs):
                    advance(shard.rows)
                    continue
                with write.add(f"texts {shard.name}", inputs) as unit:
                    found = _found(_turns(shard, advance), wanted(), of_images=False)
                    unit.table("matches", found, MATCHES_SCHEMA)
        matches = store.read(write.draft(), "matches")
        with_texts = pc.sum(pc.greater(store.read(turns, "rows", columns=["turns"])["turns"], 0)).as_py() or 0
        compared = store.read(read, "images", columns=["status"], where=pc.field("status") == READ).num_rows
        names = [each.partition for each in strings]
        if not write.reuse("rates", inputs := used | {"texts": read.digest, "turns": turns.digest}):
            with write.add("rates", inputs) as unit:
                found_rates = cross_modal.rates(matches, names, wanted(), images=compared, rows=with_texts)
                unit.table("rates", found_rates, RATES_SCHEMA)
        manifest = write.commit(benchmarks=names, benchmarks_read=[each.partition for each in images])
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": matches.num_rows,
            "images_compared": compared,
            "benchmarks": len(names),
            "benchmarks_read": len(images),
            **{kind: matches.filter(pc.equal(matches["kind"], kind)).num_rows for kind in cross_modal.KINDS},
            "units_reused": write.reused,
        },
    )


def _of_benchmarks(run: Stage, table: str) -> list[Manifest]:
    """Return a table of all benchmarks that have it; each must be of its present images."""
    return [
        run.current_embeddings(run.require(LakeTable.BENCHMARK_IMAGES, name), table)
        for name in run.lake.partitions(table)
    ]


def _strings(lake: Lake, strings: Manifest) -> pa.Table:
    """Return the strings of a benchmark as rows of `WANTED_SCHEMA`."""
    tables = [WANTED_SCHEMA.empty_table()]
    for row, string, texts in located_strings(lake, strings):
        missing = [pa.nulls(len(texts), WANTED_SCHEMA.field(index).type) for index in (1, 2)]
        tables.append(pa.table([pa.array(row), *missing, pa.array(string), texts], schema=WANTED_SCHEMA))
    return pa.concat_tables(tables)


def _image_texts(lake: Lake, read: Manifest) -> pa.Table:
    """Return the texts of the images of a subset or benchmark that were read as rows of `WANTED_SCHEMA`."""
    columns = ["row", "image_index", "image_id"]
    images = lake.read(read, "images", columns=columns, where=pc.field("status") == READ)
    texts = texts_of_images(images["image_id"].to_pylist(), read_pairs(lake, read, BOXES_SCHEMA, "boxes"))
    located = [images[name] for name in columns]
    return pa.table([*located, pa.nulls(images.num_rows, pa.int32()), texts], schema=WANTED_SCHEMA)


def _turns(shard: ShardTurns, advance: Progress) -> Iterator[pa.Table]:
    """Yield the questions and answers of each row as one text: tables of `TRAINING_SCHEMA`."""
    first = shard.first_row
    for batch in shard.batches(["texts"]):
        count = batch.num_rows
        missing = [pa.nulls(count, TRAINING_SCHEMA.field(index).type) for index in (1, 2)]
        rows = pa.array(range(first, first + count), pa.int64())
        yield pa.table([rows, *missing, joined_texts(batch)], schema=TRAINING_SCHEMA)
        first += count
        advance(count)


def _found(training: "list[pa.Table] | Iterator[pa.Table]", wanted: list[Wanted], *, of_images: bool) -> pa.Table:
    return pa.concat_tables(
        [MATCHES_SCHEMA.empty_table(), *cross_modal.find_matches(training, wanted, of_images=of_images)]
    )
