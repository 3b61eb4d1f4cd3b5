"""Which close images are copies: their pixels, compared."""

from itertools import chain, combinations

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.images import RATES_SCHEMA, verified_contamination_rates
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.linked_images import partitions_with, require_one_model
from visdiv_assets.duplicates.pair_verification import PAIR_SCHEMA, VERIFIED_SCHEMA
from visdiv_assets.duplicates.verify_pairs import PAIRS_OF_A_UNIT, split_into_units
from visdiv_assets.orchestration.assets.common import (
    column_schema,
    comparable_benchmarks,
    current_embeddings,
    digests_by_partition,
    make_locator,
    materialized,
    present_partitions,
    read_pairs,
    readable_positions,
    table_preview,
    user_errors,
)
from visdiv_assets.orchestration.assets.verification_shared import (
    CODE_VERSION,
    LEAKS_SCHEMA,
    candidate_rule,
    candidate_settings,
    located_pairs,
    make_pixels,
    pairs_digest,
    verification_metadata,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import (
    DecoderResource,
    EngineResource,
    LakeResource,
    SourceResource,
    VerificationResource,
)
from visdiv_assets.orchestration.work.make_units import Planned, make_units
from visdiv_assets.orchestration.work.verify import (
    Compared,
    ComparePairs,
    CompareSets,
    FindCandidates,
    Listed,
    PairsUnit,
    SetsUnit,
)
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind
from visdiv_assets.storage.partition_write import UnitWrite


def _keep_candidates(unit: UnitWrite, listed: Listed, found: pa.Table) -> None:
    unit.table("candidates", found, PAIR_SCHEMA)


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS, LakeTable.NEAR_DUPLICATES],
    group_name="5_findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(VERIFIED_SCHEMA),
)
def verified_duplicates(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    verification: VerificationResource,
) -> dg.MaterializeResult:
    """Pairs of different images of a subset whose pixels were compared: whether they are copies, and what shows it.

    Compared are the best 16 pairs of each image from a similarity of 0.45 on, and as many whose PDQ hashes are close
    in one of 8 orientations. The two are aligned, and every textured place and every color of the one must be found in
    the other, but for a caption, a border or a logo. Pairs that were compared before are not compared again.
    """
    subset = context.partition_key
    with user_errors():
        store = lake.open()
        images = store.require(LakeTable.SUBSET_IMAGES, subset)
        embeddings = current_embeddings(store, images)
        write = store.write(
            LakeTable.VERIFIED_DUPLICATES,
            subset,
            code_version=CODE_VERSION,
            inputs={LakeTable.SUBSET_IMAGES: images.digest, LakeTable.SSCD_EMBEDDINGS: embeddings.digest},
            model_id=embeddings.model_id,
            settings=candidate_settings(verification),
            source_revision=images.source_revision,
            run_id=context.run.run_id,
        )
        pixels = make_pixels(source, lake, decoder, LakeTable.VERIFIED_DUPLICATES, subset)
        candidates = Planned("candidates", digests_by_partition([images, embeddings]), Listed(images, embeddings))
        make_units(
            write,
            engine.open(),
            FindCandidates(pixels.lake, candidate_rule(verification)),
            [candidates],
            _keep_candidates,
        )
        pairs = store.read(write.draft(), "candidates")
        planned = []
        for name, numbers in split_into_units(pairs["image_id_a"], PAIRS_OF_A_UNIT):
            chosen = pairs.take(numbers)
            planned.append(Planned(name, {"pairs": pairs_digest(chosen)}, PairsUnit(name, chosen)))
        fresh_pairs = 0

        def keep(unit: UnitWrite, of_unit: PairsUnit, found: Compared) -> None:
            nonlocal fresh_pairs
            table, fresh = found
            unit.table("pairs", table, VERIFIED_SCHEMA)
            fresh_pairs += fresh

        with progress(f"comparing pixels of {subset}", pairs.num_rows, "pair") as advance:
            make_units(write, engine.open(), ComparePairs(pixels, images), planned, keep, advance)
        manifest = write.commit()
        found = read_pairs(store, manifest, VERIFIED_SCHEMA)
    return materialized(manifest, verification_metadata(found, fresh_pairs, write))


@dg.asset(
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS, LakeTable.CROSS_SUBSET_DUPLICATES],
    group_name="6_corpus",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(VERIFIED_SCHEMA),
)
def verified_cross_subset(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    verification: VerificationResource,
) -> dg.MaterializeResult:
    """Pairs of images from two different subsets whose pixels were compared: whether they are copies.

    Found and compared as in verified_duplicates. Every two subsets are units of work of their own: what concerns two
    subsets that did not change is not done again.
    """
    with user_errors():
        store = present_partitions(lake.open(), source.open())
        subsets = partitions_with(store, LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS)
        images = {subset: store.require(LakeTable.SUBSET_IMAGES, subset) for subset in subsets}
        embeddings = {subset: current_embeddings(store, images[subset]) for subset in subsets}
        write = store.write(
            LakeTable.VERIFIED_CROSS_SUBSET,
            CORPUS_PARTITION,
            code_version=CODE_VERSION,
            inputs={subset: of_subset.digest for subset, of_subset in embeddings.items()},
            model_id=require_one_model(embeddings.values()),
            settings=candidate_settings(verification),
            run_id=context.run.run_id,
        )
        sets = {subset: Listed(images[subset], embeddings[subset]) for subset in subsets}
        planned = []
        for one, other in combinations(subsets, 2):
            name = f"{one} | {other}"
            inputs = {
                f"{place}_{part.table}": part.digest
                for place, subset in (("left", one), ("right", other))
                for part in sets[subset]
            }
            planned.append(Planned(name, inputs, SetsUnit(name, sets[one], sets[other])))
        fresh_pairs = 0

        def keep(unit: UnitWrite, of_unit: SetsUnit, found: Compared) -> None:
            nonlocal fresh_pairs
            table, fresh = found
            unit.table("pairs", table, VERIFIED_SCHEMA)
            fresh_pairs += fresh

        pixels = make_pixels(source, lake, decoder, LakeTable.VERIFIED_CROSS_SUBSET, CORPUS_PARTITION)
        work = CompareSets(pixels, candidate_rule(verification), Kind.SUBSET)
        with progress("comparing pixels across subsets", len(planned), "two subsets") as advance:
            make_units(write, engine.open(), work, planned, keep, advance)
        manifest = write.commit(subsets=subsets)
        found = read_pairs(store, manifest, VERIFIED_SCHEMA)
    return materialized(manifest, {**verification_metadata(found, fresh_pairs, write), "tiles": len(planned)})


@dg.asset(
    partitions_def=subset_partitions,
    deps=[
        LakeTable.SUBSET_IMAGES,
        LakeTable.SSCD_EMBEDDINGS,
        LakeTable.NEAR_DUPLICATES,
        LakeTable.CONTAMINATION,
        dg.AssetDep(LakeTable.BENCHMARK_IMAGES, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(LakeTable.BENCHMARK_EMBEDDINGS, partition_mapping=dg.AllPartitionMapping()),
    ],
    group_name="5_findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(LEAKS_SCHEMA),
)
def verified_contamination(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    verification: VerificationResource,
) -> dg.MaterializeResult:
    """Pairs of a subset's and a benchmark's images whose pixels were compared, and the rates of those confirmed.

    Found and compared as in verified_duplicates. Here byte-equal images are pairs, too. One benchmark is one unit of
    work.
    """
    subset = context.partition_key
    with user_errors():
        store = present_partitions(lake.open(), source.open())
        images, nearest = (
            store.require(table, subset) for table in (LakeTable.SUBSET_IMAGES, LakeTable.NEAR_DUPLICATES)
        )
        embeddings = current_embeddings(store, images)
        benchmarks = comparable_benchmarks(store, embeddings)
        write = store.write(
            LakeTable.VERIFIED_CONTAMINATION,
            subset,
            code_version=CODE_VERSION,
            inputs={name: of_benchmark.digest for name, (_, of_benchmark) in benchmarks.items()},
            model_id=embeddings.model_id,
            settings=candidate_settings(verification),
            source_revision=images.source_revision,
            run_id=context.run.run_id,
        )
        locate = make_locator(store, images, nearest)
        planned = [
            Planned(
                name,
                {part.table: part.digest for part in (images, embeddings, listed, of_benchmark, nearest)},
                SetsUnit(name, Listed(images, embeddings), Listed(listed, of_benchmark)),
            )
            for name, (listed, of_benchmark) in benchmarks.items()
        ]
        fresh_pairs = 0

        def keep(unit: UnitWrite, of_unit: SetsUnit, found: Compared) -> None:
            nonlocal fresh_pairs
            table, fresh = found
            unit.table("pairs", located_pairs(table, locate, of_unit.right.images), LEAKS_SCHEMA)
            fresh_pairs += fresh

        ids = ("image_id", "benchmark_image_id")
        pixels = make_pixels(source, lake, decoder, LakeTable.VERIFIED_CONTAMINATION, subset, ids)
        work = CompareSets(pixels, candidate_rule(verification), Kind.BENCHMARK)
        with progress(f"comparing pixels of {subset} with benchmarks", len(benchmarks), "benchmark") as advance:
            make_units(write, engine.open(), work, planned, keep, advance)
        found = read_pairs(store, write.draft(), LEAKS_SCHEMA)
        inputs = digests_by_partition([images, embeddings, *chain.from_iterable(benchmarks.values())])
        if not write.reuse("rates", inputs):
            by_benchmark = {name: found.filter(pc.equal(found["benchmark"], name)) for name in benchmarks}
            positions = {name: readable_positions(store, listed) for name, (listed, _) in benchmarks.items()}
            with write.add("rates", inputs) as unit:
                rates = verified_contamination_rates(
                    readable_positions(store, images), images.facts["rows"], positions, by_benchmark
                )
                unit.table("rates", rates, RATES_SCHEMA)
        manifest = write.commit(benchmarks=sorted(benchmarks))
        rates = store.read(manifest, "rates")
    return materialized(manifest, {**verification_metadata(found, fresh_pairs, write), "rates": table_preview(rates)})
