"""Verification of candidate pairs: their pixels, compared."""

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.contamination.images import RATES_SCHEMA, verified_contamination_rates
from visdiv_assets.contamination.positions import (
    DECIDED_LEAKS_SCHEMA,
    LEAK_IDS,
    VERIFIED_LEAKS_SCHEMA,
    decided_leaks,
    locate_decisions,
    make_locator,
)
from visdiv_assets.corpus.access import digests_by_partition, partitions_with, readable_positions
from visdiv_assets.corpus.image_lookup import ImageReader
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.duplicates.decided_pairs import decided_pairs, read_confirmed
from visdiv_assets.duplicates.pair_verification import VERIFIED_SCHEMA
from visdiv_assets.duplicates.text_verdicts import inputs_of_texts, read_texts
from visdiv_assets.orchestration.assets.stage import (
    column_schema,
    digests_by_table,
    materialized,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.assets.verification_shared import (
    CODE_VERSION,
    compare_candidates,
    comparison_settings,
    decision_inputs,
    keep_decided,
    make_comparison,
    verification_check_specs,
    verification_result,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import (
    DecoderResource,
    EngineResource,
    LakeResource,
    ReviewResource,
    SourceResource,
    VerificationResource,
)
from visdiv_assets.sources import Kind

#: Columns of confirmed pairs that rates are computed from.
LEAK_COLUMNS = ["image_id", "benchmark", "benchmark_image_id", "verified"]


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.NEAR_DUPLICATES, LakeTable.IMAGE_TEXTS],
    group_name="5_findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(VERIFIED_SCHEMA),
    check_specs=verification_check_specs(LakeTable.VERIFIED_DUPLICATES, subset_partitions),
)
def verified_duplicates(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    verification: VerificationResource,
    review: ReviewResource,
) -> dg.MaterializeResult:
    """Candidate pairs of a subset whose pixels were compared, with verdict and evidence.

    Candidates are those of near_duplicates: the 16 best pairs of each image with a similarity of at least 0.45, and as
    many pairs with close PDQ hashes in one of 8 orientations. The two images are aligned; every textured region and
    every color of one must occur in the other, except for a caption, a border or a logo. Pairs with a verdict are not
    compared again. Where text was read in both images (image_texts), a confirmed pair whose text differs where it
    overlaps is rejected. People's decisions on pairs (VISDIV_DECISIONS) are stored beside the verdicts and override
    them.
    """
    with stage(context, lake, LakeTable.VERIFIED_DUPLICATES, CODE_VERSION) as run:
        images = run.require(LakeTable.SUBSET_IMAGES)
        nearest = run.require(LakeTable.NEAR_DUPLICATES)
        embeddings = run.current_embeddings(images)
        decided = decided_pairs(run.lake, [embeddings], review.decisions())
        said = decision_inputs(decided)
        sets = [(Kind.SUBSET, images)]
        texts = read_texts(run.lake, sets, decoder.decoding)
        write = run.write(
            {**digests_by_table(images, nearest), **inputs_of_texts(texts), **said},
            model_id=nearest.model_id,
            settings=comparison_settings(nearest, decoder),
            source_revision=images.source_revision,
        )
        work = make_comparison(source, lake, decoder, write, nearest, sets)
        compared = compare_candidates(run.lake, write, engine.open(), work, context.partition_key, texts)
        keep_decided(write, decided, {**digests_by_table(embeddings), **said})
        manifest = write.commit()
        metadata, checks = verification_result(
            ImageReader(run.lake, source.open, decoder.limits),
            manifest,
            [context.partition_key],
            compared=compared,
            reused=write.reused,
            limit=verification.undecided_limit,
            decided=decided,
        )
    return materialized(manifest, metadata, checks)


@dg.asset(
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.CROSS_SUBSET_DUPLICATES, LakeTable.IMAGE_TEXTS],
    group_name="6_corpus",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(VERIFIED_SCHEMA),
    check_specs=verification_check_specs(LakeTable.VERIFIED_CROSS_SUBSET),
)
def verified_cross_subset(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    verification: VerificationResource,
    review: ReviewResource,
) -> dg.MaterializeResult:
    """Candidate pairs of images from two different subsets whose pixels were compared, with verdict and evidence.

    Candidates are those of cross_subset_duplicates; they are compared, and decisions are stored, as in
    verified_duplicates.
    """
    with stage(context, lake, LakeTable.VERIFIED_CROSS_SUBSET, CODE_VERSION, present_in=source) as run:
        store = run.lake
        across = run.require(LakeTable.CROSS_SUBSET_DUPLICATES, CORPUS_PARTITION)
        subsets = partitions_with(store, LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS)
        images = [store.require(LakeTable.SUBSET_IMAGES, subset) for subset in subsets]
        embeddings = [store.require(LakeTable.SSCD_EMBEDDINGS, subset) for subset in subsets]
        decided = decided_pairs(store, embeddings, review.decisions(), across=True)
        said = decision_inputs(decided)
        sets = [(Kind.SUBSET, listed) for listed in images]
        texts = read_texts(store, sets, decoder.decoding)
        write = run.write(
            {**digests_by_table(across), **inputs_of_texts(texts), **said},
            model_id=across.model_id,
            settings=comparison_settings(across, decoder),
        )
        work = make_comparison(source, lake, decoder, write, across, sets)
        compared = compare_candidates(store, write, engine.open(), work, "different subsets", texts)
        keep_decided(write, decided, {**digests_by_partition(embeddings), **said})
        manifest = write.commit(subsets=subsets)
        metadata, checks = verification_result(
            ImageReader(store, source.open, decoder.limits),
            manifest,
            subsets,
            compared=compared,
            reused=write.reused,
            limit=verification.undecided_limit,
            decided=decided,
        )
    return materialized(manifest, metadata, checks)


@dg.asset(
    partitions_def=subset_partitions,
    deps=[
        LakeTable.SUBSET_IMAGES,
        LakeTable.CONTAMINATION,
        LakeTable.IMAGE_TEXTS,
        *(
            dg.AssetDep(table, partition_mapping=dg.AllPartitionMapping())
            for table in (LakeTable.BENCHMARK_IMAGES, LakeTable.BENCHMARK_IMAGE_TEXTS)
        ),
    ],
    group_name="5_findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(VERIFIED_LEAKS_SCHEMA),
    check_specs=verification_check_specs(LakeTable.VERIFIED_CONTAMINATION, subset_partitions),
)
def verified_contamination(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    verification: VerificationResource,
    review: ReviewResource,
) -> dg.MaterializeResult:
    """Candidate pairs of a subset's and a benchmark's images whose pixels were compared, and the contamination rates.

    Candidates are those of contamination; they are compared as in verified_duplicates, but byte-equal images are pairs
    here. The rates count confirmed pairs, as people's decisions (VISDIV_DECISIONS) leave them.
    """
    subset = context.partition_key
    with stage(context, lake, LakeTable.VERIFIED_CONTAMINATION, CODE_VERSION, present_in=source) as run:
        store = run.lake
        images, leaks = run.require(LakeTable.SUBSET_IMAGES), run.require(LakeTable.CONTAMINATION)
        benchmarks = {name: store.require(LakeTable.BENCHMARK_IMAGES, name) for name in leaks.facts["benchmarks"]}
        embeddings = run.current_embeddings(images)
        tested = {name: store.require(LakeTable.BENCHMARK_EMBEDDINGS, name) for name in benchmarks}
        decided = decided_leaks(store, embeddings, tested, review.decisions())
        said = decision_inputs(decided, LEAK_IDS)
        sets = [(Kind.SUBSET, images), *((Kind.BENCHMARK, listed) for listed in benchmarks.values())]
        texts = read_texts(store, sets, decoder.decoding)
        inputs = {**digests_by_table(images, leaks), **inputs_of_texts(texts), **said}
        write = run.write(
            inputs,
            model_id=leaks.model_id,
            settings=comparison_settings(leaks, decoder),
            source_revision=images.source_revision,
        )
        work = make_comparison(source, lake, decoder, write, leaks, sets, ("image_id", "benchmark_image_id"))
        compared = compare_candidates(store, write, engine.open(), work, f"{subset} and benchmarks", texts)
        if decided.num_rows:
            listed_benchmarks = {name: readable_positions(store, listed) for name, listed in benchmarks.items()}
            locate = make_locator(store, images, run.require(LakeTable.NEAR_DUPLICATES), listed_benchmarks)
            keep_decided(write, locate_decisions(decided, locate), inputs)
        if not write.reuse("rates", inputs):
            confirmed = read_confirmed(store, write.draft(), LEAK_COLUMNS, DECIDED_LEAKS_SCHEMA, LEAK_IDS)
            rates = verified_contamination_rates(
                readable_positions(store, images),
                images.facts["rows"],
                {name: readable_positions(store, listed) for name, listed in benchmarks.items()},
                {name: confirmed.filter(pc.equal(confirmed["benchmark"], name)) for name in benchmarks},
            )
            with write.add("rates", inputs) as unit:
                unit.table("rates", rates, RATES_SCHEMA)
        manifest = write.commit(benchmarks=sorted(benchmarks))
        rates = store.read(manifest, "rates")
        metadata, checks = verification_result(
            ImageReader(store, source.open, decoder.limits),
            manifest,
            [subset],
            compared=compared,
            reused=write.reused,
            limit=verification.undecided_limit,
            decided=decided,
            ids=work.ids,
        )
    return materialized(manifest, {**metadata, "rates": table_preview(rates)}, checks)
