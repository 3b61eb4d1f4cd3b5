"""Choose the images of a subset that are measured, and fetch them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.image_lookup import ImagePosition, fetch_encoded
from visdiv_assets.duplicates.calibration.measure import NEAREST_FLOOR, NEAREST_KEPT, Near
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_changed
from visdiv_assets.imaging.identity import image_id as identity_of
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.sources import Kind, Source
from visdiv_assets.vectors.join import cross_join
from visdiv_assets.vectors.matrix import Matrix

if TYPE_CHECKING:
    from PIL.Image import Image

#: Number of vectors that are compared with those of the sample at a time.
BLOCK = 16_384
#: Approximate number of images that are fetched together, still encoded: each fetch may read every file of the subset.
FETCHED_TOGETHER = 512


def choose_sample(images: pa.Table, count: int) -> list[str]:
    """Choose a random sample of images that is always the same.

    image_ids are hashes of the images' bytes, so the lowest ones are a random sample; an image that is added to the
    subset changes at most one of them. Nearly constant images and images with few colors are left out: every blank page
    is a copy of every other.

    Args:
        images: rows of `subset_images`: image_id, status, low_information.
        count: size of the sample.

    Returns:
        image_ids in ascending order, `count` or all that there are; none if the subset has fewer than two different
        readable images.
    """
    readable = images.filter(pc.equal(images["status"], "ok"))
    if pc.count_distinct(readable["image_id"]).as_py() < 2:
        return []
    informative = readable.filter(pc.invert(readable["low_information"]))
    image_ids: list[str] = sorted(pc.unique(informative["image_id"]).to_pylist())
    return image_ids[:count]


def nearest_others(image_ids: pa.Array, vectors: Matrix, sample: Sequence[str]) -> dict[str, list[Near]]:
    """Find the nearest other images of sampled images: at most `NEAREST_KEPT` each, from `NEAREST_FLOOR` on.

    Args:
        image_ids: string [n], images of the subset, each once.
        vectors: their unit vectors [n, d]; read in blocks.
        sample: image_ids of the sampled images.

    Returns:
        the other images by sampled image_id, the nearest first; ties in the order of the subset.
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
    for index, other_id, value in zip(best[:, 0].tolist(), other_ids, similarity.tolist(), strict=True):
        nearest[sample[index]].append(Near(other_id, value))
    return nearest


def within_budget(nearest: Mapping[str, list[Near]], *, copied: int, pairs: int) -> dict[str, list[Near]]:
    """Take as many sampled images as are needed for a number of pairs.

    In most subsets few images have a close neighbor, and the copied images would give too few pairs to estimate a
    precision; in subsets where all images have many, the number of pairs limits the time.

    Args:
        nearest: nearest other images by image_id, as `nearest_others` returns them, in the order of the sample.
        copied: number of images, the first ones, that are taken in any case.
        pairs: number of pairs from which no further image is taken. Further images without a neighbor are skipped.
    """
    taken: dict[str, list[Near]] = {}
    taken_pairs = 0
    for index, (image_id, others) in enumerate(nearest.items()):
        if index < copied or (others and taken_pairs < pairs):
            taken[image_id] = others
            taken_pairs += len(others)
    return taken


class SampleImages:
    """The sampled images of a subset and their nearest other images, fetched in groups and decoded one by one."""

    def __init__(
        self,
        source: Source,
        positions: Mapping[str, ImagePosition],
        *,
        limits: DecodeLimits,
    ) -> None:
        """Store the arguments; nothing is fetched yet.

        Args:
            source: the source of the subset.
            positions: a position of each image that will be loaded, by image_id.
            limits: limits of an image; a larger one counts as unreadable.
        """
        self._source = source
        self._positions = positions
        self._limits = limits
        self._encoded: dict[str, bytes | None] = {}

    def each(self, nearest: Mapping[str, Sequence[Near]]) -> Iterator[tuple[str, Image]]:
        """Yield every key of `nearest` with its image, mode RGB; until the next one, `load` loads its neighbors.

        Args:
            nearest: nearest other images by image_id.

        Raises:
            VisdivError: an image has changed since it was listed.
        """
        group: list[str] = []
        wanted: set[str] = set()
        for image_id, others in nearest.items():
            group.append(image_id)
            wanted |= {image_id, *(other.image_id for other in others)}
            if len(wanted) >= FETCHED_TOGETHER:
                yield from self._fetch_group(group, wanted)
                group, wanted = [], set()
        yield from self._fetch_group(group, wanted)

    def _fetch_group(self, group: Sequence[str], wanted: set[str]) -> Iterator[tuple[str, Image]]:
        positions = [self._positions[image_id] for image_id in sorted(wanted)]
        fetched = fetch_encoded(self._source, Kind.SUBSET, positions)
        self._encoded = {position.image_id: data for position, data in fetched.items()}
        for image_id in group:
            yield image_id, self.load(image_id)

    def load(self, image_id: str) -> Image:
        """Load one image of the current group, mode RGB.

        Raises:
            VisdivError: the image has changed since it was listed.
        """
        data = self._encoded[image_id]
        decoded = decode_image(data, limits=self._limits)
        if data is None or decoded.pixels is None or identity_of(data) != image_id:
            raise image_changed(image_id)
        return decoded.pixels
