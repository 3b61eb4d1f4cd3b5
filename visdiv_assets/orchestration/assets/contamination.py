"""Images of benchmarks in a subset, by similarity."""

from functools import partial
from itertools import chain

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.contamination.benchmark_images import load_benchmarks, load_positions
from visdiv_assets.contamination.images import (
    LOCATED_SCHEMA,
    RATES_SCHEMA,
    contamination_rates,
    find_leaks,
)
from visdiv_assets.contamination.positions import LOCATED_CANDIDATES_SCHEMA, count_unresolved, make_locator
from visdiv_assets.corpus.access import (
    comparable_benchmarks,
    current_regions,
    digests_by_partition,
    read_pairs,
    readable_positions,
)
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.duplicates.candidates import load_images
from visdiv_assets.duplicates.thresholds import published_thresholds
from visdiv_assets.orchestration.assets.join_shared import (
    candidate_settings,
    join_parts,
    keep_candidates,
    pair_rules,
)
from visdiv_assets.orchestration.assets.region_joins import RegionSearch, benchmark_regions
from visdiv_assets.orchestration.assets.stage import (
    check_spec,
    column_schema,
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
    ProductsResource,
    SourceResource,
    VerificationResource,
)
from visdiv_assets.orchestration.work.joins import JoinBlocks, load_benchmark_side, load_whole
from visdiv_assets.progress import progress
from visdiv_assets.publishing.site.chart_png import leaks_image
from visdiv_assets.statistics import ALL
from visdiv_assets.vectors.join_blocks import split_into_blocks

CODE_VERSION = "5"


@dg.asset(
    partitions_def=subset_partitions,
    deps=[
        LakeTable.SUBSET_IMAGES,
        LakeTable.SSCD_EMBEDDINGS,
        LakeTable.SUBSET_REGIONS,
        LakeTable.NEAR_DUPLICATES,
        dg.AssetDep(LakeTable.BENCHMARK_IMAGES, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(LakeTable.BENCHMARK_EMBEDDINGS, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(LakeTable.BENCHMARK_REGIONS, partition_mapping=dg.AllPartitionMapping()),
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
    products: ProductsResource,
    pair_search: PairSearchResource,
    cleaning: CleaningResource,
    verification: VerificationResource,
) -> dg.MaterializeResult:
    """Images of a subset that are close to an image of a benchmark, and their share of the subset.

    One exact join compares the subset with all materialized benchmarks, each byte-equal image once. A pair is stored if
    it is among the best pairs (64 by default) of the subset's image over all benchmarks, if it is its best pair in a
    benchmark, or if it is the best pair of the benchmark's image; so the rates are exact. The same join finds the
    candidate pairs that verified_contamination compares; with VISDIV_REGIONS=true, further ones are those of which one
    image is close to a region of the other. Each pair has the raw similarity, SSCD's normalized
    similarity, and a flag for images with little information, since blank pages and charts of one template are close
    without being copies. Rates are given per benchmark and for all benchmarks together (`ALL`), with the Wilson 95 %
    interval.
    """
    subset = context.partition_key
    floor = pair_search.similarity_floor
    thresholds = published_thresholds(floor, cleaning.contamination_threshold)
    with stage(context, lake, LakeTable.CONTAMINATION, CODE_VERSION, present_in=source) as run:
        store = run.lake
        images, nearest = run.require(LakeTable.SUBSET_IMAGES), run.require(LakeTable.NEAR_DUPLICATES)
        embeddings = run.current_embeddings(images)
        benchmarks = comparable_benchmarks(store, embeddings)
        write = run.write(
            {name: of_benchmark.digest for name, (_, of_benchmark) in benchmarks.items()},
            model_id=embeddings.model_id,
            settings={
                "similarity_floor": floor,
                "neighbors_kept": pair_search.neighbors_kept,
                "thresholds": thresholds,
                **candidate_settings(verification),
            },
            source_revision=embeddings.source_revision,
        )
        own_ids = store.read(embeddings, "ids")["image_id"].combine_chunks()
        positions = readable_positions(store, images)
        listed_benchmarks = load_positions(store, benchmarks)
        regions = current_regions(store, embeddings) if products.regions else None
        of_benchmarks = benchmark_regions(store, benchmarks) if products.regions else []
        compared = [images, nearest, embeddings, *chain.from_iterable(benchmarks.values()), *of_benchmarks]
        inputs = digests_by_partition([*compared, *([regions] if regions else [])])
        if not write.reuse("pairs", inputs):
            rule, candidates = pair_rules(pair_search, verification)
            work = JoinBlocks(
                lake.in_each_process(),
                partial(load_whole, embeddings),
                partial(load_benchmark_side, benchmarks),
                digests_by_partition([embeddings, *(of_benchmark for _, of_benchmark in benchmarks.values())]),
                rule,
            )
            blocks = split_into_blocks(len(own_ids), sum(found.rows("ids") for _, found in benchmarks.values()))
            with (
                progress(f"comparing {subset} with benchmarks", len(own_ids), "image") as advance,
                join_parts(store, write, engine.open(), work, blocks if benchmarks else [], advance) as parts,
            ):
                own, others = load_images(store, images, embeddings), load_benchmarks(store, benchmarks)
                by_region = None
                if regions is not None and benchmarks:
                    by_region = RegionSearch(
                        store, work.lake, write, engine.open(), candidates, subset, embeddings, regions
                    ).with_benchmarks(benchmarks, of_benchmarks)
                leaks = find_leaks(own, others, parts, rule, candidates, by_region)
                locate = make_locator(store, images, nearest, listed_benchmarks)
                pairs, located = locate(leaks.pairs), locate(leaks.candidates)
                by_benchmark = {name: pairs.filter(pc.equal(pairs["benchmark"], name)) for name in benchmarks}
                rates = contamination_rates(
                    positions, images.facts["rows"], listed_benchmarks, by_benchmark, thresholds
                )
                with write.add("pairs", inputs) as unit:
                    unit.table("pairs", pairs, LOCATED_SCHEMA)
                    located = located.append_column("pdq_distance", leaks.candidates["pdq_distance"])
                    keep_candidates(unit, located, LOCATED_CANDIDATES_SCHEMA)
                    unit.table("rates", rates, RATES_SCHEMA)
        found = read_pairs(store, write.draft(), LOCATED_SCHEMA)
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
