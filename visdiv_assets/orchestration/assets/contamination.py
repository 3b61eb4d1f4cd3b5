"""Images of benchmarks in a subset, by similarity."""

from itertools import chain

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.images import LOCATED_SCHEMA, RATES_SCHEMA, contamination_rates
from visdiv_assets.contamination.positions import count_unresolved, make_locator
from visdiv_assets.corpus.access import (
    comparable_benchmarks,
    digests_by_partition,
    read_pairs,
    readable_positions,
)
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.duplicates.thresholds import published_thresholds
from visdiv_assets.orchestration.assets.stage import (
    check_spec,
    column_schema,
    digests_by_table,
    image_markdown,
    materialized,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import (
    CleaningResource,
    EngineResource,
    LakeResource,
    PairSearchResource,
    SourceResource,
)
from visdiv_assets.orchestration.work.joins import Leaks
from visdiv_assets.orchestration.work.make_units import Planned, make_units
from visdiv_assets.progress import progress
from visdiv_assets.publishing.site.chart_png import leaks_image
from visdiv_assets.statistics import ALL
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.storage.partition_write import UnitWrite

CODE_VERSION = "2"


@dg.asset(
    partitions_def=subset_partitions,
    deps=[
        LakeTable.SUBSET_IMAGES,
        LakeTable.SSCD_EMBEDDINGS,
        LakeTable.NEAR_DUPLICATES,
        dg.AssetDep(LakeTable.BENCHMARK_IMAGES, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(LakeTable.BENCHMARK_EMBEDDINGS, partition_mapping=dg.AllPartitionMapping()),
    ],
    group_name="5_findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(LOCATED_SCHEMA),
    check_specs=[
        check_spec(
            "ids_resolve",
            asset=LakeTable.CONTAMINATION,
            partitions_def=subset_partitions,
            blocking=True,
            description="Both images of every pair exist at the recorded positions.",
        ),
        check_spec(
            "no_benchmark_against_itself",
            asset=LakeTable.CONTAMINATION,
            partitions_def=subset_partitions,
            blocking=True,
            description="The subset is not itself a benchmark: no benchmark has the same files.",
        ),
        check_spec(
            "contaminated_share",
            asset=LakeTable.CONTAMINATION,
            partitions_def=subset_partitions,
            description="The share of contaminated images is at most VISDIV_CONTAMINATION_LIMIT (warns).",
        ),
    ],
)
def contamination(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    engine: EngineResource,
    pair_search: PairSearchResource,
    cleaning: CleaningResource,
) -> dg.MaterializeResult:
    """Images of a subset that are close to an image of a benchmark, and their share of the subset.

    The join with every materialized benchmark is exact; byte-equal images of a benchmark are compared once. Each
    benchmark is one unit of work, so when a benchmark is added, only that one is compared. Each pair has the raw
    similarity, SSCD's normalized similarity, and a flag for images with little information, since blank pages and
    charts of one template are close without being copies. Rates are given per benchmark and for all benchmarks together
    (`ALL`), with the Wilson 95 % interval.
    """
    subset = context.partition_key
    floor, k_best = pair_search.similarity_floor, pair_search.neighbors_kept
    thresholds = published_thresholds(floor, cleaning.contamination_threshold)
    with stage(context, lake, LakeTable.CONTAMINATION, CODE_VERSION, present_in=source) as run:
        store = run.lake
        images, nearest = run.require(LakeTable.SUBSET_IMAGES), run.require(LakeTable.NEAR_DUPLICATES)
        embeddings = run.current_embeddings(images)
        benchmarks = comparable_benchmarks(store, embeddings)
        write = run.write(
            {name: of_benchmark.digest for name, (_, of_benchmark) in benchmarks.items()},
            model_id=embeddings.model_id,
            settings={"similarity_floor": floor, "neighbors_kept": k_best, "thresholds": thresholds},
            source_revision=embeddings.source_revision,
        )
        own_ids = store.read(embeddings, "ids")["image_id"].combine_chunks()
        positions = readable_positions(store, images)
        locate = make_locator(store, images, nearest)
        lists = {of_benchmark.partition: listed for listed, of_benchmark in benchmarks.values()}
        planned = [
            Planned(
                name,
                digests_by_table(images, nearest, embeddings, listed, of_benchmark),
                of_benchmark,
            )
            for name, (listed, of_benchmark) in benchmarks.items()
        ]

        def keep(unit: UnitWrite, of_benchmark: Manifest, pairs: pa.Table) -> None:
            unit.table("pairs", locate(pairs, lists[of_benchmark.partition]), LOCATED_SCHEMA)

        work = Leaks(lake.in_each_process(), embeddings, floor, k_best)
        with progress(f"checking {subset} against benchmarks", len(benchmarks), "benchmark") as advance:
            make_units(write, engine.open(), work, planned, keep, advance)
        found = read_pairs(store, write.draft(), LOCATED_SCHEMA)
        by_benchmark = {name: found.filter(pc.equal(found["benchmark"], name)) for name in benchmarks}
        listed_benchmarks = {name: readable_positions(store, listed) for name, (listed, _) in benchmarks.items()}
        inputs = digests_by_partition([images, embeddings, *chain.from_iterable(benchmarks.values())])
        if not write.reuse("rates", inputs):
            with write.add("rates", inputs) as unit:
                rates = contamination_rates(
                    positions, images.facts["rows"], listed_benchmarks, by_benchmark, thresholds
                )
                unit.table("rates", rates, RATES_SCHEMA)
        rates = store.read(write.draft(), "rates")
        manifest = write.commit(benchmarks=sorted(benchmarks))
    at_threshold = rates.filter(pc.equal(rates["threshold"], cleaning.contamination_threshold))
    overall = at_threshold.filter(pc.equal(at_threshold["benchmark"], ALL)).to_pylist()[0]
    drawn = leaks_image(at_threshold)
    unresolved = count_unresolved(found, own_ids, listed_benchmarks)
    same = [name for name, (listed, _) in benchmarks.items() if listed.source_revision == images.source_revision]
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": found.num_rows,
            "benchmarks": len(benchmarks),
            "threshold": overall["threshold"],
            **{name: overall[name] for name in ("images_contaminated", "rows_contaminated", "benchmark_images_leaked")},
            **({"rate": overall["rate"]} if overall["rate"] is not None else {}),
            "rates": table_preview(at_threshold),
            **({"by_benchmark": image_markdown("rates by benchmark", drawn)} if drawn else {}),
            "units_reused": write.reused,
        },
        [
            dg.AssetCheckResult(
                check_name="ids_resolve", passed=not unresolved, metadata={"pairs_unresolved": unresolved}
            ),
            dg.AssetCheckResult(
                check_name="no_benchmark_against_itself", passed=not same, metadata={"benchmarks": same}
            ),
            dg.AssetCheckResult(
                check_name="contaminated_share",
                passed=(overall["rate"] or 0) <= cleaning.contamination_limit,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"share": overall["rate"] or 0.0, "limit": cleaning.contamination_limit},
            ),
        ],
    )
