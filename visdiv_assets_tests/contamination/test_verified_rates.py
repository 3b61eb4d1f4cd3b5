"""Rates of images in confirmed pairs with a benchmark, against a plain count of positions."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings

from visdiv_assets.contamination.images import RATES_SCHEMA, VERIFIED, verified_contamination_rates
from visdiv_assets.statistics import ALL, wilson_interval
from visdiv_assets_tests.contamination.test_images import Pairs, corpora

relaxed = settings(deadline=None, max_examples=60)

#: row, image_id
Positions = list[tuple[int, str]]
#: image_id, benchmark_image_id -> whether the pair is confirmed
Compared = dict[tuple[str, str], bool]


def rates(
    positions: Positions, rows: int, benchmarks: dict[str, list[str]], pairs: dict[str, Compared]
) -> dict[str, dict[str, object]]:
    table = verified_contamination_rates(
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
                {
                    "image_id": pa.array([pair[0] for pair in compared], pa.string()),
                    "benchmark_image_id": pa.array([pair[1] for pair in compared], pa.string()),
                    "similarity": pa.array([0.5] * len(compared), pa.float32()),
                    "verified": pa.array(list(compared.values()), pa.bool_()),
                }
            )
            for name, compared in pairs.items()
        },
    )
    assert table.schema == RATES_SCHEMA
    assert set(table["rule"].to_pylist()) == {VERIFIED}
    assert table["threshold"].null_count == table.num_rows
    found = {record["benchmark"]: record for record in table.to_pylist()}
    assert len(found) == table.num_rows
    return found


@relaxed
@given(corpora())
def test_rates_equal_a_count_of_positions_one_by_one(
    corpus: tuple[Positions, int, dict[str, list[str]], dict[str, Pairs]],
) -> None:
    positions, rows, benchmarks, similarities = corpus
    pairs = {name: {pair: value >= 0.8 for pair, value in of.items()} for name, of in similarities.items()}
    found = rates(positions, rows, benchmarks, pairs)
    assert found.keys() == {*benchmarks, ALL}
    for name, record in found.items():
        of = list(benchmarks) if name == ALL else [name]
        agree = {(benchmark, *pair) for benchmark in of for pair, verified in pairs[benchmark].items() if verified}
        copied = {image for _, image, _ in agree}
        leaked = {(benchmark, image) for benchmark, _, image in agree}
        contaminated = [row for row, image in positions if image in copied]
        held = [(benchmark, image) for benchmark in of for image in benchmarks[benchmark]]
        assert record["images"] == len(positions)
        assert record["images_contaminated"] == len(contaminated)
        assert record["rows"] == rows
        assert record["rows_contaminated"] == len(set(contaminated))
        assert record["benchmark_images"] == len(held)
        assert record["benchmark_images_leaked"] == sum(place in leaked for place in held)
        assert (record["ci_low"], record["ci_high"]) == wilson_interval(len(contaminated), len(positions))
        share = len(contaminated) / len(positions) if positions else None
        assert record["rate"] == (None if share is None else pytest.approx(share))


def test_confirmed_pairs_count_every_position_rejected_ones_none() -> None:
    positions = [(0, "p0"), (0, "p1"), (1, "p0"), (2, "p2"), (4, "p0")]
    pairs = {"one": {("p0", "b0"): True, ("p1", "b1"): False}, "two": {("p0", "c0"): True, ("p2", "c0"): False}}
    found = rates(positions, 5, {"one": ["b0", "b1", "b0"], "two": ["c0"]}, pairs)
    assert [
        (name, record["images_contaminated"], record["rows_contaminated"], record["benchmark_images_leaked"])
        for name, record in found.items()
    ] == [("one", 3, 3, 2), ("two", 3, 3, 1), (ALL, 3, 3, 3)]
    assert found[ALL]["rate"] == pytest.approx(0.6)


def test_the_rate_of_rejected_pairs_is_0_not_none() -> None:
    found = rates([(0, "p0")], 1, {"one": ["b0"]}, {"one": {("p0", "b0"): False}})
    assert [found[name]["rate"] for name in ("one", ALL)] == [0, 0]


def test_without_benchmarks_or_images_there_is_nothing_to_count() -> None:
    assert rates([(0, "p0")], 1, {}, {})[ALL]["images_contaminated"] == 0
    assert rates([], 3, {"one": ["b0"]}, {"one": {}})["one"]["rate"] is None
