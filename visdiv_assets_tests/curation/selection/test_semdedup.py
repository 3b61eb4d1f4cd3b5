"""SemDeDup against every two rows of a cluster compared, one after the other."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visdiv_assets.curation.selection import semdedup as module
from visdiv_assets.curation.selection.semdedup import Keep, semdedup
from visdiv_assets.errors import VisdivError
from visdiv_assets.vectors import kmeans
from visdiv_assets.vectors.kmeans import default_clusters, k_means
from visdiv_assets_tests.testing.vectors import LAYOUTS, laid_out, random_units, sets_of_units, slow_similarity, unit

relaxed = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plain(vectors: np.ndarray, clusters: int, keep: Keep) -> list[float]:
    """M_j by the formula, in the order that k-means gives; a random order is the seeded permutation."""
    clustering = k_means(vectors, clusters)
    exact = unit(vectors.astype(np.float64))
    place = {"hard": clustering.similarity, "easy": -clustering.similarity}.get(
        keep, np.random.default_rng(0).permutation(len(vectors))
    )
    score = []
    for j in range(len(vectors)):
        before = [
            slow_similarity(exact[i], exact[j])
            for i in range(len(vectors))
            if clustering.cluster[i] == clustering.cluster[j] and (place[i], i) < (place[j], j)
        ]
        score.append(max(0.0, *before, 0.0))
    return score


@relaxed
@given(
    vectors=sets_of_units(4).filter(lambda x: np.abs(x).sum(axis=1).all()),
    clusters=st.integers(1, 4),
    keep=st.sampled_from(["hard", "easy", "random"]),
    tile=st.integers(1, 5),
    layout=LAYOUTS,
)
def test_scores_are_those_of_the_formula(
    monkeypatch: pytest.MonkeyPatch, vectors: np.ndarray, clusters: int, keep: Keep, tile: int, layout: str
) -> None:
    monkeypatch.setattr(module, "TILE", tile)
    vectors = vectors.astype(np.float32)
    found = semdedup(laid_out(vectors, layout), clusters=clusters, keep=keep)
    np.testing.assert_allclose(found.score, plain(vectors, clusters, keep), atol=3e-6)
    np.testing.assert_array_equal(found.cluster, k_means(vectors, clusters).cluster)


def test_stored_vectors_are_scored_by_cosine_not_product() -> None:
    vector = random_units(1, 64)
    longer = np.concatenate([vector, 0.99 * vector, 1.01 * vector]).astype(np.float16)
    assert sorted(semdedup(longer, clusters=1).score) == pytest.approx([0, 1, 1], abs=1e-3)
    assert semdedup(longer, clusters=1).score.max() <= 1 + 1e-6


@pytest.mark.parametrize(("keep", "stays"), [("hard", 2), ("easy", 0)])
def test_of_duplicates_the_one_asked_for_stays(keep: Keep, stays: int) -> None:
    # Three close ones at 80, 82 and 84 degrees; many others at 0 keep the centroid there.
    degrees = np.radians([80, 82, 84] + [0] * 40)
    vectors = np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    found = semdedup(vectors, clusters=1, keep=keep)
    assert np.flatnonzero(found.kept(epsilon=0.05)[:3]).tolist() == [stays]


def test_a_duplicate_counts_for_those_after_it() -> None:
    # 8 degrees from one to the next: the last is measured by the middle one, which is a duplicate itself.
    degrees = np.radians([80, 72, 64] + [0] * 40)
    vectors = np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    assert semdedup(vectors, clusters=1).score[:3] == pytest.approx(
        [0, np.cos(np.radians(8)), np.cos(np.radians(8))], abs=1e-5
    )


def test_identical_rows_keep_exactly_one_and_the_rest_score_one() -> None:
    found = semdedup(np.repeat(random_units(1, 16).astype(np.float16), 50, axis=0))
    for number in np.unique(found.cluster):
        scores = np.sort(found.score[found.cluster == number])
        assert scores[0] == 0
        np.testing.assert_allclose(scores[1:], 1, atol=1e-6)


def test_epsilon_drops_scores_strictly_above_one_minus_it() -> None:
    found = module.SemDeDup(np.array([0, 0.5, 0.75, 1], np.float32), np.zeros(4, np.int32))
    assert found.kept(0.25).tolist() == [True, True, True, False]
    assert found.kept(0.5).tolist() == [True, True, False, False]


def test_scores_depend_on_the_seed() -> None:
    vectors = random_units(400, 8)
    first, again, other = (semdedup(vectors, keep="random", seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.score, again.score)
    np.testing.assert_array_equal(first.cluster, again.cluster)
    assert (first.score != other.score).any()


def test_the_memory_of_a_large_cluster_is_linear_in_its_rows() -> None:
    vectors = random_units(8000, 16).astype(np.float16)
    semdedup(vectors[:100], clusters=1)
    tracemalloc.start()
    try:
        semdedup(vectors, clusters=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # All products at once would be 256 MB.
    assert peak < 50e6


def test_progress_counts_every_row_twice() -> None:
    finished: list[int] = []
    semdedup(random_units(70, 4), clusters=5, progress=lambda done: finished.append(done))
    assert sum(finished) == 140


@pytest.mark.parametrize("clusters", [0, -3])
def test_an_impossible_number_of_clusters_is_refused(clusters: int) -> None:
    with pytest.raises(VisdivError, match="give 1 or more"):
        semdedup(random_units(5, 4), clusters=clusters)


def test_an_unknown_choice_of_what_to_keep_is_refused() -> None:
    with pytest.raises(VisdivError, match="use one of hard, easy, random"):
        semdedup(random_units(5, 4), keep="best")  # type: ignore[arg-type]


def test_k_means_finds_groups_and_nearest_centroids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "TRAINING_ROWS", 8)
    random = np.random.default_rng(0)
    directions = np.eye(4)[random.integers(4, size=300)]
    vectors = directions + 0.05 * random.standard_normal((300, 4))
    clustering = k_means(vectors, 4)
    products = unit(vectors) @ clustering.centroids.T
    np.testing.assert_array_equal(clustering.cluster, products.argmax(axis=1))
    np.testing.assert_allclose(clustering.similarity, products.max(axis=1), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(clustering.centroids, axis=1), 1, atol=1e-6)
    assert clustering.similarity.min() > 0.9, "a group was split and two were joined"


def test_more_clusters_than_rows_are_as_many_as_rows() -> None:
    clustering = k_means(random_units(5, 8), 50)
    assert sorted(clustering.cluster.tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("rows", "clusters"), [(0, 1), (1, 1), (99, 9), (1_000_000, 1000)])
def test_clusters_are_the_root_of_the_rows_unless_asked_for(rows: int, clusters: int) -> None:
    assert default_clusters(rows) == clusters
