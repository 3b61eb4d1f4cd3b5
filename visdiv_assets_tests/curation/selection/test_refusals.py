"""What every method that reads vectors does with few rows and with rows that are none; what the room imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from visdiv_assets.curation.selection import select_diverse_samples
from visdiv_assets.curation.selection.clip_cov import clip_cov
from visdiv_assets.curation.selection.clippings import PooledPairs
from visdiv_assets.curation.selection.conformity import conformity
from visdiv_assets.curation.selection.cross_covariance import CrossCovariance
from visdiv_assets.curation.selection.semdedup import semdedup
from visdiv_assets.errors import VisdivError
from visdiv_assets.vectors.kmeans import k_means
from visdiv_assets_tests.testing.vectors import random_units

METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "k_means": lambda x: k_means(x).similarity,
    "semdedup": lambda x: semdedup(x).score,
    "conformity": conformity,
    "clip_cov": lambda x: clip_cov(x, x, len(x)),
    "cross_covariance": lambda x: CrossCovariance.of(x, x).total[: len(x)],
    "pooled_pairs": lambda x: PooledPairs(x, x)[0 : len(x)],
    "pooled_pairs by number": lambda x: PooledPairs(x, x)[np.arange(len(x))],
    "k_center": lambda x: select_diverse_samples(x, len(x)),
    "k_means_plus_plus": lambda x: select_diverse_samples(x, len(x), "k_means_plus_plus"),
}


@pytest.fixture(params=METHODS.values(), ids=list(METHODS))
def method(request: pytest.FixtureRequest) -> Callable[[np.ndarray], np.ndarray]:
    chosen: Callable[[np.ndarray], np.ndarray] = request.param
    return chosen


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows_are_scored_like_many(method: Callable[[np.ndarray], np.ndarray], rows: int) -> None:
    result = method(random_units(rows, 4).astype(np.float16))
    assert len(result) == rows
    assert np.isfinite(result).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_refused_by_index(method: Callable[[np.ndarray], np.ndarray], value: float) -> None:
    vectors = random_units(9, 4)
    vectors[6, 2] = value
    with pytest.raises(VisdivError, match=r"^vector 6 is not finite: [^\n]+$"):
        method(vectors)


def test_a_row_of_zeros_is_refused_by_index(method: Callable[[np.ndarray], np.ndarray]) -> None:
    vectors = random_units(9, 4)
    vectors[5] = 0
    with pytest.raises(VisdivError, match=r"^vector 5 is all zero and has no direction: [^\n]+$"):
        method(vectors)


def loaded_by(code: str) -> set[str]:
    """Modules in a fresh process after some code."""
    shown = subprocess.run([sys.executable, "-c", f"{code}\nprint(*sys.modules)"], check=True, capture_output=True)
    return set(shown.stdout.decode().split())


def test_importing_the_room_loads_nothing_heavy() -> None:
    loaded = loaded_by("import sys, visdiv_assets.curation.selection")
    assert "visdiv_assets.curation.selection.diverse" in loaded
    assert not loaded & {"torch", "faiss", "dagster", "pyarrow", "pandas", "ahocorasick_rs"}


def test_no_module_of_the_room_loads_heavy_packages() -> None:
    loaded = loaded_by(
        "import importlib, pkgutil, sys, visdiv_assets.curation.selection as room\n"
        "for module in pkgutil.iter_modules(room.__path__):\n"
        "    importlib.import_module(f'{room.__name__}.{module.name}')"
    )
    assert "visdiv_assets.curation.selection.metaclip" in loaded
    assert not loaded & {"torch", "faiss", "dagster", "ahocorasick_rs"}
