"""Log-likelihood of raw features against SciPy's normal distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from visdiv_assets.curation.selection import whitened_clip as module
from visdiv_assets.curation.selection.whitened_clip import RawFeatures, Whitening, log_likelihood, raw_moments
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.testing.vectors import random_units


def raw(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Return features with unequal variances around a mean far from the origin, as CLIP's."""
    random = np.random.default_rng(seed)
    turned = np.linalg.qr(random.standard_normal((dimension, dimension)))[0]
    spread = random.standard_normal((rows, dimension)) * np.linspace(0.05, 2, dimension)
    features: np.ndarray = spread @ turned + 5 * turned[0]
    return features


def constant(dimension: int) -> float:
    return dimension * float(np.log(2 * np.pi))


def test_it_is_the_log_density_in_whitened_space(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BLOCK", 64)
    x = raw(300, 6)
    whitening = Whitening.of(raw_moments(x))
    covariance = np.cov(x.T)
    # Whitened space has unit volume: the determinant of the covariance drops out.
    wanted = multivariate_normal(x.mean(axis=0), covariance).logpdf(x) + np.linalg.slogdet(covariance)[1] / 2
    np.testing.assert_allclose(log_likelihood(x, whitening), wanted, rtol=1e-5)


def test_whitened_features_have_mean_zero_and_unit_covariance() -> None:
    x = raw(500, 8)
    whitening = Whitening.of(raw_moments(x))
    w = (x - whitening.mean) @ whitening.matrix
    np.testing.assert_allclose(w.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.cov(w.T), np.eye(8), atol=1e-9)


def test_moments_of_subsets_add_up_to_the_same_whitening() -> None:
    x = raw(400, 5)
    apart = raw_moments(x[:150]) + raw_moments(x[150:])
    np.testing.assert_allclose(
        log_likelihood(x, Whitening.of(apart)), log_likelihood(x, Whitening.of(raw_moments(x))), rtol=1e-6
    )


def test_stored_unit_vectors_times_their_norms_are_the_features() -> None:
    x = raw(400, 8)
    norms = np.linalg.norm(x, axis=1)
    features = RawFeatures((x / norms[:, np.newaxis]).astype(np.float16), norms.astype(np.float32))
    assert features.shape == x.shape
    np.testing.assert_allclose(features[3:9], x[3:9], atol=5e-3)
    np.testing.assert_allclose(features[np.array([8, 2])], x[[8, 2]], atol=5e-3)
    exact = log_likelihood(x, Whitening.of(raw_moments(x)))
    stored = log_likelihood(features, Whitening.of(raw_moments(features)))
    np.testing.assert_allclose(stored, exact, atol=0.15)


def test_directions_without_variance_are_ignored() -> None:
    x = raw(300, 5)
    wider = np.concatenate([x, x[:, :2] * 3, np.full((300, 1), 7.0)], axis=1)
    whitening = Whitening.of(raw_moments(wider))
    assert whitening.matrix.shape == (8, 5)
    np.testing.assert_allclose(
        log_likelihood(wider, whitening), log_likelihood(x, Whitening.of(raw_moments(x))), rtol=1e-4
    )


def test_an_outlier_is_less_likely_than_all_others() -> None:
    x = raw(300, 5)
    x[77] = x.mean(axis=0) + 40
    assert log_likelihood(x, Whitening.of(raw_moments(x))).argmin() == 77


@pytest.mark.parametrize("rows", [0, 1, 8])
def test_no_more_rows_than_dimensions_are_refused(rows: int) -> None:
    with pytest.raises(VisdivError, match=f"needs more than 8 images or texts.*there are {rows}"):
        Whitening.of(raw_moments(raw(rows, 8)))


def test_features_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(VisdivError, match="all features are identical"):
        Whitening.of(raw_moments(np.repeat(raw(1, 8), 50, axis=0)))


def test_no_features_have_no_likelihoods() -> None:
    assert log_likelihood(raw(0, 4), Whitening.of(raw_moments(raw(20, 4)))).shape == (0,)


def test_features_that_are_not_finite_are_refused_by_row() -> None:
    x = raw(20, 4)
    whitening = Whitening.of(raw_moments(x))
    x[13, 1] = np.nan
    with pytest.raises(VisdivError, match=r"^feature 13 is not finite"):
        log_likelihood(x, whitening)
    with pytest.raises(VisdivError, match="row 13 holds NaN"):
        raw_moments(x)


def test_norms_or_a_whitening_of_other_vectors_are_refused() -> None:
    with pytest.raises(VisdivError, match="give one norm per vector"):
        RawFeatures(random_units(5, 4), np.ones(4, np.float32))
    with pytest.raises(VisdivError, match="features have 6 dimensions and the whitening 4"):
        log_likelihood(raw(9, 6), Whitening.of(raw_moments(raw(20, 4))))
