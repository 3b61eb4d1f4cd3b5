"""What cleaning takes out of moments, and the table of subsets together."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.diversity.after_cleaning import moments_of_dropped
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.published import PUBLISHED_SCHEMA, published_scores
from visdiv_assets.diversity.scores import combined_score, scores
from visdiv_assets.diversity.tables import CORPUS_SCHEMA, corpus_table

VECTORS = np.random.default_rng(0).normal(size=(5, 3))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
IDS = pa.array(list("abcde"))
#: Row 1 has two images, and image a occurs in rows 0 and 3.
LISTED = pa.table({"row": [0, 1, 1, 2, 3, 4], "image_id": ["a", "b", "c", "d", "a", "e"]})


def dropped(**reasons: list[int]) -> pa.Table:
    rows = [(row, reason) for reason, those in reasons.items() for row in those]
    return pa.table(
        {"row": pa.array([row for row, _ in rows], pa.int64()), "reason": pa.array([r for _, r in rows], pa.string())}
    )


def subtracted(**reasons: list[int]) -> dict[str, Moments]:
    return moments_of_dropped(LISTED, dropped(**reasons), IDS, VECTORS, model_id="m", dimension=3)


def of(*numbers: int) -> Moments:
    return Moments.from_vectors(VECTORS[list(numbers)], model_id="m")


def assert_equal(found: Moments, expected: Moments) -> None:
    assert found.n == expected.n
    assert np.allclose(found.second_moment, expected.second_moment)
    assert np.allclose(found.sum_x, expected.sum_x)


def test_each_way_subtracts_the_images_of_its_rows() -> None:
    found = subtracted(contaminated=[1], duplicate=[3], quality=[4])
    assert_equal(found["decontaminated"], of(1, 2))
    assert_equal(found["deduplicated"], of(0))
    assert_equal(found["clean"], of(1, 2, 0, 4))


def test_an_image_of_two_dropped_rows_is_subtracted_twice() -> None:
    assert_equal(subtracted(duplicate=[0, 3])["deduplicated"], of(0, 0))


def test_nothing_is_subtracted_without_dropped_rows() -> None:
    assert {kind: gone.n for kind, gone in subtracted().items()} == {"decontaminated": 0, "deduplicated": 0, "clean": 0}


def test_subsets_without_images_have_nothing_to_subtract() -> None:
    nothing = moments_of_dropped(
        LISTED.slice(0, 0), dropped(duplicate=[0]), IDS.slice(0, 0), VECTORS[:0], model_id="m", dimension=3
    )
    assert nothing["clean"].n == 0


def test_the_corpus_table_has_the_scores_of_every_scope() -> None:
    whole = {"one": of(0, 1, 2), "two": of(3, 4, 0)}
    cleaned = {"one": {"clean": of(0, 1)}, "two": {"clean": of(3)}}
    table = corpus_table(whole, cleaned.__getitem__)
    assert table.schema == CORPUS_SCHEMA
    rows = {(row["scope"], row["subset"], row["centered"]): row for row in table.to_pylist()}
    assert len(rows) == table.num_rows == 2 * (1 + 1 + 2 + 2 + 2)
    for centered in (True, False):
        for key, expected in {
            ("corpus", None): of(0, 1, 2, 3, 4, 0),
            ("corpus_clean", None): of(0, 1, 3),
            ("without", "one"): of(3, 4, 0),
            ("subset_clean", "two"): of(3),
        }.items():
            row = rows[*key, centered]
            assert row["images"] == expected.n
            assert row["effective_rank"] == pytest.approx(scores(expected, centered=centered).effective_rank)
    steps = {row["step"]: row["images"] for row in table.to_pylist() if row["scope"] == "growing"}
    assert steps == {1: 3, 2: 6}
    assert all(row["too_few"] == (row["images"] < 6) for row in table.to_pylist())


def test_no_subset_has_an_empty_table() -> None:
    none: dict[str, dict[str, Moments]] = {}
    assert corpus_table({}, none.__getitem__).num_rows == 0


def test_published_scores_follow_from_the_published_ranks() -> None:
    rows = [row for row in published_scores().to_pylist() if row["published_by"] == "finevision"]
    assert [row["dataset"] for row in rows] == ["The Cauldron", "LLaVA-OneVision", "Cambrian-7M", "FineVision"]
    for row in rows:
        expected = combined_score(row["effective_rank"], row["participation_ratio"], 512)
        assert row["score"] == pytest.approx(expected, abs=6e-4)


def test_published_ratings_are_words_for_ranges_of_the_score() -> None:
    found = published_scores()
    assert found.schema == PUBLISHED_SCHEMA
    rows = found.to_pylist()
    assert len({row["dataset"] for row in rows}) == len(rows) == 13
    words = ["Very Low", "Low", "Normal", "Good", "Very Good"]
    differing = [
        row["dataset"]
        for row in rows
        if row["rating"] != words[sum(row["score"] >= bound for bound in (0.2, 0.3, 0.4, 0.5))]
    ]
    # As its README has it: 0.298 is rated Normal there, although the range of Normal begins at 0.30.
    assert differing == ["LLaVA-OneVision"]
    assert all(row["effective_rank"] is None for row in rows if row["published_by"] != "finevision")
