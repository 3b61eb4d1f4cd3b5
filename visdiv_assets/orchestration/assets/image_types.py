"""The types of the images of a subset, by features, and by CLIP with scores of inappropriate content."""

from dataclasses import replace

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.alignment.subset import other_model
from visdiv_assets.curation.image_types.by_features import TYPES, feature_weights
from visdiv_assets.curation.image_types.subset import (
    IMAGES_SCHEMA,
    POSITION_FIELDS,
    POSITIONS_SCHEMA,
    at_positions,
    measures_by_image,
    types_by_features,
    with_method,
)
from visdiv_assets.curation.image_types.zero_shot import SCORES_SCHEMA, TOPICS, PromptVectors, zero_shot_scores
from visdiv_assets.embedding.clip.checkpoints import same_weights
from visdiv_assets.orchestration.assets.clip_optional import leave_out
from visdiv_assets.orchestration.assets.stage import (
    check_defects,
    check_spec,
    column_schema,
    digests_by_table,
    materialized,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.pools import GPU, pool_slot
from visdiv_assets.orchestration.resources import ClipResource, DecoderResource, LakeResource
from visdiv_assets.progress import progress

CODE_VERSION = "1"
TAGS_VERSION = "1"

#: Why no image has a type by its features.
NO_THUMBNAILS = "no thumbnails are stored: set VISDIV_THUMBNAIL_SIDE, and run the subset again"

#: What is stored of inappropriate content at each position.
CONTENT_SCHEMA = pa.schema([*POSITION_FIELDS, *list(SCORES_SCHEMA)[2:]])


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SUBSET_THUMBNAILS],
    group_name="3_images",
    kinds={"parquet"},
    code_version=CODE_VERSION,
    metadata=column_schema(POSITIONS_SCHEMA),
    check_specs=[
        check_spec(
            "every_image_measured",
            asset=LakeTable.IMAGE_TYPES,
            partitions_def=subset_partitions,
            description="Every position of a readable image has a score, also where no type is given.",
        )
    ],
)
def image_types(
    context: dg.AssetExecutionContext, lake: LakeResource, decoder: DecoderResource
) -> dg.MaterializeResult:
    """The type of every image of a subset by its features: photo, chart, document, screenshot or drawing, or none.

    Features of the stored thumbnail and quality measures of the pass are weighed by logistic regression; no model of
    images is needed, and no image is read again. Where the likeliest type is too uncertain, none is given: tables,
    formulas and maps never get one. clip_image_tags has the types by CLIP. One file of the subset is one unit of work.
    """
    with stage(context, lake, LakeTable.IMAGE_TYPES, CODE_VERSION) as run:
        store, images = run.lake, run.require(LakeTable.SUBSET_IMAGES)
        thumbnails = run.current_embeddings(images, LakeTable.SUBSET_THUMBNAILS)
        write = run.write(digests_by_table(images, thumbnails), source_revision=images.source_revision)
        measures, listed = None, {unit.name: unit.digest for unit in images.units}
        with progress(f"finding types of images of {run.partition}", thumbnails.rows("ids"), "image") as advance:
            for shard in thumbnails.units:
                # A file's thumbnails are of the images that are first listed with it: their measures are there.
                inputs = {"thumbnails": shard.digest, "images": listed[shard.name]}
                of_shard = replace(thumbnails, units=(shard,))
                if write.reuse(shard.name, inputs):
                    advance(of_shard.rows("ids"))
                    continue
                measures = measures or measures_by_image(store, images)
                with write.add(shard.name, inputs) as unit:
                    found = types_by_features(
                        store.read(of_shard, "ids")["image_id"],
                        store.blobs(of_shard, "thumbnails"),
                        measures,
                        feature_weights(),
                        threads=decoder.thread_count,
                        progress=advance,
                    )
                    unit.table("images", found, IMAGES_SCHEMA)
        if not write.reuse("positions", inputs := {"images": images.digest, "thumbnails": thumbnails.digest}):
            of_images = store.read(write.draft(), "images")
            with write.add("positions", inputs) as unit:
                values = with_method("features", of_images["type"], of_images["score"])
                # Without thumbnails no image is measured, and no position has a type.
                known = at_positions(store, images, of_images["image_id"], values) if of_images.num_rows else ()
                unit.table("positions", known, POSITIONS_SCHEMA)
        manifest = write.commit()
        off = not thumbnails.settings["side"]
        positions = store.read(manifest, "positions", columns=["type", "score"])
    counts = {name: int(pc.sum(pc.equal(positions["type"], name)).as_py() or 0) for name in TYPES}
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": positions.num_rows,
            **{name: count for name, count in counts.items() if count},
            "no_type": positions["type"].null_count,
            **({"made_nothing": NO_THUMBNAILS} if off else {}),
        },
        [check_defects("every_image_measured", {"positions_without_score": positions["score"].null_count})],
    )


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.CLIP_IMAGE_EMBEDDINGS],
    group_name="5_findings",
    kinds={"parquet", "pytorch"},
    code_version=TAGS_VERSION,
    metadata=column_schema(CONTENT_SCHEMA),
    check_specs=[
        check_spec(
            "tag_scores_sound",
            asset=LakeTable.CLIP_IMAGE_TAGS,
            partitions_def=subset_partitions,
            description="Every position of a readable image has scores, all between 0 and 1.",
        )
    ],
)
def clip_image_tags(context: dg.AssetExecutionContext, lake: LakeResource, clip: ClipResource) -> dg.MaterializeResult:
    """The type of every image by CLIP, without training, and scores of inappropriate content: a report, no more.

    The stored vectors of images are compared with those of prompts that come with the package. A type is given from a
    probability of 0.5 on. The score of a topic (sexual, violence, hate, self-harm, offensive) is above 0.5 where the
    image is closer to the prompts that describe it than to those that describe the opposite; the scores are not
    calibrated. Nothing is dropped by them. Without CLIP weights nothing is made, and the metadata says why.
    """
    with stage(context, lake, LakeTable.CLIP_IMAGE_TAGS, TAGS_VERSION) as run:
        store = run.lake
        if reason := clip.missing_weights():
            return leave_out(context, store, run.table, reason)
        images = run.require(LakeTable.SUBSET_IMAGES)
        of_images = run.current_embeddings(images, LakeTable.CLIP_IMAGE_EMBEDDINGS)
        inputs = digests_by_table(images, of_images)
        write = run.write(inputs, model_id=of_images.model_id, source_revision=images.source_revision)
        if not write.reuse("tags", inputs):
            with (
                write.add("tags", inputs) as unit,
                pool_slot(context, GPU),
                progress(f"tagging images of {run.partition} by CLIP", of_images.rows("ids"), "image") as advance,
            ):
                embedder = clip.prompts()
                if not same_weights(embedder.model_id, str(of_images.model_id)):
                    raise other_model(run.partition, str(of_images.model_id), embedder.model_id)
                prompts = PromptVectors.embed(lambda texts: embedder.embed(texts).vectors)
                batches = []
                for batch in zero_shot_scores(store.array(of_images, "vectors").blocks(), prompts):
                    batches.append(batch)
                    advance(batch.num_rows)
                scores = pa.Table.from_batches(batches, SCORES_SCHEMA)
                ids = store.read(of_images, "ids")["image_id"]
                types = with_method("clip", scores["type"], scores["type_score"])
                unit.table("types", at_positions(store, images, ids, types), POSITIONS_SCHEMA)
                topics = scores.drop_columns(["type", "type_score"])
                unit.table("inappropriate", at_positions(store, images, ids, topics), CONTENT_SCHEMA)
        manifest = write.commit()
        types = store.read(manifest, "types", columns=["type", "score"])
        tags = store.read(manifest, "inappropriate", columns=["row", "image_index", "topic", "score"])
    worst = tags.take(pc.sort_indices(tags["score"], sort_keys=[("", "descending")]))
    scores = (types["score"], tags["score"])
    missing = sum(column.null_count for column in scores)
    extremes = [value for column in scores for value in pc.min_max(column).as_py().values() if value is not None]
    outside = sum(not 0 <= value <= 1 for value in extremes)
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": tags.num_rows,
            **{f"closer_to_{name}": _above_half(tags, name) for name in TOPICS},
            "no_type": types["type"].null_count,
            "highest_scores": table_preview(worst),
            "model_id": str(manifest.model_id),
        },
        [check_defects("tag_scores_sound", {"positions_without_score": missing, "out_of_range": outside})],
    )


def _above_half(tags: pa.Table, topic: str) -> int:
    of_topic = pc.and_(pc.equal(tags["topic"], topic), pc.greater(tags["score"], 0.5))
    return int(pc.sum(of_topic).as_py() or 0)
