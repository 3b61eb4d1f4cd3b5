"""Near duplicates told in image_ids."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.duplicates import near
from visdiv_assets.duplicates.candidates import BACKGROUND_MARGIN, PAIR_SCHEMA, CandidateRule, Images
from visdiv_assets.duplicates.near import NearDuplicates, closest_pairs, pair_defects
from visdiv_assets.duplicates.pdq_join import Hashes
from visdiv_assets.imaging.pdq import BITS, ORIENTATIONS
from visdiv_assets.vectors.join_blocks import compute_part
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.score_normalization import background_similarity
from visdiv_assets_tests.testing.vectors import exact_units, random_units, slow_best, slow_counts, slow_join, unit


def pair_table(*pairs: tuple[str, str, float]) -> pa.Table:
    a, b, similarity = zip(*pairs, strict=True) if pairs else ((), (), ())
    return pa.table(
        {
            "image_id_a": pa.array(a, pa.string()),
            "image_id_b": pa.array(b, pa.string()),
            "similarity": pa.array(similarity, pa.float32()),
        }
    )


#: The fewest candidates.
FEW = CandidateRule(1, 1, 0)


def near_duplicates(
    names: pa.Array,
    vectors: Matrix,
    *,
    floor: float,
    k_best: int,
    count_at: dict[str, float],
    candidates: CandidateRule = FEW,
    hashes: list[bytes | None] | None = None,
) -> NearDuplicates:
    rule = candidates.partners(floor, k_best)
    part = compute_part(vectors, None, (0, len(names)), rule, count_at=list(count_at.values()))
    hashed = Hashes.of(pa.array(hashes or [None] * len(names), pa.binary()))
    return near.near_duplicates(Images(names, vectors, hashed), [part], rule, candidates, list(count_at))


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


@settings(deadline=None)
@given(exact_units(), st.randoms(use_true_random=False), st.sampled_from([0.1, 0.3, 0.6, 0.9]), st.integers(1, 3))
def test_candidates_are_the_best_of_an_image_whatever_the_pairs(
    vectors: np.ndarray, random: object, floor: float, k: int
) -> None:
    names = [f"{number:032x}" for number in range(len(vectors))]
    random.shuffle(names)  # type: ignore[attr-defined]
    rule = CandidateRule(0.5, k, 0)
    found = near_duplicates(pa.array(names, pa.string()), vectors, floor=floor, k_best=1, count_at={}, candidates=rule)
    nearest = background_similarity(pa.array(names, pa.string()), vectors)
    expected = [
        (i, j, similarity)
        for i, j, similarity in slow_best(slow_join(vectors, None, 0.5), k, within=True)
        if np.isnan(nearest[i]) or similarity >= np.float32(min(nearest[i], nearest[j])) - np.float32(BACKGROUND_MARGIN)
    ]
    assert listed(found.candidates) == sorted(
        (min(names[i], names[j]), max(names[i], names[j]), similarity) for i, j, similarity in expected
    )
    assert found.candidates.schema == PAIR_SCHEMA


def test_pairs_far_under_the_nearest_of_both_images_are_left_out() -> None:
    # Charts of one template along an arc, and a strongly edited copy of the first one.
    angles = np.arange(12) * 0.09
    vectors = np.zeros((13, 4), np.float32)
    vectors[:12, 0], vectors[:12, 1] = np.cos(angles), np.sin(angles)
    vectors[12] = [0.5, 0, np.sqrt(0.75), 0]
    names = pa.array([f"{number:02}" for number in range(13)])
    rule = CandidateRule(0.4, 16, 0)
    found = near_duplicates(names, vectors, floor=0.99, k_best=4, count_at={}, candidates=rule)
    pairs = {(int(a), int(b)) for a, b, _ in listed(found.candidates)}
    assert {(number, number + 1) for number in range(11)} <= pairs
    assert (2, 10) not in pairs
    # The charts are closer to one another than the first one to its copy, which has no closer image.
    assert vectors[12] @ vectors[0] < vectors[2] @ vectors[10]
    assert (0, 12) in pairs


def test_candidates_include_pairs_with_close_hashes() -> None:
    random = np.random.default_rng(0)
    one, two = (random.integers(0, 256, ORIENTATIONS * BITS // 8, np.uint8).tobytes() for _ in range(2))
    vectors = np.eye(3, 8, dtype=np.float16)
    rule = CandidateRule(0.5, 4, 31)
    names = pa.array(["c", "b", "a"])
    found = near_duplicates(names, vectors, floor=0.75, k_best=4, count_at={}, candidates=rule, hashes=[one, two, one])
    assert found.pairs.num_rows == 0
    assert found.candidates.to_pylist() == [{"image_id_a": "a", "image_id_b": "c", "similarity": 0, "pdq_distance": 0}]


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
