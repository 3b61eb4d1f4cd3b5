"""Planted images: copies of known similarity, and images of templates, which are similar but not copies.

The ids and vectors of planted images are made first and assigned to images of the sets; all others are drawn when their
shard is written. So memory is 1 KB for every planted image, which are about a fifteenth of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.perf.rehearsal.plan import Plan
from visdiv_assets.perf.rehearsal.shape import Shape

#: Number of planted pairs as a share of the images of a subset.
NEAR_WITHIN, EXACT_WITHIN = 0.01, 0.005
NEAR_ACROSS, EXACT_ACROSS = 0.005, 0.0025
NEAR_BENCHMARK, EXACT_BENCHMARK = 0.004, 0.001

#: Share of images that belong to a template, maximum number of images of one template, and their similarity to it. Two
#: images of a template have about the square of it, 0.86, as similarity: above the floor, but not copies.
TEMPLATE_SHARE, TEMPLATE_IMAGES, TEMPLATE_SIMILARITY = 0.02, 200, 0.93

#: Range of the similarity of near copies, and of every second one, which is thus a copy at the highest threshold.
SIMILARITIES, HIGH_SIMILARITIES = (0.76, 0.999), (0.955, 0.999)

#: Minimum number of planted pairs of each kind across subsets and with benchmarks, if there are enough images.
MIN_PLANTED = 20

#: Maximum share of a benchmark's images with a copy in a subset.
LEAKED_SHARE = 0.25

PLANTED_SCHEMA = pa.schema(
    [
        ("place", pa.string()),
        ("kind", pa.string()),
        ("set_a", pa.string()),
        ("set_b", pa.string()),
        ("image_id_a", pa.string()),
        ("image_id_b", pa.string()),
        ("similarity", pa.float32()),
    ]
)


class Assigned(NamedTuple):
    """The planted images of one set: their indices in the set and among the planted images, int64 [n]."""

    images: np.ndarray
    planted: np.ndarray


@dataclass(frozen=True)
class Planted:
    """All planted images and pairs.

    Attributes:
        ids: image_ids of the planted images, S32 [m].
        vectors: their vectors, float16 [m, d].
        subsets: the planted images of each subset.
        benchmarks: the planted images of each benchmark.
        pairs: the pairs that must be found, table of `PLANTED_SCHEMA`. `place` is "within", "across" or "benchmark",
            `kind` is "near" or "exact", and `set_b` is the second subset or the benchmark.
    """

    ids: np.ndarray
    vectors: np.ndarray
    subsets: list[Assigned]
    benchmarks: list[Assigned]
    pairs: pa.Table


def draw_ids(random: np.random.Generator, count: int) -> np.ndarray:
    """Draw image_ids, S32 [count]."""
    return np.frombuffer(random.bytes(16 * count).hex().encode(), "S32")


def plant(plan: Plan, shape: Shape, random: np.random.Generator) -> Planted:
    """Choose images of the sets for pairs and templates, and make their ids and vectors."""
    unused = _Unused(plan, random)
    pairs: list[_Pairs] = []
    for index, subset in enumerate(plan.subsets):
        for kind, share in (("near", NEAR_WITHIN), ("exact", EXACT_WITHIN)):
            chosen = unused.of_subset(index, 2 * _round(random, share * subset.images))
            half = len(chosen) // 2
            pairs.append(_Pairs("within", kind, chosen[:half], chosen[half : 2 * half]))
    minimum = MIN_PLANTED / max(plan.images, 1)
    for kind, share in (("near", NEAR_ACROSS), ("exact", EXACT_ACROSS)):
        pairs.append(
            _Pairs("across", kind, *_split_across_sets(random, unused.of_all_subsets(2 * max(share, minimum))))
        )
    for kind, share in (("near", NEAR_BENCHMARK), ("exact", EXACT_BENCHMARK)):
        leaking = random.permutation(unused.of_all_subsets(max(share, minimum)))
        leaked = unused.of_benchmarks(len(leaking))
        pairs.append(_Pairs("benchmark", kind, leaking[: len(leaked)], leaked))
    templates = [
        unused.of_subset(index, _round(random, TEMPLATE_SHARE * subset.images))
        for index, subset in enumerate(plan.subsets)
    ]
    return _Builder(plan, shape, random).build(pairs, templates)


class _Unused:
    """Hands out images of the sets, each once: index of the set (benchmarks last) and of the image, int64 [n, 2]."""

    def __init__(self, plan: Plan, random: np.random.Generator) -> None:
        self._plan, self._random = plan, random
        self._left = [random.permutation(of_set.unique) for of_set in (*plan.subsets, *plan.benchmarks)]
        self._benchmarks = self._benchmark_pool()

    def of_subset(self, index: int, count: int) -> np.ndarray:
        """Take a number of images of a set, or all that are left."""
        taken, self._left[index] = self._left[index][:count], self._left[index][count:]
        return np.stack([np.full(len(taken), index, np.int64), taken.astype(np.int64)], axis=1)

    def of_all_subsets(self, share: float) -> np.ndarray:
        """Take a share of the images of every subset."""
        subsets = self._plan.subsets
        return np.concatenate(
            [self.of_subset(index, _round(self._random, share * of.images)) for index, of in enumerate(subsets)]
        )

    def of_benchmarks(self, count: int) -> np.ndarray:
        """Take a number of images of benchmarks, or all that are left of those that may have copies."""
        taken, self._benchmarks = self._benchmarks[:count], self._benchmarks[count:]
        return taken

    def _benchmark_pool(self) -> np.ndarray:
        """Return the benchmark images that may have copies, first one image of every benchmark."""
        first = len(self._plan.subsets)
        pools = [
            self.of_subset(first + index, max(1, int(LEAKED_SHARE * of.unique)))
            for index, of in enumerate(self._plan.benchmarks)
        ]
        none = np.empty((0, 2), np.int64)
        early = np.concatenate([none, *(pool[:1] for pool in pools)])
        rest = np.concatenate([none, *(pool[1:] for pool in pools)])
        return np.concatenate([self._random.permutation(early), self._random.permutation(rest)])


class _Pairs(NamedTuple):
    """Pairs of one kind: set and image of both sides, int64 [n, 2]."""

    place: str
    kind: str
    left: np.ndarray
    right: np.ndarray


def _split_across_sets(random: np.random.Generator, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split images into pairs of different sets."""
    shuffled = random.permutation(places)
    half = len(shuffled) // 2
    left, right = shuffled[:half], shuffled[half : 2 * half]
    different = left[:, 0] != right[:, 0]
    return left[different], right[different]


class _Builder:
    """Makes the images of pairs and templates and records the images of the sets to which they are assigned."""

    def __init__(self, plan: Plan, shape: Shape, random: np.random.Generator) -> None:
        self._plan, self._shape, self._random = plan, shape, random
        self._made = 0
        self._vectors = [np.empty((0, len(shape.mean)), np.float16)]
        self._places = [np.empty((0, 2), np.int64)]
        self._indices = [np.empty(0, np.int64)]

    def build(self, pairs: Sequence[_Pairs], templates: Sequence[np.ndarray]) -> Planted:
        of_pairs = [self._pair(of_kind) for of_kind in pairs]
        for chosen in templates:
            for start in range(0, len(chosen), TEMPLATE_IMAGES):
                self._template(chosen[start : start + TEMPLATE_IMAGES])
        vectors, ids = np.concatenate(self._vectors), draw_ids(self._random, self._made)
        places, indices = np.concatenate(self._places), np.concatenate(self._indices)
        sets = (*self._plan.subsets, *self._plan.benchmarks)
        assigned = []
        for index in range(len(sets)):
            here = places[:, 0] == index
            assigned.append(Assigned(places[here, 1], indices[here]))
        names = np.array([of_set.name for of_set in sets])
        tables = [
            _table(of_kind, names, ids[mine], ids[other], _similarity(vectors, mine, other))
            for of_kind, (mine, other) in zip(pairs, of_pairs, strict=True)
        ]
        count = len(self._plan.subsets)
        return Planted(ids, vectors, assigned[:count], assigned[count:], pa.concat_tables(tables))

    def _pair(self, pairs: _Pairs) -> tuple[np.ndarray, np.ndarray]:
        """Make pairs and return the indices of their planted images; two exact copies are the same image."""
        first = self._shape.draw(self._random, len(pairs.left))
        mine = other = self._add(first, pairs.left)
        if pairs.kind == "near":
            similarity = self._random.uniform(*SIMILARITIES, len(first)).astype(np.float32)
            similarity[::2] = self._random.uniform(*HIGH_SIMILARITIES, len(similarity[::2]))
            other = self._add(self._shape.draw_near(self._random, first, similarity), pairs.right)
        else:
            self._places.append(pairs.right)
            self._indices.append(mine)
        return mine, other

    def _template(self, places: np.ndarray) -> None:
        common = np.repeat(self._shape.draw(self._random, 1), len(places), axis=0)
        similarity = np.full(len(places), TEMPLATE_SIMILARITY, np.float32)
        self._add(self._shape.draw_near(self._random, common, similarity), places)

    def _add(self, vectors: np.ndarray, places: np.ndarray) -> np.ndarray:
        indices = self._made + np.arange(len(vectors))
        self._made += len(vectors)
        self._vectors.append(vectors.astype(np.float16))
        self._places.append(places)
        self._indices.append(indices)
        return indices


def _similarity(vectors: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Compute similarities in float64 from the stored vectors, as the joins do: float32 [n]; 1 for the same image."""
    exact = np.einsum("nd,nd->n", vectors[left].astype(np.float64), vectors[right].astype(np.float64))
    return np.where(left == right, 1, np.minimum(exact, 1)).astype(np.float32)


def _table(pairs: _Pairs, names: np.ndarray, a: np.ndarray, b: np.ndarray, similarity: np.ndarray) -> pa.Table:
    if pairs.place != "benchmark":
        # Pairs of images are stored with the smaller image_id first.
        a, b = np.where(a < b, a, b), np.where(a < b, b, a)
    columns = [
        pa.repeat(pairs.place, len(a)),
        pa.repeat(pairs.kind, len(a)),
        pa.array(names[pairs.left[:, 0]].tolist(), pa.string()),
        pa.array(names[pairs.right[:, 0]].tolist(), pa.string()),
        pa.array(a.astype(str).tolist(), pa.string()),
        pa.array(b.astype(str).tolist(), pa.string()),
        pa.array(similarity),
    ]
    return pa.table(columns, schema=PLANTED_SCHEMA)


def _round(random: np.random.Generator, expected: float) -> int:
    """Round at random to an integer with the given expectation, so that small sets sometimes take part."""
    return int(expected + random.random())
