"""Scores against numpy.cov, eigenvalues and averages over tuples of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.diversity import DiversityScores, Moments, combined_score, scores
from visdiv_assets.diversity.scores import unbiased_participation_ratio
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.diversity.references import (
    facts_formula,
    known,
    plain_scores,
    plain_unbiased,
    random_unit,
    scores_of,
    two_pass_unbiased,
    unit_rows,
    vector_sets,
)

fast = settings(max_examples=60, deadline=None, derandomize=True)
both = pytest.mark.parametrize("centered", [True, False])
#: Nearly identical vectors have a variance as small as 1e-8; this is the share of rounding in it.
NEAR = 1e-5

RANKS = ("effective_rank", "participation_ratio", "vendi", "score", "mean_norm")


def values(result: DiversityScores, names: Sequence[str] = RANKS) -> list[float | None]:
    return [getattr(result, name) for name in names]


@pytest.mark.parametrize(
    ("effective_rank", "participation_ratio", "published"),
    [
        pytest.param(324.05, 129.22, 0.400, id="The Cauldron"),
        pytest.param(267.89, 87.05, 0.298, id="LLaVA-OneVision"),
        pytest.param(359.73, 152.70, 0.458, id="Cambrian-7M"),
        pytest.param(359.22, 182.52, 0.500, id="FineVision"),
    ],
)
def test_published_scores_follow_from_their_ranks(
    effective_rank: float, participation_ratio: float, published: float
) -> None:
    assert combined_score(effective_rank, participation_ratio, 512) == pytest.approx(published, abs=5e-4)


def test_a_score_of_no_dimension_is_refused() -> None:
    with pytest.raises(VisdivError):
        combined_score(1.0, 1.0, 0)


@fast
@given(vector_sets(), st.booleans())
def test_scores_are_those_of_numpy_cov_and_eigenvalues(x: np.ndarray, centered: bool) -> None:
    rank, ratio = plain_scores(x, centered)
    result = scores_of(x, centered)
    assert (result.images, result.dimension) == x.shape
    assert result.effective_rank == pytest.approx(rank, rel=NEAR)
    assert result.participation_ratio == pytest.approx(ratio, rel=NEAR)
    assert result.score == pytest.approx(math.sqrt(rank * ratio) / x.shape[1], rel=NEAR)
    assert result.vendi == pytest.approx(plain_scores(x, False)[0], rel=NEAR)
    assert result.mean_norm == pytest.approx(np.linalg.norm(x.mean(0)), abs=1e-12)


@fast
@given(vector_sets(), st.booleans())
def test_ranks_keep_their_order_and_bounds(x: np.ndarray, centered: bool) -> None:
    result = scores_of(x, centered)
    n, d = x.shape
    highest = min(d, n - 1 if centered else n)
    rank, ratio = known(result.effective_rank), known(result.participation_ratio)
    assert ratio >= 1 - NEAR
    assert ratio <= rank + NEAR
    assert rank <= highest + NEAR
    assert 0 < known(result.score) <= 1 + NEAR


@fast
@given(vector_sets(), st.booleans(), st.integers(0, 1000))
def test_scores_ignore_rotation_order_scale_and_repetition(x: np.ndarray, centered: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((x.shape[1], x.shape[1])))[0]
    expected = values(scores_of(x, centered))
    for other in (x @ rotation, rng.permutation(x), x * 37.5, np.tile(x, (3, 1))):
        assert values(scores_of(other, centered)) == pytest.approx(expected, rel=NEAR)
    unscaled = scores(Moments.from_vectors(x * 37.5, normalize=False), centered=centered)
    assert unscaled.effective_rank == pytest.approx(expected[0], rel=NEAR)
    assert unscaled.participation_ratio == pytest.approx(expected[1], rel=NEAR)


@fast
@given(vector_sets(min_n=4, max_n=20, min_d=5, max_d=5), vector_sets(min_n=4, max_n=20, min_d=5, max_d=5))
def test_the_union_obeys_the_bounds_of_entropy_and_purity(x: np.ndarray, y: np.ndarray) -> None:
    sets = [Moments.from_vectors(x), Moments.from_vectors(y)]
    parts = [scores(moments, centered=False) for moments in sets]
    union = scores(sets[0] + sets[1], centered=False)
    w = np.array([len(x), len(y)]) / (len(x) + len(y))
    mean_entropy = float(w @ [math.log(known(part.vendi)) for part in parts])
    mixing = -float(w @ np.log(w))
    assert mean_entropy - 1e-9 <= math.log(known(union.vendi)) <= mean_entropy + mixing + 1e-9
    purity = sum(w / [known(part.participation_ratio) for part in parts])
    assert 1 / known(union.participation_ratio) <= purity + 1e-9


@pytest.mark.parametrize("k", [2, 5, 16])
@pytest.mark.parametrize("copies", [1, 3])
def test_the_rank_of_orthonormal_vectors_is_their_number(k: int, copies: int) -> None:
    rotation = np.linalg.qr(np.random.default_rng(k).standard_normal((16, 16)))[0]
    x = np.tile(rotation[:k], (copies, 1))
    uncentered, centered = scores_of(x, centered=False), scores_of(x)
    assert values(uncentered)[:4] == pytest.approx([k, k, k, k / 16])
    assert values(centered)[:4] == pytest.approx([k - 1, k - 1, k, (k - 1) / 16])
    assert centered.mean_norm == pytest.approx(1 / math.sqrt(k))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 3, 4, 1000])
def test_identical_images_have_no_diversity(n: int, dtype: type[np.floating[Any]]) -> None:
    x = np.repeat(random_unit(n, 1, 32).astype(dtype), n, axis=0)
    centered, uncentered = scores_of(x), scores_of(x, centered=False)
    assert values(centered) == pytest.approx([0, 0, 1, 0, 1])
    assert centered.participation_ratio_unbiased == 0
    assert values(uncentered) == pytest.approx([1, 1, 1, 1 / 32, 1])
    assert uncentered.participation_ratio_unbiased == pytest.approx(1)


def test_the_noise_of_a_float32_model_is_not_diversity() -> None:
    x = np.repeat(random_unit(5, 1, 64), 50, axis=0)
    noisy = x + np.random.default_rng(0).uniform(-1, 1, x.shape) * 1e-8
    assert scores_of(noisy).effective_rank == 0
    assert known(scores_of(x + (noisy - x) * 1e4).effective_rank) > 10


@both
@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_images_have_no_scores(n: int, centered: bool) -> None:
    result = scores(Moments.from_vectors(np.eye(4)[:n]), centered=centered)
    assert (result.images, result.dimension, result.centered) == (n, 4, centered)
    assert values(result, (*RANKS, "participation_ratio_unbiased")) == [None] * 6


@settings(max_examples=25, deadline=None, derandomize=True)
@given(vector_sets(min_n=4, max_n=7, max_d=4), st.booleans())
def test_the_unbiased_ratio_is_the_average_over_distinct_tuples(x: np.ndarray, centered: bool) -> None:
    above, below = plain_unbiased(x, centered)
    actual = scores_of(x, centered).participation_ratio_unbiased
    if below > 1e-6:
        assert actual == pytest.approx(above / below, rel=1e-6)
    elif below < -1e-6:
        assert actual is None


@fast
@given(vector_sets(min_n=8, max_n=40))
def test_the_unbiased_ratio_is_the_published_closed_form(x: np.ndarray) -> None:
    inverse = 1 / facts_formula(x)
    actual = scores_of(x).participation_ratio_unbiased
    if inverse > 1e-6:
        assert actual == pytest.approx(1 / inverse, rel=NEAR)
    elif inverse < -1e-6:
        assert actual is None


@both
def test_the_unbiased_ratio_counts_repeated_images_as_draws(centered: bool) -> None:
    x = random_unit(2, 3, 4)
    counts = np.array([3, 1, 2])
    above, below = plain_unbiased(np.repeat(x, counts, axis=0), centered)
    actual = unbiased_participation_ratio(Moments.from_vectors(x, counts), centered=centered)
    assert actual == pytest.approx(above / below)


@both
def test_the_unbiased_ratio_of_small_samples_is_that_of_many(centered: bool) -> None:
    # Isotropic, so that the true ratio is D; the plain one cannot exceed n.
    rng = np.random.default_rng(3)
    samples = [scores_of(unit_rows(rng.standard_normal((24, 32))), centered) for _ in range(200)]
    plain = [known(sample.participation_ratio) for sample in samples]
    unbiased = [1 / known(sample.participation_ratio_unbiased) for sample in samples]
    assert np.mean(plain) < 16
    assert 1 / np.mean(unbiased) == pytest.approx(32, rel=0.03)


@pytest.mark.parametrize("size", [1e-1, 1e-2, 1e-3])
def test_the_unbiased_ratio_is_exact_for_nearly_parallel_vectors(size: float) -> None:
    # A spread of 1e-3 leaves a millionth of the sums to tell the vectors apart by, its square 1e-12.
    spread = np.random.default_rng(4).standard_normal((400, 8))
    x = unit_rows(np.hstack([np.ones((400, 1)), size * spread]))
    actual = scores_of(x).participation_ratio_unbiased
    assert actual == pytest.approx(two_pass_unbiased(x), rel=1e-5)
    assert actual == pytest.approx(8, rel=0.1)


def test_the_unbiased_ratio_is_none_where_it_cannot_be_estimated() -> None:
    assert scores_of(random_unit(1, 3, 8)).participation_ratio_unbiased is None
    assert scores_of(random_unit(1, 2, 8), centered=False).participation_ratio_unbiased is not None
    # No two share a direction, so nothing bounds the number of directions there are.
    assert scores_of(np.eye(8)).participation_ratio_unbiased is None
    assert scores_of(np.eye(8), centered=False).participation_ratio_unbiased is None


@both
def test_scores_that_need_unit_vectors_are_none_without_them(centered: bool) -> None:
    x = random_unit(6, 20, 5) * np.arange(1, 21)[:, None]
    result = scores(Moments.from_vectors(x, normalize=False), centered=centered)
    assert result.vendi is None
    assert result.participation_ratio_unbiased is None
    rank, ratio = plain_scores(x, centered)
    assert (result.effective_rank, result.participation_ratio) == pytest.approx((rank, ratio))


@both
def test_subtracting_a_subset_scores_as_if_it_were_never_added(centered: bool) -> None:
    sets = [random_unit(i, 200 * 10**i, 16, offset=i) for i in range(3)]
    moments = [Moments.from_vectors(x, model_id="m") for x in sets]
    without = scores(moments[0] + moments[1] + moments[2] - moments[2], centered=centered)
    expected = scores_of(np.concatenate(sets[:2]), centered)
    assert values(without) == pytest.approx(values(expected), rel=1e-8)
    assert without.participation_ratio_unbiased == pytest.approx(expected.participation_ratio_unbiased, rel=1e-6)


def test_half_precision_storage_hardly_moves_the_scores() -> None:
    x = random_unit(9, 2000, 128, offset=1.0)
    assert values(scores_of(x.astype(np.float16))) == pytest.approx(values(scores_of(x)), rel=1e-3)
