"""Pairs of a subset and a benchmark, their positions and rates, each against a plain computation."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from visdiv_assets.contamination.benchmark_images import collect_benchmarks
from visdiv_assets.contamination.images import (
    BENCHMARK_PAIRS_SCHEMA,
    CANDIDATES_SCHEMA,
    LOCATED_SCHEMA,
    RATES_SCHEMA,
    Leaks,
    contamination_rates,
    find_leaks,
    locate_pairs,
)
from visdiv_assets.duplicates.candidates import CandidateRule, Images
from visdiv_assets.duplicates.pdq_join import Hashes
from visdiv_assets.imaging.pdq import BITS, ORIENTATIONS
from visdiv_assets.statistics import ALL, wilson_interval
from visdiv_assets.vectors.join_blocks import compute_part
from visdiv_assets.vectors.partner_lists import PartnerRule
from visdiv_assets_tests.testing.vectors import exact_units, random_units, unit

relaxed = settings(deadline=None, max_examples=100)

#: image_id, benchmark_image_id -> similarity
Found = dict[tuple[str, str], float]


def names(prefix: str, count: int) -> pa.Array:
    return pa.array([f"{prefix}{number:031x}" for number in range(count)], pa.string())


def images(ids: pa.Array, vectors: np.ndarray) -> Images:
    return Images(ids, vectors, Hashes.of(pa.nulls(len(ids), pa.binary())))


def leaks_of(own: Images, benchmarks: dict[str, Images], rule: PartnerRule, candidates: CandidateRule) -> Leaks:
    others = collect_benchmarks(benchmarks)
    part = compute_part(own.vectors, others.side, (0, len(own.image_ids)), rule)
    return find_leaks(own, others, [part], rule, candidates)


def found_pairs(
    left: np.ndarray, right: np.ndarray, floor: float, k_best: int, ids: tuple[pa.Array, pa.Array] | None = None
) -> Found:
    left_ids, right_ids = ids or (names("a", len(left)), names("b", len(right)))
    candidates = CandidateRule(1, 1, 0)
    rule = candidates.partners(floor, k_best)
    table = leaks_of(images(left_ids, left), {"bench": images(right_ids, right)}, rule, candidates).pairs
    assert table.schema == BENCHMARK_PAIRS_SCHEMA
    assert set(table["benchmark"].to_pylist()) <= {"bench"}
    keys = list(zip(table["image_id"].to_pylist(), table["benchmark_image_id"].to_pylist(), strict=True))
    assert keys == sorted(set(keys)), "a pair twice, or out of order"
    return dict(zip(keys, table["similarity"].to_pylist(), strict=True))


def plain_join(left: np.ndarray, right: np.ndarray, floor: float) -> Found:
    similarity = np.minimum(left.astype(np.float64) @ right.astype(np.float64).T, 1)
    left_ids, right_ids = names("a", len(left)).to_pylist(), names("b", len(right)).to_pylist()
    return {
        (left_ids[i], right_ids[j]): float(similarity[i, j])
        for i, j in zip(*np.nonzero(similarity.astype(np.float32) >= np.float32(floor)), strict=True)
    }


def near_copies(seed: int, rows: int, others: int, noise: float, dimension: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Return a subset, and a benchmark of noisy copies of it, some of the same image; stored as float16."""
    rng = np.random.default_rng(seed)
    left = random_units(rows, dimension, seed)
    copied = left[rng.integers(0, rows, others)] if rows else random_units(others, dimension, seed)
    right = unit(copied + noise * rng.standard_normal(copied.shape) / np.sqrt(dimension))
    return left.astype(np.float16), right.astype(np.float16)


def clear_of(values: np.ndarray, threshold: float) -> bool:
    """Return whether no value is so close to a threshold that the order of a sum decides."""
    return not len(values) or bool(np.abs(values - threshold).min() > 1e-6)


# Pairs ---------------------------------------------------------------------------------------------------------------


@relaxed
@given(
    seed=st.integers(0, 2**16),
    rows=st.integers(0, 25),
    others=st.integers(0, 25),
    noise=st.sampled_from([0.0, 0.3, 0.6, 1.0]),
    floor=st.floats(0.3, 1),
)
def test_pairs_equal_a_plain_join_each_once(seed: int, rows: int, others: int, noise: float, floor: float) -> None:
    left, right = near_copies(seed, rows, others, noise)
    assume(clear_of((left.astype(np.float64) @ right.T.astype(np.float64)).ravel(), floor))
    expected = plain_join(left, right, floor)
    found = found_pairs(left, right, floor, k_best=64)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-6)


@relaxed
@given(left=exact_units(), right=exact_units(), floor=st.sampled_from([0.25, 0.5, 0.75, 1.0]), k=st.integers(1, 3))
def test_the_best_match_of_every_image_is_kept_with_few_pairs(
    left: np.ndarray, right: np.ndarray, floor: float, k: int
) -> None:
    everything = plain_join(left, right, floor)
    found = found_pairs(left, right, floor, k)
    assert found.items() <= everything.items()
    for side in (0, 1):
        for image in {pair[side] for pair in everything}:
            of_all = sorted((value for pair, value in everything.items() if pair[side] == image), reverse=True)
            kept = sorted((value for pair, value in found.items() if pair[side] == image), reverse=True)
            few = k if side == 0 else 1
            assert kept[:few] == of_all[:few]
    # A pair is kept only if it is among the best of its image, or the best of its benchmark image.
    for pair, value in found.items():
        better = [sum(v > value for p, v in everything.items() if p[side] == pair[side]) for side in (0, 1)]
        assert better[0] < k or better[1] == 0


def test_one_pair_per_image_suffices_for_exact_rates() -> None:
    rng = np.random.default_rng(4)
    chart = unit(rng.standard_normal((1, 32)))
    left, right = (unit(chart + rng.standard_normal((20, 32)) / 20).astype(np.float16) for _ in range(2))
    everything = plain_join(left, right, 0.75)
    found = found_pairs(left, right, 0.75, k_best=1)
    assert len(everything) == 400
    assert len(found) <= 40
    for side in (0, 1):
        for image in {pair[side] for pair in everything}:
            best = max(value for pair, value in everything.items() if pair[side] == image)
            kept = max(value for pair, value in found.items() if pair[side] == image)
            assert kept == pytest.approx(best, abs=2e-6)


def test_an_image_on_both_sides_is_a_pair_of_similarity_1() -> None:
    # Rounding to float16 may lengthen a vector, so that its product with itself exceeds 1.
    vectors = random_units(40, 64, 1).astype(np.float16)
    ids = names("c", 40)
    found = found_pairs(vectors, vectors, 0.75, 64, (ids, ids))
    assert found.keys() == {(name, name) for name in ids.to_pylist()}
    assert max(found.values()) == 1
    assert min(found.values()) > 0.998


# Several benchmarks --------------------------------------------------------------------------------------------------

CANDIDATES = CandidateRule(0.5, 2, 0)


@st.composite
def several(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, dict[str, list[int]]]:
    """Draw vectors of a subset and of benchmark images, and the images that each benchmark holds; some share images."""
    left, right = draw(exact_units()), draw(exact_units())
    held = st.lists(st.integers(0, len(right) - 1), unique=True) if len(right) else st.just([])
    return left, right, {name: draw(held) for name in draw(st.sampled_from([["one"], ["one", "two", "three"]]))}


def leaks_of_several(left: np.ndarray, right: np.ndarray, held: dict[str, list[int]], k_best: int) -> Leaks:
    ids = names("b", len(right))
    benchmarks = {name: images(ids.take(pa.array(rows, pa.int64())), right[rows]) for name, rows in held.items()}
    rule = CANDIDATES.partners(0.75, k_best)
    return leaks_of(images(names("a", len(left)), left), benchmarks, rule, CANDIDATES)


@relaxed
@given(several(), st.integers(1, 3))
def test_rates_from_kept_pairs_equal_those_from_all_pairs(
    drawn: tuple[np.ndarray, np.ndarray, dict[str, list[int]]], k: int
) -> None:
    left, right, held = drawn
    pairs = leaks_of_several(left, right, held, k).pairs
    everything = plain_join(left, right, 0.75)
    ids = names("b", len(right)).to_pylist()
    positions = list(enumerate(names("a", len(left)).to_pylist()))
    images_of = {name: [ids[row] for row in rows] for name, rows in held.items()}
    kept: dict[str, Pairs] = {name: {} for name in held}
    for record in pairs.to_pylist():
        kept[record["benchmark"]][record["image_id"], record["benchmark_image_id"]] = record["similarity"]
    complete = {
        name: {pair: value for pair, value in everything.items() if pair[1] in images_of[name]} for name in held
    }
    assert all(kept[name].items() <= complete[name].items() for name in held)
    rates, expected = (rates_of(positions, len(left), images_of, found) for found in (kept, complete))
    assert rates.equals(expected)


@relaxed
@given(several())
def test_candidates_are_the_best_over_all_benchmarks(
    drawn: tuple[np.ndarray, np.ndarray, dict[str, list[int]]],
) -> None:
    left, right, held = drawn
    table = leaks_of_several(left, right, held, 64).candidates
    assert table.schema == CANDIDATES_SCHEMA
    found = [tuple(record.values())[:3] for record in table.to_pylist()]
    assert found == sorted(set(found))
    ids = names("b", len(right)).to_pylist()
    listed = {ids[row] for rows in held.values() for row in rows}
    possible = {pair: value for pair, value in plain_join(left, right, 0.5).items() if pair[1] in listed}
    chosen = {(image, other) for image, _, other in found}
    # A pair is listed for every benchmark that holds its image.
    assert set(found) == {
        (image, name, other)
        for image, other in chosen
        for name, rows in held.items()
        if other in {ids[r] for r in rows}
    }
    for pair, value in possible.items():
        better = [sum(v > value for p, v in possible.items() if p[side] == pair[side]) for side in (0, 1)]
        as_good = [sum(v == value for p, v in possible.items() if p[side] == pair[side]) for side in (0, 1)]
        if better[0] + as_good[0] <= 2 or better[1] + as_good[1] <= 1:
            assert pair in chosen
        if pair in chosen:
            assert better[0] < 2 or better[1] < 1
    assert chosen <= possible.keys()


def test_candidates_include_close_hashes_of_any_benchmark() -> None:
    random = np.random.default_rng(0)
    one, two = (random.integers(0, 256, ORIENTATIONS * BITS // 8, np.uint8).tobytes() for _ in range(2))

    def hashed(prefix: str, vectors: np.ndarray, hashes: list[bytes | None]) -> Images:
        return Images(names(prefix, len(vectors)), vectors, Hashes.of(pa.array(hashes, pa.binary())))

    axes = np.eye(6, dtype=np.float16)
    own = hashed("a", axes[:2], [one, None])
    benchmarks = {"first": hashed("b", axes[2:3], [None]), "second": hashed("c", axes[3:5], [two, one])}
    found = leaks_of(own, benchmarks, CANDIDATES.partners(0.75, 64), CANDIDATES)
    assert found.pairs.num_rows == 0
    (record,) = found.candidates.to_pylist()
    assert record == {
        "image_id": names("a", 1)[0].as_py(),
        "benchmark": "second",
        "benchmark_image_id": names("c", 2)[1].as_py(),
        "similarity": 0,
        "pdq_distance": 0,
    }


# Positions -----------------------------------------------------------------------------------------------------------


POSITIONS = pa.schema(
    [("row", pa.int64()), ("image_index", pa.int32()), ("image_id", pa.string()), ("low_information", pa.bool_())]
)


def locate(pairs: list[tuple[str, str, float]], benchmark: list[tuple[int, int, str, bool]]) -> list[dict[str, object]]:
    table = locate_pairs(
        pa.Table.from_pylist(
            [
                {"image_id": image, "benchmark": "bench", "benchmark_image_id": other, "similarity": similarity}
                for image, other, similarity in pairs
            ],
            BENCHMARK_PAIRS_SCHEMA,
        ),
        {
            "other": POSITIONS.empty_table(),
            "bench": pa.table(
                [
                    pa.array(column, kind)
                    for column, kind in zip(
                        zip(*benchmark, strict=True), (pa.int64(), pa.int32(), pa.string(), pa.bool_()), strict=True
                    )
                ],
                schema=POSITIONS,
            ),
        },
        # As in the asset: one entry per position, so an image may occur twice.
        pa.table({"image_id": ["x", "y", "x", "z"], "low_information": [False, True, False, False]}),
        pa.table({"image_id": ["z", "x", "y"], "background_similarity": pa.array([None, 0.25, 0.5], pa.float32())}),
    )
    assert table.schema == LOCATED_SCHEMA
    records: list[dict[str, object]] = table.to_pylist()
    return records


BENCH = [(0, 0, "p", False), (0, 1, "q", False), (3, 0, "r", True), (4, 2, "q", False), (9, 0, "q", False)]


def test_a_benchmark_image_has_its_first_position_and_count() -> None:
    found = locate([("x", "p", 0.9), ("x", "q", 0.8), ("y", "q", 0.7), ("y", "r", 1.0)], BENCH)
    places = [
        (record["image_id"], record["benchmark_image_id"], record["benchmark_row"], record["benchmark_image"])
        for record in found
    ]
    assert places == [("x", "p", 0, 0), ("x", "q", 0, 1), ("y", "q", 0, 1), ("y", "r", 3, 0)]
    assert [record["benchmark_positions"] for record in found] == [1, 3, 3, 1]
    assert {record["benchmark"] for record in found} == {"bench"}
    assert [record["similarity"] for record in found] == pytest.approx([0.9, 0.8, 0.7, 1.0])


def test_the_normalized_score_is_null_without_a_background() -> None:
    found = locate([("z", "p", 0.9), ("x", "p", 0.75), ("y", "q", 0.8)], BENCH)
    assert found[0]["similarity_normalized"] is None
    assert [record["similarity_normalized"] for record in found[1:]] == pytest.approx([0.5, 0.3])


@pytest.mark.parametrize(
    ("image", "benchmark_image", "flagged"),
    [("x", "p", False), ("y", "p", True), ("x", "r", True), ("y", "r", True)],
)
def test_a_pair_is_flagged_if_either_image_is_flagged(image: str, benchmark_image: str, flagged: bool) -> None:
    (record,) = locate([(image, benchmark_image, 0.9)], BENCH)
    assert record["low_information"] is flagged


def test_no_pairs_are_located_as_no_pairs() -> None:
    assert locate([], BENCH) == []


# Rates ---------------------------------------------------------------------------------------------------------------

IMAGES = [f"p{number}" for number in range(6)]
BENCHMARKS = ["one", "two", "three"]
#: They include the thresholds.
SIMILARITIES = st.sampled_from([0.7, 0.75, 0.7500001, 0.8, 0.9, 0.9499999, 0.95, 1.0])
THRESHOLDS = [0.75, 0.8, 0.95, 1.0]

Pairs = dict[tuple[str, str], float]


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[tuple[int, str]], int, dict[str, list[str]], dict[str, Pairs]]:
    """Draw positions of a subset, its number of rows, the benchmarks' positions, and pairs; images repeat."""
    in_rows = draw(st.lists(st.lists(st.sampled_from(IMAGES), max_size=4), max_size=6))
    positions = [(row, image) for row, images in enumerate(in_rows) for image in images]
    benchmarks, pairs = {}, {}
    for name in draw(st.lists(st.sampled_from(BENCHMARKS), unique=True)):
        held = draw(st.lists(st.sampled_from([f"b{number}" for number in range(5)]), max_size=8))
        possible = sorted({(image, other) for _, image in positions for other in held})
        chosen = draw(st.lists(st.sampled_from(possible), unique=True)) if possible else []
        benchmarks[name] = held
        pairs[name] = {pair: draw(SIMILARITIES) for pair in chosen}
    return positions, len(in_rows), benchmarks, pairs


def rates_of(
    positions: list[tuple[int, str]], rows: int, benchmarks: dict[str, list[str]], pairs: dict[str, Pairs]
) -> pa.Table:
    return contamination_rates(
        pa.table(
            {
                "row": pa.array([row for row, _ in positions], pa.int64()),
                "image_id": pa.array([image for _, image in positions], pa.string()),
            }
        ),
        rows,
        {name: pa.table({"image_id": pa.array(held, pa.string())}) for name, held in benchmarks.items()},
        {
            name: pa.table(
                [
                    pa.array([pair[0] for pair in found], pa.string()),
                    pa.array([name] * len(found), pa.string()),
                    pa.array([pair[1] for pair in found], pa.string()),
                    pa.array(list(found.values()), pa.float32()),
                ],
                schema=BENCHMARK_PAIRS_SCHEMA,
            )
            for name, found in pairs.items()
        },
        THRESHOLDS,
    )


@relaxed
@given(corpora())
def test_rates_equal_a_count_of_positions_one_by_one(
    corpus: tuple[list[tuple[int, str]], int, dict[str, list[str]], dict[str, Pairs]],
) -> None:
    positions, rows, benchmarks, pairs = corpus
    table = rates_of(*corpus)
    assert table.schema == RATES_SCHEMA
    found = {(record["benchmark"], record["threshold"]): record for record in table.to_pylist()}
    assert len(found) == table.num_rows == (len(benchmarks) + 1) * len(THRESHOLDS)
    for threshold in THRESHOLDS:
        close = {
            name: {pair for pair, value in of_benchmark.items() if np.float32(value) >= np.float32(threshold)}
            for name, of_benchmark in pairs.items()
        }
        for name in (*benchmarks, ALL):
            of = list(benchmarks) if name == ALL else [name]
            leaked = [
                any(pair[1] == image for pair in close[benchmark])
                for benchmark in of
                for image in benchmarks[benchmark]
            ]
            contaminated = [
                (row, image)
                for row, image in positions
                if any(pair[0] == image for benchmark in of for pair in close[benchmark])
            ]
            record = found[name, threshold]
            assert record["images"] == len(positions)
            assert record["images_contaminated"] == len(contaminated)
            assert record["rows"] == rows
            assert record["rows_contaminated"] == len({row for row, _ in contaminated})
            assert record["benchmark_images"] == len(leaked)
            assert record["benchmark_images_leaked"] == sum(leaked)
            if positions:
                assert record["rate"] == pytest.approx(len(contaminated) / len(positions))
                assert (record["ci_low"], record["ci_high"]) == wilson_interval(len(contaminated), len(positions))
            else:
                assert (record["rate"], record["ci_low"], record["ci_high"]) == (None, None, None)


def test_without_a_benchmark_all_of_none_leaks_nothing() -> None:
    table = rates_of([(0, "p0"), (2, "p1")], 3, {}, {})
    assert set(table["benchmark"].to_pylist()) == {ALL}
    assert set(table["images_contaminated"].to_pylist()) == {0}
    assert set(table["benchmark_images"].to_pylist()) == {0}
    assert set(table["ci_low"].to_pylist()) == {0.0}


def test_an_image_in_two_benchmarks_counts_once_in_their_total() -> None:
    pairs = {"one": {("p0", "b0"): 0.96}, "two": {("p0", "b1"): 1.0, ("p1", "b1"): 0.8}}
    table = rates_of([(0, "p0"), (0, "p1")], 1, {"one": ["b0"], "two": ["b1", "b1"]}, pairs)
    records = [record for record in table.to_pylist() if record["threshold"] == 0.95]
    counted = [(r["benchmark"], r["images_contaminated"], r["benchmark_images_leaked"]) for r in records]
    assert counted == [("one", 1, 1), ("two", 1, 2), (ALL, 1, 3)]


def test_without_benchmarks_there_are_no_leaks() -> None:
    vectors = random_units(3, 8).astype(np.float16)
    others = collect_benchmarks({})
    found = find_leaks(images(names("a", 3), vectors), others, [], CANDIDATES.partners(0.75, 64), CANDIDATES)
    assert (found.pairs.num_rows, found.candidates.num_rows) == (0, 0)
    assert (found.pairs.schema, found.candidates.schema) == (BENCHMARK_PAIRS_SCHEMA, CANDIDATES_SCHEMA)
