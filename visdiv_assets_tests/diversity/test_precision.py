"""Float32 products: how far the scores are from an all-float64 computation, and when float32 is not used."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from visdiv_assets.diversity import Moments, accumulate, scores
from visdiv_assets.errors import InputError, VisdivError
from visdiv_assets_tests.diversity.references import assert_same, plain_scores, unit_rows

#: Maximum relative error of the scores.
ERROR = 1e-6
SMALL_BLOCK = 64

few = settings(max_examples=40, deadline=None, derandomize=True)


def vectors(
    seed: int,
    n: int,
    d: int,
    *,
    decay: float = 0.5,
    rank: int | None = None,
    spread: float = 1.0,
    distinct: int | None = None,
    dtype: type[np.floating[Any]] = np.float32,
) -> np.ndarray:
    """Rows of a power-law spectrum, at a distance of about `spread` from their mean; `distinct` rows, repeated."""
    rng = np.random.default_rng(seed)
    used = min(rank or d, d)
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0][:used] * np.arange(1.0, used + 1)[:, None] ** -decay
    x: np.ndarray = rng.standard_normal((distinct or n, used)) @ basis
    if distinct:
        x = x[rng.integers(0, distinct, n)]
    if spread < 1:
        x = unit_rows(rng.standard_normal((1, d))) + spread * x / np.sqrt((x**2).sum(1).mean())
    return unit_rows(x).astype(dtype)


def forced(rows: int = 16, dimension: int = 2) -> AbstractContextManager[Any]:
    """Use float32 for blocks of few rows and dimensions, as for large ones."""
    return mock.patch.multiple(accumulate, FLOAT32_ROWS=rows, FLOAT32_DIMENSION=dimension)


def float32_blocks() -> AbstractContextManager[mock.MagicMock]:
    """Spy on the function that rounds a block to float32."""
    return mock.patch.object(
        accumulate.RunningSums, "_center", autospec=True, side_effect=accumulate.RunningSums._center
    )


def assert_exact(moments: Moments, x: np.ndarray, counts: np.ndarray | None = None) -> None:
    rows = unit_rows(x) if counts is None else np.repeat(unit_rows(x), counts, axis=0)
    for centered in (True, False):
        rank, ratio = plain_scores(rows, centered)
        result = scores(moments, centered=centered)
        assert result.effective_rank == pytest.approx(rank, rel=ERROR)
        assert result.participation_ratio == pytest.approx(ratio, rel=ERROR)


sets = {
    "seed": st.integers(0, 2**32 - 1),
    "decay": st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0]),
    "spread": st.sampled_from([1.0, 0.1, 1e-2, 1e-3]),
    "rank": st.sampled_from([None, None, 2, 7, 30]),
    "distinct": st.sampled_from([None, None, 3, 50]),
    "dtype": st.sampled_from([np.float16, np.float32]),
}


@few
@given(st.integers(2, 700), st.sampled_from([3, 16, 48]), st.integers(16, 200), st.fixed_dictionaries(sets))
def test_scores_are_within_a_millionth_of_all_float64(n: int, d: int, block: int, kind: dict[str, Any]) -> None:
    x = vectors(n=n, d=d, **kind)
    # Identical rows, whose scores are 0 by definition, have tests of their own.
    if len(np.unique(x, axis=0)) > 2:
        with forced():
            assert_exact(Moments.from_vectors(x, block=block), x)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.sampled_from([1023, 4096, 4097, 9000]), st.fixed_dictionaries(sets))
def test_the_same_at_the_sizes_where_float32_is_used(n: int, kind: dict[str, Any]) -> None:
    x = vectors(n=n, d=accumulate.FLOAT32_DIMENSION, **kind)
    assert_exact(Moments.from_vectors(x, block=1024), x)


@few
@given(st.integers(0, 1000), st.sampled_from([[1], [0, 1], [1, 2, 9], [0, 1, 1000]]))
def test_weights_are_repetitions_in_float32_too(seed: int, choices: list[int]) -> None:
    x, counts = vectors(seed, 300, 24), np.random.default_rng(seed).choice(choices, 300)
    with forced(), float32_blocks() as rounded:
        moments = Moments.from_vectors(x, counts, block=SMALL_BLOCK)
    assert rounded.called
    assert_exact(moments, x, counts)


@pytest.mark.parametrize("heavy", [0, 150, 299])
def test_one_row_may_weigh_a_million(heavy: int) -> None:
    x = vectors(5, 300, 24)
    counts = np.ones(300, np.int64)
    counts[heavy] = 1_000_000
    with forced():
        moments = Moments.from_vectors(x, counts, block=SMALL_BLOCK)
    with forced(dimension=10**6):
        exact = Moments.from_vectors(x, counts)
    for centered in (True, False):
        mine, true = scores(moments, centered=centered), scores(exact, centered=centered)
        assert mine.effective_rank == pytest.approx(true.effective_rank, rel=ERROR)
        assert mine.participation_ratio == pytest.approx(true.participation_ratio, rel=ERROR)
        assert mine.participation_ratio_unbiased == pytest.approx(true.participation_ratio_unbiased, rel=ERROR)


def test_spread_out_sets_use_float32_after_the_first_block() -> None:
    x = vectors(6, 6 * 1024, 256, dtype=np.float16)
    with float32_blocks() as rounded:
        moments = Moments.from_vectors(x, block=1024)
    assert rounded.call_count == 5
    assert_exact(moments, x)


@pytest.mark.parametrize("kind", [{"rank": 5}, {"decay": 4.0}, {"distinct": 40}, {"spread": 1e-6}])
def test_sets_that_float32_would_misjudge_stay_in_float64(kind: dict[str, Any]) -> None:
    x = vectors(7, 4096, 256, dtype=np.float64, **kind)
    with float32_blocks() as rounded:
        Moments.from_vectors(x, block=1024)
    assert not rounded.called


@pytest.mark.parametrize("first", [{"spread": 1e-3}, {"rank": 3}, {"distinct": 1}, {}])
@pytest.mark.parametrize("then", [{"spread": 1e-3}, {"rank": 3}, {"distinct": 2}, {}])
def test_order_does_not_break_the_promise(first: dict[str, Any], then: dict[str, Any]) -> None:
    x = np.concatenate([vectors(8, 4096, 256, **first), vectors(9, 3 * 4096, 256, **then)])
    assert_exact(Moments.from_vectors(x, block=1024), x)


def test_many_small_batches_and_one_array_agree() -> None:
    x = vectors(10, 5000, 256)
    whole = Moments.from_vectors(x, block=1024)
    assert_exact(Moments.from_batches(np.array_split(x, 70)), x)
    assert_same(whole - Moments.from_vectors(x[:2000]), Moments.from_vectors(x[2000:]), tolerance=5000 * 1e-8)
    parts = [Moments.from_vectors(part) for part in np.array_split(x, 3)]
    assert (whole - (parts[0] + parts[1] + parts[2])).n == 0


def test_a_bad_row_in_another_thread_is_named() -> None:
    x = vectors(11, 9000, 256)
    x[8000, 3] = np.nan
    with pytest.raises(VisdivError, match="row 8000 holds NaN"):
        Moments.from_vectors(x)
    x[8000], x[2001] = x[0], 0
    with pytest.raises(VisdivError, match="row 2001 is all zero"):
        Moments.from_batches([x[:1000], x[1000:]])


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.mark.parametrize("counts", [None, np.arange(9000) % 3])
def test_sums_are_the_same_for_every_number_of_threads(counts: np.ndarray | None) -> None:
    x = vectors(7, 9000, 256, dtype=np.float16)
    found = []
    for threads in (1, 2, 5):
        chosen = mock.patch.object(accumulate, "thread_count", return_value=threads)
        with chosen, float32_blocks() as rounded, threadpool_limits(threads, user_api="blas"):
            found.append(Moments.from_vectors(x, counts, block=1024))
        assert rounded.call_count == 7  # neither the first block nor the last one, which is short
    for other in found[1:]:
        np.testing.assert_array_equal(other.second_moment, found[0].second_moment)
        np.testing.assert_array_equal(other.sum_x, found[0].sum_x)


@pytest.mark.parametrize("rows", [900, 5000])
def test_linear_algebra_has_its_threads_again_after_a_bad_row(rows: int) -> None:
    x = vectors(8, rows, 256)
    x[-1, 7] = np.nan
    during = []

    def load(sums: accumulate.RunningSums, *arguments: Any) -> Any:
        during.append(blas_threads())
        return loaded(sums, *arguments)

    loaded = accumulate.RunningSums._load
    with threadpool_limits(2, user_api="blas"), mock.patch.object(accumulate.RunningSums, "_load", load):
        with pytest.raises(InputError, match=f"embedding row {rows - 1} holds NaN"):
            Moments.from_vectors(x, block=1024)
        assert blas_threads() == {2}
    assert all(threads == {1} for threads in during)
    assert during


def test_long_vectors_use_float32_too() -> None:
    # The spectrum is full at the second check, which is before the fourth block.
    x = vectors(9, 6 * 1024, 1152, decay=0.0)
    with float32_blocks() as rounded:
        moments = Moments.from_vectors(x)
    assert rounded.call_count == 3
    assert_exact(moments, x)
