from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.curation.alignment import turns as turns_module
from visdiv_assets.curation.alignment.turns import RowImages, align_turns, clip_score
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.testing.clip_lakes import unit


def batch(*turns: tuple[int, int, int]) -> pa.RecordBatch:
    row, turn, text = zip(*turns, strict=True) if turns else ((), (), ())
    arrays = [pa.array(row, pa.int64()), pa.array(turn, pa.int32()), pa.array(text, pa.int64())]
    return pa.record_batch(arrays, names=["row", "turn", "text"])


def aligned(
    batches: list[pa.RecordBatch], row_images: RowImages, images: np.ndarray, texts: np.ndarray, cut: object = ()
) -> list[dict[str, object]]:
    truncated = np.asarray(cut, bool) if len(cut) else np.zeros(len(texts), bool)  # type: ignore[arg-type]
    found = align_turns(batches, row_images, images.astype(np.float16), texts.astype(np.float16), truncated)
    records: list[dict[str, object]] = pa.Table.from_batches(list(found), turns_module.TURNS_SCHEMA).to_pylist()
    return records


@pytest.mark.parametrize("together", [1, 3, 16_384])
def test_every_turn_is_as_the_plain_formula_says(monkeypatch: pytest.MonkeyPatch, together: int) -> None:
    monkeypatch.setattr(turns_module, "PAIRS_AT_A_TIME", together)
    random = np.random.default_rng(0)
    images, texts = (unit(random.standard_normal((9, 4))).astype(np.float16) for _ in range(2))
    rows = np.array([0, 0, 1, 3, 3, 3, 3, 6])
    vectors = random.integers(0, 9, len(rows))
    told = [(row, turn, int(random.integers(0, 9))) for row in range(7) for turn in range(row % 3)]
    found = aligned([batch(*told[:4]), batch(*told[4:])], RowImages(rows, vectors), images, texts)
    assert [(turn["row"], turn["turn"]) for turn in found] == [turn[:2] for turn in told]
    for (row, _, text), record in zip(told, found, strict=True):
        cosines = [float(images[v].astype(float) @ texts[text].astype(float)) for v in vectors[rows == row]]
        assert record["images"] == len(cosines)
        if not cosines:
            assert [record[name] for name in ("cosine", "cosine_mean", "clip_score", "clip_score_mean")] == [None] * 4
            continue
        assert record["cosine"] == pytest.approx(max(cosines), abs=1e-5)
        assert record["cosine_mean"] == pytest.approx(np.mean(cosines), abs=1e-5)
        assert record["clip_score"] == pytest.approx(2.5 * max(*cosines, 0), abs=1e-5)
        assert record["clip_score_mean"] == pytest.approx(np.mean([2.5 * max(c, 0) for c in cosines]), abs=1e-5)


def test_a_turn_without_a_text_has_nulls() -> None:
    one = np.eye(2)
    found = aligned([batch((0, 0, -1), (0, 1, 1))], RowImages(np.array([0]), np.array([1])), one, one, [False, True])
    assert (found[0]["cosine"], found[0]["truncated"]) == (None, None)
    assert (found[1]["cosine"], found[1]["truncated"]) == (1.0, True)


def test_opposite_vectors_score_zero_and_keep_their_cosine() -> None:
    found = aligned([batch((0, 0, 0))], RowImages(np.array([0]), np.array([0])), np.eye(2), -np.eye(2))
    assert found[0]["cosine"] == -1
    assert found[0]["clip_score"] == 0


def test_a_subset_without_images_or_texts_has_unscored_turns() -> None:
    none = np.empty((0, 0))
    nowhere = RowImages(np.empty(0, np.int64), np.empty(0, np.int64))
    found = aligned([batch((0, 0, 0), (1, 0, -1))], nowhere, none, np.eye(2))
    assert [(turn["images"], turn["cosine"], turn["truncated"]) for turn in found] == [
        (0, None, False),
        (0, None, None),
    ]
    assert [turn["cosine"] for turn in aligned([batch((0, 0, -1))], nowhere, none, none)] == [None]


def test_vectors_of_two_dimensions_are_refused() -> None:
    with pytest.raises(VisdivError, match="images have 2 dimensions and those of texts 3"):
        aligned([batch((0, 0, 0))], RowImages(np.array([0]), np.array([0])), np.eye(2), np.eye(3))


def test_a_vector_that_is_not_finite_is_refused() -> None:
    broken = np.full((1, 2), np.nan)
    with pytest.raises(VisdivError, match="not finite"):
        aligned([batch((0, 0, 0))], RowImages(np.array([0]), np.array([0])), np.eye(2), broken)


def test_clip_score_is_two_and_a_half_times_the_positive_cosine() -> None:
    assert clip_score(np.array([-0.5, 0, 0.3, 1])) == pytest.approx([0, 0, 0.75, 2.5])
