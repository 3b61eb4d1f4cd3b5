"""Embed texts and images as queries for a search in stored vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from visdiv_assets.embedding.clip.checkpoints import same_weights
from visdiv_assets.errors import ModelError
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits, decoded_model_id

if TYPE_CHECKING:
    from PIL.Image import Image

    from visdiv_assets.embedding.clip.model import ClipModel
    from visdiv_assets.embedding.interface import Embedder

#: The table of image vectors, by model.
TABLES = {"clip": "clip_image_embeddings", "sscd": "sscd_embeddings"}

By = Literal["clip", "sscd"]


@dataclass(frozen=True)
class QueryModels:
    """The models that embed queries, and their options.

    Attributes:
        load_sscd: loads the SSCD embedder.
        load_clip: loads the CLIP model.
        clip_crop: `crop`, `pad` or `squash`; see `clip.preprocessing`.
        clip_text_windows: whether long texts are read in overlapping windows.
        limits: limits of images; a larger image counts as unreadable.
    """

    load_sscd: Callable[[], Embedder]
    load_clip: Callable[[], ClipModel]
    clip_crop: str
    clip_text_windows: bool
    limits: DecodeLimits


@dataclass(frozen=True)
class Query:
    """A text or an image to search for.

    Attributes:
        weight: its weight in a sum of queries; a negative weight searches away from it.
        text: a description; empty for an image.
        image: the file of an image, or its encoded bytes; None for a text.
    """

    weight: float = 1.0
    text: str = ""
    image: Path | bytes | None = None

    @property
    def label(self) -> str:
        """The query as shown to a person, such as "2 x red bird"."""
        what = self.text or (self.image.name if isinstance(self.image, Path) else "image")
        return what if self.weight == 1 else f"{self.weight:g} x {what}"


def parse_weighted(value: str) -> tuple[float, str]:
    """Split a query into its weight and the rest: "2:red bird" -> (2.0, "red bird"). Without a weight it is 1.

    Raises:
        ModelError: the weight is not finite, or nothing follows it.
    """
    before, colon, rest = value.partition(":")
    weight = 1.0
    if colon:
        with suppress(ValueError):
            weight, value = float(before), rest
    if not math.isfinite(weight) or not value.strip():
        raise ModelError(f"empty query {value!r}: give a text, or WEIGHT:TEXT such as -1:photo")
    return weight, value.strip()


def embed_queries(queries: Sequence[Query], models: QueryModels, by: By, stored: str) -> np.ndarray:
    """Embed queries with the model of the stored vectors: float32 [q, d], unit length.

    Args:
        queries: one or more; texts only with CLIP.
        models: the models of the settings; see `wiring.query_models`.
        by: clip or sscd.
        stored: model_id of the stored image vectors.

    Raises:
        ModelError: SSCD is given a text, there are no weights, the stored vectors are of another model, or an image
            cannot be read.
    """
    if by == "sscd":
        if any(query.text for query in queries):
            raise ModelError("SSCD embeds images only: use --by clip for text queries")
        return _embed_by_sscd(queries, models, stored)
    return _embed_by_clip(queries, models, stored)


def _embed_by_sscd(queries: Sequence[Query], models: QueryModels, stored: str) -> np.ndarray:
    embedder = models.load_sscd()
    _require_model(embedder.model_id, stored, embedder.model_id == stored, "sscd_embeddings")
    return embedder.embed([_read_image(query, models) for query in queries])


def _embed_by_clip(queries: Sequence[Query], models: QueryModels, stored: str) -> np.ndarray:
    model = models.load_clip()
    towers: dict[bool, Callable[[Sequence[Query], QueryModels, str, ClipModel], np.ndarray]] = {
        True: _embed_texts,
        False: _embed_images,
    }
    parts: dict[int, np.ndarray] = {}
    for of_texts, tower in towers.items():
        chosen = [index for index, query in enumerate(queries) if bool(query.text) is of_texts]
        if chosen:
            vectors = tower([queries[index] for index in chosen], models, stored, model)
            parts |= zip(chosen, vectors, strict=True)
    return np.stack([parts[index] for index in range(len(queries))])


def _embed_texts(queries: Sequence[Query], models: QueryModels, stored: str, model: ClipModel) -> np.ndarray:
    from visdiv_assets.embedding.clip.texts import ClipTexts

    texts = ClipTexts(model, windows=models.clip_text_windows)
    _require_model(texts.model_id, stored, same_weights(texts.model_id, stored), TABLES["clip"])
    return texts.embed([query.text for query in queries]).vectors


def _embed_images(queries: Sequence[Query], models: QueryModels, stored: str, model: ClipModel) -> np.ndarray:
    from visdiv_assets.embedding.clip.images import ClipImages

    images = ClipImages(model, models.clip_crop)
    model_id = decoded_model_id(images.model_id, models.limits.decoding)
    _require_model(model_id, stored, model_id == stored, TABLES["clip"])
    return images.embed([_read_image(query, models) for query in queries])


def _require_model(asked: str, stored: str, fits: bool, table: str) -> None:
    if not fits:
        raise ModelError(
            f"the stored vectors were made by {stored}, but the settings name {asked}: set the model that made them, "
            f"or materialize {table} again"
        )


def _read_image(query: Query, models: QueryModels) -> Image:
    assert query.image is not None
    data, name = query.image, "the image"
    if isinstance(data, Path):
        name = str(data)
        try:
            data = data.read_bytes()
        except OSError as error:
            raise ModelError(f"{name} cannot be read: {error.strerror or error}") from None
    decoded = decode_image(data, limits=models.limits)
    if decoded.pixels is None:
        raise ModelError(f"{name} cannot be read as an image ({decoded.status}): {decoded.detail}")
    return decoded.pixels
