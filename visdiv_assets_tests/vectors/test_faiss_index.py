"""Saved FAISS indexes: what was stored comes back, and the nearest are the nearest."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from visdiv_assets.storage.arrays import StackedArray
from visdiv_assets.storage.lake import Lake
from visdiv_assets.vectors import faiss_index as module
from visdiv_assets.vectors.faiss_index import build_index, nearest, read_index, write_index
from visdiv_assets_tests.testing.vectors import random_units


def saved(vectors: np.ndarray | StackedArray) -> bytes:
    stream = io.BytesIO()
    assert write_index(build_index(vectors), stream) == len(vectors)
    return stream.getvalue()


def slow_nearest(stored: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    product = queries.astype(np.float64) @ stored.astype(np.float64).T
    rows = np.argsort(-product, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(product, rows, axis=1), rows


@pytest.mark.parametrize("rows", [1, 2, 500])
def test_the_nearest_are_those_of_a_comparison_with_every_vector(rows: int) -> None:
    stored = random_units(rows, 64, seed=1).astype(np.float16)
    queries = random_units(20, 64, seed=2)
    k = min(rows, 7)
    similarity, found = nearest(build_index(stored), queries, k)
    exact, expected = slow_nearest(stored, queries, k)
    assert similarity.dtype == np.float32
    assert found.dtype == np.int64
    assert similarity.shape == (20, k)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(similarity, exact, atol=1e-6)


def test_a_saved_index_answers_as_the_one_that_was_built() -> None:
    stored = random_units(300, 32, seed=1).astype(np.float16)
    queries = random_units(10, 32, seed=2)
    again = read_index(io.BytesIO(saved(stored)))
    assert again.ntotal == 300
    for one, other in zip(nearest(again, queries, 5), nearest(build_index(stored), queries, 5), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_index_holds_exactly_the_stored_values() -> None:
    stored = random_units(50, 32).astype(np.float16)
    kept = read_index(io.BytesIO(saved(stored))).reconstruct_n(0, 50)
    np.testing.assert_array_equal(kept.astype(np.float16), stored)
    np.testing.assert_array_equal(kept, stored.astype(np.float32))


def test_every_vector_finds_itself() -> None:
    stored = random_units(400, 32).astype(np.float16)
    similarity, rows = nearest(build_index(stored), stored, 1)
    assert rows[:, 0].tolist() == list(range(400))
    assert similarity.min() > 0.998


def test_the_bytes_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = random_units(100, 16).astype(np.float16)
    whole = saved(stored)
    monkeypatch.setattr(module, "BLOCK", 7)
    assert saved(stored) == whole
    assert saved(StackedArray(np.array_split(stored, 6))) == whole
    assert saved(np.repeat(stored, 2, axis=0)[::2]) == whole


def test_an_empty_index_finds_nothing() -> None:
    again = read_index(io.BytesIO(saved(np.empty((0, 16), np.float16))))
    assert again.ntotal == 0
    assert nearest(again, random_units(3, 16), 2)[1].tolist() == [[-1, -1]] * 3


def test_places_beyond_the_last_vector_are_marked() -> None:
    similarity, rows = nearest(build_index(np.eye(2, 8, dtype=np.float16)), np.eye(1, 8), 4)
    assert rows[0].tolist() == [0, 1, -1, -1]
    assert similarity[0, :2].tolist() == [1, 0]


def test_no_queries_have_no_answers() -> None:
    similarity, rows = nearest(build_index(random_units(5, 8)), np.empty((0, 8), np.float16), 3)
    assert similarity.shape == rows.shape == (0, 3)


def test_an_index_goes_through_the_lake(tmp_path: Path) -> None:
    stored = random_units(2000, 64).astype(np.float16)
    lake = Lake(tmp_path)
    write = lake.write("sscd_index", "some", code_version="1")
    with write.add("index") as unit:
        unit.file("index", "faiss", lambda stream: write_index(build_index(stored), stream))
    manifest = write.commit()
    assert manifest.rows("index") == 2000
    with lake.open_file(manifest, "index") as stream:
        again = read_index(stream)
    np.testing.assert_array_equal(nearest(again, stored[:50], 1)[1][:, 0], np.arange(50))
