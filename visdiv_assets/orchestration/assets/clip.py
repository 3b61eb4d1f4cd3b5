"""CLIP embeddings of images and texts. Without weights they are skipped, and so are the assets downstream."""

import inspect
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import listed_version
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.embedding import ClipTexts
from visdiv_assets.embedding.clip.checkpoints import NoClipWeightsError
from visdiv_assets.embedding.shards import IDS_SCHEMA, vector_defects
from visdiv_assets.embedding.turns import TEXTS_SCHEMA, TURNS_SCHEMA, KnownTexts, SeenTexts, embed_turns
from visdiv_assets.orchestration.assets.embeddings import describe, embed_images_of, vector_checks
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
from visdiv_assets.orchestration.resources import (
    ClipResource,
    DecoderResource,
    EngineResource,
    LakeResource,
    SourceResource,
)
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake, PartitionWrite
from visdiv_assets.storage.manifest import digest_of

CODE_VERSION = "1"

#: Rows of texts read at a time; small, since a text may have a million characters.
BATCH_ROWS = 256

Loaded = TypeVar("Loaded")


def _skippable_asset(
    *, kinds: set[str], columns: pa.Schema, checks: Callable[[str], list[dg.AssetCheckSpec]]
) -> Callable[[Callable[..., Iterator[dg.MaterializeResult]]], dg.AssetsDefinition]:
    """Declare an asset that may yield nothing, and then skips its checks and the assets downstream without a failure.

    For an `asset` with `output_required=False` Dagster would still require the results of its checks. The checks are
    not declared as blocking, since Dagster warns of each blocking check without a result; `_fail_on_checks` blocks.
    """

    def decorate(function: Callable[..., Iterator[dg.MaterializeResult]]) -> dg.AssetsDefinition:
        name: str = function.__name__
        spec = dg.AssetSpec(
            name,
            deps=[LakeTable.SUBSET_IMAGES],
            description=inspect.getdoc(function),
            metadata=column_schema(columns),
            skippable=True,
            group_name="4_embeddings",
            code_version=CODE_VERSION,
            kinds=kinds,
            partitions_def=subset_partitions,
        )
        return dg.multi_asset(name=name, specs=[spec], check_specs=checks(name), pool="gpu", can_subset=True)(function)

    return decorate


@_skippable_asset(
    kinds={"numpy", "pytorch"},
    columns=IDS_SCHEMA,
    checks=lambda asset: vector_checks(asset, subset_partitions, blocking=False),
)
def clip_image_embeddings(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    clip: ClipResource,
) -> Iterator[dg.MaterializeResult]:
    """The CLIP embedding of every distinct readable image of a subset: float16, unit length, with its image_id.

    Made in the same way as sscd_embeddings. The norms of the vectors before normalization are stored too, since some
    selection methods use them. Skipped if there are no CLIP weights.
    """
    load = clip.images()
    if _load_or_skip(context, lambda: describe(engine.open(), load)) is not None:
        yield from _fail_on_checks(
            embed_images_of(
                context, Kind.SUBSET, LakeTable.CLIP_IMAGE_EMBEDDINGS, source, lake, decoder, engine.open(), load
            )
        )


def _text_checks(asset: str) -> list[dg.AssetCheckSpec]:
    described = {
        "one_vector_per_text": "The numbers of vectors, norms and texts are equal, and each text occurs once.",
        "every_turn_has_its_text": "Every text_id of a turn is that of a stored text.",
        "finite_unit_length": "Every vector is finite and has length 1 (within 0.001, float16 storage).",
        "one_model": "The configured model made all stored vectors.",
    }
    return [
        check_spec(name, asset=asset, partitions_def=subset_partitions, description=description)
        for name, description in described.items()
    ]


@_skippable_asset(kinds={"numpy", "pytorch"}, columns=TEXTS_SCHEMA, checks=_text_checks)
def clip_text_embeddings(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    clip: ClipResource,
) -> Iterator[dg.MaterializeResult]:
    """The CLIP embedding of every distinct text of a subset's turns: float16, unit length, with its text_id.

    VISDIV_CLIP_TEXT selects the texts; a text that occurs several times is embedded once. Tokens are counted before a
    text is truncated to the limit of the model, and `truncated` says whether it was. `turns` holds the text_id of each
    turn, NULL for a turn without text. Skipped if there are no CLIP weights.
    """
    embedder = _load_or_skip(context, clip.texts)
    if embedder is not None:
        yield from _fail_on_checks(_embed_texts(context, source, lake, decoder, clip, embedder))


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.CLIP_IMAGE_EMBEDDINGS],
    group_name="4_embeddings",
    kinds={"faiss"},
    code_version=CODE_VERSION,
    check_specs=index_checks(LakeTable.CLIP_INDEX),
)
def clip_index(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """A FAISS index over a subset's CLIP embeddings of images for queries with a text or an image; exact.

    It holds the stored float16 values. Row i of the index is row i of the image_ids stored with it.
    """
    return build_index_of(context, lake, LakeTable.CLIP_INDEX, LakeTable.CLIP_IMAGE_EMBEDDINGS)


def _load_or_skip(context: dg.AssetExecutionContext, load: Callable[[], Loaded]) -> Loaded | None:
    """Load an embedder; return None, and log the reason, if there are no weights."""
    with user_errors():
        try:
            return load()
        except NoClipWeightsError as reason:
            context.log.warning(f"{context.asset_key.to_user_string()} is skipped: {reason}")
            return None


def _fail_on_checks(result: dg.MaterializeResult) -> Iterator[dg.MaterializeResult]:
    """Yield a result, then fail if one of its checks failed, as a blocking check would."""
    yield result
    failed = [found.check_name for found in result.check_results or [] if not found.passed]
    if failed:
        raise dg.Failure(
            f"a check of the stored vectors failed ({', '.join(map(str, failed))}): the assets downstream are not run",
            allow_retries=False,
        )


def _embed_texts(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    clip: ClipResource,
    embedder: ClipTexts,
) -> dg.MaterializeResult:
    subset = context.partition_key
    with stage(context, lake, LakeTable.CLIP_TEXT_EMBEDDINGS, CODE_VERSION) as run:
        opened, store = source.open(), run.lake
        images = run.require(LakeTable.SUBSET_IMAGES)
        version = listed_version(opened, images)
        known = KnownTexts(store, store.manifest(LakeTable.CLIP_TEXT_EMBEDDINGS, subset), embedder.model_id)
        write = run.write(
            digests_by_table(images),
            model_id=embedder.model_id,
            settings={"text": clip.text},
            source_revision=version.revision,
        )
        embedded, begin = 0, time.monotonic()
        earlier: list[str] = []
        seen = _WrittenTexts(store, write)
        with progress(f"embedding texts of {subset}", version.rows, "row") as advance:
            for shard in version.shards:
                # The texts that a shard has to embed depend on those of all shards before it.
                inputs = {
                    "shard": shard.digest,
                    "first_row": str(shard.first_row),
                    "earlier": digest_of(earlier),
                }
                earlier.append(shard.digest)
                if write.reuse(shard.shard.name, inputs):
                    advance(shard.shard.rows)
                    continue
                with write.add(shard.shard.name, inputs) as unit:
                    made = embed_turns(
                        opened.batches(Kind.SUBSET, subset, shard.shard, columns=["texts"], batch_rows=BATCH_ROWS),
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
        self._texts = SeenTexts()
        self._units = 0

    def read(self) -> SeenTexts:
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
