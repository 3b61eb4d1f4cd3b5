"""Clusters as stars, against a slow form of the rule and by what holds for any pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.duplicates.clusters import Pairs
from visdiv_assets.duplicates.stars import Stars

relaxed = settings(deadline=None, max_examples=120)

#: Two images and their similarity.
Edge = tuple[int, int, float]


def as_pairs(edges: list[Edge]) -> Pairs:
    return Pairs(
        np.array([a for a, _, _ in edges], np.int64),
        np.array([b for _, b, _ in edges], np.int64),
        np.array([similarity for _, _, similarity in edges], np.float32),
    )


def completed(count: int, edges: list[Edge], priority: list[int], first: list[int] | None = None) -> Stars:
    """Stars around some centers, and then around the other images by priority."""
    stars = Stars(count, as_pairs(edges))
    for image in first or []:
        if stars.center[image] < 0:
            stars.add(image)
    stars.complete(np.array(priority, np.int64))
    return stars


def slow_stars(edges: list[Edge], order: list[int], joined: dict[int, int]) -> dict[int, int]:
    """Return the center of each image that has none yet, in an order of preference."""
    similarity = {frozenset(edge[:2]): edge[2] for edge in edges}
    centers: list[int] = []
    found = {}
    for image in order:
        if image in joined:
            continue
        near = {similarity[edge]: center for center in centers if (edge := frozenset((image, center))) in similarity}
        found[image] = near[max(near)] if near else image
        if not near:
            centers.append(image)
    return found


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[Edge], list[int]]:
    """Draw images, different pairs with different similarities, and priorities."""
    count = draw(st.integers(1, 20))
    number = st.integers(0, count - 1)
    pair = st.tuples(number, number).filter(lambda pair: pair[0] < pair[1])
    pairs = draw(st.lists(pair, max_size=40, unique=True)) if count > 1 else []
    ranks = draw(st.permutations(range(len(pairs))))
    edges = [(a, b, 0.5 + rank / 100) for (a, b), rank in zip(pairs, ranks, strict=True)]
    return count, edges, draw(st.permutations(range(count)))


@relaxed
@given(graphs())
def test_stars_equal_the_slow_form(graph: tuple[int, list[Edge], list[int]]) -> None:
    count, edges, priority = graph
    expected = slow_stars(edges, sorted(range(count), key=priority.__getitem__), {})
    assert completed(count, edges, priority).center.tolist() == [expected[image] for image in range(count)]


@relaxed
@given(graphs(), st.data())
def test_an_image_is_paired_with_its_center(graph: tuple[int, list[Edge], list[int]], data: st.DataObject) -> None:
    count, edges, priority = graph
    stars = completed(count, edges, priority, data.draw(st.lists(st.integers(0, count - 1))))
    for image, center in enumerate(stars.center.tolist()):
        assert stars.center[center] == center
        pair = int(stars.pair[image])
        assert (pair < 0) == (image == center)
        if pair >= 0:
            assert {*edges[pair][:2]} == {image, center}


@relaxed
@given(graphs(), st.data())
def test_later_stars_take_no_image_of_the_first(graph: tuple[int, list[Edge], list[int]], data: st.DataObject) -> None:
    count, edges, priority = graph
    first = data.draw(st.lists(st.integers(0, count - 1), unique=True))
    stars = Stars(count, as_pairs(edges))
    for image in first:
        if stars.center[image] < 0:
            stars.add(image)
    joined = {image: center for image, center in enumerate(stars.center.tolist()) if center >= 0}
    stars.complete(np.array(priority, np.int64))
    rest = slow_stars(edges, sorted(range(count), key=priority.__getitem__), joined)
    assert dict(enumerate(stars.center.tolist())) == joined | rest


@relaxed
@given(graphs(), st.data())
def test_neither_the_order_of_the_pairs_nor_their_sides_matter(
    graph: tuple[int, list[Edge], list[int]], data: st.DataObject
) -> None:
    count, edges, priority = graph
    shuffled = [
        (b, a, similarity) if data.draw(st.booleans()) else (a, b, similarity)
        for a, b, similarity in data.draw(st.permutations(edges))
    ]
    one, other = completed(count, edges, priority), completed(count, shuffled, priority)
    assert one.center.tolist() == other.center.tolist()


@pytest.mark.parametrize(
    ("priority", "centers"),
    [([0, 1, 2], [0, 0, 2]), ([2, 1, 0], [0, 2, 2]), ([1, 0, 2], [1, 1, 1]), ([0, 2, 1], [0, 2, 2])],
)
def test_a_chain_is_one_star_only_around_its_middle(priority: list[int], centers: list[int]) -> None:
    # 0 and 2 show different parts of 1, which is closer to 2; it joins a center that comes before it.
    assert completed(3, [(0, 1, 0.8), (1, 2, 0.9)], priority).center.tolist() == centers


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_pairs_every_image_is_its_own_center(count: int) -> None:
    stars = completed(count, [], list(range(count)))
    assert stars.center.tolist() == list(range(count))
    assert stars.pair.tolist() == [-1] * count
