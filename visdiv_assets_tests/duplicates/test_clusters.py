"""Components and clusters against union-find, a plain leader algorithm and all products of their members."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from visdiv_assets.duplicates import clusters as module
from visdiv_assets.duplicates.clusters import (
    SIZES_SCHEMA,
    SUMMARY_SCHEMA,
    Pairs,
    component_sizes,
    components,
    lowest_members,
    smallest_similarity,
    summarize_groups,
    with_leaders,
)
from visdiv_assets.duplicates.stars import Stars
from visdiv_assets_tests.testing.vectors import exact_units, random_units, slow_similarity, unit

relaxed = settings(deadline=None, max_examples=80)


def image_ids(count: int) -> np.ndarray:
    return np.array([f"{number:032x}" for number in range(count)], "S32")


def no_pairs() -> Pairs:
    return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


def pairs_from(vectors: np.ndarray, floor: float) -> Pairs:
    """Return all pairs that reach a floor, by comparing every two rows."""
    found = [
        (i, j, similarity)
        for i, j in combinations(range(len(vectors)), 2)
        if np.float32(similarity := min(slow_similarity(vectors[i], vectors[j]), 1)) >= np.float32(floor)
    ]
    left, right = (np.array([pair[side] for pair in found], np.int64) for side in (0, 1))
    return Pairs(left, right, np.array([pair[2] for pair in found], np.float32))


def union_find(count: int, edges: Iterator[tuple[int, int]] | list[tuple[int, int]]) -> list[frozenset[int]]:
    """Return the component of every number."""
    parent = list(range(count))

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for a, b in edges:
        parent[root(a)] = root(b)
    members: dict[int, set[int]] = {}
    for number in range(count):
        members.setdefault(root(number), set()).add(number)
    return [frozenset(members[root(number)]) for number in range(count)]


def slow_leaders(
    vectors: np.ndarray, component: list[frozenset[int]], priority: np.ndarray, threshold: float
) -> list[int]:
    """The representative of every image: taken by priority, each joins the most similar leader, or leads itself."""
    chosen = list(range(len(vectors)))
    for members in set(component):
        leaders: list[int] = []
        for image in sorted(members, key=lambda number: priority[number]):
            best = max(leaders, key=lambda leader: slow_similarity(vectors[image], vectors[leader]), default=None)
            if best is not None and np.float32(slow_similarity(vectors[image], vectors[best])) >= np.float32(threshold):
                chosen[image] = best
            else:
                leaders.append(image)
    return chosen


@dataclass(frozen=True)
class Clusters:
    """Components and clusters of images by similarity: for each image, the index of the lowest and of the center."""

    component: list[int]
    center: list[int]
    similarity: list[float]
    summary: pa.Table


def find_clusters(vectors: np.ndarray, pairs: Pairs, priority: np.ndarray, threshold: float) -> Clusters:
    close = with_leaders(vectors, pairs, priority, threshold)
    stars = Stars(len(vectors), close)
    stars.complete(priority)
    component = lowest_members(components(len(vectors), close))
    similarity = np.ones(len(vectors), np.float32)
    similarity[stars.pair >= 0] = close.similarity[stars.pair[stars.pair >= 0]]
    summary = summarize_groups(image_ids(len(vectors)), vectors, component, stars.center)
    assert summary.schema == SUMMARY_SCHEMA
    return Clusters(component.tolist(), stars.center.tolist(), similarity.tolist(), summary)


def clustered(
    vectors: np.ndarray, threshold: float, priority: np.ndarray | None = None, floor: float | None = None
) -> Clusters:
    pairs = pairs_from(vectors, threshold if floor is None else floor)
    return find_clusters(vectors, pairs, np.arange(len(vectors)) if priority is None else priority, threshold)


@st.composite
def chained(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Vectors in chains, stars and copies, as float16, and a priority of each."""
    count = draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    step = draw(st.sampled_from([0.0, 0.1, 0.3, 0.5]))
    vectors = np.empty((count, 5))
    for row in range(count):
        new = not row or draw(st.integers(0, 3)) == 0
        near = rng.standard_normal(5) if new else vectors[rng.integers(0, row)] + step * rng.standard_normal(5)
        vectors[row] = near / np.linalg.norm(near)
    return vectors.astype(np.float16), np.array(draw(st.permutations(range(count))), np.int64)


# Components ----------------------------------------------------------------------------------------------------------

EDGES = st.integers(1, 30).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.lists(
            st.tuples(
                st.integers(0, count - 1), st.integers(0, count - 1), st.sampled_from([0.75, 0.8, 0.9, 0.95, 1.0])
            ),
            max_size=40,
            unique_by=lambda edge: edge[:2],
        ),
    )
)


def as_pairs(edges: list[tuple[int, int, float]]) -> Pairs:
    return Pairs(
        np.array([a for a, _, _ in edges], np.int64),
        np.array([b for _, b, _ in edges], np.int64),
        np.array([s for _, _, s in edges], np.float32),
    )


@relaxed
@given(EDGES)
def test_components_are_those_of_union_find(graph: tuple[int, list[tuple[int, int, float]]]) -> None:
    count, edges = graph
    labels = components(count, as_pairs(edges))
    expected = union_find(count, [(a, b) for a, b, _ in edges])
    assert [frozenset(np.flatnonzero(labels == label).tolist()) for label in labels] == expected


@relaxed
@given(EDGES)
def test_sizes_by_threshold_count_the_components_of_two_or_more(
    graph: tuple[int, list[tuple[int, int, float]]],
) -> None:
    count, edges = graph
    thresholds = [0.75, 0.85, 0.95, 1.0]
    table = component_sizes(count, as_pairs(edges), thresholds)
    assert table.schema == SIZES_SCHEMA
    assert table["threshold"].to_pylist() == thresholds
    for record in table.to_pylist():
        reached = [(a, b) for a, b, value in edges if value >= record["threshold"]]
        sizes = [len(members) for members in set(union_find(count, reached)) if len(members) > 1]
        assert record["components"] == len(sizes)
        assert record["images"] == sum(sizes)
        assert record["largest_component"] == max(sizes, default=0)


def test_a_chain_swallows_more_as_the_threshold_falls() -> None:
    pairs = as_pairs([(0, 1, 0.99), (1, 2, 0.93), (2, 3, 0.8), (4, 5, 0.96)])
    table = component_sizes(7, pairs, [0.75, 0.9, 0.95, 1.0])
    assert table["largest_component"].to_pylist() == [4, 3, 2, 0]
    assert table["components"].to_pylist() == [2, 2, 2, 0]
    assert table["images"].to_pylist() == [6, 5, 4, 0]


# Clusters ------------------------------------------------------------------------------------------------------------


@relaxed
@given(chained(), st.floats(0.8, 0.99), st.sampled_from([None, 0.7]))
def test_components_and_clusters_equal_the_plain_algorithms(
    given_images: tuple[np.ndarray, np.ndarray], threshold: float, floor: float | None
) -> None:
    vectors, priority = given_images
    similarity = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    assume(np.abs(similarity - threshold).min() > 1e-5)
    # Equal vectors tie, and which of two equally close leaders takes an image is another test.
    assume(len(np.unique(vectors, axis=0)) == len(vectors))
    found = clustered(vectors, threshold, priority, floor)
    close = [(a, b) for a, b in combinations(range(len(vectors)), 2) if similarity[a, b] >= threshold]
    component = union_find(len(vectors), close)
    assert found.component == [min(members) for members in component]
    assert found.center == slow_leaders(vectors, component, priority, threshold)


@relaxed
@given(chained(), st.floats(0.8, 0.99))
def test_every_member_is_close_to_its_representative(
    given_images: tuple[np.ndarray, np.ndarray], threshold: float
) -> None:
    vectors, priority = given_images
    found = clustered(vectors, threshold, priority)
    component, cluster = found.component, found.center
    told = found.similarity
    for image, representative in enumerate(cluster):
        real = min(slow_similarity(vectors[image], vectors[representative]), 1) if image != representative else 1
        assert told[image] == pytest.approx(real, abs=2e-6)
        assert real >= threshold - 2e-6
        assert cluster[representative] == representative
        assert component[representative] == component[image]
    for representative in set(cluster):
        members = [image for image, chosen in enumerate(cluster) if chosen == representative]
        assert min(members, key=lambda number: priority[number]) == representative
    # No two representatives of one component are close: they would be one cluster.
    for a, b in combinations(sorted(set(cluster)), 2):
        if component[a] == component[b]:
            assert slow_similarity(vectors[a], vectors[b]) < threshold + 2e-6


@relaxed
@given(chained(), st.floats(0.8, 0.99))
def test_the_summary_measures_all_components_and_clusters(
    given_images: tuple[np.ndarray, np.ndarray], threshold: float
) -> None:
    vectors, priority = given_images
    found = clustered(vectors, threshold, priority)
    records = {(r["kind"], int(r["cluster_id"], 16)): r for r in found.summary.to_pylist()}
    assert len(records) == found.summary.num_rows
    expected = set()
    for kind in ("component", "cluster"):
        groups: dict[int, list[int]] = {}
        for image, group in enumerate(found.component if kind == "component" else found.center):
            groups.setdefault(group, []).append(image)
        for group, members in groups.items():
            if len(members) == 1:
                continue
            expected.add((kind, group))
            record = records[kind, group]
            smallest = min(slow_similarity(vectors[a], vectors[b]) for a, b in combinations(members, 2))
            assert record["images"] == record["images_measured"] == len(members)
            assert record["smallest_similarity"] == pytest.approx(min(smallest, 1), abs=2e-6)
            assert record["diameter"] == pytest.approx(1 - min(smallest, 1), abs=2e-6)
    assert records.keys() == expected


@relaxed
@given(vectors=exact_units(), seed=st.integers(0, 99), tiles=st.tuples(st.integers(1, 4), st.integers(5, 9)))
def test_the_result_does_not_depend_on_how_the_work_is_cut(
    vectors: np.ndarray, seed: int, tiles: tuple[int, int]
) -> None:
    """The products are exact, and many tie."""
    assume(len(vectors))
    priority = np.random.default_rng(seed).permutation(len(vectors))
    expected = clustered(vectors, 0.5, priority)
    for tile in tiles:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "TILE", tile)
            found = clustered(vectors, 0.5, priority)
        assert found == expected


def test_a_chain_is_one_component_and_two_clusters() -> None:
    angles = np.radians([0, 15, 30])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = clustered(vectors, 0.95)
    assert found.component == [0, 0, 0]
    assert found.center == [0, 0, 2]
    (component, cluster) = found.summary.to_pylist()
    assert (component["kind"], component["images"]) == ("component", 3)
    assert component["smallest_similarity"] == pytest.approx(np.cos(np.radians(30)), abs=1e-6)
    assert component["diameter"] == pytest.approx(1 - np.cos(np.radians(30)), abs=1e-6)
    assert (cluster["kind"], cluster["images"]) == ("cluster", 2)
    assert cluster["smallest_similarity"] == pytest.approx(np.cos(np.radians(15)), abs=1e-6)


def test_a_chain_with_its_middle_first_is_one_cluster() -> None:
    angles = np.radians([0, 15, 30])
    found = clustered(np.stack([np.cos(angles), np.sin(angles)], axis=1), 0.95, np.array([1, 0, 2]))
    assert found.center == [1, 1, 1]


def test_an_image_joins_its_most_similar_representative() -> None:
    angles = np.radians([0, 24, 14])
    found = clustered(np.stack([np.cos(angles), np.sin(angles)], axis=1), 0.95)
    assert found.center == [0, 1, 1]


@pytest.mark.parametrize("priority", [[0, 1], [1, 0]])
def test_of_two_the_better_one_stands_for_both(priority: list[int]) -> None:
    vectors = unit(np.array([[1, 0.1], [1, 0]]))
    found = clustered(vectors, 0.9, np.array(priority))
    best = priority.index(0)
    assert found.center == [best, best]
    assert found.similarity[best] == 1
    assert found.similarity[1 - best] == pytest.approx(1 / np.sqrt(1.01), abs=1e-6)
    assert found.summary["kind"].to_pylist() == ["component", "cluster"]


def test_pairs_below_the_threshold_join_nothing() -> None:
    vectors = unit(np.array([[1, 0], [1, 0.5], [1, 1]]))
    found = clustered(vectors, 0.99, floor=0.5)
    assert found.component == found.center == [0, 1, 2]
    assert found.similarity == [1, 1, 1]
    assert found.summary.num_rows == 0


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_pairs_every_image_is_alone(count: int) -> None:
    found = find_clusters(random_units(count, 4), no_pairs(), np.arange(count), 0.95)
    assert found.center == found.component == list(range(count))
    assert found.summary.num_rows == 0
    sizes = component_sizes(count, no_pairs(), [0.75, 0.95])
    assert sizes["largest_component"].to_pylist() == sizes["components"].to_pylist() == [0, 0]


# Measures ------------------------------------------------------------------------------------------------------------


@relaxed
@given(st.integers(2, 20), st.integers(1, 6), st.integers(0, 2**16))
def test_the_smallest_similarity_is_that_of_two_different_rows(rows: int, tile: int, seed: int) -> None:
    vectors = unit(1 + 0.5 * np.random.default_rng(seed).standard_normal((rows, 6))).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TILE", tile)
        found = smallest_similarity(vectors)
    expected = min(slow_similarity(vectors[a], vectors[b]) for a, b in combinations(range(rows), 2))
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_vector_rounded_down_is_not_the_smallest_similarity() -> None:
    """Two images that differ by half precision alone: their product is 1, the shorter one's with itself below 1."""
    vectors = np.array([[0.9995, 0], [1.0005, 0]], np.float32)
    assert smallest_similarity(vectors) == pytest.approx(0.9995 * 1.0005, abs=1e-6)


def test_a_group_too_large_is_measured_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEASURED", 5)
    vectors = np.repeat(random_units(1, 8), 9, axis=0)
    records = clustered(vectors, 0.9).summary.to_pylist()
    assert [(r["kind"], r["images"], r["images_measured"]) for r in records] == [
        ("component", 9, 5),
        ("cluster", 9, 5),
    ]


def test_a_clique_of_3000_equal_images_is_cheap() -> None:
    count = 3_000
    vectors = np.repeat(random_units(1, 64).astype(np.float16), count, axis=0)
    # As a join with the 64 best leaves it: everyone with the first 64.
    left, right = np.meshgrid(np.arange(64), np.arange(count), indexing="ij")
    chosen = left < right
    pairs = Pairs(left[chosen], right[chosen], np.ones(chosen.sum(), np.float32))
    priority = np.random.default_rng(0).permutation(count)
    tracemalloc.start()
    begin = time.process_time()
    found = find_clusters(vectors, pairs, priority, 0.95)
    seconds = time.process_time() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert set(found.component) == {0}
    assert set(found.center) == {int(np.argmin(priority))}
    assert [(r["kind"], r["images"]) for r in found.summary.to_pylist()] == [("component", 3_000), ("cluster", 3_000)]
    assert found.summary["smallest_similarity"].to_pylist() == pytest.approx([1, 1], abs=1e-3)
    assert seconds < 10
    assert peak < 150e6
