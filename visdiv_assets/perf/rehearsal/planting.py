"""What is planted among made-up images: copies of known similarity, and templates that are no copies.

A planted image is one of few that are made beforehand, id and vector, and stand at certain places of the sets; all
others are drawn when their shard is written. So memory is 1 KB for every planted image, about a fifteenth of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.perf.rehearsal.plan import Plan
from visdiv_assets.perf.rehearsal.shape import Shape

#: Pairs planted, by number of images of a subset.
NEAR_WITHIN, EXACT_WITHIN = 0.01, 0.005
NEAR_ACROSS, EXACT_ACROSS = 0.005, 0.0025
NEAR_BENCHMARK, EXACT_BENCHMARK = 0.004, 0.001

#: Share of images that are of a template, how many of one, and their similarity to what they have in common: any two
#: are at about its square, 0.86, above the floor and no copies.
TEMPLATE, OF_A_TEMPLATE, TO_TEMPLATE = 0.02, 200, 0.93

#: Similarities of near copies, from and to, and of every second one, which thus is a copy at the highest threshold.
SIMILARITIES, HIGH_SIMILARITIES = (0.76, 0.999), (0.955, 0.999)

#: Pairs of each kind across subsets and with benchmarks that are planted at least, as far as there is room.
MIN_PLANTED = 20

#: Share of a benchmark's images that may leak.
LEAKING = 0.25

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


class Given(NamedTuple):
    """Which images of a set are planted ones: their numbers in the set, and among the planted, int64 [n]."""

    images: np.ndarray
    planted: np.ndarray


@dataclass(frozen=True)
class Planted:
    """All that is planted.

    Attributes:
        ids: S32 [m].
        vectors: float16 [m, d].
        subsets: where they stand in each subset.
        benchmarks: and in each benchmark.
        pairs: table of `PLANTED_SCHEMA`, the pairs that must be found. place is `within`, `across` or `benchmark`, kind
            `near` or `exact`; set_b is the second subset or the benchmark.
    """

    ids: np.ndarray
    vectors: np.ndarray
    subsets: list[Given]
    benchmarks: list[Given]
    pairs: pa.Table


def made_up_ids(random: np.random.Generator, count: int) -> np.ndarray:
    """Hex digits as of hashes, S32 [count]."""
    return np.frombuffer(random.bytes(16 * count).hex().encode(), "S32")


def plant(plan: Plan, shape: Shape, random: np.random.Generator) -> Planted:
    """Choose places for pairs and templates, and make their images."""
    places = _Places(plan, random)
    pairs: list[_Pairs] = []
    for number, subset in enumerate(plan.subsets):
        for kind, share in (("near", NEAR_WITHIN), ("exact", EXACT_WITHIN)):
            chosen = places.of_subset(number, 2 * _rounded(random, share * subset.images))
            half = len(chosen) // 2
            pairs.append(_Pairs("within", kind, chosen[:half], chosen[half : 2 * half]))
    least = MIN_PLANTED / max(plan.images, 1)
    for kind, share in (("near", NEAR_ACROSS), ("exact", EXACT_ACROSS)):
        pairs.append(_Pairs("across", kind, *_apart(random, places.of_all_subsets(2 * max(share, least)))))
    for kind, share in (("near", NEAR_BENCHMARK), ("exact", EXACT_BENCHMARK)):
        leaking = random.permutation(places.of_all_subsets(max(share, least)))
        leaked = places.of_benchmarks(len(leaking))
        pairs.append(_Pairs("benchmark", kind, leaking[: len(leaked)], leaked))
    templates = [
        places.of_subset(number, _rounded(random, TEMPLATE * subset.images))
        for number, subset in enumerate(plan.subsets)
    ]
    return _Making(plan, shape, random).planted(pairs, templates)


class _Places:
    """Hands out images of sets, none twice: int64 [n, 2], set (benchmarks after subsets) and image."""

    def __init__(self, plan: Plan, random: np.random.Generator) -> None:
        self._plan, self._random = plan, random
        self._left = [random.permutation(of_set.unique) for of_set in (*plan.subsets, *plan.benchmarks)]
        self._benchmarks = self._pool()

    def of_subset(self, number: int, count: int) -> np.ndarray:
        """So many images of a subset, or as many as are left."""
        taken, self._left[number] = self._left[number][:count], self._left[number][count:]
        return np.stack([np.full(len(taken), number, np.int64), taken.astype(np.int64)], axis=1)

    def of_all_subsets(self, share: float) -> np.ndarray:
        """A share of the images of every subset."""
        subsets = self._plan.subsets
        return np.concatenate(
            [self.of_subset(number, _rounded(self._random, share * of.images)) for number, of in enumerate(subsets)]
        )

    def of_benchmarks(self, count: int) -> np.ndarray:
        """So many images of benchmarks, or as many as may leak."""
        taken, self._benchmarks = self._benchmarks[:count], self._benchmarks[count:]
        return taken

    def _pool(self) -> np.ndarray:
        """What may leak, in an order in which every benchmark comes early once."""
        first = len(self._plan.subsets)
        pools = [
            self.of_subset(first + number, max(1, int(LEAKING * of.unique)))
            for number, of in enumerate(self._plan.benchmarks)
        ]
        none = np.empty((0, 2), np.int64)
        early = np.concatenate([none, *(pool[:1] for pool in pools)])
        rest = np.concatenate([none, *(pool[1:] for pool in pools)])
        return np.concatenate([self._random.permutation(early), self._random.permutation(rest)])


class _Pairs(NamedTuple):
    """Pairs of one kind: the places of both sides, int64 [n, 2]."""

    place: str
    kind: str
    left: np.ndarray
    right: np.ndarray


def _apart(random: np.random.Generator, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two of different sets at a time."""
    shuffled = random.permutation(places)
    half = len(shuffled) // 2
    left, right = shuffled[:half], shuffled[half : 2 * half]
    different = left[:, 0] != right[:, 0]
    return left[different], right[different]


class _Making:
    """Makes the images of pairs and templates, and keeps account of where they stand."""

    def __init__(self, plan: Plan, shape: Shape, random: np.random.Generator) -> None:
        self._plan, self._shape, self._random = plan, shape, random
        self._made = 0
        self._vectors = [np.empty((0, len(shape.mean)), np.float16)]
        self._places = [np.empty((0, 2), np.int64)]
        self._numbers = [np.empty(0, np.int64)]

    def planted(self, pairs: Sequence[_Pairs], templates: Sequence[np.ndarray]) -> Planted:
        of_pairs = [self._pair(of_kind) for of_kind in pairs]
        for chosen in templates:
            for start in range(0, len(chosen), OF_A_TEMPLATE):
                self._template(chosen[start : start + OF_A_TEMPLATE])
        vectors, ids = np.concatenate(self._vectors), made_up_ids(self._random, self._made)
        places, numbers = np.concatenate(self._places), np.concatenate(self._numbers)
        sets = (*self._plan.subsets, *self._plan.benchmarks)
        given = []
        for number in range(len(sets)):
            here = places[:, 0] == number
            given.append(Given(places[here, 1], numbers[here]))
        names = np.array([of_set.name for of_set in sets])
        tables = [
            _table(of_kind, names, ids[mine], ids[other], _similarity(vectors, mine, other))
            for of_kind, (mine, other) in zip(pairs, of_pairs, strict=True)
        ]
        count = len(self._plan.subsets)
        return Planted(ids, vectors, given[:count], given[count:], pa.concat_tables(tables))

    def _pair(self, pairs: _Pairs) -> tuple[np.ndarray, np.ndarray]:
        """Make pairs, and say which planted images they are; two exact copies are one."""
        first = self._shape.draw(self._random, len(pairs.left))
        mine = other = self._add(first, pairs.left)
        if pairs.kind == "near":
            similarity = self._random.uniform(*SIMILARITIES, len(first)).astype(np.float32)
            similarity[::2] = self._random.uniform(*HIGH_SIMILARITIES, len(similarity[::2]))
            other = self._add(self._shape.near(self._random, first, similarity), pairs.right)
        else:
            self._places.append(pairs.right)
            self._numbers.append(mine)
        return mine, other

    def _template(self, places: np.ndarray) -> None:
        common = np.repeat(self._shape.draw(self._random, 1), len(places), axis=0)
        similarity = np.full(len(places), TO_TEMPLATE, np.float32)
        self._add(self._shape.near(self._random, common, similarity), places)

    def _add(self, vectors: np.ndarray, places: np.ndarray) -> np.ndarray:
        numbers = self._made + np.arange(len(vectors))
        self._made += len(vectors)
        self._vectors.append(vectors.astype(np.float16))
        self._places.append(places)
        self._numbers.append(numbers)
        return numbers


def _similarity(vectors: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """In float64 from what is stored, as the joins do it; float32 [n], 1 for an image with itself."""
    exact = np.einsum("nd,nd->n", vectors[left].astype(np.float64), vectors[right].astype(np.float64))
    return np.where(left == right, 1, np.minimum(exact, 1)).astype(np.float32)


def _table(pairs: _Pairs, names: np.ndarray, a: np.ndarray, b: np.ndarray, similarity: np.ndarray) -> pa.Table:
    if pairs.place != "benchmark":
        # As pairs of images are stored.
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


def _rounded(random: np.random.Generator, expected: float) -> int:
    """A whole number of that expectation, so that small sets take part now and then."""
    return int(expected + random.random())
