"""Embedding of images whose text is masked, as units of work for any engine: a unit is a unit of `image_texts`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.image_fetch import ImageFetcher
from visdiv_assets.curation.alignment.subset import other_model
from visdiv_assets.embedding import Embedder
from visdiv_assets.embedding.interface import unit_length
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import unchanged
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.orchestration.engines import PerProcess, Worker
from visdiv_assets.orchestration.work.ingest import Load
from visdiv_assets.progress import Progress
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.texts.ocr.findings import texts_by_image
from visdiv_assets.texts.ocr.masking import mask_boxes

if TYPE_CHECKING:
    from PIL.Image import Image

IDS_SCHEMA = pa.schema([("image_id", pa.string())])

#: Result of a unit: rows of `IDS_SCHEMA` [n], and their vectors, float16 [n, dimension], unit length.
MaskedUnit = tuple[pa.Table, np.ndarray]


@dataclass(frozen=True)
class EmbedMasked:
    """Embeds images of a subset with their text masked; a unit is a manifest of `image_texts` with one of its units.

    Attributes:
        lake: where the images are listed.
        source: where the images are.
        images: manifest of the list of images.
        load: loads the image embedder on a device.
        model_id: the model that embedded the images as they are.
        limits: of images.
    """

    holds_model: ClassVar[bool] = True
    uses_device: ClassVar[bool] = True

    lake: PerProcess[Lake]
    source: PerProcess[Source]
    images: Manifest
    load: Load
    model_id: str
    limits: DecodeLimits

    def open(self, worker: Worker) -> Callable[[Manifest, Progress], MaskedUnit]:
        """Load the model, and the positions of the images.

        Raises:
            ModelError: it is another model than the one that embedded the images as they are.
        """
        lake = self.lake.get()
        embedder = self.load(worker.device)
        if embedder.model_id != self.model_id:
            raise other_model(self.images.partition, self.model_id, embedder.model_id)
        fetcher = ImageFetcher(lake, self.source.get(), [(Kind.SUBSET, self.images)])

        def embed(unit: Manifest, progress: Progress) -> MaskedUnit:
            texts = texts_by_image(lake.read(unit, "boxes"))
            fetch = fetcher.in_order(list(texts))
            ids, prepared = [], []
            for each, text in texts.items():
                (data,) = fetch([each])
                masked = _mask(each, data, text.boxes, self.limits)
                if masked is not None:
                    ids.append(each)
                    prepared.append(embedder.preprocess(masked))
            progress(self.size(unit))
            return pa.table([pa.array(ids, pa.string())], schema=IDS_SCHEMA), _run(embedder, prepared)

        return embed

    def size(self, unit: Manifest) -> int:
        """Return the number of images that were read."""
        return unit.rows("read")


def _mask(listed: str, data: bytes | None, boxes: np.ndarray, limits: DecodeLimits) -> Image | None:
    """Return an image with its text masked; None if the limits are smaller than when it was read."""
    decoded = decode_image(unchanged(listed, data), limits=limits).pixels
    if decoded is None:
        return None
    from PIL.Image import fromarray

    return fromarray(mask_boxes(np.asarray(decoded), boxes))


def _run(embedder: Embedder, prepared: list[np.ndarray]) -> np.ndarray:
    """Return the unit vectors of preprocessed images as they are stored, float16 [n, dimension]."""
    size = embedder.batch_size
    with embedder.working():
        features = [
            embedder.run(embedder.stack(prepared[start : start + size])) for start in range(0, len(prepared), size)
        ]
    return unit_length(np.concatenate([np.empty((0, embedder.dimension), np.float32), *features])).astype(np.float16)
