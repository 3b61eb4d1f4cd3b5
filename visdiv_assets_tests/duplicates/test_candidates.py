"""Candidate pairs are those of both searches, with the similarity of all and the PDQ distance of some."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.duplicates.candidates import (
    CANDIDATE_SCHEMA,
    PAIR_SCHEMA,
    CandidateRule,
    Images,
    merge_candidates,
    name_pairs,
    select_outstanding,
)
from visdiv_assets.duplicates.pdq_join import Hashes, close_hashes
from visdiv_assets.imaging.pdq import BITS, ORIENTATIONS
from visdiv_assets.vectors import pair_similarity
from visdiv_assets.vectors.join import join
from visdiv_assets_tests.testing.vectors import random_units, slow_similarity, unit

relaxed = settings(deadline=None, max_examples=25)

FLOOR, DISTANCE = 0.6, 31


def hashes(random: np.random.Generator, count: int) -> list[bytes]:
    return [random.integers(0, 256, ORIENTATIONS * BITS // 8, np.uint8).tobytes() for _ in range(count)]


def images(vectors: np.ndarray, pdq: Sequence[bytes | None]) -> Images:
    names = pa.array([f"{number:032x}" for number in range(len(vectors))], pa.string())
    return Images(names, vectors, Hashes.of(pa.array(pdq, pa.binary())))


def drawn(random: np.random.Generator, count: int, vectors: np.ndarray, pdq: list[bytes]) -> Images:
    """Draw images, each with a vector near one of a few, and the hash of one of a few or none."""
    near = vectors[random.integers(0, len(vectors), count)] + 0.15 * random.standard_normal((count, vectors.shape[1]))
    chosen = random.integers(-1, len(pdq), count)
    return images(unit(near).astype(np.float16), [None if place < 0 else pdq[place] for place in chosen])


def found(left: Images, right: Images | None, k_best: int = 64) -> list[tuple[int, int, float, int | None]]:
    by_sscd = join(left.vectors, None if right is None else right.vectors, FLOOR, k_best=k_best).pairs
    by_pdq = close_hashes(left.hashes, None if right is None else right.hashes, distance=DISTANCE, k_best=k_best)
    table = merge_candidates(left.vectors, None if right is None else right.vectors, by_sscd, by_pdq)
    assert table.schema == CANDIDATE_SCHEMA
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


@relaxed
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(0, 12),
    others=st.none() | st.integers(0, 8),
    k=st.sampled_from([1, 64]),
    tile=st.integers(1, 5),
)
def test_candidates_are_the_pairs_of_both_searches(
    seed: int, count: int, others: int | None, k: int, tile: int
) -> None:
    random = np.random.default_rng(seed)
    seeds, pdq = random_units(4, 12, seed), hashes(random, 3)
    left = drawn(random, count, seeds, pdq)
    right = None if others is None else drawn(random, others, seeds, pdq)
    other = left if right is None else right
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pair_similarity, "BLOCK", tile)
        rows = found(left, right, k)
    by_sscd = join(left.vectors, None if right is None else right.vectors, FLOOR, k_best=k).pairs.to_pylist()
    turned = None if right is None else right.hashes
    by_pdq = close_hashes(left.hashes, turned, distance=DISTANCE, k_best=k).to_pylist()
    bits = {(pair["left"], pair["right"]): pair["pdq_distance"] for pair in by_pdq}
    assert [row[:2] for row in rows] == sorted({(pair["left"], pair["right"]) for pair in by_sscd} | bits.keys())
    for i, j, similarity, distance in rows:
        assert distance == bits.get((i, j))
        exact = slow_similarity(np.asarray(left.vectors)[i], np.asarray(other.vectors)[j])
        assert similarity == pytest.approx(min(exact, 1), abs=1e-6)


def test_each_search_finds_what_the_other_misses() -> None:
    random = np.random.default_rng(0)
    vectors = np.eye(4, 16, dtype=np.float32)
    vectors[1] = unit(np.array([[0.8, 0.6, *[0] * 14]]))[0]
    one, two, three, four = hashes(random, 4)
    # 0 and 1 are close by their vectors only, 0 and 2 by their hashes only, 1 and 3 by neither.
    assert found(images(vectors, [one, two, one, four]), None) == [
        (0, 1, pytest.approx(0.8), None),
        (0, 2, 0.0, 0),
    ]
    # Across sets, 3 has no hash: only its vector finds it.
    assert found(images(vectors, [one, two, three, None]), images(vectors[[3, 2]], [None, one])) == [
        (0, 1, 0.0, 0),
        (2, 1, 1.0, None),
        (3, 0, 1.0, None),
    ]


def test_similarity_is_at_most_1_for_vectors_rounded_up() -> None:
    vectors = np.repeat(random_units(40, 64, 1).astype(np.float16), 2, axis=0)
    lengths = np.einsum("nd,nd->n", vectors.astype(np.float64), vectors.astype(np.float64))
    assert lengths.max() > 1
    rows = found(images(vectors, [None] * 80), None)
    assert [row[:2] for row in rows] == [(2 * number, 2 * number + 1) for number in range(40)]
    assert max(row[2] for row in rows) == 1


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_pair_gives_no_pairs(count: int) -> None:
    few = images(random_units(count, 8).astype(np.float16), hashes(np.random.default_rng(0), count))
    none = images(np.empty((0, 8), np.float16), [])
    assert found(few, None) == found(few, none) == found(none, few) == []


@relaxed
@given(seed=st.integers(0, 2**16), within=st.booleans())
def test_named_pairs_are_sorted_by_image_id(seed: int, within: bool) -> None:
    random = np.random.default_rng(seed)
    left, right = ([f"{number:032x}" for number in random.permutation(8)] for _ in range(2))
    index = [(int(a), int(b)) for a, b in random.integers(0, 8, (12, 2)) if not within or a < b]
    index = sorted(set(index))
    rows = [{"left": a, "right": b, "similarity": a / 8, "pdq_distance": b or None} for a, b in index]
    table = pa.Table.from_pylist(rows, CANDIDATE_SCHEMA)
    named = name_pairs(table, pa.array(left), None if within else pa.array(right))
    assert named.schema == PAIR_SCHEMA
    expected = [(left[a], (left if within else right)[b], a / 8, b or None) for a, b in index]
    if within:
        expected = [(min(a, b), max(a, b), similarity, bits) for a, b, similarity, bits in expected]
    assert [tuple(record.values()) for record in named.to_pylist()] == sorted(expected, key=lambda pair: pair[:2])


def test_a_rule_selects_pairs_from_its_floor_on() -> None:
    pairs = pa.table({"similarity": pa.array([0.44999, 0.45, 0.8], pa.float32())})
    rule = CandidateRule(0.45, 16, 31)
    assert rule.select(pairs).num_rows == 2
    assert rule.partners(0.75, 64).floor == 0.45
    # A join finds close pairs under the floor of candidates, too.
    assert rule.partners(0.3, 64).floor == 0.3


def test_pairs_that_do_not_stand_out_are_left_out_unless_pdq_found_them() -> None:
    background = np.array([0.5, 0.9, np.nan], np.float32)
    values = [(0, 1, 0.47), (0, 1, 0.42), (1, 1, 0.85), (1, 1, 0.8), (1, 2, 0.1)]
    for distance in (None, 3):
        records = [dict(zip(CANDIDATE_SCHEMA.names, (*value, distance), strict=True)) for value in values]
        found = select_outstanding(pa.Table.from_pylist(records, CANDIDATE_SCHEMA), background)
        # Those that are lower than the lower one of the two backgrounds by more than the margin.
        left_out = () if distance else (0.42, 0.8)
        expected = [similarity for *_, similarity in values if similarity not in left_out]
        assert found["similarity"].to_pylist() == pytest.approx(expected)
