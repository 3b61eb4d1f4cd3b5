"""Texts of benchmarks in the questions and answers of a subset."""

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.contamination.texts import (
    MAX_TEXTS_OF_A_RUN,
    MIN_WHOLE_WORDS,
    TEXT_OVERLAPS_SCHEMA,
    TEXT_RATES_SCHEMA,
    find_contaminated_texts,
    read_benchmark_texts,
    text_contamination_rates,
)
from visdiv_assets.corpus.access import listed_version
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.orchestration.assets.stage import column_schema, materialized, stage, table_preview
from visdiv_assets.orchestration.partitions import benchmark_partitions, subset_partitions
from visdiv_assets.orchestration.resources import LakeResource, SourceResource
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind
from visdiv_assets.statistics import ALL
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest, digest_of
from visdiv_assets.texts.overlap import SIZES, BenchmarkTexts

CODE_VERSION = "1"

#: Rows of texts read at a time; small, since a text may have a million characters.
BATCH_ROWS = 256


@dg.asset(
    partitions_def=benchmark_partitions,
    deps=[LakeTable.BENCHMARK_IMAGES],
    group_name="2_benchmarks",
    kinds={"numpy"},
    code_version=CODE_VERSION,
)
def benchmark_texts(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource
) -> dg.MaterializeResult:
    """The hashed n-grams of 8 and 13 words of all texts of a benchmark's test set: questions, options, answers.

    N-grams that occur in more than 10 of its texts belong to its template and are left out.
    """
    with stage(context, lake, LakeTable.BENCHMARK_TEXTS, CODE_VERSION) as run:
        opened = source.open()
        version = listed_version(opened, run.require(LakeTable.BENCHMARK_IMAGES), Kind.BENCHMARK)
        inputs = {"source": version.revision}
        write = run.write(
            inputs, settings={"sizes": SIZES, "most": MAX_TEXTS_OF_A_RUN}, source_revision=version.revision
        )
        if not write.reuse("texts", inputs):
            with write.add("texts", inputs) as unit:
                read = read_benchmark_texts(opened, run.partition)
                for size, runs in read.ngrams.items():
                    unit.array(_role(size), runs)
                unit.array("short", read.short)
        manifest = write.commit()
    counts = {f"runs_of_{size}_words": manifest.rows(_role(size)) for size in SIZES}
    return materialized(manifest, {**counts, "short_texts": manifest.rows("short")})


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, dg.AssetDep(LakeTable.BENCHMARK_TEXTS, partition_mapping=dg.AllPartitionMapping())],
    group_name="5_findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(TEXT_OVERLAPS_SCHEMA),
)
def text_contamination(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource
) -> dg.MaterializeResult:
    """Texts of benchmarks that occur word by word in a subset's questions and answers, and the share of such rows.

    A text matches by n-grams of 13 words (as for GPT-3), by n-grams of 8 words, or, if it has only 5 to 12 words, as a
    whole. Case, punctuation and whitespace are ignored. No model is needed.
    """
    subset = context.partition_key
    with stage(context, lake, LakeTable.TEXT_CONTAMINATION, CODE_VERSION, present_in=source) as run:
        opened, store = source.open(), run.lake
        version = listed_version(opened, run.require(LakeTable.SUBSET_IMAGES))
        names = store.partitions(LakeTable.BENCHMARK_TEXTS)
        benchmarks = {name: store.require(LakeTable.BENCHMARK_TEXTS, name) for name in names}
        of_benchmarks = {name: of_benchmark.digest for name, of_benchmark in benchmarks.items()}
        write = run.write(
            {"source": version.revision, **{f"benchmark {name}": digest for name, digest in of_benchmarks.items()}},
            settings={"shortest_whole": MIN_WHOLE_WORDS},
            source_revision=version.revision,
        )
        read: list[BenchmarkTexts] | None = None
        with progress(f"comparing texts of {subset}", version.rows, "row") as advance:
            for shard in version.shards:
                inputs = {
                    "shard": shard.digest,
                    "first_row": str(shard.first_row),
                    "benchmarks": digest_of(of_benchmarks),
                }
                if write.reuse(shard.shard.name, inputs):
                    advance(shard.shard.rows)
                    continue
                read = _load_benchmarks(store, benchmarks) if read is None else read
                batches = opened.batches(Kind.SUBSET, subset, shard.shard, columns=["texts"], batch_rows=BATCH_ROWS)
                with write.add(shard.shard.name, inputs) as unit:
                    located = find_contaminated_texts(batches, read, first_row=shard.first_row, progress=advance)
                    unit.table("overlaps", located, TEXT_OVERLAPS_SCHEMA)
        found = store.read(write.draft(), "overlaps")
        inputs = {"source": version.revision, "benchmarks": digest_of(of_benchmarks)}
        if not write.reuse("rates", inputs):
            with write.add("rates", inputs) as unit:
                unit.table(
                    "rates", text_contamination_rates(found, version.rows, names, (0, *SIZES)), TEXT_RATES_SCHEMA
                )
        rates = store.read(write.draft(), "rates")
        manifest = write.commit(benchmarks=names)
    longest = rates.filter(pc.equal(rates["size"], max(SIZES)))
    overall = longest.filter(pc.equal(longest["benchmark"], ALL)).to_pylist()[0]
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": found.num_rows,
            "benchmarks": len(names),
            **{name: overall[name] for name in ("rows_found", "rows_half_found")},
            **({"rate": overall["rate"]} if overall["rate"] is not None else {}),
            "rates": table_preview(longest),
            "units_reused": write.reused,
        },
    )


def _role(size: int) -> str:
    return f"runs_{size}"


def _load_benchmarks(store: Lake, benchmarks: dict[str, Manifest]) -> list[BenchmarkTexts]:
    return [
        BenchmarkTexts(
            name, {size: store.column(manifest, _role(size)) for size in SIZES}, store.column(manifest, "short")
        )
        for name, manifest in benchmarks.items()
    ]
