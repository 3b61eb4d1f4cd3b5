"""Write made-up CLIP vectors into a lake: `clip_image_embeddings` and `clip_text_embeddings`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from visdiv_assets.embedding.shards import IDS_SCHEMA
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

IMAGES_MODEL, TEXTS_MODEL = "small@0123456789ab/crop_32", "small@0123456789ab/text_77"

TEXTS_SCHEMA = pa.schema([("text_id", pa.string()), ("tokens", pa.int32()), ("truncated", pa.bool_())])
TURNS_SCHEMA = pa.schema([("row", pa.int64()), ("turn", pa.int32()), ("text_id", pa.string())])


def unit(vectors: object) -> np.ndarray:
    """Scale rows to length 1, float64 [n, d]."""
    given = np.asarray(vectors, np.float64)
    scaled: np.ndarray = given / np.linalg.norm(given, axis=-1, keepdims=True)
    return scaled


def text_id(text: str) -> str:
    """Return the text_id that the stage gives a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def add_clip_images(
    lake: Lake, subset: str, vectors: Mapping[str, object], *, images: Manifest | None = None, model: str = IMAGES_MODEL
) -> Manifest:
    """Write `clip_image_embeddings`: vectors by image_id, in two units if there are several."""
    inputs = {images.table: images.digest} if images else {}
    write = lake.write("clip_image_embeddings", subset, code_version="1", model_id=model, inputs=inputs)
    ids = list(vectors)
    for number, part in enumerate((ids[:1], ids[1:])):
        with write.add(f"shard {number}") as unit_write:
            made = unit([vectors[name] for name in part]) if part else np.empty((0, _dimension(vectors)))
            unit_write.array("vectors", made.astype(np.float16))
            unit_write.array("norms", np.ones(len(part), np.float32) * 10)
            unit_write.table("ids", pa.table([part], schema=IDS_SCHEMA), IDS_SCHEMA)
    return write.commit(dimension=_dimension(vectors))


def add_clip_texts(
    lake: Lake,
    subset: str,
    vectors: Mapping[str, object],
    turns: Sequence[tuple[int, int, str]],
    *,
    images: Manifest | None = None,
    truncated: Sequence[str] = (),
    model: str = TEXTS_MODEL,
) -> Manifest:
    """Write `clip_text_embeddings`: vectors by text, and turns (row, turn, text); the empty text has no vector."""
    inputs = {images.table: images.digest} if images else {}
    write = lake.write("clip_text_embeddings", subset, code_version="1", model_id=model, inputs=inputs)
    with write.add("shard 0") as unit_write:
        made = unit(list(vectors.values())) if vectors else np.empty((0, 1))
        unit_write.array("vectors", made.astype(np.float16))
        unit_write.array("norms", np.ones(len(vectors), np.float32) * 10)
        texts = [{"text_id": text_id(text), "tokens": 5, "truncated": text in truncated} for text in vectors]
        unit_write.table("texts", pa.Table.from_pylist(texts, TEXTS_SCHEMA), TEXTS_SCHEMA)
        listed = [{"row": row, "turn": turn, "text_id": text_id(text) if text else None} for row, turn, text in turns]
        unit_write.table("turns", pa.Table.from_pylist(listed, TURNS_SCHEMA), TURNS_SCHEMA)
    return write.commit()


def _dimension(vectors: Mapping[str, object]) -> int:
    return len(np.asarray(next(iter(vectors.values())))) if vectors else 1
