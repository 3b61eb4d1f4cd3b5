"""CLIP embeddings of texts, and the index of those of images."""

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import stored_turns
from visdiv_assets.embedding import ClipTexts
from visdiv_assets.embedding.clip.checkpoints import NoClipWeightsError
from visdiv_assets.embedding.shards import vector_defects
from visdiv_assets.embedding.turns import TEXTS_SCHEMA, TURNS_SCHEMA, KnownTexts, embed_turns
from visdiv_assets.imaging.id_index import IdSet
from visdiv_assets.orchestration.assets.clip_optional import leave_out, missing_vectors
from visdiv_assets.orchestration.assets.indexes import build_index_of, index_checks
from visdiv_assets.orchestration.assets.stage import (
    check_defects,
    check_spec,
    column_schema,
    digests_by_table,
    materialized,
    stage,
    user_errors,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.pools import GPU, pool_slot
from visdiv_assets.orchestration.resources import ClipResource, DecoderResource, LakeResource
from visdiv_assets.progress import progress
from visdiv_assets.storage.lake import Lake, PartitionWrite
from visdiv_assets.storage.manifest import digest_of

CODE_VERSION = "1"


def _text_checks() -> list[dg.AssetCheckSpec]:
    """Return the checks of the embeddings."""
    described = {
        "one_vector_per_text": "The numbers of vectors, norms and texts are equal, and each text occurs once.",
        "every_turn_has_its_text": "Every text_id of a turn is that of a stored text.",
        "finite_unit_length": "Every vector is finite and has length 1 (within 0.001, float16 storage).",
        "one_model": "The configured model made all stored vectors.",
    }
    return [
        check_spec(
            name,
            asset=LakeTable.CLIP_TEXT_EMBEDDINGS,
            partitions_def=subset_partitions,
            blocking=True,
            description=description,
        )
        for name, description in described.items()
    ]


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_TURNS],
    group_name="4_embeddings",
    kinds={"numpy", "pytorch"},
    code_version=CODE_VERSION,
    metadata=column_schema(TEXTS_SCHEMA),
    check_specs=_text_checks(),
)
def clip_text_embeddings(
    context: dg.AssetExecutionContext, lake: LakeResource, decoder: DecoderResource, clip: ClipResource
) -> dg.MaterializeResult:
    """The CLIP embedding of every distinct text of a subset's turns: float16, unit length, with its text_id.

    VISDIV_CLIP_TEXT selects the texts; a text that occurs several times is embedded once. Tokens are counted before a
    text is truncated to the limit of the model, and `truncated` says whether it was. `turns` holds the text_id of each
    turn, NULL for a turn without text. Without CLIP weights nothing is made, and the metadata says why.
    """
    with user_errors():
        try:
            embedder = clip.texts()
        except NoClipWeightsError as reason:
            return leave_out(context, lake.open(), LakeTable.CLIP_TEXT_EMBEDDINGS, str(reason))
    return _embed_texts(context, lake, decoder, clip, embedder)


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.CLIP_IMAGE_EMBEDDINGS],
    group_name="4_embeddings",
    kinds={"faiss"},
    code_version=CODE_VERSION,
    check_specs=index_checks(LakeTable.CLIP_INDEX),
)
def clip_index(context: dg.AssetExecutionContext, lake: LakeResource, clip: ClipResource) -> dg.MaterializeResult:
    """A FAISS index over a subset's CLIP embeddings of images for queries with a text or an image; exact.

    It holds the stored float16 values. Row i of the index is row i of the image_ids stored with it. Without CLIP
    weights nothing is made, and the metadata says why.
    """
    with stage(context, lake, LakeTable.CLIP_INDEX, CODE_VERSION) as run:
        if reason := missing_vectors(run, clip, LakeTable.CLIP_IMAGE_EMBEDDINGS):
            return leave_out(context, run.lake, run.table, reason)
    return build_index_of(context, lake, LakeTable.CLIP_INDEX, LakeTable.CLIP_IMAGE_EMBEDDINGS)


def _embed_texts(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    decoder: DecoderResource,
    clip: ClipResource,
    embedder: ClipTexts,
) -> dg.MaterializeResult:
    subset = context.partition_key
    with stage(context, lake, LakeTable.CLIP_TEXT_EMBEDDINGS, CODE_VERSION) as run, ExitStack() as on_device:
        store, listed = run.lake, run.current_turns()
        shards = stored_turns(store, listed)
        known = KnownTexts(store, store.earlier(LakeTable.CLIP_TEXT_EMBEDDINGS, subset), embedder.model_id)
        write = run.write(
            # Stages that combine images and texts compare the list of images that both belong to.
            {**digests_by_table(listed), **listed.inputs},
            model_id=embedder.model_id,
            settings={"text": clip.text},
            source_revision=listed.source_revision,
        )
        embedded, begin = 0, time.monotonic()
        earlier: list[str] = []
        seen = _WrittenTexts(store, write)
        with progress(f"embedding texts of {subset}", listed.rows("rows"), "row") as advance:
            for shard in shards:
                # The texts that a shard has to embed depend on those of all shards before it.
                inputs = {"turns": shard.digest, "earlier": digest_of(earlier)}
                earlier.append(shard.digest)
                if write.reuse(shard.name, inputs):
                    advance(shard.rows)
                    continue
                if not embedded:
                    on_device.enter_context(pool_slot(context, GPU))
                with write.add(shard.name, inputs) as unit:
                    made = embed_turns(
                        shard.batches(["texts"]),
                        embedder,
                        first_row=shard.first_row,
                        which=clip.text,
                        seen=seen.read(),
                        known=known,
                        threads=decoder.thread_count,
                        progress=advance,
                    )
                    embedded += made.computed
                    unit.array("vectors", made.vectors)
                    unit.array("norms", made.norms)
                    unit.table("texts", made.texts, TEXTS_SCHEMA)
                    unit.table("turns", made.turns, TURNS_SCHEMA)
        on_device.close()
        seconds = time.monotonic() - begin
        draft = write.draft()
        texts, turns = store.read(draft, "texts"), store.read(draft, "turns", columns=["text_id"])
        facts = {
            "turns": turns.num_rows,
            "turns_without_text": turns["text_id"].null_count,
            "texts": texts.num_rows,
            "texts_truncated": int(pc.sum(texts["truncated"]).as_py() or 0),
        }
        manifest = write.commit(dimension=embedder.dimension, **facts)
        stored = store.array(manifest, "vectors")
        defects = vector_defects(stored.blocks())
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": facts["texts"],
            **facts,
            "tokens_mean": pc.mean(texts["tokens"]).as_py() or 0.0,
            "texts_embedded": embedded,
            "texts_reused": facts["texts"] - embedded,
            "units_reused": write.reused,
            "seconds": seconds,
            **({"texts_per_second": embedded / seconds} if embedded else {}),
            "model_id": embedder.model_id,
            "device": embedder.device,
        },
        [
            *_text_results(texts, turns, len(stored), manifest.rows("norms")),
            check_defects("finite_unit_length", defects),
            dg.AssetCheckResult(
                check_name="one_model",
                passed=manifest.model_id == embedder.model_id and stored.shape[1] == embedder.dimension,
                metadata={"stored": str(manifest.model_id), "set": embedder.model_id},
            ),
        ],
    )


class _WrittenTexts:
    """The texts in the finished units of a write, those of reused units read from the lake."""

    def __init__(self, store: Lake, write: PartitionWrite) -> None:
        self._store = store
        self._write = write
        self._texts = IdSet()
        self._units = 0

    def read(self) -> IdSet:
        """Return all texts; units that were added since the last call are read now."""
        draft = self._write.draft()
        new = replace(draft, units=draft.units[self._units :])
        if new.units:
            self._texts.add(self._store.read(new, "texts", columns=["text_id"])["text_id"])
        self._units = len(draft.units)
        return self._texts


def _text_results(texts: pa.Table, turns: pa.Table, vectors: int, norms: int) -> list[dg.AssetCheckResult]:
    """Return the results of the checks of texts and of the turns that name them."""
    distinct = pc.count_distinct(texts["text_id"]).as_py()
    counts: dict[str, Any] = {"vectors": vectors, "norms": norms, "texts": texts.num_rows, "different": distinct}
    named = turns["text_id"].drop_null()
    lacking = named.length() - int(pc.sum(pc.is_in(named, texts["text_id"])).as_py() or 0)
    return [
        dg.AssetCheckResult(check_name="one_vector_per_text", passed=len(set(counts.values())) == 1, metadata=counts),
        dg.AssetCheckResult(
            check_name="every_turn_has_its_text", passed=lacking == 0, metadata={"turns_lacking_theirs": lacking}
        ),
    ]
