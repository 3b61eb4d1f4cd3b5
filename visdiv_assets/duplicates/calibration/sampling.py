"""Which images of a subset are looked at, and how they are fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.image_lookup import ImagePosition, fetch_images
from visdiv_assets.duplicates.calibration.measure import NEAREST_FLOOR, NEAREST_KEPT, Near
from visdiv_assets.embedding.stream import image_changed
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id as identity_of
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.sources import Kind, Source
from visdiv_assets.vectors.join import cross_join
from visdiv_assets.vectors.matrix import Matrix

if TYPE_CHECKING:
    from PIL.Image import Image

#: Vectors compared with the sample's at a time; at most 17 pairs of each are held.
BLOCK = 16_384
#: About so many images are fetched together, still encoded: each time, every file of the subset may be read.
FETCHED_TOGETHER = 512


def choose_sample(images: pa.Table, count: int) -> list[str]:
    """Choose images by chance, but always the same.

    image_ids are hashes of the images' bytes, so the lowest are a random sample; one more image in the subset
    changes at most one of them. Near-constant images and those of few colors are left out: a copy of a blank page
    is every blank page.

    Args:
        images: rows of `subset_images`: image_id, status, low_information.
        count: how many.

    Returns:
        image_ids in ascending order, as many as asked for or all that there are; none of a subset with fewer than two
        different readable images.
    """
    readable = images.filter(pc.equal(images["status"], "ok"))
    if pc.count_distinct(readable["image_id"]).as_py() < 2:
        return []
    telling = readable.filter(pc.invert(readable["low_information"]))
    image_ids: list[str] = sorted(pc.unique(telling["image_id"]).to_pylist())
    return image_ids[:count]


def nearest_others(image_ids: pa.Array, vectors: Matrix, sample: Sequence[str]) -> dict[str, list[Near]]:
    """The nearest other images of some images: at most `NEAREST_KEPT` each, from `NEAREST_FLOOR` on.

    Args:
        image_ids: string [n] of the subset, each once.
        vectors: their unit vectors [n, d]; read in blocks.
        sample: some of the image_ids.

    Returns:
        for each of the sample, the nearest first; ties in the order of the subset.
    """
    if not sample:
        return {}
    chosen = pc.index_in(pa.array(sample, pa.string()), image_ids).to_numpy()
    left = vectors[chosen]
    best = np.empty((0, 2), np.int64)
    similarity = np.empty(0, np.float32)
    for start in range(0, vectors.shape[0], BLOCK):
        found = cross_join(left, vectors[start : start + BLOCK], NEAREST_FLOOR, k_best=NEAREST_KEPT + 1)
        pairs = np.stack([found["left"].to_numpy(), found["right"].to_numpy() + start], axis=1)
        others = pairs[:, 1] != chosen[pairs[:, 0]]
        best = np.concatenate([best, pairs[others]])
        similarity = np.concatenate([similarity, found["similarity"].to_numpy()[others]])
        order = np.lexsort((best[:, 1], -similarity, best[:, 0]))
        best, similarity = best[order], similarity[order]
        rank = np.arange(len(best)) - np.searchsorted(best[:, 0], best[:, 0])
        best, similarity = best[rank < NEAREST_KEPT], similarity[rank < NEAREST_KEPT]
    nearest: dict[str, list[Near]] = {image_id: [] for image_id in sample}
    other_ids = pc.take(image_ids, pa.array(best[:, 1])).to_pylist()
    for number, other_id, value in zip(best[:, 0].tolist(), other_ids, similarity.tolist(), strict=True):
        nearest[sample[number]].append(Near(other_id, value))
    return nearest


def within_budget(nearest: Mapping[str, list[Near]], *, copied: int, pairs: int) -> dict[str, list[Near]]:
    """Take as many images as it needs for enough pairs.

    In most subsets few images have another that is close, and those that are copied would give too few pairs to tell
    a precision by; where all have many, the number of pairs bounds the time.

    Args:
        nearest: nearest others by image_id, as `nearest_others` gives them, in the order of the sample.
        copied: so many of the first are taken in any case.
        pairs: no further image is taken once there are so many pairs, or where it has none.
    """
    taken: dict[str, list[Near]] = {}
    held = 0
    for number, (image_id, others) in enumerate(nearest.items()):
        if number < copied or (others and held < pairs):
            taken[image_id] = others
            held += len(others)
    return taken


class SampleImages:
    """The sampled images of a subset and their nearest others, fetched group by group and decoded when asked for."""

    def __init__(
        self,
        source: Source,
        places: Mapping[str, ImagePosition],
        *,
        limits: DecodeLimits,
    ) -> None:
        """Fetch nothing yet.

        Args:
            source: where the subset is.
            places: a position of each image that will be asked for, by image_id.
            limits: of images; a larger one counts as unreadable.
        """
        self._source = source
        self._places = places
        self._limits = limits
        self._encoded: dict[str, bytes | None] = {}

    def each(self, nearest: Mapping[str, Sequence[Near]]) -> Iterator[tuple[str, Image]]:
        """Every key of `nearest` with its image, mode RGB; until the next one, `load` gives its nearest others.

        Raises:
            VisdivError: an image is not the one that was listed.
        """
        group: list[str] = []
        wanted: set[str] = set()
        for image_id, others in nearest.items():
            group.append(image_id)
            wanted |= {image_id, *(other.image_id for other in others)}
            if len(wanted) >= FETCHED_TOGETHER:
                yield from self._group(group, wanted)
                group, wanted = [], set()
        yield from self._group(group, wanted)

    def _group(self, group: Sequence[str], wanted: set[str]) -> Iterator[tuple[str, Image]]:
        places = [self._places[image_id] for image_id in sorted(wanted)]
        fetched = fetch_images(self._source, Kind.SUBSET, places)
        self._encoded = {place.image_id: image.data for place, image in fetched.items()}
        for image_id in group:
            yield image_id, self.load(image_id)

    def load(self, image_id: str) -> Image:
        """One image of the present group, mode RGB.

        Raises:
            VisdivError: it is not the one that was listed.
        """
        data = self._encoded[image_id]
        decoded = decode_image(data, limits=self._limits)
        if data is None or decoded.pixels is None or identity_of(data) != image_id:
            raise image_changed(image_id)
        return decoded.pixels
