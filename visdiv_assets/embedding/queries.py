"""Texts and images as questions to stored vectors."""

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
from visdiv_assets.imaging.limits import DecodeLimits

if TYPE_CHECKING:
    from PIL.Image import Image

    from visdiv_assets.embedding.clip.model import ClipModel
    from visdiv_assets.embedding.interface import Embedder

#: The table with the vectors of images that a model made.
TABLES = {"clip": "clip_image_embeddings", "sscd": "sscd_embeddings"}

By = Literal["clip", "sscd"]


@dataclass(frozen=True)
class QueryModels:
    """The models that embed queries, and how they are fed.

    Attributes:
        load_sscd: loads the SSCD embedder.
        load_clip: loads the CLIP model.
        clip_crop: how CLIP gets an image; see `clip.preprocessing`.
        clip_text_windows: whether long texts are read in overlapping windows.
        limits: of images; a larger one counts as unreadable.
    """

    load_sscd: Callable[[], Embedder]
    load_clip: Callable[[], ClipModel]
    clip_crop: str
    clip_text_windows: bool
    limits: DecodeLimits


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Attributes:
        weight: negative ones lead away.
        text: what is described; empty for an image.
        image: the file of an image; None for a text.
    """

    weight: float = 1.0
    text: str = ""
    image: Path | None = None

    @property
    def label(self) -> str:
        """The question as it is told: "2 x red bird"."""
        what = self.text or (self.image.name if self.image else "")
        return what if self.weight == 1 else f"{self.weight:g} x {what}"


def parse_weighted(value: str) -> tuple[float, str]:
    """A weight and what follows it: "2:red bird" -> 2 and "red bird"; without a number before a colon the weight is 1.

    Raises:
        ModelError: the weight is not finite, or nothing follows it.
    """
    before, colon, rest = value.partition(":")
    weight = 1.0
    if colon:
        with suppress(ValueError):
            weight, value = float(before), rest
    if not math.isfinite(weight) or not value.strip():
        raise ModelError(f"{value!r} asks for nothing: give a text, or WEIGHT:TEXT such as -1:photo")
    return weight, value.strip()


def embed_queries(questions: Sequence[Query], models: QueryModels, by: By, stored: str) -> np.ndarray:
    """The vectors of questions, by the model that made the stored ones: float32 [q, d], unit length.

    Args:
        questions: at least one; texts only by CLIP.
        models: as the settings name them; see `wiring.query_models`.
        by: clip or sscd.
        stored: model_id of the stored vectors of images.

    Raises:
        ModelError: a text is asked for by SSCD, there are no weights, they are not those of the stored vectors, or an
            image cannot be read.
    """
    if by == "sscd":
        if any(question.text for question in questions):
            raise ModelError("SSCD knows images alone: search for texts with --by clip")
        return _by_sscd(questions, models, stored)
    return _by_clip(questions, models, stored)


def _by_sscd(questions: Sequence[Query], models: QueryModels, stored: str) -> np.ndarray:
    embedder = models.load_sscd()
    _require_model(embedder.model_id, stored, embedder.model_id == stored, "sscd_embeddings")
    return embedder.embed([_image(question, models) for question in questions])


def _by_clip(questions: Sequence[Query], models: QueryModels, stored: str) -> np.ndarray:
    model = models.load_clip()
    towers: dict[bool, Callable[[Sequence[Query], QueryModels, str, ClipModel], np.ndarray]] = {
        True: _texts_by_clip,
        False: _images_by_clip,
    }
    parts: dict[int, np.ndarray] = {}
    for of_texts, tower in towers.items():
        chosen = [number for number, question in enumerate(questions) if bool(question.text) is of_texts]
        if chosen:
            vectors = tower([questions[number] for number in chosen], models, stored, model)
            parts |= zip(chosen, vectors, strict=True)
    return np.stack([parts[number] for number in range(len(questions))])


def _texts_by_clip(questions: Sequence[Query], models: QueryModels, stored: str, model: ClipModel) -> np.ndarray:
    from visdiv_assets.embedding.clip.texts import ClipTexts

    texts = ClipTexts(model, windows=models.clip_text_windows)
    _require_model(texts.model_id, stored, same_weights(texts.model_id, stored), TABLES["clip"])
    return texts.embed([question.text for question in questions]).vectors


def _images_by_clip(questions: Sequence[Query], models: QueryModels, stored: str, model: ClipModel) -> np.ndarray:
    from visdiv_assets.embedding.clip.images import ClipImages

    images = ClipImages(model, models.clip_crop)
    _require_model(images.model_id, stored, images.model_id == stored, TABLES["clip"])
    return images.embed([_image(question, models) for question in questions])


def _require_model(asked: str, stored: str, fits: bool, table: str) -> None:
    if not fits:
        raise ModelError(
            f"the stored vectors were made by {stored}, but {asked} is set: set that model, or materialize {table} "
            "again"
        )


def _image(question: Query, models: QueryModels) -> Image:
    assert question.image is not None
    try:
        data = question.image.read_bytes()
    except OSError as error:
        raise ModelError(f"{question.image} cannot be read: {error.strerror or error}") from None
    decoded = decode_image(data, limits=models.limits)
    if decoded.pixels is None:
        raise ModelError(f"{question.image} is no image that can be read ({decoded.status}): {decoded.detail}")
    return decoded.pixels
