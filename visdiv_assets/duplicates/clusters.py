"""Pairs of images that are copies of each other, and what they form: components, clusters and their measures.

A component holds all images that a chain of pairs connects; chains can connect images that have nothing in common, up
to a whole dataset. A cluster (see `stars`) holds a center and copies of the center itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.vectors.bounded_tiles import TILE
from visdiv_assets.vectors.matrix import Matrix

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


def with_leaders(vectors: Matrix, pairs: Pairs, priority: np.ndarray, threshold: float) -> Pairs:
    """Return the pairs that reach a threshold, and one for each image with the most similar leader of its component.

    The images of a component are processed by priority. Each is led by the most similar leader so far if their
    similarity, computed from the vectors, reaches the threshold; otherwise it becomes a leader itself. Stored pairs are
    the best of each image, so a leader with many copies is not paired with all of them.

    Args:
        vectors: unit vectors of the images [n, d]; only rows of components of three or more images are read.
        pairs: all pairs that reach the threshold and are among the best of an image, and possibly others.
        priority: int64 [n], each value once; lower is better.
        threshold: similarity from which two images are copies.
    """
    close = pairs.at(threshold)
    left, right, similarity = [close.left], [close.right], [close.similarity]
    # The similarity of two images that form a component is that of their pair.
    for members in _groups(components(len(priority), close), smallest=3):
        ordered = members[np.argsort(priority[members])]
        chosen, reached = _find_leaders(vectors[ordered].astype(np.float32), threshold)
        led = np.flatnonzero(chosen != np.arange(len(ordered)))
        left.append(ordered[led])
        right.append(ordered[chosen[led]])
        similarity.append(reached[led])
    return Pairs(np.concatenate(left), np.concatenate(right), np.concatenate(similarity))


def lowest_members(labels: np.ndarray) -> np.ndarray:
    """Return the lowest index of each image's component: int64 [n]."""
    lowest = np.full(labels.max(initial=-1) + 1, len(labels))
    np.minimum.at(lowest, labels, np.arange(len(labels)))
    members: np.ndarray = lowest[labels]
    return members


def summarize_groups(image_ids: np.ndarray, vectors: Matrix, component: np.ndarray, center: np.ndarray) -> pa.Table:
    """Measure components and clusters of two or more images.

    Args:
        image_ids: S32 [n], sorted, each once.
        vectors: their unit vectors [n, d].
        component: int64 [n], lowest image of each image's component.
        center: int64 [n], center of each image's cluster.

    Returns:
        table of `SUMMARY_SCHEMA`, one row per group: the smallest similarity of any two of its images, the diameter
        (largest cosine distance, 1 minus that similarity), and the number of images on which they were measured.
    """
    summary = [
        *_measure_groups("component", component, image_ids, vectors),
        *_measure_groups("cluster", center, image_ids, vectors),
    ]
    return pa.Table.from_pylist(summary, schema=SUMMARY_SCHEMA)


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
