"""Vectors of an earlier state, and checks of stored vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.embedding.shards import IDS_SCHEMA, KnownVectors, vector_defects
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

ROWS = np.arange(12, dtype=np.float16).reshape(4, 3)
MODEL = "model@000000000000/skew_320"


def ids(*numbers: int) -> np.ndarray:
    return np.array([f"{number:032x}" for number in numbers], "S32")


def saved(lake: Lake, numbers: Sequence[int]) -> Manifest:
    """The vectors of an earlier state in two units."""
    write = lake.write("sscd_embeddings", "some", code_version="1", model_id=MODEL)
    for name, part in (("a", slice(0, 2)), ("b", slice(2, 4))):
        with write.add(name) as unit:
            unit.array("vectors", ROWS[: len(numbers)][part])
            unit.array("norms", np.array(numbers[part], np.float32))
            unit.table("ids", pa.table({"image_id": ids(*numbers[part]).astype("U32")}, IDS_SCHEMA), IDS_SCHEMA)
    return write.commit()


def test_vectors_of_an_earlier_state_are_found_by_image_id(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    known = KnownVectors(lake, saved(lake, [6, 9, 2, 4]), MODEL)
    have, rows = known.rows(ids(4, 7, 6, 2))
    assert have.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(known.vectors(rows), ROWS[[3, 0, 2]])
    assert known.norms(known.rows(ids(4, 7, 6))[1]).tolist() == [4, 6]


@pytest.mark.parametrize("case", ["nothing", "another model", "no images"])
def test_a_state_without_usable_vectors_knows_nothing(tmp_path: Path, case: str) -> None:
    lake = Lake(tmp_path)
    manifest = None if case == "nothing" else saved(lake, [] if case == "no images" else [1])
    known = KnownVectors(lake, manifest, "other@000000000000/skew_320" if case == "another model" else MODEL)
    have, rows = known.rows(ids(1))
    assert (have.tolist(), len(known.vectors(rows))) == ([False], 0)


def test_defects_of_vectors_are_counted() -> None:
    good = np.eye(4, dtype=np.float16)
    bad = good.copy()
    bad[0, 1], bad[1, 1], bad[2, 2], bad[3, 3] = np.nan, np.inf, 1.01, 0
    assert vector_defects([good, bad]) == {"not_finite": 2, "not_unit_length": 2}
    assert vector_defects([good]) == {"not_finite": 0, "not_unit_length": 0}
    assert vector_defects([]) == {"not_finite": 0, "not_unit_length": 0}


def test_of_several_vectors_in_a_row_zeros_are_no_defect() -> None:
    rows = np.zeros((3, 8), np.float16)
    rows[0, 0] = rows[0, 4] = rows[1, 7] = 1
    assert vector_defects([rows], parts=2) == {"not_finite": 0, "not_unit_length": 0}
    rows[1, 6], rows[2, 1] = 1, np.nan
    assert vector_defects([rows], parts=2) == {"not_finite": 1, "not_unit_length": 1}


def test_rounding_to_float16_is_no_defect() -> None:
    vectors = np.random.default_rng(0).normal(size=(1000, 512))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vector_defects([vectors.astype(np.float16)]) == {"not_finite": 0, "not_unit_length": 0}
