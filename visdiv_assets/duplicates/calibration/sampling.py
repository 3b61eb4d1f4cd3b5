"""Choose the images of a subset that are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.calibration.measure import NEAREST_FLOOR, NEAREST_KEPT, Near
from visdiv_assets.vectors.join import cross_join
from visdiv_assets.vectors.matrix import Matrix

#: Number of vectors that are compared with those of the sample at a time.
BLOCK = 16_384


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
