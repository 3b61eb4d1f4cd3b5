"""The joins of the GPU check: their vectors, and how results of two sides are compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from visdiv_assets.perf.gpu.joins import compare_blocks, describe_difference, vector_file
from visdiv_assets.perf.gpu.setup import SMALL, Setup
from visdiv_assets.perf.vectors import PLANTED
from visdiv_assets.vectors.join import PAIR_SCHEMA
from visdiv_assets.vectors.join_blocks import Partners


def partners(*similarity: float) -> Partners:
    rows = list(range(len(similarity)))
    found = pa.table([rows, [row + 1 for row in rows], similarity], schema=PAIR_SCHEMA)
    return Partners(found, found.slice(0, 0), np.zeros((0, 9), np.int64))


def test_pairs_and_similarities_that_differ_are_counted() -> None:
    ours = partners(0.5, 0.9)
    assert describe_difference([ours], [partners(0.5, 0.9)]) == "the same 2 pairs in 1 block"
    assert describe_difference([ours], [partners(0.5)]) == "1 pairs differ in 1 block"
    assert describe_difference([ours, ours], [ours, partners(0.5, 0.8)]) == "2 pairs differ in 2 blocks"


def test_blocks_of_vectors_with_copies_have_pairs(tmp_path: Path) -> None:
    setup = Setup("cpu", replace(SMALL, block=128), tmp_path)
    vectors = np.load(vector_file(setup, 600))
    np.testing.assert_array_equal(vectors, np.load(vector_file(setup, 600)))
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float32), axis=1), 1, atol=2e-3)
    product = np.tril(vectors.astype(np.float32) @ vectors.T.astype(np.float32), -1)
    assert (product.max(axis=1) > 0.68).sum() >= 600 // PLANTED
    figure = compare_blocks(setup, vectors, (0.0,))
    assert figure.remark.startswith("the same ")
    assert not figure.remark.startswith("the same 0 ")
