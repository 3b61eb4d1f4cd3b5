"""Close pairs of images across subsets."""

from collections import Counter
from functools import partial

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import digests_by_partition, partitions_with, require_one_model
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.duplicates.corpus_partners import CorpusPartners, CorpusRule
from visdiv_assets.duplicates.near import PAIRS_SCHEMA, pair_defects
from visdiv_assets.duplicates.thresholds import published_thresholds
from visdiv_assets.orchestration.assets.join_shared import candidate_settings
from visdiv_assets.orchestration.assets.stage import (
    check_defects,
    check_spec,
    column_schema,
    materialized,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.engines import PerProcess
from visdiv_assets.orchestration.resources import (
    CleaningResource,
    EngineResource,
    LakeResource,
    PairSearchResource,
    SourceResource,
    VerificationResource,
)
from visdiv_assets.orchestration.work.corpus_join import (
    CorpusSearch,
    load_images,
    read_earlier,
    reusable,
    write_partners,
)

CODE_VERSION = "4"


@dg.asset(
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS, LakeTable.NEAR_DUPLICATES],
    group_name="6_corpus",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(PAIRS_SCHEMA),
    check_specs=[
        check_spec(
            "pairs_sound",
            asset=LakeTable.CROSS_SUBSET_DUPLICATES,
            blocking=True,
            description="No pair joins an image with itself, is below the similarity floor, or occurs twice.",
        )
    ],
)
def cross_subset_duplicates(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    engine: EngineResource,
    pair_search: PairSearchResource,
    verification: VerificationResource,
    cleaning: CleaningResource,
) -> dg.MaterializeResult:
    """Close pairs of images that no subset has both of, and the share of each subset that occurs in each other subset.

    All subsets are joined at once and exactly, each distinct image once. A pair is stored if it is among the best pairs
    (64 by default) of one of its two images; the images that subsets share are all counted. The same join finds the
    candidate pairs that verified_cross_subset compares: those among the best 16 of an image over its own and all other
    subsets, if no other images are closer to both. Only images of new, changed and removed subsets are joined again
    with all others.
    """
    thresholds = published_thresholds(pair_search.similarity_floor, cleaning.duplicate_threshold)
    rule = CorpusRule(
        verification.candidate_floor,
        verification.candidates_kept,
        verification.pdq_distance,
        pair_search.similarity_floor,
        pair_search.neighbors_kept,
        tuple(thresholds),
    )
    with stage(context, lake, LakeTable.CROSS_SUBSET_DUPLICATES, CODE_VERSION, present_in=source) as run:
        store = run.lake
        subsets = partitions_with(store, LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS, LakeTable.NEAR_DUPLICATES)
        embeddings = {subset: store.require(LakeTable.SSCD_EMBEDDINGS, subset) for subset in subsets}
        nearest = {subset: store.require(LakeTable.NEAR_DUPLICATES, subset) for subset in subsets}
        of_subset = {subset: digests_by_partition([embeddings[subset], nearest[subset]]) for subset in subsets}
        inputs = {name: digest for digests in of_subset.values() for name, digest in digests.items()}
        write = run.write(
            inputs,
            model_id=require_one_model(embeddings.values()),
            settings={
                "similarity_floor": pair_search.similarity_floor,
                "neighbors_kept": pair_search.neighbors_kept,
                "thresholds": thresholds,
                **candidate_settings(verification),
            },
        )
        earlier = reusable(store.earlier(LakeTable.CROSS_SUBSET_DUPLICATES, CORPUS_PARTITION), write)
        joined = strips = strips_reused = 0
        if earlier and earlier.inputs == inputs and write.reuse_all(earlier):
            manifest = write.commit(**earlier.facts)
        else:
            sides = [(embeddings[subset], nearest[subset]) for subset in subsets]
            images = PerProcess(partial(load_images, lake.in_each_process(), sides))
            known = read_earlier(store, earlier, of_subset) if earlier else None
            partners = CorpusPartners(images.get(), rule, known)
            listed = [store.require(LakeTable.SUBSET_IMAGES, subset) for subset in subsets]
            state = {**inputs, "earlier": earlier.digest if earlier else ""}
            search = CorpusSearch(store, engine.open(), write, state, images, listed, nearest)
            search.find(partners)
            write_partners(write, inputs, partners)
            manifest = write.commit(subsets=subsets, images=len(partners.images))
            search.remove_strips()
            joined = search.joined
            strips = sum(len(each.draft().units) for each in search.strips)
            strips_reused = sum(each.reused for each in search.strips)
        defects: Counter[str] = Counter()
        for batch in store.dataset(manifest, "pairs").to_batches():
            defects.update(pair_defects(pa.table(batch), pair_search.similarity_floor))
        overlap = store.read(manifest, "overlap", where=pc.field("threshold") == cleaning.duplicate_threshold)
    most = overlap.sort_by([("share", "descending"), ("subset", "ascending"), ("other_subset", "ascending")])
    return materialized(
        manifest,
        {
            "dagster/row_count": manifest.rows("pairs"),
            "subsets": len(subsets),
            "images": manifest.facts["images"],
            "images_joined": joined,
            "strips": strips,
            "strips_reused": strips_reused,
            "candidates": manifest.rows("candidates"),
            "largest_overlaps": table_preview(most),
        },
        [check_defects("pairs_sound", defects)],
    )
