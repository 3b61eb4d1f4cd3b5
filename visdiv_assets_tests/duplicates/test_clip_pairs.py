from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.duplicates.clip_pairs import CLIP_PAIRS_SCHEMA, ModelVectors, clip_pairs, most_disputed, similarities
from visdiv_assets.errors import VisdivError
from visdiv_assets.vectors import pair_similarity
from visdiv_assets_tests.testing.clip_lakes import unit

MODELS = ("clip@1/crop_32", "sscd@2/skew_320")


def ids(count: int, first: int = 0) -> pa.Array:
    return pa.array([f"{number + first:032x}" for number in range(count)], pa.string())


def found(
    image_ids: pa.Array, clip: np.ndarray, sscd_ids: pa.Array, sscd: np.ndarray, floor: float = 0.9, k_best: int = 64
) -> list[dict[str, object]]:
    clip, sscd = clip.astype(np.float16), sscd.astype(np.float16)
    sides = ModelVectors(MODELS[0], image_ids, clip), ModelVectors(MODELS[1], sscd_ids, sscd)
    table = clip_pairs(*sides, floor=floor, k_best=k_best).pairs
    assert table.schema == CLIP_PAIRS_SCHEMA
    rows: list[dict[str, object]] = table.to_pylist()
    return rows


def test_pairs_and_similarities_equal_plain_products() -> None:
    random = np.random.default_rng(0)
    clip = unit(unit(random.standard_normal((1, 16))) + random.standard_normal((40, 16)) * 0.1)
    sscd = unit(random.standard_normal((40, 8)))
    order = random.permutation(40)
    names = ids(40)
    rows = found(names, clip, names.take(pa.array(order)), sscd[order])
    products, others = (m.astype(np.float16).astype(float) @ m.astype(np.float16).astype(float).T for m in (clip, sscd))
    expected = {
        (names[a].as_py(), names[b].as_py()): (products[a, b], others[a, b])
        for a in range(40)
        for b in range(a + 1, 40)
        if products[a, b] >= 0.9
    }
    assert len(expected) > 10
    assert [(row["image_id_a"], row["image_id_b"]) for row in rows] == sorted(expected)
    for row in rows:
        clip_expected, sscd_expected = expected[str(row["image_id_a"]), str(row["image_id_b"])]
        assert row["clip_similarity"] == pytest.approx(min(clip_expected, 1), abs=1e-5)
        assert row["sscd_similarity"] == pytest.approx(sscd_expected, abs=1e-5)
        assert (row["clip_model_id"], row["sscd_model_id"]) == MODELS


def test_a_pair_stays_if_it_is_among_the_best_of_one_of_its_two() -> None:
    clique = unit(np.array([1.0, 0]) + np.random.default_rng(1).standard_normal((30, 2)) * 0.05)
    rows = found(ids(30), clique, ids(30), clique, k_best=2)
    assert 30 <= len(rows) <= 60


def test_pairs_that_are_left_out_are_counted() -> None:
    clique = unit(np.array([1.0, 0]) + np.random.default_rng(1).standard_normal((30, 2)) * 0.05)
    vectors = np.concatenate([clique, [[-1.0, 0]]]).astype(np.float16)
    sides = ModelVectors(MODELS[0], ids(31), vectors), ModelVectors(MODELS[1], ids(31), vectors)
    found = clip_pairs(*sides, floor=0.9, k_best=2)
    products = vectors.astype(float) @ vectors.astype(float).T
    assert found.counts.to_pylist() == [
        {
            "images": 31,
            "floor": np.float32(0.9),
            "kept_per_image": 2,
            "pairs": np.count_nonzero(np.triu(products >= 0.9, 1)),
            "pairs_stored": found.pairs.num_rows,
            "images_in_pairs": 30,
            "images_cut": 30,
        }
    ]
    assert found.pairs.num_rows <= 60


def test_an_image_without_an_sscd_vector_has_no_sscd_similarity() -> None:
    (row,) = found(ids(2), np.ones((2, 2)) / np.sqrt(2), ids(1), np.eye(2)[:1])
    assert row["sscd_similarity"] is None
    assert row["clip_similarity"] == pytest.approx(1, abs=1e-3)


def test_no_images_make_no_pairs() -> None:
    assert found(ids(0), np.empty((0, 0)), ids(0), np.empty((0, 0))) == []


def test_most_disputed_ranks_pairs_with_both_similarities() -> None:
    told = [("a", "b", 0.95, 0.9), ("a", "c", 0.975, 0.665), ("b", "c", 0.99, None), ("b", "d", 0.92, 0.5)]
    records = [dict(zip(CLIP_PAIRS_SCHEMA.names, record, strict=False)) for record in told]
    disputed = most_disputed(pa.Table.from_pylist(records, CLIP_PAIRS_SCHEMA), 2)
    assert disputed.schema == CLIP_PAIRS_SCHEMA
    assert list(zip(disputed["image_id_a"].to_pylist(), disputed["image_id_b"].to_pylist(), strict=True)) == [
        ("b", "d"),
        ("a", "c"),
    ]


def test_similarities_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit(np.random.default_rng(2).standard_normal((20, 4))).astype(np.float16)
    left, right = np.random.default_rng(3).integers(-1, 20, (2, 50))
    whole = similarities(vectors, left, right)
    monkeypatch.setattr(pair_similarity, "BLOCK", 7)
    assert np.array_equal(similarities(vectors, left, right), whole, equal_nan=True)
    assert (np.isnan(whole) == ((left < 0) | (right < 0))).all()


def test_an_sscd_vector_that_is_not_finite_is_refused() -> None:
    with pytest.raises(VisdivError, match="materialize sscd_embeddings again"):
        similarities(np.full((2, 2), np.inf, np.float16), np.array([0]), np.array([1]))
