from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.corpus.access import digests_by_partition
from visdiv_assets.curation.alignment.summary import ROWS_SCHEMA
from visdiv_assets.curation.row_findings import dropped_rows, load_row_facts
from visdiv_assets.curation.selection.conformity import conformity
from visdiv_assets.curation.selection.semdedup import semdedup
from visdiv_assets.curation.selection.stored_scores import SCORES_SCHEMA, corpus_scores, keep_fraction_of_scored
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.curation.lakes import Listed, add_images, image_id
from visdiv_assets_tests.testing.clip_lakes import add_clip_images, unit


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def add_scores(lake: Lake, **columns: list[float | None]) -> None:
    """`selection_scores` of the subsets one and two, by the score of each of their rows."""
    (name, values), *_ = columns.items()
    listed = [manifest for subset in ("one", "two") if (manifest := lake.manifest("subset_images", subset))]
    write = lake.write("selection_scores", "all", code_version="1", inputs=digests_by_partition(listed))
    half = len(values) // 2
    records = [
        {"subset": "one" if index < half else "two", "row": index % half, name: value}
        for index, value in enumerate(values)
    ]
    with write.add("scores") as made:
        made.table("scores", pa.Table.from_pylist(records, SCORES_SCHEMA), SCORES_SCHEMA)
    write.commit(subsets=["one", "two"])


def test_rows_have_the_lowest_score_of_their_images(lake: Lake) -> None:
    random = np.random.default_rng(0)
    vectors = {letter: unit(random.standard_normal(6)) for letter in "abcde"}
    one = add_images(lake, "one", 4, [Listed(0, "a"), Listed(0, "b", 1), Listed(1, "c"), Listed(2, "", status="empty")])
    two = add_images(lake, "two", 2, [Listed(0, "d"), Listed(1, "e")])
    for images, letters in ((one, "abc"), (two, "de")):
        of_subset = {image_id(letter): vectors[letter] for letter in letters}
        add_clip_images(lake, images.partition, of_subset, images=images)
    tables = list(corpus_scores(lake, ["one", "two"]))
    stacked = np.stack(list(vectors.values())).astype(np.float16)
    common, duplicate = conformity(stacked), semdedup(stacked).score
    assert [table["subset"].to_pylist() for table in tables] == [["one"] * 4, ["two"] * 2]
    found = pa.concat_tables(tables).to_pydict()
    assert found["row"] == [0, 1, 2, 3, 0, 1]
    for name, plain in (("conformity", common), ("semdedup", duplicate)):
        expected = [min(plain[:2]), plain[2], None, None, plain[3], plain[4]]
        assert found[name] == [None if value is None else pytest.approx(value, abs=1e-6) for value in expected]
    # Five images are too few for a whitening of six dimensions.
    assert found["whitened_clip"] == [None] * 6
    assert found["clip_score"] == [None] * 6


def test_enough_images_are_whitened_and_clip_scores_are_copied(lake: Lake) -> None:
    random = np.random.default_rng(1)
    letters = "abcdefghij"
    images = add_images(lake, "one", 10, [Listed(row, letter) for row, letter in enumerate(letters)])
    vectors = {image_id(letter): random.standard_normal(3) for letter in letters}
    add_clip_images(lake, "one", vectors, images=images)
    write = lake.write("alignment", "one", code_version="1", inputs={"subset_images": images.digest})
    rows = [{"row": row, "clip_score_mean": None if row == 3 else row / 10} for row in range(10)]
    with write.add("rows") as made:
        made.table("rows", pa.Table.from_pylist(rows, ROWS_SCHEMA), ROWS_SCHEMA)
    write.commit()
    (table,) = corpus_scores(lake, ["one"])
    assert table["whitened_clip"].null_count == 0
    assert table["clip_score"].to_pylist() == pytest.approx(
        [None if row == 3 else row / 10 for row in range(10)], abs=1e-6
    )


def test_a_subset_without_images_has_null_scores(lake: Lake) -> None:
    assert list(corpus_scores(lake, [])) == []
    images = add_images(lake, "one", 2)
    add_clip_images(lake, "one", {}, images=images)
    (table,) = corpus_scores(lake, ["one"])
    assert table.num_rows == 2
    assert table["semdedup"].null_count == 2


def scores(name: str, *values: float | None) -> pa.Table:
    return pa.Table.from_pylist([{"subset": "one", "row": row, name: v} for row, v in enumerate(values)], SCORES_SCHEMA)


def test_the_best_are_low_or_high_and_unscored_rows_stay() -> None:
    values = (0.3, None, 0.1, 0.2, 0.4)
    by_semdedup, by_clip_score = scores("semdedup", *values), scores("clip_score", *values)
    kept = keep_fraction_of_scored(by_semdedup, "semdedup", 0.5)
    assert kept.tolist() == [False, True, True, True, False]
    kept = keep_fraction_of_scored(by_clip_score, "clip_score", 0.5)
    assert kept.tolist() == [True, True, False, False, True]
    assert keep_fraction_of_scored(by_clip_score, "clip_score", 1).all()


def test_equal_scores_at_the_cut_are_drawn_and_not_the_first() -> None:
    equal = scores("whitened_clip", *[0.5] * 100)
    kept = keep_fraction_of_scored(equal, "whitened_clip", 0.5)
    assert kept.sum() == 50
    assert 10 < kept[:50].sum() < 40
    np.testing.assert_array_equal(keep_fraction_of_scored(equal, "whitened_clip", 0.5), kept)


def test_selection_is_a_reason_after_the_others_except_copies(lake: Lake) -> None:
    add_images(lake, "one", 3, [Listed(0, "a"), Listed(1, "", status="empty"), Listed(2, "b")])
    not_selected = np.array([False, True, True])
    both = ("unreadable", "selection")
    for drop, expected in ((both, {1: "unreadable", 2: "selection"}), (both[:1], {1: "unreadable"})):
        facts = load_row_facts(
            lake,
            "one",
            copies_by="similarity",
            contamination_threshold=0.95,
            text_contamination_share=0.5,
            image_profile="basic",
            text_profile="basic",
            drop=drop,
            not_selected=not_selected,
        )
        dropped = dropped_rows(facts, pa.table({}))
        assert dict(zip(dropped["row"].to_pylist(), dropped["reason"].to_pylist(), strict=True)) == expected
