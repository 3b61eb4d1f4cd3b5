"""Scores of samples of equal size, where several positions may share an image."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from visdiv_assets.diversity import rarefaction
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.rarefaction import RAREFIED_SCHEMA, SCORES, SIZES, rarefied_table, rarefy
from visdiv_assets.diversity.scores import scores
from visdiv_assets.diversity.spectrum import spectrum
from visdiv_assets.publishing.plots.diversity import HEIGHT, WIDTH, plot_rarefied, plot_spectrum


def vectors(count: int, dimension: int = 8) -> np.ndarray:
    random = np.random.default_rng(count)
    found = random.standard_normal((count, dimension))
    units: np.ndarray = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)
    return units


def test_a_position_counts_as_often_as_its_image_is_shown() -> None:
    images = vectors(40)
    shown = np.random.default_rng(1).integers(0, 40, 90)
    whole = rarefy(images, 90, shown=shown)
    expected = scores(Moments.from_vectors(images[shown]))
    for name in SCORES:
        assert whole[name].mean == pytest.approx(getattr(expected, name), rel=1e-9)
        assert whole[name].draws == 1
    drawn, expanded = rarefy(images, 50, shown=shown), rarefy(images[shown], 50)
    for name in SCORES:
        assert vars(drawn[name]) == pytest.approx(vars(expanded[name]), rel=1e-9)


def test_the_table_has_the_sizes_with_enough_positions() -> None:
    images = vectors(30)
    table = rarefied_table(images, np.arange(1_100) % 30, model_id="m")
    assert table.schema == RAREFIED_SCHEMA
    assert table["sample_size"].to_pylist() == [256, 1_024]
    assert set(table["images"].to_pylist()) == {1_100}
    assert table["too_few"].to_pylist() == [False, False]
    found = rarefy(images, 256, shown=np.arange(1_100) % 30)["score"]
    assert table["score_mean"][0].as_py() == found.mean
    assert rarefied_table(images, np.arange(255) % 30, model_id="m").num_rows == 0


def test_a_large_subset_costs_no_more_than_its_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    class Counted:
        shape = (100_000, 8)

        def __getitem__(self, key: slice | np.ndarray) -> np.ndarray:
            nonlocal read
            assert isinstance(key, np.ndarray)
            read += len(key)
            return vectors(len(key))

    table = rarefied_table(Counted(), np.arange(100_000), model_id="m")
    assert table["sample_size"].to_pylist() == list(SIZES)
    assert read == rarefaction.DRAWS * sum(SIZES) == 174_080


def test_the_plot_is_a_small_image() -> None:
    drawn = plot_rarefied(rarefied_table(vectors(30), np.arange(1_100) % 30, model_id="m"))
    assert len(drawn) < 60_000
    assert Image.open(io.BytesIO(drawn)).size == (WIDTH, HEIGHT)


def test_a_spectrum_adds_up_to_1_and_is_drawn_small() -> None:
    shares = spectrum(Moments.from_vectors(vectors(30), model_id="m"))
    assert shares.sum() == pytest.approx(1)
    assert list(shares) == sorted(shares, reverse=True)
    assert not len(spectrum(Moments.from_vectors(vectors(1), model_id="m")))
    drawn = plot_spectrum(shares, 30, few=True)
    assert Image.open(io.BytesIO(drawn)).size == (WIDTH // 2, HEIGHT)
    assert len(drawn) < 40_000
    assert drawn != plot_spectrum(shares, 30, few=False)
