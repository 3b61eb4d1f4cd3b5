"""Groups of images that are copies of each other.

Two partitions of the same images. A component holds everything that a chain of close pairs connects; chains can join
images that have nothing in common, up to swallowing a whole data set. A cluster holds a representative and images
that are close to it themselves, so nothing is removed for the sake of an image that it does not resemble.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.vectors.join import TILE
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.pair_similarity import pair_similarities

IMAGES_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("component_id", pa.string()),
        ("cluster_id", pa.string()),
        ("similarity", pa.float32()),
    ]
)
SUMMARY_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("cluster_id", pa.string()),
        ("images", pa.int64()),
        ("smallest_similarity", pa.float32()),
        ("diameter", pa.float32()),
        ("images_measured", pa.int64()),
    ]
)
SIZES_SCHEMA = pa.schema(
    [
        ("threshold", pa.float64()),
        ("components", pa.int64()),
        ("images", pa.int64()),
        ("largest_component", pa.int64()),
    ]
)

#: Groups above this size are measured on this many of their images: all pairs of more would take hours.
MEASURED = 50_000


@dataclass(frozen=True)
class Pairs:
    """Close pairs of n images, by number: left and right int64 [m], similarity float32 [m]."""

    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray

    def at(self, threshold: float) -> Pairs:
        """Those whose similarity reaches a threshold."""
        kept = self.similarity >= np.float32(threshold)
        return Pairs(self.left[kept], self.right[kept], self.similarity[kept])


@dataclass(frozen=True)
class Clusters:
    """What `find_clusters` found.

    Attributes:
        images: table of `IMAGES_SCHEMA`, one row per image: component_id is the lowest image_id of the component,
            cluster_id the image_id of the representative, similarity the one to the representative.
        summary: table of `SUMMARY_SCHEMA`, one row per component and per cluster of two or more images: the smallest
            similarity of any two of its images, the diameter (largest cosine distance, 1 - that), and on how many
            of its images they were measured.
    """

    images: pa.Table
    summary: pa.Table


def components(count: int, pairs: Pairs) -> np.ndarray:
    """Connected components of `count` images: int32 [count] labels from 0 (scipy.sparse.csgraph)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(pairs.left), np.int8)
    graph = coo_array((ones, (pairs.left, pairs.right)), shape=(count, count))
    labels: np.ndarray = connected_components(graph, directed=False)[1]
    return labels


def component_sizes(count: int, pairs: Pairs, thresholds: Sequence[float]) -> pa.Table:
    """How components grow as the threshold falls: table of `SIZES_SCHEMA`, of components of two or more images."""
    records = []
    for threshold in thresholds:
        sizes = np.bincount(components(count, pairs.at(threshold)), minlength=1)
        sizes = sizes[sizes > 1]
        records.append(
            {
                "threshold": threshold,
                "components": len(sizes),
                "images": int(sizes.sum()),
                "largest_component": int(sizes.max(initial=0)),
            }
        )
    return pa.Table.from_pylist(records, schema=SIZES_SCHEMA)


def find_clusters(
    image_ids: np.ndarray, vectors: Matrix, pairs: Pairs, priority: np.ndarray, threshold: float
) -> Clusters:
    """Partition images into components and, within them, into clusters around representatives.

    The images of a component are taken by priority. Each joins the most similar of the representatives so far if
    their similarity, computed from the vectors, reaches the threshold; else it becomes a representative itself. So the
    representative is always the member of highest priority.

    Args:
        image_ids: S32 [n], sorted, each once.
        vectors: their unit vectors [n, d]; only rows of components of three or more are read.
        pairs: all pairs that reach the threshold, and possibly others.
        priority: int64 [n], each once; lower is better.
        threshold: similarity from which two images are copies.
    """
    close = pairs.at(threshold)
    labels = components(len(image_ids), close)
    representative = np.arange(len(image_ids))
    similarity = np.ones(len(image_ids), np.float32)
    # In a component of two the pair is the edge itself; most components are of two.
    sizes = np.bincount(labels, minlength=1)
    twos = sizes[labels[close.left]] == 2
    left, right = close.left[twos], close.right[twos]
    first = np.where(priority[left] < priority[right], left, right)
    second = left + right - first
    representative[second] = first
    similarity[second] = close.similarity[twos]
    for members in _groups(labels, smallest=3):
        ordered = members[np.argsort(priority[members])]
        chosen, reached = _leaders(vectors[ordered].astype(np.float32), threshold)
        representative[ordered] = ordered[chosen]
        similarity[ordered] = reached
    return _told(image_ids, vectors, labels, representative, similarity)


def find_confirmed_clusters(image_ids: np.ndarray, vectors: Matrix, confirmed: Pairs, priority: np.ndarray) -> Clusters:
    """Partition images by pairs that their pixels confirm, whatever their similarity.

    Being a copy passes on from image to image, as similarity does not, but for two things: two parts of one image
    are not copies of each other, and one pair in some hundred look-alikes is confirmed wrongly. So an image joins the
    best image that it is confirmed to be a copy of; then groups join that pairs link at two or more images of each:
    only the best pairs of each image were compared, which leaves a large group of copies in parts at first.

    Args:
        image_ids: as in `find_clusters`.
        vectors: as in `find_clusters`.
        confirmed: confirmed pairs; their similarity does not matter.
        priority: as in `find_clusters`.
    """
    labels = components(len(image_ids), confirmed)
    representative = _merged(_stars(confirmed, priority), confirmed)
    # Of each group the image of highest priority stands for it.
    best = np.full(len(image_ids), -1)
    order = np.argsort(-priority)
    best[representative[order]] = order
    representative = best[representative]
    similarity = np.ones(len(image_ids), np.float32)
    moved = np.flatnonzero(representative != np.arange(len(image_ids)))
    similarity[moved] = pair_similarities(vectors, vectors, moved, representative[moved])
    return _told(image_ids, vectors, labels, representative, similarity)


def _stars(pairs: Pairs, priority: np.ndarray) -> np.ndarray:
    """By priority, each image that no other has taken takes those of its partners that none has: int64 [n]."""
    taken = np.full(len(priority), -1)
    left, right = np.concatenate([pairs.left, pairs.right]), np.concatenate([pairs.right, pairs.left])
    order = np.argsort(left, kind="stable")
    left, right = left[order], right[order]
    starts = np.searchsorted(left, np.arange(len(priority) + 1))
    for image in np.argsort(priority):
        if taken[image] < 0:
            taken[image] = image
            partners = right[starts[image] : starts[image + 1]]
            taken[partners[taken[partners] < 0]] = image
    return taken


def _merged(group: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Join groups that pairs link at two or more images of each, or of the one if the other is a single image.

    One wrong pair can give an image to another group's best; its own copies then all link to that one image.

    Returns:
        int64 [n], until no two groups are left to join.
    """
    while True:
        a, b = group[pairs.left], group[pairs.right]
        across = a != b
        low, high = np.minimum(a, b)[across], np.maximum(a, b)[across]
        swapped = (a > b)[across]
        of_low = np.where(swapped, pairs.right[across], pairs.left[across])
        of_high = np.where(swapped, pairs.left[across], pairs.right[across])
        of_several, to_several = _several(low, high, of_low), _several(low, high, of_high)
        sizes = np.bincount(group, minlength=len(group))
        # An image alone can have one end of the links only; of larger groups one image's links are not enough.
        linked = (of_several & (to_several | (sizes[high] == 1))) | (to_several & (sizes[low] == 1))
        if not linked.any():
            return group
        ones = np.ones(int(linked.sum()), np.float32)
        group = components(len(group), Pairs(low[linked], high[linked], ones))[group]


def _several(low: np.ndarray, high: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Which links belong to two groups that links of at least two different images connect: bool [m]."""
    if not len(low):
        return np.zeros(0, bool)
    groups, place = np.unique(np.stack([low, high]), axis=1, return_inverse=True)
    place = place.reshape(-1)
    different = np.unique(np.stack([place, image]), axis=1)
    several: np.ndarray = np.bincount(different[0], minlength=groups.shape[1])[place] > 1
    return several


def _told(
    image_ids: np.ndarray, vectors: Matrix, labels: np.ndarray, representative: np.ndarray, similarity: np.ndarray
) -> Clusters:
    lowest = np.full(labels.max(initial=-1) + 1, len(image_ids))
    np.minimum.at(lowest, labels, np.arange(len(image_ids)))
    component = lowest[labels]
    names = image_ids.astype(str)
    images = pa.table(
        [pa.array(names), pa.array(names[component]), pa.array(names[representative]), similarity],
        schema=IMAGES_SCHEMA,
    )
    summary = [
        *_measured("component", component, image_ids, vectors),
        *_measured("cluster", representative, image_ids, vectors),
    ]
    return Clusters(images, pa.Table.from_pylist(summary, schema=SUMMARY_SCHEMA))


def smallest_similarity(vectors: np.ndarray) -> float:
    """The smallest inner product of two different rows of float32 [m, d], m >= 2; all pairs are computed."""
    smallest = np.inf
    for i in range(0, len(vectors), TILE):
        for j in range(i, len(vectors), TILE):
            product = vectors[i : i + TILE] @ vectors[j : j + TILE].T
            if i == j:
                # Storage rounds lengths: a vector's product with itself may be below that with its copy.
                np.fill_diagonal(product, np.inf)
            smallest = min(smallest, float(product.min()))
    return min(smallest, 1.0)


def _leaders(vectors: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """For rows by priority: the row that represents each, and the similarity to it."""
    chosen = np.arange(len(vectors))
    reached = np.ones(len(vectors), np.float32)
    leaders = np.empty(0, np.int64)
    for start in range(0, len(vectors), TILE):
        block = vectors[start : start + TILE]
        best = np.full(len(block), -np.inf, np.float32)
        best_leader = np.zeros(len(block), np.int64)
        for first in range(0, len(leaders), TILE):
            product = block @ vectors[leaders[first : first + TILE]].T
            place = product.argmax(axis=1)
            highest = product[np.arange(len(block)), place]
            better = highest > best
            best[better], best_leader[better] = highest[better], leaders[first + place[better]]
        new = []
        for row in range(len(block)):
            if best[row] >= threshold:
                chosen[start + row], reached[start + row] = best_leader[row], min(best[row], 1)
                continue
            new.append(start + row)
            later = block[row + 1 :] @ block[row]
            better = later > best[row + 1 :]
            best[row + 1 :][better] = later[better]
            best_leader[row + 1 :][better] = start + row
        leaders = np.concatenate([leaders, np.array(new, np.int64)])
    return chosen, reached


def _groups(labels: np.ndarray, smallest: int) -> Iterator[np.ndarray]:
    """The members of every label that has at least so many, in ascending order."""
    if not len(labels):
        return
    order = np.argsort(labels, kind="stable")
    ends = np.flatnonzero(np.diff(labels[order], append=-1)) + 1
    starts = np.concatenate([[0], ends[:-1]])
    for start, end in zip(starts, ends, strict=True):
        if end - start >= smallest:
            yield order[start:end]


def _measured(kind: str, group: np.ndarray, image_ids: np.ndarray, vectors: Matrix) -> Iterator[dict[str, object]]:
    for members in _groups(group, smallest=2):
        # The first by image_id, which is a hash, are a random choice.
        measured = members[:MEASURED]
        smallest = smallest_similarity(vectors[measured].astype(np.float32))
        yield {
            "kind": kind,
            "cluster_id": image_ids[group[members[0]]].decode(),
            "images": len(members),
            "smallest_similarity": smallest,
            "diameter": 1 - smallest,
            "images_measured": len(measured),
        }
