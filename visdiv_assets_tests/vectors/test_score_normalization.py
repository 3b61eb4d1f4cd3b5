"""The background similarity: the plain mean over the 3 nearest others of the sample."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.storage.arrays import StackedArray
from visdiv_assets.vectors import score_normalization as module
from visdiv_assets.vectors.score_normalization import background_similarity
from visdiv_assets_tests.testing.vectors import random_units, slow_similarity, unit

relaxed = settings(deadline=None, max_examples=80)


def hashes(count: int, seed: int = 0) -> list[str]:
    """Different image_ids in no order."""
    return [hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:32] for number in range(count)]


def slow_background(image_ids: list[str], vectors: np.ndarray, sample: int) -> list[float]:
    """Each image compared with the others among the lowest image_ids, one after the other."""
    lowest = set(sorted(image_ids)[:sample])
    result = []
    for i in range(len(image_ids)):
        others = [
            slow_similarity(vectors[i], vectors[j]) for j in range(len(image_ids)) if j != i and image_ids[j] in lowest
        ]
        result.append(sum(sorted(others)[-3:]) / 3 if len(others) >= 3 else float("nan"))
    return result


@relaxed
@given(
    count=st.integers(0, 30),
    sample=st.integers(4, 12),
    tile=st.integers(1, 9),
    seed=st.integers(0, 2**16),
    repeats=st.booleans(),
)
def test_background_is_the_mean_of_the_3_nearest_in_the_sample(
    count: int, sample: int, tile: int, seed: int, repeats: bool
) -> None:
    vectors = random_units(count, 5, seed)
    if repeats:
        vectors[count // 2 :] = vectors[: count - count // 2]
    names = hashes(count, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SAMPLE", sample)
        patch.setattr(module, "TILE", tile)
        found = background_similarity(pa.array(names, pa.string()), vectors)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow_background(names, vectors, sample), atol=2e-6)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_below_4_images_there_is_none(count: int) -> None:
    found = background_similarity(pa.array(hashes(count), pa.string()), random_units(count, 4))
    assert found.shape == (count,)
    assert np.isnan(found).all()


def test_4_images_are_each_others_background() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1], [-1, 0]], np.float32)
    found = background_similarity(pa.array(hashes(4)), vectors)
    np.testing.assert_allclose(found, [0, 0, 0, -2 / 3], atol=1e-7)


def test_a_image_outside_the_sample_weighs_on_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", 4)
    names = pa.array(["d" * 32, "f" * 32, "a" * 32, "e" * 32, "c" * 32, "b" * 32])
    vectors = random_units(6, 8)
    before = background_similarity(names, vectors)
    # The two highest image_ids are outside: they may become copies of each other and change only their own value.
    vectors[1] = vectors[3]
    after = background_similarity(names, vectors)
    np.testing.assert_array_equal(np.flatnonzero(before != after), [1])


def test_a_image_of_the_sample_is_not_its_own_neighbor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TILE", 2)
    found = background_similarity(pa.array(hashes(6)), np.eye(6, dtype=np.float32))
    np.testing.assert_array_equal(found, np.zeros(6))


def test_half_precision_in_several_files_gives_the_same_values() -> None:
    vectors = random_units(50, 16, 3).astype(np.float16)
    names = pa.array(hashes(50))
    expected = background_similarity(names, vectors)
    np.testing.assert_array_equal(background_similarity(names, StackedArray(np.array_split(vectors, 4))), expected)
    np.testing.assert_allclose(expected, slow_background(names.to_pylist(), vectors, 2_000), atol=2e-6)


def test_a_large_set_equals_the_plain_product() -> None:
    vectors = unit(np.random.default_rng(5).standard_normal((5_000, 24)) + 0.5).astype(np.float16)
    names = np.array(hashes(5_000))
    found = background_similarity(pa.array(names), vectors)
    sampled = np.argsort(names)[:2_000]
    similarity = vectors.astype(np.float64) @ vectors[sampled].astype(np.float64).T
    similarity[sampled, np.arange(2_000)] = -2
    np.testing.assert_allclose(found, np.sort(similarity)[:, -3:].mean(axis=1), atol=2e-6)


def test_charts_of_one_template_have_a_higher_background() -> None:
    rng = np.random.default_rng(1)
    charts = unit(rng.standard_normal(64) * 3 + 0.4 * rng.standard_normal((20, 64)))
    vectors = np.concatenate([charts, random_units(20, 64, 2)]).astype(np.float32)
    found = background_similarity(pa.array(hashes(40)), vectors)
    assert found[:20].min() > 0.9
    assert found[20:].max() < 0.6
