"""Moments: sums, weights, layouts, refusals and storage."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.diversity import Moments, accumulate
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.diversity.references import assert_same, random_unit, unit_rows, vector_sets

fast = settings(max_examples=60, deadline=None, derandomize=True)


def test_sums_are_those_of_the_definition() -> None:
    x = random_unit(1, 40, 6, offset=0.5)
    moments = Moments.from_vectors(x)
    assert moments.n == 40
    assert moments.dimension == 6
    np.testing.assert_allclose(moments.sum_x, x.sum(0), atol=1e-12)
    np.testing.assert_allclose(moments.second_moment, np.sum([np.outer(row, row) for row in x], axis=0), atol=1e-12)
    np.testing.assert_allclose(moments.covariance(), np.cov(x, rowvar=False), atol=1e-14)
    np.testing.assert_allclose(moments.uncentered(), x.T @ x / 40, atol=1e-14)
    assert moments.mean_norm == pytest.approx(np.linalg.norm(x.mean(0)))
    assert np.trace(moments.uncentered()) == pytest.approx(1)


@fast
@given(vector_sets(), st.integers(0, 24), st.integers(1, 7))
def test_parts_add_up_and_can_be_subtracted(x: np.ndarray, cut: int, block: int) -> None:
    left, right = x[:cut], x[cut:]
    whole = Moments.from_vectors(x, block=block)
    a, b = Moments.from_vectors(left), Moments.from_vectors(right)
    assert_same(a + b, whole)
    assert_same(b + a, whole)
    assert_same(whole - a, b)
    assert_same(Moments.from_batches([left, right], block=block), whole)
    assert_same(a.with_vectors(right), whole)
    assert_same(whole - whole, Moments.zero(x.shape[1]))


def test_zero_is_neutral_and_sum_works() -> None:
    parts = [Moments.from_vectors(random_unit(i, 5, 4), model_id="m") for i in range(3)]
    assert_same(parts[0] + Moments.zero(4, model_id="m"), parts[0])
    total = sum(parts)
    assert isinstance(total, Moments)
    assert_same(total, parts[0] + parts[1] + parts[2])


@fast
@given(vector_sets(max_n=10), st.data())
def test_weights_are_repetitions(x: np.ndarray, data: st.DataObject) -> None:
    counts = np.array(data.draw(st.lists(st.integers(0, 4), min_size=len(x), max_size=len(x))))
    block = data.draw(st.integers(1, 12))
    repeated = Moments.from_vectors(np.repeat(x, counts, axis=0))
    assert_same(Moments.from_vectors(x, counts, block=block), repeated)
    assert_same(Moments.from_batches([x[:3], x[3:]], [counts[:3], counts[3:]]), repeated)


@pytest.mark.parametrize("weights", [[1, 2], [1.0, 1.0, 1.0], [1, -1, 1], [[1], [1], [1]]])
def test_weights_other_than_counts_are_refused(weights: list[Any]) -> None:
    with pytest.raises(VisdivError, match="weights must be"):
        Moments.from_vectors(np.eye(3), np.array(weights))


def test_half_precision_is_normalized_in_double() -> None:
    x = random_unit(3, 50, 32)
    moments = Moments.from_vectors(x.astype(np.float16))
    assert np.trace(moments.second_moment) == pytest.approx(50, abs=1e-11)
    assert_same(moments, Moments.from_vectors(unit_rows(x.astype(np.float16))))
    assert_same(moments, Moments.from_vectors(x), tolerance=0.05)


@pytest.mark.parametrize("view", ["fortran", "strided", "reversed", "float32", "list", "big-endian"])
def test_layout_and_dtype_do_not_matter(view: str) -> None:
    x = random_unit(4, 20, 6).astype(np.float32).astype(np.float64)
    wide = np.zeros((40, 12))
    wide[::2, ::2] = x
    forms: dict[str, Any] = {
        "fortran": np.asfortranarray(x),
        "strided": wide[::2, ::2],
        "reversed": x[::-1],
        "float32": x.astype(np.float32),
        "list": x.tolist(),
        "big-endian": x.astype(">f8"),
    }
    before = np.array(forms[view])
    assert_same(Moments.from_vectors(forms[view]), Moments.from_vectors(x))
    np.testing.assert_array_equal(before, forms[view])


def test_memory_mapped_vectors_are_never_cast_whole(tmp_path: Path) -> None:
    n, d = 60_000, 64
    x = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32).astype(np.float16)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    tracemalloc.start()
    moments = Moments.from_vectors(mapped, block=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert moments.n == n
    assert peak < n * d * 8 / 10
    assert_same(moments, Moments.from_vectors(x), tolerance=1e-8)


def test_the_default_block_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accumulate, "BLOCK_BYTES", 8 * 6 * 7)
    x = random_unit(5, 20, 6)
    assert_same(Moments.from_vectors(x), Moments.from_vectors(x, block=1000))


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 7.0, 1e300])
def test_length_does_not_matter_when_normalizing(scale: float) -> None:
    x = random_unit(6, 9, 5)
    assert_same(Moments.from_vectors(x * scale), Moments.from_vectors(x))


def test_without_normalizing_lengths_count_and_are_remembered() -> None:
    x = random_unit(7, 9, 5) * np.arange(1, 10)[:, None]
    moments = Moments.from_vectors(x, normalize=False)
    assert not moments.unit
    np.testing.assert_allclose(moments.second_moment, x.T @ x)
    assert not (moments + Moments.from_vectors(x)).unit


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_row_that_is_not_finite_is_named(value: float, normalize: bool) -> None:
    x = random_unit(8, 12, 4)
    x[9, 2] = value
    with pytest.raises(VisdivError, match="row 9 holds NaN or infinity"):
        Moments.from_vectors(x, block=4, normalize=normalize)
    with pytest.raises(VisdivError, match="row 9 "):
        Moments.from_batches([x[:5], x[5:]], normalize=normalize)


def test_a_zero_row_has_no_direction() -> None:
    x = random_unit(9, 6, 4)
    x[3] = 0
    with pytest.raises(VisdivError, match="row 3 is all zero"):
        Moments.from_vectors(x)
    assert Moments.from_vectors(x, normalize=False).n == 6


@pytest.mark.parametrize(
    "bad", [np.ones(4), np.ones((2, 2, 2)), np.ones((3, 0)), np.array([["a"]]), np.ones((2, 2)) * 1j]
)
def test_other_than_a_matrix_of_numbers_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(VisdivError, match="array \\[n, D\\]"):
        Moments.from_vectors(bad)


def test_two_models_do_not_add_and_both_are_named() -> None:
    a = Moments.from_vectors(np.eye(3), model_id="sscd@1/skew_320")
    b = Moments.from_vectors(np.eye(3), model_id="clip@2/crop_224")
    for combine in (Moments.__add__, Moments.__sub__):
        with pytest.raises(VisdivError) as error:
            combine(a, b)
        assert "sscd@1/skew_320" in str(error.value)
        assert "clip@2/crop_224" in str(error.value)


def test_dimensions_must_agree() -> None:
    with pytest.raises(VisdivError, match="3 and 4 dimensions"):
        Moments.from_vectors(np.eye(3)) + Moments.from_vectors(np.eye(4))
    with pytest.raises(VisdivError, match="3 and 4 dimensions"):
        Moments.from_vectors(np.eye(3)) - Moments.zero(4)
    with pytest.raises(VisdivError, match="3 and 4 dimensions"):
        Moments.from_batches([np.eye(3), np.eye(4)])


def test_only_contained_images_can_be_subtracted() -> None:
    few, many = Moments.from_vectors(np.eye(4)[:2]), Moments.from_vectors(np.eye(4)[:3])
    with pytest.raises(VisdivError, match="cannot subtract 3 images from 2"):
        few - many
    with pytest.raises(VisdivError, match="does not contain these images"):
        many - Moments.from_vectors(np.eye(4)[2:])
    with pytest.raises(VisdivError, match="does not contain these images"):
        few - Moments.from_vectors(np.array([[1, 1, 0, 0], [1, 1, 0, 0]]))


def test_no_batch_needs_a_dimension() -> None:
    assert Moments.from_batches([], dimension=7).n == 0
    assert Moments.from_vectors(np.empty((0, 7), np.float16)).dimension == 7
    with pytest.raises(VisdivError, match="no embeddings"):
        Moments.from_batches([])


def test_too_few_images_have_no_matrices() -> None:
    one = Moments.from_vectors(np.eye(3)[:1])
    with pytest.raises(VisdivError, match="at least 2"):
        one.covariance()
    with pytest.raises(VisdivError, match="at least 1"):
        Moments.zero(3).uncentered()
    with pytest.raises(VisdivError, match="at least 1"):
        _ = Moments.zero(3).mean_norm


def test_moments_cannot_be_changed() -> None:
    source = np.eye(3)
    moments = Moments(3, source.sum(0), source)
    with pytest.raises(ValueError, match="read-only"):
        moments.sum_x[0] = 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        moments.n = 5  # type: ignore[misc]
    source[0, 0] = 9
    assert moments.second_moment[0, 0] == 1


def test_impossible_moments_are_refused() -> None:
    with pytest.raises(VisdivError, match="n must be 0 or more"):
        Moments(-1, np.zeros(2), np.zeros((2, 2)))
    with pytest.raises(VisdivError, match="do not have unit length"):
        Moments(5, np.zeros(2), np.eye(2))
    with pytest.raises(VisdivError, match="NaN"):
        Moments(2, np.array([np.nan, 0]), np.eye(2))
    with pytest.raises(VisdivError, match=r"second_moment \[D, D\]"):
        Moments(2, np.zeros(2), np.eye(3))


def test_arrow_and_parquet_round_trip_exactly(tmp_path: Path) -> None:
    moments = Moments.from_vectors(random_unit(11, 30, 8), model_id="sscd@1/skew_320")
    table = moments.to_arrow()
    assert table.num_rows == 1
    assert table.schema.field("images").type == pa.int64()
    assert table.schema.field("dimension").type == pa.int32()
    assert table.schema.field("model_id").type == pa.string()
    assert table.schema.field("sum_x").type == pa.list_(pa.float64())
    assert table.schema.field("second_moment").type == pa.list_(pa.float64())
    assert table["second_moment"][0].as_py() == moments.second_moment.ravel().tolist()
    pq.write_table(table, tmp_path / "m.parquet")
    assert_same(Moments.from_arrow(pq.read_table(tmp_path / "m.parquet")), moments, tolerance=0)
    both = pa.concat_tables([Moments.zero(8).to_arrow(), table])
    assert_same(Moments.from_arrow(both.slice(1)), moments, tolerance=0)
    assert_same(Moments.from_arrow(Moments.zero(8).to_arrow()), Moments.zero(8), tolerance=0)


def test_a_table_of_something_else_is_refused() -> None:
    table = Moments.zero(3).to_arrow()
    with pytest.raises(VisdivError, match="has 2"):
        Moments.from_arrow(pa.concat_tables([table, table]))
    with pytest.raises(VisdivError, match="lacks the columns model_id"):
        Moments.from_arrow(table.drop_columns(["model_id"]))
    wrong = table.set_column(1, "dimension", pa.array([4], pa.int32()))
    with pytest.raises(VisdivError, match="damaged"):
        Moments.from_arrow(wrong)
