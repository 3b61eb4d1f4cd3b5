"""ClipCov against the released notebook's procedure over full matrices; the cross-covariance against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visdiv_assets.curation.selection import clip_cov as module
from visdiv_assets.curation.selection.clip_cov import clip_cov
from visdiv_assets.curation.selection.cross_covariance import CrossCovariance
from visdiv_assets.errors import VisdivError
from visdiv_assets.vectors.kmeans import k_means
from visdiv_assets_tests.testing.vectors import random_units, unit


def pairs(rows: int, seed: int, dimension: int = 6) -> tuple[np.ndarray, np.ndarray]:
    images = random_units(rows, dimension, seed)
    return images, unit(images + 0.7 * random_units(rows, dimension, seed + 1000)).astype(np.float32)


def plain(
    images: np.ndarray, texts: np.ndarray, count: int, labels: np.ndarray, names: np.ndarray, batch: int
) -> list[int]:
    """Pick from all scores of all classes, sorted again after every change, with all products at once."""
    v, t = unit(images.astype(np.float64)), unit(texts.astype(np.float64))
    cosine = v @ t.T
    together = labels[:, np.newaxis] == labels
    size = together.sum(axis=1)
    k = np.where(together, np.maximum(cosine, 0), 0)
    cross = (k.sum(axis=1) + k.sum(axis=0)) / size
    center_of = {label: (v[labels == label].mean(axis=0), t[labels == label].mean(axis=0)) for label in set(labels)}

    def cosine_of(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    to_centers = np.array(
        [cosine_of(v[i], center_of[labels[i]][1]) + cosine_of(t[i], center_of[labels[i]][0]) for i in range(len(v))]
    )
    scores = cross + 2 * np.diag(cosine) + names / 2 - to_centers
    picked: list[int] = []
    of_class: dict[int, list[int]] = {label: [] for label in labels}
    new: dict[int, list[int]] = {label: [] for label in labels}
    while len(picked) < count:
        best = int(np.argmax(scores))
        picked.append(best)
        scores[best] = -np.inf
        label = labels[best]
        of_class[label].append(best)
        new[label].append(best)
        if (len(of_class[label]) + 1) % batch == 0:
            members = labels == label
            lowered = (k[:, new[label]].sum(axis=1) + k[new[label], :].sum(axis=0))[members]
            lowered = lowered + cross[of_class[label]].sum() + names[new[label]].sum() / 2
            scores[members] -= lowered / members.sum()
            new[label] = []
    return picked


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 40),
    classes=st.integers(1, 4),
    batch=st.integers(2, 6),
    tile=st.integers(1, 9),
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_picks_are_those_of_the_released_procedure(
    monkeypatch: pytest.MonkeyPatch, rows: int, classes: int, batch: int, tile: int, seed: int, data: st.DataObject
) -> None:
    monkeypatch.setattr(module, "BATCH", batch)
    monkeypatch.setattr(module, "TILE", tile)
    images, texts = pairs(rows, seed)
    random = np.random.default_rng(seed)
    labels, names = random.integers(classes, size=rows) * 7, random.random(rows)
    count = data.draw(st.integers(0, rows))
    found = clip_cov(images, texts, count, labels=labels, names=names)
    assert found.tolist() == plain(images, texts, count, labels, names, batch)


def test_scores_are_lowered_after_199_and_399_picks_of_a_class() -> None:
    images, texts = pairs(450, 3)
    labels = np.zeros(450, np.int64)
    found = clip_cov(images, texts, 450, labels=labels)
    assert found.tolist() == plain(images, texts, 450, labels, np.zeros(450), 200)
    assert found.tolist() != plain(images, texts, 450, labels, np.zeros(450), 10_000), "the batches change nothing"


def test_without_labels_the_classes_are_clusters_of_the_images() -> None:
    images, texts = pairs(100, 5)
    clusters = k_means(images, seed=2).cluster
    np.testing.assert_array_equal(clip_cov(images, texts, 30, seed=2), clip_cov(images, texts, 30, labels=clusters))


def test_a_count_above_the_number_of_pairs_orders_all() -> None:
    images, texts = pairs(50, 1)
    found = clip_cov(images, texts, 1000)
    assert sorted(found.tolist()) == list(range(50))
    np.testing.assert_array_equal(clip_cov(images, texts, 20), found[:20])


def test_identical_pairs_are_picked_in_the_order_of_their_rows() -> None:
    images = np.repeat(random_units(1, 8), 12, axis=0)
    assert clip_cov(images, images, 12, labels=np.zeros(12, np.int64)).tolist() == list(range(12))


def test_a_class_whose_vectors_cancel_out_is_still_picked() -> None:
    images = np.array([[1, 0], [-1, 0]], np.float32)
    assert clip_cov(images, images, 2, labels=np.zeros(2, np.int64)).tolist() == [0, 1]


def test_arguments_that_do_not_fit_together_are_refused() -> None:
    images, texts = pairs(6, 0)
    with pytest.raises(VisdivError, match="6 images and 5 texts are not pairs"):
        clip_cov(images, texts[:5], 2)
    with pytest.raises(VisdivError, match="embed both with the same model"):
        clip_cov(images, texts[:, :3], 2)
    with pytest.raises(VisdivError, match="ask for 0 or more"):
        clip_cov(images, texts, -1)
    with pytest.raises(VisdivError, match="labels must be one finite number for each"):
        clip_cov(images, texts, 2, labels=np.zeros(5, np.int64))
    with pytest.raises(VisdivError, match="names must be one finite number for each"):
        clip_cov(images, texts, 2, names=np.full(6, np.nan))


def test_the_cross_covariance_is_the_mean_of_outer_products() -> None:
    images, texts = pairs(41, 2)
    wanted = np.mean([np.outer(v, t) for v, t in zip(images, texts, strict=True)], axis=0)
    together = CrossCovariance.of(images[:13], texts[:13]) + CrossCovariance.of(images[13:], texts[13:])
    assert together.n == 41
    np.testing.assert_allclose(together.mean, wanted, atol=1e-7)
    assert np.trace(together.mean) == pytest.approx(np.mean(np.einsum("nd,nd->n", images, texts)), abs=1e-6)


def test_a_copy_preserves_all_and_an_opposite_subset_nothing() -> None:
    images, texts = pairs(30, 4)
    whole = CrossCovariance.of(images, texts)
    assert whole.kept_by(
        CrossCovariance.of(np.repeat(images, 2, axis=0), np.repeat(texts, 2, axis=0))
    ) == pytest.approx(1)
    assert whole.kept_by(CrossCovariance.of(images, -texts)) == pytest.approx(-1)


def test_the_cross_covariance_of_no_pair_is_refused() -> None:
    with pytest.raises(VisdivError, match="give at least one image with a text"):
        _ = CrossCovariance.of(random_units(0, 3), random_units(0, 3)).mean
