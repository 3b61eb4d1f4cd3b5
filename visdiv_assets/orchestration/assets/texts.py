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
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import stored_turns
from visdiv_assets.orchestration.assets.stage import column_schema, digests_by_table, materialized, stage, table_preview
from visdiv_assets.orchestration.partitions import benchmark_partitions, subset_partitions
from visdiv_assets.orchestration.resources import LakeResource, SourceResource
from visdiv_assets.progress import progress
from visdiv_assets.statistics import ALL
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest, digest_of
from visdiv_assets.texts.overlap import SIZES, BenchmarkTexts

CODE_VERSION = "1"


@dg.asset(
    partitions_def=benchmark_partitions,
    deps=[LakeTable.BENCHMARK_STRINGS],
    group_name="2_benchmarks",
    kinds={"numpy"},
    code_version=CODE_VERSION,
)
def benchmark_texts(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """The hashed n-grams of 8 and 13 words of all texts of a benchmark's test set: questions, options, answers.

    N-grams that occur in more than 10 of its texts belong to its template and are left out.
    """
    with stage(context, lake, LakeTable.BENCHMARK_TEXTS, CODE_VERSION) as run:
        strings = run.current_embeddings(run.require(LakeTable.BENCHMARK_IMAGES), LakeTable.BENCHMARK_STRINGS)
        inputs = digests_by_table(strings)
        write = run.write(
            inputs, settings={"sizes": SIZES, "most": MAX_TEXTS_OF_A_RUN}, source_revision=strings.source_revision
        )
        if not write.reuse("texts", inputs):
            with write.add("texts", inputs) as unit:
                read = read_benchmark_texts(run.lake, strings)
                for size, runs in read.ngrams.items():
                    unit.array(_role(size), runs)
                unit.array("short", read.short)
        manifest = write.commit()
    counts = {f"runs_of_{size}_words": manifest.rows(_role(size)) for size in SIZES}
    return materialized(manifest, {**counts, "short_texts": manifest.rows("short")})


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_TURNS, dg.AssetDep(LakeTable.BENCHMARK_TEXTS, partition_mapping=dg.AllPartitionMapping())],
    group_name="5_findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(TEXT_OVERLAPS_SCHEMA),
)
def text_contamination(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource
) -> dg.MaterializeResult:
    """Texts of benchmarks that occur word for word in a subset's questions and answers, and the share of such rows.

    A text matches by n-grams of 13 words (as for GPT-3), by n-grams of 8 words, or, if it has only 5 to 12 words, as a
    whole. Case, punctuation and whitespace are ignored. No model is needed.
    """
    with stage(context, lake, LakeTable.TEXT_CONTAMINATION, CODE_VERSION, present_in=source) as run:
        store, turns = run.lake, run.current_turns()
        names = store.partitions(LakeTable.BENCHMARK_TEXTS)
        benchmarks = {name: store.require(LakeTable.BENCHMARK_TEXTS, name) for name in names}
        of_benchmarks = digest_of({name: of_benchmark.digest for name, of_benchmark in benchmarks.items()})
        write = run.write(
            digests_by_table(turns) | {f"benchmark {name}": benchmarks[name].digest for name in names},
            settings={"shortest_whole": MIN_WHOLE_WORDS},
            source_revision=turns.source_revision,
        )
        rows = turns.rows("rows")
        read: list[BenchmarkTexts] | None = None
        with progress(f"comparing texts of {run.partition}", rows, "row") as advance:
            for shard in stored_turns(store, turns):
                inputs = {"turns": shard.digest, "benchmarks": of_benchmarks}
                if write.reuse(shard.name, inputs):
                    advance(shard.rows)
                    continue
                read = _load_benchmarks(store, benchmarks) if read is None else read
                with write.add(shard.name, inputs) as unit:
                    located = find_contaminated_texts(
                        shard.batches(["texts"]), read, first_row=shard.first_row, progress=advance
                    )
                    unit.table("overlaps", located, TEXT_OVERLAPS_SCHEMA)
        found = store.read(write.draft(), "overlaps")
        inputs = {"turns": turns.digest, "benchmarks": of_benchmarks}
        if not write.reuse("rates", inputs):
            with write.add("rates", inputs) as unit:
                unit.table("rates", text_contamination_rates(found, rows, names, (0, *SIZES)), TEXT_RATES_SCHEMA)
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
