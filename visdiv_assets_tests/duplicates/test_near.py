"""Near duplicates told in image_ids."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.duplicates.near import closest_pairs, near_duplicates, pair_defects
from visdiv_assets.vectors import join as module
from visdiv_assets_tests.testing.vectors import exact_units, random_units, slow_counts, slow_join, unit


def pair_table(*pairs: tuple[str, str, float]) -> pa.Table:
    a, b, similarity = zip(*pairs, strict=True) if pairs else ((), (), ())
    return pa.table(
        {
            "image_id_a": pa.array(a, pa.string()),
            "image_id_b": pa.array(b, pa.string()),
            "similarity": pa.array(similarity, pa.float32()),
        }
    )


def listed(pairs: pa.Table) -> list[tuple[str, str, float]]:
    return list(zip(*(pairs[name].to_pylist() for name in ("image_id_a", "image_id_b", "similarity")), strict=True))


@settings(deadline=None)
@given(exact_units(), st.randoms(use_true_random=False), st.sampled_from([0.1, 0.3, 0.6, 0.9]))
def test_pairs_equal_the_join_with_the_lower_image_id_first(vectors: np.ndarray, random: object, floor: float) -> None:
    names = [f"{number:032x}" for number in range(len(vectors))]
    random.shuffle(names)  # type: ignore[attr-defined]
    found = near_duplicates(pa.array(names, pa.string()), vectors, floor=floor, k_best=20, count_at={"at_95": 0.95})
    expected = sorted(
        (min(names[i], names[j]), max(names[i], names[j]), similarity)
        for i, j, similarity in slow_join(vectors, None, floor)
    )
    assert listed(found.pairs) == expected
    assert found.counts["image_id"].to_pylist() == names
    assert found.counts["at_95"].to_pylist() == slow_counts(vectors, None, [0.95])[0][0].tolist()


def test_an_image_id_goes_with_its_own_vector() -> None:
    vectors = np.eye(4, dtype=np.float16)
    vectors[3] = unit(np.array([[0, 1, 0.2, 0]]))[0]
    found = near_duplicates(pa.array(["d", "c", "b", "a"]), vectors, floor=0.75, k_best=4, count_at={"n": 0.8})
    ((a, b, similarity),) = listed(found.pairs)
    assert (a, b) == ("a", "c")
    assert similarity == pytest.approx(1 / np.sqrt(1.04), abs=1e-3)
    assert found.counts["image_id"].to_pylist() == ["d", "c", "b", "a"]
    assert found.counts["n"].to_pylist() == [0, 1, 0, 1]


def test_all_neighbors_are_counted_although_few_pairs_are_kept() -> None:
    vectors = np.repeat(random_units(1, 16), 30, axis=0)
    names = pa.array([f"{number:03}" for number in range(30)])
    thresholds = {"low": 0.75, "high": 0.95}
    found = near_duplicates(names, vectors, floor=0.75, k_best=2, count_at=thresholds)
    assert found.pairs.num_rows <= 60
    assert [name for name in found.counts.column_names if name in thresholds] == ["low", "high"]
    assert set(found.counts["low"].to_pylist()) == set(found.counts["high"].to_pylist()) == {29}


def test_rounding_to_float16_never_makes_a_similarity_above_one() -> None:
    vectors = np.repeat(random_units(50, 64).astype(np.float16), 2, axis=0)
    products = np.einsum("nd,nd->n", vectors.astype(np.float64), vectors.astype(np.float64))
    assert products.max() > 1
    found = near_duplicates(
        pa.array([f"{number:03}" for number in range(100)]), vectors, floor=0.9, k_best=5, count_at={}
    )
    similarities = found.pairs["similarity"].to_numpy()
    assert len(similarities) == 50
    assert similarities.max() == 1
    np.testing.assert_allclose(similarities, np.minimum(products[::2], 1), atol=1e-6)


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_images_have_no_pairs(rows: int) -> None:
    found = near_duplicates(
        pa.array(["a"][:rows], pa.string()), random_units(rows, 8), floor=0.75, k_best=4, count_at={"n": 0.9}
    )
    assert listed(found.pairs) == []
    assert found.counts["n"].to_pylist() == [0] * rows


def test_progress_is_told_of_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TILE", 10)
    told: list[int] = []
    names = pa.array([f"{number:03}" for number in range(35)])
    near_duplicates(names, random_units(35, 8), floor=0.75, k_best=4, count_at={}, progress=told.append)
    assert sum(told) == 35


def test_the_closest_pairs_come_first_and_ties_by_image_id() -> None:
    pairs = pair_table(("a", "d", 0.9), ("b", "c", 0.95), ("a", "c", 0.9), ("a", "b", 0.8), ("c", "d", 0.95))
    ranked = [("b", "c"), ("c", "d"), ("a", "c"), ("a", "d"), ("a", "b")]
    for count in range(7):
        assert [pair[:2] for pair in listed(closest_pairs(pairs, count))] == ranked[:count]
    assert listed(closest_pairs(pair_table(), 3)) == []


def test_the_closest_pairs_do_not_depend_on_the_row_order() -> None:
    pairs = [("a", "b", 0.9), ("a", "c", 0.9), ("b", "c", 0.9)]
    for order in itertools.permutations(pairs):
        assert listed(closest_pairs(pair_table(*order), 2)) == listed(pair_table(*pairs[:2]))


def test_sound_pairs_have_no_defects() -> None:
    none = {"self_pairs": 0, "below_floor": 0, "listed_twice": 0}
    assert pair_defects(pair_table(("a", "b", 0.75), ("a", "c", 1.0)), 0.75) == none
    # 0.9 is no float32: the pair is at the floor all the same.
    assert pair_defects(pair_table(("a", "b", 0.9)), 0.9) == none
    assert pair_defects(pair_table(), 0.75) == none


@pytest.mark.parametrize(
    ("pairs", "defect", "count"),
    [
        ([("a", "a", 1.0)], "self_pairs", 1),
        ([("a", "b", 0.7499)], "below_floor", 1),
        ([("a", "b", 0.0), ("c", "d", -1.0)], "below_floor", 2),
        ([("a", "b", 0.9), ("a", "b", 0.9)], "listed_twice", 1),
        ([("a", "b", 0.9), ("a", "b", 0.8), ("a", "b", 0.9)], "listed_twice", 2),
        ([("a", "b", 0.9), ("b", "a", 0.9)], "listed_twice", 1),
        ([("a", "b", float("nan"))], "below_floor", 1),
    ],
)
def test_each_defect_is_found(pairs: list[tuple[str, str, float]], defect: str, count: int) -> None:
    sound = [("x", "y", 0.9), ("x", "z", 0.75)]
    defects = pair_defects(pair_table(*sound, *pairs), 0.75)
    assert defects.pop(defect) == count
    assert set(defects.values()) == {0}
