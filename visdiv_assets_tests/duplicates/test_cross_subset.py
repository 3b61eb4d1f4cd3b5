"""Two subsets compared: every pair and share as the plain comparison of all their images gives them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from visdiv_assets.corpus.access import EmbeddedSubset
from visdiv_assets.duplicates.cross_subset import OVERLAP_SCHEMA, SubsetComparison, compare_subsets
from visdiv_assets.duplicates.near import PAIRS_SCHEMA
from visdiv_assets_tests.testing.vectors import exact_units, random_units, unit

relaxed = settings(deadline=None, max_examples=80)

THRESHOLDS = [0.5, 0.75, 0.9, 1.0]


def subset(
    name: str, ids: list[str], vectors: np.ndarray, background: list[float | None] | None = None
) -> EmbeddedSubset:
    values = background if background is not None else [None] * len(ids)
    return EmbeddedSubset(name, pa.array(ids, pa.string()), vectors, pa.array(values, pa.float32()))


def compare(left: EmbeddedSubset, right: EmbeddedSubset, *, floor: float = 0.5, k_best: int = 64) -> SubsetComparison:
    tile = compare_subsets(left, right, floor=floor, k_best=k_best, thresholds=[t for t in THRESHOLDS if t >= floor])
    assert tile.pairs.schema == PAIRS_SCHEMA
    assert tile.overlap.schema == OVERLAP_SCHEMA
    return tile


def pairs_of(tile: SubsetComparison) -> dict[tuple[str, str], tuple[float, float | None]]:
    records = tile.pairs.to_pylist()
    keys = [(record["image_id_a"], record["image_id_b"]) for record in records]
    assert keys == sorted(set(keys)), "a pair twice, or out of order"
    assert all(a < b for a, b in keys), "a pair of an image with itself, or the higher image_id first"
    return {key: (r["similarity"], r["similarity_normalized"]) for key, r in zip(keys, records, strict=True)}


def plain_pairs(
    left: EmbeddedSubset, right: EmbeddedSubset, floor: float
) -> dict[tuple[str, str], tuple[float, float | None]]:
    """Every image of one compared with every one of the other; the better of two directions."""
    found: dict[tuple[str, str], tuple[float, float | None]] = {}
    backgrounds = left.background.to_pylist(), right.background.to_pylist()
    for i, a in enumerate(left.image_ids.to_pylist()):
        for j, b in enumerate(right.image_ids.to_pylist()):
            value = min(float(left.vectors[i].astype(np.float64) @ right.vectors[j].astype(np.float64)), 1)
            if a == b or np.float32(value) < np.float32(floor):
                continue
            behind = backgrounds[0][i], backgrounds[1][j]
            normalized = None if None in behind else value - (behind[0] + behind[1]) / 2
            pair = (min(a, b), max(a, b))
            of_other = found.get(pair, (-1.0, None))
            known = [score for score in (normalized, of_other[1]) if score is not None]
            found[pair] = (max(value, of_other[0]), max(known) if known else None)
    return found


def plain_shares(one: EmbeddedSubset, other: EmbeddedSubset, threshold: float) -> tuple[int, int, int]:
    """Images, those that the other holds or has a close one of, those that it holds."""
    shared = exact = 0
    held = set(other.image_ids.to_pylist())
    for i, name in enumerate(one.image_ids.to_pylist()):
        values = [float(one.vectors[i].astype(np.float64) @ v.astype(np.float64)) for v in np.asarray(other.vectors)]
        exact += name in held
        shared += name in held or any(np.float32(value) >= np.float32(threshold) for value in values)
    return len(one.image_ids), shared, exact


def check_shares(tile: SubsetComparison, left: EmbeddedSubset, right: EmbeddedSubset, thresholds: list[float]) -> None:
    found = {(r["subset"], r["other_subset"], r["threshold"]): r for r in tile.overlap.to_pylist()}
    assert len(found) == tile.overlap.num_rows == 2 * len(thresholds)
    for one, other in ((left, right), (right, left)):
        for threshold in thresholds:
            record = found[one.name, other.name, threshold]
            images, shared, exact = plain_shares(one, other, threshold)
            counted = (record["images"], record["images_shared"], record["images_shared_exactly"])
            assert counted == (images, shared, exact)
            assert record["share"] == (pytest.approx(shared / images) if images else None)


@st.composite
def two_subsets(draw: st.DrawFn) -> tuple[EmbeddedSubset, EmbeddedSubset]:
    """Images of which some lie in the one, some in the other and some in both, with ties and copies."""
    vectors = draw(exact_units(max_rows=16))
    places = draw(st.lists(st.sampled_from(["left", "right", "both"]), min_size=len(vectors), max_size=len(vectors)))
    order = draw(st.permutations(range(len(vectors))))
    background = st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5]))
    sides = []
    for name in ("left", "right"):
        chosen = [number for number in order if places[number] in (name, "both")]
        behind = [draw(background) for _ in chosen]
        sides.append(subset(name, [f"{n:032x}" for n in chosen], vectors[chosen].astype(np.float16), behind))
    return sides[0], sides[1]


@relaxed
@given(two_subsets(), st.sampled_from([0.5, 0.75, 1.0]))
def test_pairs_and_shares_of_both_directions_equal_the_plain_comparison(
    sides: tuple[EmbeddedSubset, EmbeddedSubset], floor: float
) -> None:
    left, right = sides
    tile = compare(left, right, floor=floor)
    found, expected = pairs_of(tile), plain_pairs(left, right, floor)
    assert found.keys() == expected.keys()
    for pair, (similarity, normalized) in expected.items():
        assert found[pair] == (pytest.approx(similarity), None if normalized is None else pytest.approx(normalized))
    check_shares(tile, left, right, [threshold for threshold in THRESHOLDS if threshold >= floor])


@relaxed
@given(two_subsets(), st.integers(1, 2))
def test_shares_stay_exact_when_few_pairs_per_image_are_kept(
    sides: tuple[EmbeddedSubset, EmbeddedSubset], k_best: int
) -> None:
    left, right = sides
    tile = compare(left, right, k_best=k_best)
    found, everything = pairs_of(tile), plain_pairs(left, right, 0.5)
    assert found.keys() <= everything.keys()
    # What an image loses is no better than what it keeps: its copy in the other subset takes none of its places.
    for image in {name for pair in everything for name in pair}:
        of_all = sorted((value for pair, (value, _) in everything.items() if image in pair), reverse=True)
        kept = sorted((value for pair, (value, _) in found.items() if image in pair), reverse=True)
        assert kept[:k_best] == of_all[:k_best]
    check_shares(tile, left, right, THRESHOLDS)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**16), noise=st.sampled_from([0.1, 0.5, 0.9]), floor=st.floats(0.5, 0.9))
def test_near_copies_stored_in_half_precision_are_found_as_by_a_plain_join(
    seed: int, noise: float, floor: float
) -> None:
    rng = np.random.default_rng(seed)
    first = random_units(30, 24, seed)
    second = unit(first[rng.integers(0, 30, 25)] + noise * rng.standard_normal((25, 24)) / np.sqrt(24))
    left = subset("l", [f"{2 * n:032x}" for n in range(30)], first.astype(np.float16))
    right = subset("r", [f"{2 * n + 1:032x}" for n in range(25)], second.astype(np.float16))
    values = left.vectors.astype(np.float64) @ right.vectors.T.astype(np.float64)
    assume(min(np.abs(values - threshold).min() for threshold in (floor, *THRESHOLDS[:-1])) > 1e-6)
    tile = compare(left, right, floor=floor)
    found, expected = pairs_of(tile), plain_pairs(left, right, floor)
    assert {pair: value for pair, (value, _) in found.items()} == pytest.approx(
        {pair: value for pair, (value, _) in expected.items()}, abs=1e-6
    )
    check_shares(tile, left, right, [threshold for threshold in THRESHOLDS if threshold >= floor])


def test_a_image_that_both_hold_is_shared_at_every_threshold_although_rounding_shortened_its_vector() -> None:
    vectors = random_units(60, 512, 1).astype(np.float16)
    assert (np.einsum("nd,nd->n", vectors.astype(np.float64), vectors.astype(np.float64)) < 1).any()
    ids = [f"{n:032x}" for n in range(60)]
    tile = compare(subset("one", ids, vectors), subset("two", ids[:20], vectors[:20]))
    assert tile.pairs.num_rows == 0
    shared = {(r["subset"], r["threshold"]): (r["images_shared"], r["share"]) for r in tile.overlap.to_pylist()}
    assert shared["one", 1.0] == (20, pytest.approx(1 / 3))
    assert shared["two", 1.0] == (20, 1.0)


def test_two_close_images_that_both_subsets_hold_are_one_pair_with_the_better_score() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6]], np.float32)
    ids = ["a" * 32, "b" * 32]
    left, right = subset("l", ids, vectors, [0.1, 0.5]), subset("r", ids[::-1], vectors[::-1], [0.3, 0.5])
    # Left a with right b: 0.8 - (0.1 + 0.3) / 2; left b with right a: 0.8 - (0.5 + 0.5) / 2.
    assert pairs_of(compare(left, right)) == {(ids[0], ids[1]): (pytest.approx(0.8), pytest.approx(0.6))}


@pytest.mark.parametrize(("lefts", "rights"), [(0, 0), (0, 3), (3, 0)])
def test_a_subset_without_images_shares_nothing(lefts: int, rights: int) -> None:
    left = subset("l", [f"{n:032x}" for n in range(lefts)], random_units(lefts, 4))
    right = subset("r", [f"{n:032x}" for n in range(rights)], random_units(rights, 4))
    tile = compare(left, right)
    assert tile.pairs.num_rows == 0
    assert {r["images_shared"] for r in tile.overlap.to_pylist()} == {0}
    check_shares(tile, left, right, THRESHOLDS)


def test_progress_ends_at_the_images_of_the_left_subset() -> None:
    done: list[int] = []
    left = subset("l", [f"{n:032x}" for n in range(7)], random_units(7, 4))
    right = subset("r", [f"{n:032x}" for n in range(10, 13)], random_units(3, 4))
    compare_subsets(left, right, floor=0.9, k_best=4, thresholds=[0.9], progress=done.append)
    assert sum(done) == 7
