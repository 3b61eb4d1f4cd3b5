"""Which close pictures are copies: their pixels, compared."""

from functools import lru_cache
from itertools import chain, combinations

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.assets.common import (
    WHOLE,
    column_schema,
    comparable_benchmarks,
    current_embeddings,
    digests_by_partition,
    locator,
    materialized,
    present,
    read_pairs,
    readable_positions,
    shown,
    user_errors,
)
from visdiv_assets.assets.comparison import (
    CODE_VERSION,
    LEAKS_SCHEMA,
    PAIR_SCHEMA,
    VERIFIED_SCHEMA,
    KnownVerdicts,
    Side,
    candidate_pairs,
    compared,
    digest_of,
    either,
    in_order,
    located_pairs,
    metadata_of,
    settings_of,
    side_of,
)
from visdiv_assets.curation.corpus import one_model, with_tables
from visdiv_assets.partitions import subset_partitions
from visdiv_assets.progress import progress
from visdiv_assets.resources import (
    DecoderResource,
    LakeResource,
    PairSearchResource,
    SourceResource,
    VerificationResource,
)
from visdiv_assets.search.contamination import RATES_SCHEMA, verified_rates
from visdiv_assets.search.verification import PAIRS_OF_A_UNIT, units_of
from visdiv_assets.sources import Kind


@dg.asset(
    partitions_def=subset_partitions,
    deps=["subset_images", "sscd_embeddings", "near_duplicates"],
    group_name="findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(VERIFIED_SCHEMA),
)
def verified_duplicates(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    pair_search: PairSearchResource,
    verification: VerificationResource,
) -> dg.MaterializeResult:
    """Pairs of different pictures of a subset whose pixels were compared: whether they are copies, and what shows it.

    Compared are the best 16 pairs of each picture from a similarity of 0.45 on, and as many whose PDQ hashes are close
    in one of 8 orientations. The two are aligned, and every textured place and every colour of the one must be found in
    the other, but for a caption, a border or a logo. Pairs that were compared before are not compared again.
    """
    subset = context.partition_key
    with user_errors():
        store, opened = lake.open(), source.open()
        images = store.require("subset_images", subset)
        embeddings = current_embeddings(store, images)
        write = store.write(
            "verified_duplicates",
            subset,
            code_version=CODE_VERSION,
            inputs={"subset_images": images.digest, "sscd_embeddings": embeddings.digest},
            model_id=embeddings.model_id,
            settings=settings_of(verification),
            source_revision=images.source_revision,
            run_id=context.run.run_id,
        )
        side = side_of(store, opened, Kind.SUBSET, images, embeddings)
        known = KnownVerdicts(store, "verified_duplicates", subset)
        inputs = digests_by_partition([images, embeddings])
        if not write.reuse("candidates", inputs):
            with write.add("candidates", inputs) as unit:
                unit.table("candidates", candidate_pairs(side, None, verification, pair_search), PAIR_SCHEMA)
        pairs = store.read(write.draft(), "candidates")
        with progress(f"comparing pixels of {subset}", pairs.num_rows, "pair") as advance:
            fresh_pairs = 0
            for name, numbers in units_of(pairs["image_id_a"], PAIRS_OF_A_UNIT):
                chosen = pairs.take(numbers)
                inputs = {"pairs": digest_of(chosen)}
                if write.reuse(name, inputs):
                    advance(chosen.num_rows)
                    continue
                with write.add(name, inputs) as unit:
                    table, fresh = compared(chosen, side.fetch, side.fetch, known.of(name), decoder, advance)
                    unit.table("pairs", table, VERIFIED_SCHEMA)
                fresh_pairs += fresh
        manifest = write.commit()
        found = read_pairs(store, manifest, VERIFIED_SCHEMA)
    return materialized(manifest, metadata_of(found, fresh_pairs, write))


@dg.asset(
    deps=["subset_images", "sscd_embeddings", "cross_subset_duplicates"],
    group_name="corpus",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(VERIFIED_SCHEMA),
)
def verified_cross_subset(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    pair_search: PairSearchResource,
    verification: VerificationResource,
) -> dg.MaterializeResult:
    """Pairs of pictures from two different subsets whose pixels were compared: whether they are copies.

    Found and compared as in verified_duplicates. Every two subsets are units of work of their own: what concerns two
    subsets that did not change is not done again.
    """
    with user_errors():
        opened = source.open()
        store = present(lake.open(), opened)
        subsets = with_tables(store, "subset_images", "sscd_embeddings")
        images = {subset: store.require("subset_images", subset) for subset in subsets}
        embeddings = {subset: current_embeddings(store, images[subset]) for subset in subsets}

        # Two at a time: the hashes of all pictures of a large corpus would take gigabytes.
        @lru_cache(maxsize=2)
        def side(subset: str) -> Side:
            return side_of(store, opened, Kind.SUBSET, images[subset], embeddings[subset])

        write = store.write(
            "verified_cross_subset",
            WHOLE,
            code_version=CODE_VERSION,
            inputs={subset: of_subset.digest for subset, of_subset in embeddings.items()},
            model_id=one_model(embeddings.values()),
            settings=settings_of(verification),
            run_id=context.run.run_id,
        )
        known = KnownVerdicts(store, "verified_cross_subset", WHOLE)
        fresh_pairs = 0
        tiles = list(combinations(subsets, 2))
        with progress("comparing pixels across subsets", len(tiles), "two subsets") as advance:
            for one, other in tiles:
                name = f"{one} | {other}"
                inputs = {
                    f"{place}_{part.table}": part.digest
                    for place, subset in (("left", one), ("right", other))
                    for part in (images[subset], embeddings[subset])
                }
                if not write.reuse(name, inputs):
                    left, right = side(one), side(other)
                    pairs = candidate_pairs(left, right, verification, pair_search)
                    # A picture that both hold is no pair.
                    pairs = in_order(pairs.filter(pc.not_equal(pairs["image_id_a"], pairs["image_id_b"])))
                    fetch = either(left, right)
                    with write.add(name, inputs) as unit:
                        table, fresh = compared(pairs, fetch, fetch, known.of(name), decoder)
                        unit.table("pairs", table, VERIFIED_SCHEMA)
                    fresh_pairs += fresh
                advance(1)
        manifest = write.commit(subsets=subsets)
        found = read_pairs(store, manifest, VERIFIED_SCHEMA)
    return materialized(manifest, {**metadata_of(found, fresh_pairs, write), "tiles": len(tiles)})


@dg.asset(
    partitions_def=subset_partitions,
    deps=[
        "subset_images",
        "sscd_embeddings",
        "near_duplicates",
        "contamination",
        dg.AssetDep("benchmark_images", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("benchmark_embeddings", partition_mapping=dg.AllPartitionMapping()),
    ],
    group_name="findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(LEAKS_SCHEMA),
)
def verified_contamination(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    pair_search: PairSearchResource,
    verification: VerificationResource,
) -> dg.MaterializeResult:
    """Pairs of a subset's and a benchmark's pictures whose pixels were compared, and the rates of those confirmed.

    Found and compared as in verified_duplicates. Here byte-equal pictures are pairs, too. One benchmark is one unit of
    work.
    """
    subset = context.partition_key
    with user_errors():
        opened = source.open()
        store = present(lake.open(), opened)
        images, nearest = (store.require(table, subset) for table in ("subset_images", "near_duplicates"))
        embeddings = current_embeddings(store, images)
        benchmarks = comparable_benchmarks(store, embeddings)
        write = store.write(
            "verified_contamination",
            subset,
            code_version=CODE_VERSION,
            inputs={name: of_benchmark.digest for name, (_, of_benchmark) in benchmarks.items()},
            model_id=embeddings.model_id,
            settings=settings_of(verification),
            source_revision=images.source_revision,
            run_id=context.run.run_id,
        )
        side = side_of(store, opened, Kind.SUBSET, images, embeddings)
        locate = locator(store, images, nearest)
        known = KnownVerdicts(store, "verified_contamination", subset, ids=("image_id", "benchmark_image_id"))
        fresh_pairs = 0
        with progress(f"comparing pixels of {subset} with benchmarks", len(benchmarks), "benchmark") as advance:
            for name, (listed, of_benchmark) in benchmarks.items():
                inputs = {part.table: part.digest for part in (images, embeddings, listed, of_benchmark, nearest)}
                if not write.reuse(name, inputs):
                    other = side_of(store, opened, Kind.BENCHMARK, listed, of_benchmark)
                    pairs = candidate_pairs(side, other, verification, pair_search)
                    with write.add(name, inputs) as unit:
                        table, fresh = compared(pairs, side.fetch, other.fetch, known.of(name), decoder)
                        unit.table("pairs", located_pairs(table, locate, listed), LEAKS_SCHEMA)
                    fresh_pairs += fresh
                advance(1)
        found = read_pairs(store, write.draft(), LEAKS_SCHEMA)
        inputs = digests_by_partition([images, embeddings, *chain.from_iterable(benchmarks.values())])
        if not write.reuse("rates", inputs):
            by_benchmark = {name: found.filter(pc.equal(found["benchmark"], name)) for name in benchmarks}
            positions = {name: readable_positions(store, listed) for name, (listed, _) in benchmarks.items()}
            with write.add("rates", inputs) as unit:
                rates = verified_rates(readable_positions(store, images), images.facts["rows"], positions, by_benchmark)
                unit.table("rates", rates, RATES_SCHEMA)
        manifest = write.commit(benchmarks=sorted(benchmarks))
        rates = store.read(manifest, "rates")
    return materialized(manifest, {**metadata_of(found, fresh_pairs, write), "rates": shown(rates)})
