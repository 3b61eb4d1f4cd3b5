"""The measurements at tiny sizes: tests of their results, not of their time.

The sides run in this process, which saves a dozen imports of torch; `test_measuring` runs one in a subprocess.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visdiv_assets.diversity.scores import effective_rank
from visdiv_assets.perf import joins, measuring, moments
from visdiv_assets.perf.measuring import Figure, Run
from visdiv_assets.perf.suite import HEADERS, table
from visdiv_assets.perf.vectors import PLANTED, Distribution, write_vectors


def random_units(rows: int) -> np.ndarray:
    vectors = np.random.default_rng(0).standard_normal((rows, 512))
    units: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return units


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measure in this process; return the names of the sides that ran."""
    ran: list[str] = []

    def measured(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> Run:
        ran.append(prepare.__name__)
        return measuring.measure_here(prepare, arguments)

    monkeypatch.setattr(joins, "measure_in_subprocess", measured)
    monkeypatch.setattr(moments, "measure_in_subprocess", measured)
    return ran


def test_all_sides_of_a_join_find_the_same_pairs(here: list[str]) -> None:
    told: list[int] = []
    figures = joins.measure(random_units(128), sizes=(300, 600), progress=told.append)
    assert here == [
        *["_ours", "_faiss", "_numpy"] * 4,
        *["_candidates", "_ours"] * 2,
        *["_ours", "_faiss"] * 3,
    ]
    assert len(told) == joins.count_runs((300, 600)) == len(here)
    candidates = [figure for figure in figures if figure.name.startswith("candidate join")]
    assert [figure.peer for figure in candidates] == ["our join at 0.75"] * 2
    assert all(re.search(r"[1-9]\d* candidates", figure.remark) for figure in candidates)
    compared = [figure for figure in figures if figure.unit == "s" and figure not in candidates]
    assert len(compared) == 11
    assert [figure.name for figure in compared[-2:]] == [
        f"self-join of 600 with a flat spectrum at {threshold}" for threshold in joins.THRESHOLDS
    ]
    assert {figure.peer for figure in compared} == {joins.FAISS, joins.NUMPY}
    for figure in compared:
        found = re.fullmatch(r"the same ([\d,]+) pairs", figure.remark)
        assert found is not None, f"{figure.name}: {figure.remark}"
        assert int(found[1]) > 0, f"{figure.name} compares nothing"
        assert figure.theirs is not None
        assert figure.ratio == pytest.approx(figure.theirs / figure.ours)
    growth = [figure for figure in figures if figure.unit == "hours"]
    assert [figure.name for figure in growth] == [f"self-join of 17,300,000 at {value}" for value in (0.93, 0.75)]
    assert all(figure.remark.startswith("extrapolated") for figure in growth)


def pairs(*found: tuple[int, int, float]) -> joins.Pairs:
    rows = np.array([pair[:2] for pair in found], np.int64).reshape(-1, 2).T
    return rows, np.array([pair[2] for pair in found], np.float32)


def test_missing_pairs_are_counted_except_near_the_threshold() -> None:
    both = pairs((0, 5, 0.95), (1, 2, 0.99))
    assert joins._compare(both, pairs((1, 2, 0.99), (0, 5, 0.95)), 0.93) == "the same 2 pairs"
    assert joins._compare(both, pairs((0, 5, 0.95)), 0.93) == "1 pairs differ"
    assert joins._compare(pairs((0, 5, 0.95)), both, 0.93) == "1 pairs differ"
    assert joins._compare(both, pairs((0, 6, 0.95), (1, 2, 0.99)), 0.93) == "2 pairs differ"
    near = pairs((0, 5, 0.95), (1, 2, 0.99), (3, 4, 0.930001))
    assert joins._compare(both, near, 0.93) == joins._compare(near, both, 0.93) == "the same 2 pairs"


@pytest.mark.parametrize("rounds", [1, 2])
def test_moments_are_those_of_float64_with_a_small_error(
    here: list[str], monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    monkeypatch.setattr(moments, "DIMENSION", 128)
    monkeypatch.setattr(moments, "FLAT_RANK", 60)
    told: list[int] = []
    figures = moments.measure(vectors=3000, rounds=rounds, progress=told.append)
    assert here == (["_ours", "_peer"] * rounds + ["_all_float64"]) * 2
    assert sum(told) == 4 * rounds
    assert [figure.name for figure in figures] == [f"moments of 3,000 {dtype} vectors" for dtype in moments.DTYPES]
    for figure in figures:
        error = re.fullmatch(r"relative error (\S+)", figure.remark)
        assert error is not None
        assert float(error[1]) < 1e-5
        assert figure.theirs is not None
        assert figure.ratio == pytest.approx(figure.theirs / figure.ours)


def test_vectors_have_unit_length_and_one_in_fifty_is_a_copy(tmp_path: Path) -> None:
    distribution = Distribution.of(random_units(128))
    write_vectors(tmp_path / "a.npy", distribution, 400)
    write_vectors(tmp_path / "b.npy", distribution, 400)
    vectors = np.load(tmp_path / "a.npy")
    assert vectors.dtype == np.float16
    np.testing.assert_array_equal(vectors, np.load(tmp_path / "b.npy"))
    vectors = vectors.astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    product = np.tril(vectors @ vectors.T, -1)
    close = np.flatnonzero(product.max(axis=1) > 0.68)
    assert close.tolist() == list(range(PLANTED - 1, 400, PLANTED))


@pytest.mark.parametrize("rank", [30, 220])
def test_vectors_can_have_an_effective_rank_that_is_asked_for(rank: int) -> None:
    shape = Distribution.with_rank(rank).shape.astype(np.float64)
    assert effective_rank(shape.T @ shape) == pytest.approx(rank, rel=1e-4)


def test_the_table_has_a_line_for_every_figure() -> None:
    text = table(
        [
            Figure("join of 20,000", 1.234, "s", "FAISS", 37.5, 30.4, 12.3, 456.7, "the same 9 pairs"),
            Figure("images", 1234.5, "images/s"),
        ]
    )
    headers, _, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines())
    assert tuple(headers) == HEADERS
    assert lines == [
        ["join of 20,000", "1.23", "FAISS", "37.50", "s", "30.40", "12", "457", "the same 9 pairs"],
        ["images", "1,234", "", "", "images/s", "", "", "", ""],
    ]


def test_the_table_of_nothing_is_its_headers() -> None:
    assert len(table([]).splitlines()) == 2
