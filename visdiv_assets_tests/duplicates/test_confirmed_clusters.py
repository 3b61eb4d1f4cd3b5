"""Clusters of pairs that pixels confirmed: what passes on from image to image, and what a false pair must not."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.duplicates.clusters import (
    IMAGES_SCHEMA,
    SUMMARY_SCHEMA,
    Clusters,
    Pairs,
    components,
    find_confirmed_clusters,
)
from visdiv_assets.vectors import pair_similarity
from visdiv_assets_tests.testing.vectors import random_units, slow_similarity

relaxed = settings(deadline=None, max_examples=60)

Edge = tuple[int, int]


def clustered(count: int, edges: list[Edge], priority: list[int] | np.ndarray | None = None) -> Clusters:
    """Clusters of images whose vectors say nothing."""
    found = find_confirmed_clusters(
        np.array([f"{number:032x}" for number in range(count)], "S32"),
        random_units(count, 6, seed=count).astype(np.float16),
        Pairs(
            np.array([a for a, _ in edges], np.int64),
            np.array([b for _, b in edges], np.int64),
            np.zeros(len(edges), np.float32),
        ),
        np.arange(count) if priority is None else np.array(priority, np.int64),
    )
    assert found.images.schema == IMAGES_SCHEMA
    assert found.summary.schema == SUMMARY_SCHEMA
    assert numbers(found, "image_id") == list(range(count))
    return found


def numbers(found: Clusters, column: str) -> list[int]:
    return [int(name, 16) for name in found.images[column].to_pylist()]


def members(found: Clusters) -> list[set[int]]:
    """The clusters of two or more, by their lowest image."""
    by_name: dict[int, set[int]] = {}
    for image, name in enumerate(numbers(found, "cluster_id")):
        by_name.setdefault(name, set()).add(image)
    return sorted((cluster for cluster in by_name.values() if len(cluster) > 1), key=min)


def clique(first: int, last: int) -> list[Edge]:
    return list(combinations(range(first, last), 2))


def nearest(count: int, k: int, seed: int, first: int = 0) -> list[Edge]:
    """The pairs among the k nearest of either of some points."""
    points = np.random.default_rng(seed).standard_normal((count, 8))
    apart = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    pairs = {(min(i, j), max(i, j)) for i in range(count) for j in np.argsort(apart[i])[:k].tolist()}
    return sorted((first + i, first + j) for i, j in pairs)


@pytest.mark.parametrize("priority", [[0, 1, 2], [1, 0, 2], [2, 1, 0], [2, 0, 1]])
def test_the_better_image_of_a_pair_represents_it(priority: list[int]) -> None:
    found = clustered(3, [(0, 2)], priority)
    best = 0 if priority[0] < priority[2] else 2
    assert numbers(found, "cluster_id") == [best, 1, best]
    assert numbers(found, "component_id") == [0, 1, 0]
    similarity = found.images["similarity"].to_pylist()
    vectors = random_units(3, 6, seed=3).astype(np.float16)
    assert similarity[2 - best] == pytest.approx(slow_similarity(vectors[0], vectors[2]), abs=1e-6)
    assert (similarity[1], similarity[best]) == (1, 1)


@pytest.mark.parametrize(
    ("priority", "expected"),
    [([0, 1, 2], [{0, 1}]), ([2, 1, 0], [{1, 2}]), ([1, 0, 2], [{0, 1, 2}]), ([0, 2, 1], [{0, 1}])],
)
def test_a_chain_is_one_cluster_if_its_middle_is_the_best(priority: list[int], expected: list[set[int]]) -> None:
    found = clustered(3, [(0, 1), (1, 2)], priority)
    assert members(found) == expected
    assert set(numbers(found, "component_id")) == {0}


def test_two_parts_of_one_image_are_in_different_clusters() -> None:
    # 1 holds 0 and 2, which share nothing; 3 is a copy of 2.
    assert members(clustered(4, [(0, 1), (1, 2), (2, 3)], [0, 1, 2, 3])) == [{0, 1}, {2, 3}]


def test_groups_merge_if_two_images_link_them_not_one_pair() -> None:
    first, second = [(0, 1), (0, 2)], [(3, 4), (3, 5)]
    assert members(clustered(6, [*first, *second, (1, 4)])) == [{0, 1, 2}, {3, 4, 5}]
    assert members(clustered(6, [*first, *second, (1, 4), (2, 5)])) == [{0, 1, 2, 3, 4, 5}]


def test_one_pair_given_twice_is_no_second_link() -> None:
    first, second = [(0, 1), (0, 2)], [(3, 4), (3, 5)]
    assert members(clustered(6, [*first, *second, (1, 4), (1, 4), (4, 1)])) == [{0, 1, 2}, {3, 4, 5}]


@relaxed
@given(st.integers(0, 2**16), st.permutations(range(60)))
def test_a_clique_with_only_its_nearest_pairs_is_one_cluster(seed: int, priority: list[int]) -> None:
    found = clustered(60, nearest(60, 6, seed), priority)
    assert members(found) == [set(range(60))]
    assert set(numbers(found, "cluster_id")) == {priority.index(0)}
    assert [(record["kind"], record["images"]) for record in found.summary.to_pylist()] == [
        ("component", 60),
        ("cluster", 60),
    ]


@relaxed
@given(st.integers(3, 12), st.data())
def test_two_cliques_that_one_false_pair_links_stay_two(size: int, data: st.DataObject) -> None:
    priority = data.draw(st.permutations(range(2 * size)))
    halves = range(size), range(size, 2 * size)
    # The best of a clique takes what it is paired with: see the next test.
    best = {min(half, key=lambda number: priority[number]) for half in halves}
    one, other = (data.draw(st.sampled_from([number for number in half if number not in best])) for half in halves)
    found = clustered(2 * size, [*clique(0, size), *clique(size, 2 * size), (one, other)], priority)
    assert members(found) == [set(half) for half in halves]
    assert set(numbers(found, "component_id")) == {0}


def test_two_cliques_linked_by_one_false_pair_stay_two() -> None:
    found = clustered(20, [*clique(0, 10), *clique(10, 20), (0, 15)])
    # The false pair costs the one image in it, no more.
    assert members(found) == [{*range(10), 15}, set(range(10, 20)) - {15}]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[Edge], list[int]]:
    count = draw(st.integers(1, 24))
    number = st.integers(0, count - 1)
    edges = draw(st.lists(st.tuples(number, number).filter(lambda edge: edge[0] != edge[1]), max_size=40))
    return count, edges, draw(st.permutations(range(count)))


@relaxed
@given(graphs(), st.integers(1, 5))
def test_a_cluster_is_connected_and_its_best_image_stands_for_it(
    graph: tuple[int, list[Edge], list[int]], tile: int
) -> None:
    count, edges, priority = graph
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pair_similarity, "BLOCK", tile)
        found = clustered(count, edges, priority)
    component, representative = numbers(found, "component_id"), numbers(found, "cluster_id")
    vectors = random_units(count, 6, seed=count).astype(np.float16)
    for image in range(count):
        best = representative[image]
        assert component[image] == component[best]
        assert representative[best] == best
        assert priority[best] <= priority[image]
        similarity = 1 if best == image else min(slow_similarity(vectors[image], vectors[best]), 1)
        assert found.images["similarity"][image].as_py() == pytest.approx(similarity, abs=1e-6)
    both = np.array(edges, np.int64).reshape(-1, 2).T
    inside = np.array(representative)[both[0]] == np.array(representative)[both[1]]
    for pairs, names in ((both, component), (both[:, inside], representative)):
        labels = components(count, Pairs(pairs[0], pairs[1], np.ones(pairs.shape[1], np.float32)))
        assert len(set(zip(labels.tolist(), names, strict=True))) == len(set(labels.tolist())) == len(set(names))
    assert all(name == component.index(name) for name in component), "not the lowest image_id"
    if edges:
        # The best image of all has all that it is paired with.
        first = priority.index(0)
        partners = {a if b == first else b for a, b in edges if first in (a, b)}
        assert {representative[partner] for partner in partners} <= {first}


@relaxed
@given(graphs(), st.data())
def test_neither_the_order_of_the_pairs_nor_their_sides_matter(
    graph: tuple[int, list[Edge], list[int]], data: st.DataObject
) -> None:
    count, edges, priority = graph
    shuffled = [edge[::-1] if data.draw(st.booleans()) else edge for edge in data.draw(st.permutations(edges))]
    one, other = clustered(count, edges, priority), clustered(count, shuffled, priority)
    assert one.images.equals(other.images)
    assert one.summary.equals(other.summary)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_pairs_every_image_is_alone(count: int) -> None:
    found = clustered(count, [])
    assert numbers(found, "cluster_id") == numbers(found, "component_id") == list(range(count))
    assert found.images["similarity"].to_pylist() == [1] * count
    assert found.summary.num_rows == 0
