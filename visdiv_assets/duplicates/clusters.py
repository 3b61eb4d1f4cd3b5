"""Group images that are copies of each other into components and clusters.

A component holds all images that a chain of close pairs connects; chains can connect images that have nothing in
common, up to a whole dataset. A cluster holds a representative and images that are close to the representative
itself, so that no image is dropped because of an image that it does not resemble.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.vectors.bounded_tiles import TILE
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

#: Maximum number of images that a group is measured on; all pairs of more images would take hours.
MAX_MEASURED = 50_000


@dataclass(frozen=True)
class Pairs:
    """Close pairs of n images.

    Attributes:
        left: int64 [m], indices of images.
        right: int64 [m], indices of images.
        similarity: float32 [m].
    """

    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray

    def at(self, threshold: float) -> Pairs:
        """Return the pairs whose similarity reaches a threshold."""
        kept = self.similarity >= np.float32(threshold)
        return Pairs(self.left[kept], self.right[kept], self.similarity[kept])


@dataclass(frozen=True)
class Clusters:
    """The components and clusters of a set of images.

    Attributes:
        images: table of `IMAGES_SCHEMA`, one row per image: component_id is the lowest image_id of the component,
            cluster_id is the image_id of the representative, similarity is the similarity to the representative.
        summary: table of `SUMMARY_SCHEMA`, one row per component and per cluster of two or more images: the smallest
            similarity of any two of its images, the diameter (largest cosine distance, 1 minus that similarity), and
            the number of images on which they were measured.
    """

    images: pa.Table
    summary: pa.Table


def components(count: int, pairs: Pairs) -> np.ndarray:
    """Label the connected components of `count` images: int32 [count], from 0 (scipy.sparse.csgraph)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(pairs.left), np.int8)
    graph = coo_array((ones, (pairs.left, pairs.right)), shape=(count, count))
    labels: np.ndarray = connected_components(graph, directed=False)[1]
    return labels


def component_sizes(count: int, pairs: Pairs, thresholds: Sequence[float]) -> pa.Table:
    """Count the components of two or more images at each threshold: table of `SIZES_SCHEMA`."""
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

    The images of a component are processed by priority. Each joins the most similar representative so far if their
    similarity, computed from the vectors, reaches the threshold; otherwise it becomes a representative itself. The
    representative is therefore always the member of highest priority.

    Args:
        image_ids: S32 [n], sorted, each once.
        vectors: their unit vectors [n, d]; only rows of components of three or more images are read.
        pairs: all pairs that reach the threshold, and possibly others.
        priority: int64 [n], each value once; lower is better.
        threshold: similarity from which two images are copies.
    """
    close = pairs.at(threshold)
    labels = components(len(image_ids), close)
    representative = np.arange(len(image_ids))
    similarity = np.ones(len(image_ids), np.float32)
    # Most components have two images; their similarity is that of the pair.
    sizes = np.bincount(labels, minlength=1)
    twos = sizes[labels[close.left]] == 2
    left, right = close.left[twos], close.right[twos]
    first = np.where(priority[left] < priority[right], left, right)
    second = left + right - first
    representative[second] = first
    similarity[second] = close.similarity[twos]
    for members in _groups(labels, smallest=3):
        ordered = members[np.argsort(priority[members])]
        chosen, reached = _find_leaders(vectors[ordered].astype(np.float32), threshold)
        representative[ordered] = ordered[chosen]
        similarity[ordered] = reached
    return _make_tables(image_ids, vectors, labels, representative, similarity)


def find_confirmed_clusters(image_ids: np.ndarray, vectors: Matrix, confirmed: Pairs, priority: np.ndarray) -> Clusters:
    """Partition images by confirmed pairs, whatever their similarity.

    Unlike similarity, being a copy is transitive, with two exceptions: two parts of one image are not copies of each
    other, and one in some hundred pairs of look-alikes is confirmed wrongly. So each image joins the best image that it
    is a confirmed copy of; then groups merge that pairs link at two or more images of each. The second step is needed
    because only the best candidate pairs of each image were compared, which leaves a large group of copies in parts.

    Args:
        image_ids: as in `find_clusters`.
        vectors: as in `find_clusters`.
        confirmed: confirmed pairs; their similarity is not used.
        priority: as in `find_clusters`.
    """
    labels = components(len(image_ids), confirmed)
    representative = _merge_groups(_form_stars(confirmed, priority), confirmed)
    # The representative of a group is its image of highest priority.
    best = np.full(len(image_ids), -1)
    order = np.argsort(-priority)
    best[representative[order]] = order
    representative = best[representative]
    similarity = np.ones(len(image_ids), np.float32)
    moved = np.flatnonzero(representative != np.arange(len(image_ids)))
    similarity[moved] = pair_similarities(vectors, vectors, moved, representative[moved])
    return _make_tables(image_ids, vectors, labels, representative, similarity)


def _form_stars(pairs: Pairs, priority: np.ndarray) -> np.ndarray:
    """Group each image with its partners, by priority; an image that is in a group already joins no other.

    Returns:
        int64 [n], the center of each image's group.
    """
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


def _merge_groups(group: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Merge groups that pairs link at two or more images of each, or of one if the other is a single image.

    Requiring two images protects against wrong pairs: one wrong pair can put an image into the wrong group, and all its
    own copies then link to that one image.

    Returns:
        int64 [n], the group of each image after all merges.
    """
    while True:
        a, b = group[pairs.left], group[pairs.right]
        across = a != b
        low, high = np.minimum(a, b)[across], np.maximum(a, b)[across]
        swapped = (a > b)[across]
        of_low = np.where(swapped, pairs.right[across], pairs.left[across])
        of_high = np.where(swapped, pairs.left[across], pairs.right[across])
        of_several, to_several = _link_several(low, high, of_low), _link_several(low, high, of_high)
        sizes = np.bincount(group, minlength=len(group))
        # A single image can only have one end of the links; for larger groups, the links of one image do not suffice.
        linked = (of_several & (to_several | (sizes[high] == 1))) | (to_several & (sizes[low] == 1))
        if not linked.any():
            return group
        ones = np.ones(int(linked.sum()), np.float32)
        group = components(len(group), Pairs(low[linked], high[linked], ones))[group]


def _link_several(low: np.ndarray, high: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return which links belong to two groups that links of at least two different images connect: bool [m]."""
    if not len(low):
        return np.zeros(0, bool)
    groups, index = np.unique(np.stack([low, high]), axis=1, return_inverse=True)
    index = index.reshape(-1)
    different = np.unique(np.stack([index, image]), axis=1)
    several: np.ndarray = np.bincount(different[0], minlength=groups.shape[1])[index] > 1
    return several


def _make_tables(
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
        *_measure_groups("component", component, image_ids, vectors),
        *_measure_groups("cluster", representative, image_ids, vectors),
    ]
    return Clusters(images, pa.Table.from_pylist(summary, schema=SUMMARY_SCHEMA))


def smallest_similarity(vectors: np.ndarray) -> float:
    """Return the smallest inner product of two different rows of float32 [m, d], m >= 2; all pairs are computed."""
    smallest = np.inf
    for i in range(0, len(vectors), TILE):
        for j in range(i, len(vectors), TILE):
            product = vectors[i : i + TILE] @ vectors[j : j + TILE].T
            if i == j:
                # Stored vectors have rounded lengths: the product of a vector with itself may be the smallest.
                np.fill_diagonal(product, np.inf)
            smallest = min(smallest, float(product.min()))
    return min(smallest, 1.0)


def _find_leaders(vectors: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the row that represents each row, and the similarity to it; the rows are ordered by priority."""
    chosen = np.arange(len(vectors))
    reached = np.ones(len(vectors), np.float32)
    leaders = np.empty(0, np.int64)
    for start in range(0, len(vectors), TILE):
        block = vectors[start : start + TILE]
        best = np.full(len(block), -np.inf, np.float32)
        best_leader = np.zeros(len(block), np.int64)
        for first in range(0, len(leaders), TILE):
            product = block @ vectors[leaders[first : first + TILE]].T
            index = product.argmax(axis=1)
            highest = product[np.arange(len(block)), index]
            better = highest > best
            best[better], best_leader[better] = highest[better], leaders[first + index[better]]
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
    """Yield the members, in ascending order, of every label with at least `smallest` members."""
    if not len(labels):
        return
    order = np.argsort(labels, kind="stable")
    ends = np.flatnonzero(np.diff(labels[order], append=-1)) + 1
    starts = np.concatenate([[0], ends[:-1]])
    for start, end in zip(starts, ends, strict=True):
        if end - start >= smallest:
            yield order[start:end]


def _measure_groups(
    kind: str, group: np.ndarray, image_ids: np.ndarray, vectors: Matrix
) -> Iterator[dict[str, object]]:
    """Yield the rows of `SUMMARY_SCHEMA` of all groups of two or more images."""
    for members in _groups(group, smallest=2):
        # image_ids are hashes, so the first images are a random sample.
        measured = members[:MAX_MEASURED]
        smallest = smallest_similarity(vectors[measured].astype(np.float32))
        yield {
            "kind": kind,
            "cluster_id": image_ids[group[members[0]]].decode(),
            "images": len(members),
            "smallest_similarity": smallest,
            "diameter": 1 - smallest,
            "images_measured": len(measured),
        }
