"""A join in blocks equals one in a single block, to the bit, and both equal plain searches."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.vectors import bounded_tiles
from visdiv_assets.vectors import join_blocks as module
from visdiv_assets.vectors.join import join
from visdiv_assets.vectors.join_blocks import (
    Known,
    OtherSide,
    Part,
    Partners,
    block_tiles,
    compute_part,
    merge_parts,
    split_into_blocks,
)
from visdiv_assets.vectors.partner_lists import PartnerRule
from visdiv_assets.vectors.projected import Projected
from visdiv_assets_tests.testing.vectors import exact_units, random_units, unit

relaxed = settings(deadline=None, max_examples=50)

COUNT_AT = (0.75, 0.9)
RULE = PartnerRule(floor=0.3, k_best=2, close_floor=0.75, close_k_best=3)


def alike(rows: int = 5000, seed: int = 0) -> np.ndarray:
    """Return random vectors in groups, some equal: many more pairs than are kept, and ties."""
    random = np.random.default_rng(seed)
    groups = random_units(rows // 20, 32, seed)[random.integers(0, rows // 20, rows)]
    vectors = unit(groups + 0.5 * random_units(rows, 32, seed + 1)).astype(np.float16)
    vectors[random.integers(0, rows, rows // 10)] = vectors[0]
    return vectors


def joined(
    vectors: np.ndarray,
    other: OtherSide | None = None,
    blocks: list[tuple[int, int]] | None = None,
    rule: PartnerRule = RULE,
    known: Known | None = None,
) -> Partners:
    count_at = COUNT_AT if other is None else ()
    done: list[int] = []

    def part(block: tuple[int, int]) -> Part:
        return compute_part(vectors, other, block, rule, known=known, count_at=count_at, progress=done.append)

    chosen = [(0, len(vectors))] if blocks is None else blocks
    found = merge_parts(vectors, other, map(part, chosen), rule, thresholds=len(count_at))
    assert sum(done) == len(vectors) or (other is not None and not len(other.groups))
    return found


def pairs_of(table: pa.Table) -> set[tuple[int, int]]:
    return set(zip(table["left"].to_pylist(), table["right"].to_pylist(), strict=True))


def best(similarity: np.ndarray, floor: float, k: int) -> set[tuple[int, int]]:
    """Return the K best columns of each row from a floor on; among equals, the lowest."""
    found = set()
    for row, values in enumerate(similarity):
        for column in np.argsort(-values, kind="stable")[:k]:
            if values[column] >= floor:
                found.add((row, int(column)))
    return found


@pytest.mark.parametrize("knowing", [False, True])
@pytest.mark.parametrize("order", [1, -1])
def test_blocks_of_a_self_join_equal_one_join(knowing: bool, order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_OF_A_BLOCK", 2048)
    monkeypatch.setattr(module, "PAIRS_OF_A_BLOCK", 1 << 22)
    vectors = alike()
    blocks = split_into_blocks(len(vectors))
    assert len(blocks) == 3
    known = Known.nothing(len(vectors), None) if knowing else None
    found, whole = joined(vectors, blocks=blocks[::order], known=known), joined(vectors)
    assert found.candidates.equals(whole.candidates)
    assert found.close.equals(whole.close)
    np.testing.assert_array_equal(found.counts, whole.counts)
    expected = join(vectors, None, RULE.close_floor, k_best=RULE.close_k_best, count_at=COUNT_AT)
    assert found.close.equals(expected.pairs)
    np.testing.assert_array_equal(found.counts, expected.left_counts)
    assert found.candidates.equals(join(vectors, None, RULE.floor, k_best=RULE.k_best).pairs)


@pytest.mark.parametrize("knowing", [False, True])
def test_blocks_of_a_join_of_two_sets_equal_one_join(knowing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_OF_A_BLOCK", 2048)
    monkeypatch.setattr(module, "PAIRS_OF_A_BLOCK", 1 << 20)
    vectors, others = alike(), alike(400, 0)
    other = OtherSide(others, (np.arange(400) % 7).astype(np.int32))
    blocks = split_into_blocks(len(vectors), len(others))
    assert len(blocks) == 2
    known = Known.nothing(len(vectors), len(others)) if knowing else None
    found, whole = joined(vectors, other, blocks, known=known), joined(vectors, other)
    assert found.candidates.num_rows
    assert found.candidates.equals(whole.candidates)
    assert found.close.equals(whole.close)


def test_a_later_block_keeps_less_if_it_knows_of_earlier_ones() -> None:
    vectors = alike()
    blocks = [(0, 2048), (2048, len(vectors))]
    known = Known.nothing(len(vectors), None)
    rule = PartnerRule(floor=0.3, k_best=2, close_floor=0.99, close_k_best=3)
    alone = [compute_part(vectors, None, block, rule) for block in blocks]
    knowing = [compute_part(vectors, None, block, rule, known=known) for block in blocks]
    assert knowing[0].candidates.equals(alone[0].candidates)
    assert knowing[1].candidates.num_rows < 0.8 * alone[1].candidates.num_rows
    assert knowing[1].close.equals(alone[1].close)


@pytest.mark.parametrize("crossing", [False, True])
def test_blocks_that_share_projections_find_the_same(crossing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(bounded_tiles, "PROJECTED_FROM", 1)
    vectors, others = alike(), alike(400, 0)
    other = OtherSide(others, np.zeros(400, np.int32)) if crossing else None
    tiles = block_tiles(vectors, other, RULE, device="cpu")
    known = Known.nothing(len(vectors), 400 if crossing else None)
    blocks = [(0, 2048), (2048, len(vectors))]
    parts = [compute_part(vectors, other, block, RULE, tiles=tiles, known=known) for block in blocks]
    found, whole = merge_parts(vectors, other, parts, RULE), joined(vectors, other)
    assert found.candidates.equals(whole.candidates)
    assert found.close.equals(whole.close)


@relaxed
@given(left=exact_units(), right=exact_units(), groups=st.integers(1, 4), k=st.integers(1, 3))
def test_two_sets_keep_the_best_of_rows_groups_and_partners(
    left: np.ndarray, right: np.ndarray, groups: int, k: int
) -> None:
    rule = PartnerRule(floor=0.25, k_best=k, close_floor=0.5, close_k_best=k + 1)
    of_group = (np.arange(len(right)) % groups).astype(np.int32)
    found = joined(left, OtherSide(right, of_group), rule=rule)
    similarity = left.astype(np.float64) @ right.astype(np.float64).T
    turned = {(row, column) for column, row in best(similarity.T, rule.floor, 1)}
    assert pairs_of(found.candidates) == best(similarity, rule.floor, k) | turned
    close = best(similarity, rule.close_floor, k + 1)
    close |= {(row, column) for column, row in best(similarity.T, rule.close_floor, 1)}
    for group in range(groups):
        members = np.flatnonzero(of_group == group)
        close |= {(row, int(members[at])) for row, at in best(similarity[:, members], rule.close_floor, 1)}
    assert pairs_of(found.close) == close


@pytest.mark.parametrize("rows", [0, 1, 15, 16, 17, 157])
@pytest.mark.parametrize("others", [None, 0, 1, 60])
def test_blocks_cover_all_rows_and_begin_where_tiles_do(
    rows: int, others: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_OF_A_BLOCK", 16)
    monkeypatch.setattr(module, "PAIRS_OF_A_BLOCK", 1000)
    blocks = split_into_blocks(rows, others)
    assert [row for start, stop in blocks for row in range(start, stop)] == list(range(rows))
    assert all(start % 16 == 0 for start, _ in blocks)


def test_a_set_that_takes_a_minute_is_one_block() -> None:
    assert split_into_blocks(92_682) == [(0, 92_682)]
    assert len(split_into_blocks(92_683)) == 2
    assert len(split_into_blocks(1_000_000)) > 50
    assert split_into_blocks(20_000, 200_000) == [(0, 20_000)]
    assert len(split_into_blocks(1_000_000, 200_000)) > 40


def test_another_set_is_projected_once_for_several_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = alike(900)
    groups = np.zeros(300, np.int32)
    plain = [joined(vectors[start : start + 300], OtherSide(vectors[600:], groups)) for start in (0, 300)]
    monkeypatch.setattr(bounded_tiles, "PROJECTED_FROM", 0)
    other = OtherSide(vectors[600:], groups)
    projected: list[int] = []
    original = bounded_tiles.project

    def project(left: np.ndarray, right: np.ndarray, floor: float, device: str) -> Projected:
        projected.append(len(left))
        return original(left, right, floor, device)

    monkeypatch.setattr(module, "project", project)
    monkeypatch.setattr(bounded_tiles, "project", project)
    for start, expected in zip((0, 300), plain, strict=True):
        found = joined(vectors[start : start + 300], other)
        assert found.candidates.equals(expected.candidates)
        assert found.close.equals(expected.close)
        assert found.close.num_rows
    assert projected == [300]
