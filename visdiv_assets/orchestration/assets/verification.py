"""Verification of candidate pairs: their pixels, compared."""

from itertools import chain, combinations

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.images import RATES_SCHEMA, verified_contamination_rates
from visdiv_assets.contamination.positions import VERIFIED_LEAKS_SCHEMA, locate_verified_pairs, make_locator
from visdiv_assets.corpus.access import (
    comparable_benchmarks,
    digests_by_partition,
    partitions_with,
    read_pairs,
    readable_positions,
    require_one_model,
)
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.duplicates.pair_verification import PAIR_SCHEMA, VERIFIED_SCHEMA
from visdiv_assets.duplicates.verify_pairs import PAIRS_OF_A_UNIT, split_into_units
from visdiv_assets.orchestration.assets.stage import (
    column_schema,
    digests_by_table,
    materialized,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.assets.verification_shared import (
    CODE_VERSION,
    candidate_rule,
    candidate_settings,
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
    """Candidate pairs of a subset whose pixels were compared, with verdict and evidence.

    Candidates are the 16 best pairs of each image with a similarity of at least 0.45, and as many pairs with close PDQ
    hashes in one of 8 orientations. The two images are aligned; every textured region and every color of one must
    occur in the other, except for a caption, a border or a logo. Pairs with a verdict are not compared again.
    """
    subset = context.partition_key
    with stage(context, lake, LakeTable.VERIFIED_DUPLICATES, CODE_VERSION) as run:
        store = run.lake
        images = run.require(LakeTable.SUBSET_IMAGES)
        embeddings = run.current_embeddings(images)
        write = run.write(
            digests_by_table(images, embeddings),
            model_id=embeddings.model_id,
            settings=candidate_settings(verification),
            source_revision=images.source_revision,
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
        for name, indices in split_into_units(pairs["image_id_a"], PAIRS_OF_A_UNIT):
            chosen = pairs.take(indices)
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
    """Candidate pairs of images from two different subsets whose pixels were compared, with verdict and evidence.

    Candidates and verdicts are made as in verified_duplicates. Each pair of subsets is one unit of work, which is
    repeated only if one of them has changed.
    """
    with stage(context, lake, LakeTable.VERIFIED_CROSS_SUBSET, CODE_VERSION, present_in=source) as run:
        store = run.lake
        subsets = partitions_with(store, LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS)
        images = {subset: store.require(LakeTable.SUBSET_IMAGES, subset) for subset in subsets}
        embeddings = {subset: run.current_embeddings(images[subset]) for subset in subsets}
        write = run.write(
            {subset: of_subset.digest for subset, of_subset in embeddings.items()},
            model_id=require_one_model(embeddings.values()),
            settings=candidate_settings(verification),
        )
        sets = {subset: Listed(images[subset], embeddings[subset]) for subset in subsets}
        planned = []
        for one, other in combinations(subsets, 2):
            name = f"{one} | {other}"
            inputs = {
                f"{side}_{part.table}": part.digest
                for side, subset in (("left", one), ("right", other))
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
    metadata=column_schema(VERIFIED_LEAKS_SCHEMA),
)
def verified_contamination(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    verification: VerificationResource,
) -> dg.MaterializeResult:
    """Candidate pairs of a subset's and a benchmark's images whose pixels were compared, and the contamination rates.

    Candidates and verdicts are made as in verified_duplicates, but byte-equal images are pairs here. The rates count
    confirmed pairs. One benchmark is one unit of work.
    """
    subset = context.partition_key
    with stage(context, lake, LakeTable.VERIFIED_CONTAMINATION, CODE_VERSION, present_in=source) as run:
        store = run.lake
        images, nearest = run.require(LakeTable.SUBSET_IMAGES), run.require(LakeTable.NEAR_DUPLICATES)
        embeddings = run.current_embeddings(images)
        benchmarks = comparable_benchmarks(store, embeddings)
        write = run.write(
            {name: of_benchmark.digest for name, (_, of_benchmark) in benchmarks.items()},
            model_id=embeddings.model_id,
            settings=candidate_settings(verification),
            source_revision=images.source_revision,
        )
        locate = make_locator(store, images, nearest)
        planned = [
            Planned(
                name,
                digests_by_table(images, embeddings, listed, of_benchmark, nearest),
                SetsUnit(name, Listed(images, embeddings), Listed(listed, of_benchmark)),
            )
            for name, (listed, of_benchmark) in benchmarks.items()
        ]
        fresh_pairs = 0

        def keep(unit: UnitWrite, of_unit: SetsUnit, found: Compared) -> None:
            nonlocal fresh_pairs
            table, fresh = found
            unit.table("pairs", locate_verified_pairs(table, locate, of_unit.right.images), VERIFIED_LEAKS_SCHEMA)
            fresh_pairs += fresh

        ids = ("image_id", "benchmark_image_id")
        pixels = make_pixels(source, lake, decoder, LakeTable.VERIFIED_CONTAMINATION, subset, ids)
        work = CompareSets(pixels, candidate_rule(verification), Kind.BENCHMARK)
        with progress(f"comparing pixels of {subset} with benchmarks", len(benchmarks), "benchmark") as advance:
            make_units(write, engine.open(), work, planned, keep, advance)
        found = read_pairs(store, write.draft(), VERIFIED_LEAKS_SCHEMA)
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
