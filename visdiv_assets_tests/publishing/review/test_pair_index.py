"""Which pairs are listed, in which order, and what is counted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from starlette.datastructures import QueryParams

from visdiv_assets.errors import InputError, NotMaterializedError
from visdiv_assets.publishing.review.filters import parse_filters
from visdiv_assets.publishing.review.marks import Marks, Said
from visdiv_assets.publishing.review.pair_index import PairIndex
from visdiv_assets.storage.lake import Lake

LARGE = 100_000


def listed(index: PairIndex, query: str = "") -> list[str]:
    """Return verdict and evidence of the listed pairs."""
    found = index.slice_after(parse_filters(QueryParams(query)), 0, 200)
    return [f"{pair['verdict']} {pair['evidence']}" for pair in found]


def say(index: PairIndex, path: Path, number: int, said: Said, *, sampled: bool = False) -> None:
    pair = index.find(number)
    assert pair is not None
    Marks(path, index, "kim").mark(pair, said, sampled=sampled)


def test_undecided_pairs_come_first_then_the_least_sure(index: PairIndex) -> None:
    assert listed(index) == [
        "undecided too small",
        "confirmed cropped",
        "confirmed recolored",
        "rejected contents differ",
    ]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3, 4]),
        ("verdict=confirmed", [2, 3]),
        ("verdict=confirmed&verdict=rejected", [2, 3, 4]),
        ("evidence=cropped&evidence=too small", [1, 2]),
        ("subset=maps", [2, 4]),
        ("least=0.95", [2, 3]),
        ("least=0.5&most=0.96", [1, 2]),
        ("mark=right", [3]),
        ("mark=none", [1, 2, 4]),
        ("mark=none&verdict=confirmed", [2]),
        ("kind=contamination", [5, 6]),
        ("kind=contamination&benchmark=other", []),
    ],
)
def test_filters_list_the_pairs_that_match(index: PairIndex, decisions: Path, query: str, numbers: list[int]) -> None:
    say(index, decisions, 3, "right")
    filters = parse_filters(QueryParams(query))
    found = index.slice_after(filters, 0, 200)
    assert [pair["number"] for pair in found] == numbers
    assert index.count(filters) == len(numbers)
    assert [pair["number"] for pair in index.slice_before(filters, 10**6, 200)] == numbers


@pytest.mark.parametrize("query", ["verdict=maybe", "kind=x", "least=2", "most=nan", "sample=x", "sample=-1", "mark=x"])
def test_a_filter_that_does_not_exist_is_refused(query: str) -> None:
    with pytest.raises(InputError):
        parse_filters(QueryParams(query))


def test_a_pair_of_two_subsets_is_listed_once(index: PairIndex) -> None:
    assert index.facets("duplicates")["subset"] == [("charts", 4), ("maps", 2)]


def test_the_left_image_has_the_earlier_position(index: PairIndex) -> None:
    for number in range(1, 5):
        pair = index.find(number)
        assert pair is not None
        a, b = (tuple(pair[name].values()) for name in ("position_a", "position_b"))
        assert pair["swapped"] == (b < a)


def test_slices_go_on_where_the_last_one_ended(index: PairIndex) -> None:
    filters = parse_filters(QueryParams())
    assert [pair["number"] for pair in index.slice_after(filters, 2, 1)] == [3]
    assert [pair["number"] for pair in index.slice_before(filters, 3, 1)] == [2]


def test_the_first_unmarked_pair_is_found(index: PairIndex, decisions: Path) -> None:
    filters = parse_filters(QueryParams())
    assert index.first_unmarked(filters) == 1
    say(index, decisions, 1, "unsure")
    assert index.first_unmarked(filters) == 2


def test_a_decision_holds_after_a_new_start(index: PairIndex, decisions: Path, lake: Lake) -> None:
    say(index, decisions, 2, "wrong")
    with PairIndex(lake) as again:
        Marks(decisions, again, "kim")
        pair = again.find(2)
    assert pair is not None
    assert pair["mark"] == "wrong"


def test_a_withdrawn_decision_is_gone(index: PairIndex, decisions: Path) -> None:
    say(index, decisions, 2, "wrong")
    say(index, decisions, 2, "withdrawn")
    pair = index.find(2)
    assert pair is not None
    assert pair["mark"] is None
    assert index.progress(parse_filters(QueryParams())).marked == 0


def test_decisions_of_other_programs_are_seen(index: PairIndex, decisions: Path, lake: Lake) -> None:
    ours = Marks(decisions, index, "kim")
    with PairIndex(lake) as other:
        say(other, decisions, 1, "right")
    ours.refresh()
    assert index.progress(parse_filters(QueryParams())).right == 1


def test_a_sample_has_confirmed_pairs_only(index: PairIndex) -> None:
    assert {each.split()[0] for each in listed(index, "sample=40")} == {"confirmed"}
    assert listed(index, "sample=40&verdict=rejected") == listed(index, "sample=40")


def test_precision_counts_what_was_said_in_the_sample(index: PairIndex, decisions: Path) -> None:
    filters = parse_filters(QueryParams("sample=40"))
    say(index, decisions, 2, "wrong", sampled=True)
    say(index, decisions, 3, "right")
    progress = index.progress(filters)
    assert (progress.pairs, progress.marked, progress.right, progress.wrong) == (2, 1, 0, 1)
    # Wilson's interval of 0 of 1.
    assert progress.low == 0
    assert progress.high == pytest.approx(0.7934506)


def test_without_compared_pairs_the_command_to_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotMaterializedError):
        PairIndex(Lake(tmp_path))


def test_slices_of_many_pairs_are_fast(index: PairIndex) -> None:
    # As many pairs as a large review has: copies of the third one with other image_ids.
    other = "md5(i::VARCHAR)"
    index._connection.execute(
        f"INSERT INTO pairs SELECT pairs.* REPLACE (10 + i AS number, {other} AS image_id_b, "
        f"i / {LARGE} AS confidence, image_id_a || ' ' || {other} AS pair_key) "
        f"FROM pairs, range(1, {LARGE + 1}) r(i) WHERE number = 3"
    )
    filters = parse_filters(QueryParams("verdict=confirmed&subset=charts&most=0.5&mark=none"))
    began = time.perf_counter()
    found = index.slice_after(filters, 49_000, 50)
    counted = index.count(filters), index.progress(filters).pairs
    took = time.perf_counter() - began
    assert [pair["number"] for pair in found] == list(range(49_001, 49_051))
    assert counted == (LARGE // 2, LARGE // 2)
    # A few hundredths of a second on an idle machine.
    assert took < 5, took
