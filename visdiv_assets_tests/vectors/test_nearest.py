from __future__ import annotations

import numpy as np
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.vectors import nearest
from visdiv_assets.vectors.nearest import combine_queries, find_nearest
from visdiv_assets_tests.testing.clip_lakes import unit


def places(found: nearest.Found) -> list[tuple[int, int]]:
    return list(zip(found.part.tolist(), found.row.tolist(), strict=True))


@pytest.mark.parametrize("block", [1, 7, 8192])
@pytest.mark.parametrize("k", [1, 10, 1000])
def test_the_best_are_those_of_a_full_sort(monkeypatch: pytest.MonkeyPatch, block: int, k: int) -> None:
    monkeypatch.setattr(nearest, "BLOCK", block)
    random = np.random.default_rng(0)
    parts = [unit(random.standard_normal((rows, 6))).astype(np.float16) for rows in (30, 1, 55)]
    # Some vectors stand several times.
    parts[2][:10] = parts[0][:10]
    question = unit(random.standard_normal(6)).astype(np.float32)
    found = find_nearest([*parts, np.empty((0, 6), np.float16)], question, k)
    scores = [
        (-float(np.float32(v.astype(np.float32) @ question)), p, r)
        for p, m in enumerate(parts)
        for r, v in enumerate(m)
    ]
    scores.sort()
    assert len(found.score) == min(k, 86)
    assert found.score == pytest.approx([-score for score, _, _ in scores[:k]], abs=1e-6)
    assert (np.diff(found.score) <= 0).all()
    assert len(set(places(found))) == len(found.score)


def test_equal_scores_come_in_order_of_part_and_row() -> None:
    same = np.tile(np.eye(2)[:1], (5, 1)).astype(np.float16)
    assert places(find_nearest([same, same], np.array([1, 0], np.float32), 7)) == [
        *((0, row) for row in range(5)),
        (1, 0),
        (1, 1),
    ]


def test_progress_counts_every_vector() -> None:
    done: list[int] = []
    find_nearest([np.eye(4, dtype=np.float16)] * 3, np.eye(4, dtype=np.float32)[0], 1, progress=done.append)
    assert sum(done) == 12


def test_another_dimension_and_broken_vectors_are_refused() -> None:
    with pytest.raises(VisdivError, match="4 dimensions and the query 2"):
        find_nearest([np.eye(4, dtype=np.float16)], np.eye(2, dtype=np.float32)[0], 1)
    with pytest.raises(VisdivError, match="not finite"):
        find_nearest([np.full((1, 2), np.nan, np.float16)], np.eye(2, dtype=np.float32)[0], 1)


def test_nothing_stored_finds_nothing() -> None:
    assert len(find_nearest([], np.eye(2, dtype=np.float32)[0], 5).score) == 0


def test_questions_are_added_by_their_weights() -> None:
    question = combine_queries(np.eye(3), [2, -1, 0])
    assert question == pytest.approx(np.array([2, -1, 0]) / np.sqrt(5))
    assert np.linalg.norm(question) == pytest.approx(1)


def test_questions_that_cancel_each_other_out_are_refused() -> None:
    with pytest.raises(VisdivError, match="cancel each other out"):
        combine_queries(np.array([[1.0, 0], [1, 0]]), [1, -1])


def test_masks_say_which_vectors_may_be_found() -> None:
    part = np.eye(3, dtype=np.float16)
    question = np.array([0.8, 0.6, 0], np.float32)
    masks = [np.array([False, True, True]), np.zeros(3, bool)]
    assert places(find_nearest([part, part], question, 5, masks=masks)) == [(0, 1), (0, 2)]
