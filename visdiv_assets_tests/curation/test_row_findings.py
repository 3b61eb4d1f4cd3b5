"""Findings about the rows of a subset: the reasons for which rows are dropped, and their witnesses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.curation.export import DROPPED_SCHEMA
from visdiv_assets.curation.reasons import DROP_REASONS
from visdiv_assets.curation.row_findings import RowFacts, dropped_rows, load_row_facts
from visdiv_assets.errors import StaleError, VisdivError
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.curation.lakes import Listed, add_images, add_leaks, add_quality, add_turns, image_id

DUPLICATES = pa.schema(
    [
        ("row", pa.int64()),
        ("image_index", pa.int32()),
        ("reason", pa.string()),
        ("keeper_subset", pa.string()),
        ("keeper_row", pa.int64()),
        ("keeper_image", pa.int32()),
        ("similarity", pa.float32()),
        ("confidence", pa.float32()),
        ("evidence", pa.string()),
    ]
)
NO_DUPLICATES = DUPLICATES.empty_table()

BROKEN = "truncated"

#: Reasons that need no measures of images and texts, which these lakes lack.
TESTED = tuple(reason for reason in DROP_REASONS if reason not in ("image_quality", "text_quality"))

#: Rows 1 and 3 have an unreadable image, rows 1, 2, 3 and 4 the leaked image b; rows 0 and 6 have no image.
POSITIONS = [
    Listed(1, "x", 0, BROKEN, "ends early"),
    Listed(1, "b", 1),
    Listed(2, "a", 0),
    Listed(2, "b", 1),
    Listed(3, "b", 0),
    Listed(3, "y", 1, "corrupt", "bad scan"),
    Listed(3, "", 2, "empty", "no bytes"),
    Listed(4, "b", 0),
    Listed(5, "c", 0),
]
RATINGS = [(True, None), (False, 1.0), (False, 2.0), (True, 3.0), (True, 4.5), (True, 5.0), (False, None)]
LEAKS = {"bench": [("b", 7, 0.96), ("c", 8, 0.9)]}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


@pytest.fixture
def example(lake: Lake) -> Lake:
    add_images(lake, "some", 7, POSITIONS[:4], POSITIONS[4:])
    add_quality(lake, "some", RATINGS)
    add_leaks(lake, "some", LEAKS)
    return lake


def facts_of(lake: Lake, *, threshold: float = 0.95, drop: Sequence[str] = TESTED) -> RowFacts:
    return load_row_facts(
        lake,
        "some",
        copies_by="similarity",
        contamination_threshold=threshold,
        text_contamination_share=0.5,
        image_profile="basic",
        text_profile="basic",
        drop=drop,
    )


def test_ratings_of_older_turns_are_refused(example: Lake) -> None:
    images = example.require("subset_images", "some")
    add_quality(example, "some", RATINGS, add_turns(example, images, "What?"))
    assert facts_of(example).rating[3] == 3.0
    add_turns(example, images, "How?")
    with pytest.raises(StaleError, match="quality_rows of 'some' is older than its images or turns: run `visdiv run"):
        facts_of(example)


def reasons(facts: RowFacts) -> list[str | None]:
    return [DROP_REASONS[number - 1] if number else None for number in facts.blocked.tolist()]


def dropped(facts: RowFacts, duplicates: pa.Table = NO_DUPLICATES) -> list[dict[str, object]]:
    table = dropped_rows(facts, duplicates)
    assert table.schema == DROPPED_SCHEMA
    records: list[dict[str, object]] = table.to_pylist()
    return records


# Reasons -------------------------------------------------------------------------------------------------------------


def test_a_row_is_dropped_for_the_first_reason_that_applies(example: Lake) -> None:
    facts = facts_of(example)
    assert reasons(facts) == [None, "unreadable", "quality", "unreadable", "contaminated", None, "quality"]


@pytest.mark.parametrize(
    ("drop", "expected"),
    [
        ([], [None] * 7),
        (["duplicate"], [None] * 7),
        (["contaminated"], [None, *["contaminated"] * 4, None, None]),
        (["quality", "contaminated"], [None, "quality", "quality", "contaminated", "contaminated", None, "quality"]),
        (["unreadable"], [None, "unreadable", None, "unreadable", None, None, None]),
        (["contaminated", "quality", "unreadable"], None),
    ],
)
def test_reasons_that_are_not_set_drop_nothing_and_hide_nothing(
    example: Lake, drop: list[str], expected: list[str | None] | None
) -> None:
    facts = facts_of(example, drop=drop)
    # The order in which they are set is not the order in which they apply.
    assert reasons(facts) == (expected or reasons(facts_of(example)))
    assert [record["reason"] for record in dropped(facts)] == [reason for reason in reasons(facts) if reason]


def test_findings_are_the_same_whatever_is_dropped(example: Lake) -> None:
    """Keep-best prefers images of rows that are not contaminated even where contamination drops nothing."""
    for drop in ((), TESTED):
        facts = facts_of(example, drop=drop)
        np.testing.assert_array_equal(facts.leak >= 0, [False, True, True, True, True, False, False])
        np.testing.assert_array_equal(facts.unreadable >= 0, [False, True, False, True, False, False, False])


def test_ratings_are_those_of_the_rows_or_nan(example: Lake) -> None:
    rating = facts_of(example).rating
    assert rating.dtype == np.float32
    np.testing.assert_array_equal(rating, [math.nan, 1, 2, 3, 4.5, 5, math.nan])


def test_the_threshold_of_contamination_is_reached_by_equality(lake: Lake) -> None:
    add_images(lake, "some", 3, [Listed(0, "a"), Listed(1, "b"), Listed(2, "c")])
    below = float(np.nextafter(np.float32(0.95), np.float32(0)))
    add_leaks(lake, "some", {"bench": [("a", 0, 0.95), ("b", 0, below), ("c", 0, 1.0)]})
    assert reasons(facts_of(lake)) == ["contaminated", None, "contaminated"]
    assert reasons(facts_of(lake, threshold=0.9)) == ["contaminated"] * 3


@pytest.mark.parametrize("missing", ["quality", "leaks", "benchmarks", "all"])
def test_missing_tables_drop_nothing(lake: Lake, missing: str) -> None:
    add_images(lake, "some", 7, POSITIONS)
    if missing not in ("quality", "all"):
        add_quality(lake, "some", RATINGS)
    if missing == "benchmarks":
        add_leaks(lake, "some", {})
    elif missing == "quality":
        add_leaks(lake, "some", LEAKS)
    facts = facts_of(lake)
    found = set(reasons(facts)) - {None}
    assert (
        found
        == {
            "quality": {"unreadable", "contaminated"},
            "leaks": {"unreadable", "quality"},
            "benchmarks": {"unreadable", "quality"},
            "all": {"unreadable"},
        }[missing]
    )
    if missing in ("quality", "all"):
        assert np.isnan(facts.rating).all()


@pytest.mark.parametrize("rows", [0, 3])
def test_a_subset_without_images_has_rows_and_no_findings(lake: Lake, rows: int) -> None:
    add_images(lake, "some", rows)
    add_quality(lake, "some", [(True, None)] * rows)
    add_leaks(lake, "some", {"bench": []})
    facts = facts_of(lake)
    assert facts.rows == rows
    assert [len(values) for values in (facts.rating, facts.unreadable, facts.leak, facts.blocked)] == [rows] * 4
    assert dropped(facts) == []


def test_a_subset_that_is_not_listed_is_named(lake: Lake) -> None:
    with pytest.raises(VisdivError, match="subset_images of 'some' is not materialized"):
        facts_of(lake)


# Leaks ---------------------------------------------------------------------------------------------------------------


def test_positions_of_a_leak_have_the_closest_benchmark_image(lake: Lake) -> None:
    add_images(lake, "some", 4, [Listed(0, "a"), Listed(0, "b", 1), Listed(2, "a"), Listed(3, "c"), Listed(3, "d", 1)])
    add_leaks(
        lake,
        "some",
        {
            "first": [("a", 5, 0.96), ("a", 6, 0.97), ("b", 1, 0.99), ("d", 1, 0.8)],
            "second": [("a", 2, 0.98), ("b", 2, 0.95)],
        },
    )
    leaks = facts_of(lake).leaks.to_pylist()
    places = [
        (leak["row"], leak["image_index"], leak["image_id"], leak["benchmark"], leak["benchmark_row"]) for leak in leaks
    ]
    assert places == [
        (0, 1, image_id("b"), "first", 1),
        (0, 0, image_id("a"), "second", 2),
        (2, 0, image_id("a"), "second", 2),
    ]
    assert [leak["similarity"] for leak in leaks] == pytest.approx([0.99, 0.98, 0.98])
    assert {leak["benchmark_image"] for leak in leaks} == {1}


def test_ties_of_benchmark_images_go_to_the_first_by_name(lake: Lake) -> None:
    add_images(lake, "some", 1, [Listed(0, "a")])
    add_leaks(lake, "some", {"z": [("a", 0, 1.0)], "m": [("a", 9, 1.0), ("a", 4, 1.0)]})
    (leak,) = facts_of(lake).leaks.to_pylist()
    assert (leak["benchmark"], leak["benchmark_row"]) == ("m", 4)


def test_a_row_has_its_closest_leak_and_the_first_of_ties(lake: Lake) -> None:
    add_images(lake, "some", 2, [Listed(0, "a"), Listed(0, "b", 1), Listed(1, "c"), Listed(1, "c", 1)])
    add_leaks(lake, "some", {"bench": [("a", 0, 0.96), ("b", 1, 0.99), ("c", 2, 0.97)]})
    first, second = dropped(facts_of(lake))
    assert (first["image_index"], first["witness_row"]) == (1, 1)
    assert (second["image_index"], second["witness_row"]) == (0, 2)


def test_a_position_that_cannot_be_read_does_not_leak(lake: Lake) -> None:
    add_images(lake, "some", 2, [Listed(0, "a", status=BROKEN), Listed(1, "a")])
    add_leaks(lake, "some", {"bench": [("a", 0, 0.99)]})
    facts = facts_of(lake, drop=["contaminated"])
    assert reasons(facts) == [None, "contaminated"]


# Dropped rows --------------------------------------------------------------------------------------------------------


def test_dropped_rows_are_listed_once_in_order_with_witness(example: Lake) -> None:
    duplicates = pa.table(
        [
            [5, 0],
            [0, 2],
            ["near_copy", "exact_copy"],
            ["other", "some"],
            [11, 4],
            [3, 0],
            [0.97, 1.0],
            [0.995, 1.0],
            ["cropped", "identical_pixels"],
        ],
        schema=DUPLICATES,
    )
    records = dropped(facts_of(example), duplicates)
    assert [(record["row"], record["reason"]) for record in records] == [
        (0, "duplicate"),
        (1, "unreadable"),
        (2, "quality"),
        (3, "unreadable"),
        (4, "contaminated"),
        (5, "duplicate"),
        (6, "quality"),
    ]
    assert {record["subset"] for record in records} == {"some"}
    assert [record["detail"] for record in records] == [
        "exact copy",
        "truncated: ends early",
        "no turn reaches the thresholds",
        "corrupt: bad scan",
        "close to an image of a benchmark",
        "near copy",
        "no turn reaches the thresholds",
    ]
    assert [record["image_index"] for record in records] == [2, 0, None, 1, 0, 0, None]
    witnesses = [
        (record["witness_kind"], record["witness"], record["witness_row"], record["witness_image"])
        for record in records
    ]
    nobody = (None, None, None, None)
    assert witnesses == [
        ("subset", "some", 4, 0),
        nobody,
        nobody,
        nobody,
        ("benchmark", "bench", 7, 1),
        ("subset", "other", 11, 3),
        nobody,
    ]
    similarity = [record["similarity"] for record in records]
    assert similarity == [1.0, None, None, None, pytest.approx(0.96), pytest.approx(0.97), None]
    # By similarity, the leak has no verdict.
    confidence = [record["confidence"] for record in records]
    assert confidence == [1.0, None, None, None, None, pytest.approx(0.995), None]
    evidence = [record["evidence"] for record in records]
    assert evidence == ["identical_pixels", None, None, None, None, "cropped", None]


def test_without_dropped_rows_the_table_is_empty(lake: Lake) -> None:
    add_images(lake, "some", 2, [Listed(0, "a"), Listed(1, "b")])
    assert dropped(facts_of(lake)) == []
