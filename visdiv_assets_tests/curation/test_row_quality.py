"""Rows of which every image or every turn is poor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.row_quality import POOR_ROWS_SCHEMA, rows_with_poor_images, rows_with_poor_turns
from visdiv_assets.errors import NotMaterializedError
from visdiv_assets.imaging.listing import IMAGES_SCHEMA
from visdiv_assets.storage.lake import Lake

GOOD: dict[str, Any] = {
    "status": "ok",
    "width": 300,
    "height": 200,
    "brightness_p5": 20.0,
    "brightness_p99": 240.0,
    "sharpness": 2500.0,
    "histogram_deviation": 10.0,
    "low_information": False,
    "grayscale": False,
}
DARK, BLURRY, GRAY = {"brightness_p99": 10.0}, {"sharpness": 1.0, "histogram_deviation": 1.0}, {"grayscale": True}
TURN: dict[str, Any] = {
    "empty_answer": False,
    "refusal": False,
    "repeated_lines": 0.0,
    "top_ngram": 0.0,
    "repeated_ngrams": 0.0,
}


def with_images(folder: Path, rows: list[list[dict[str, Any]]]) -> Lake:
    lake = Lake(folder)
    records = [
        {**GOOD, "row": row, "image_index": index, **image}
        for row, images in enumerate(rows)
        for index, image in enumerate(images)
    ]
    write(lake, LakeTable.SUBSET_IMAGES, "rows", pa.Table.from_pylist(records, IMAGES_SCHEMA))
    return lake


def write(lake: Lake, table: str, role: str, data: pa.Table) -> None:
    made = lake.write(table, "some", code_version="1", inputs={})
    with made.add("one", {}) as unit:
        unit.table(role, data, data.schema)
    made.commit()


def test_a_row_with_one_good_image_stays(tmp_path: Path) -> None:
    lake = with_images(tmp_path, [[DARK, {}], [DARK, BLURRY], [GRAY], [{"status": "corrupt"}], [{**DARK, **BLURRY}]])
    found = rows_with_poor_images(lake, "some", "basic")
    assert found.schema == POOR_ROWS_SCHEMA
    assert found.to_pylist() == [
        {"row": 1, "detail": "every image has an issue: dark"},
        {"row": 4, "detail": "every image has an issue: dark, blurry"},
    ]
    assert rows_with_poor_images(lake, "some", "cleanvision")["row"].to_pylist() == [1, 2, 4]


def test_datacomps_basic_filter_is_a_profile(tmp_path: Path) -> None:
    sizes = [(200, 600), (199, 400), (200, 601), (2000, 300)]
    images = [[{"width": width, "height": height}] for width, height in sizes]
    found = rows_with_poor_images(with_images(tmp_path / "images", images), "some", "datacomp")
    assert found.to_pylist() == [
        {"row": 1, "detail": "every image has an issue: shorter side below 200"},
        {"row": 2, "detail": "every image has an issue: aspect ratio above 3"},
        {"row": 3, "detail": "every image has an issue: aspect ratio above 3"},
    ]
    lake = Lake(tmp_path / "texts")
    turns = [("en", 3, 6), ("de", 30, 60), (None, 3, 6), ("en", 2, 20), ("en", 3, 5)]
    records = [
        {"row": row, "turn": 0, "language": language, "answer_words": words, "answer_characters": characters}
        for row, (language, words, characters) in enumerate(turns)
    ]
    names = {"row": pa.int64(), "turn": pa.int32(), "language": pa.string()}
    schema = pa.schema(names | dict.fromkeys(("answer_words", "answer_characters"), pa.int32()))
    write(lake, LakeTable.TEXT_QUALITY, "turns", pa.Table.from_pylist(records, schema))
    assert rows_with_poor_turns(lake, "some", "datacomp").to_pylist() == [
        {"row": 1, "detail": "every turn exceeds a limit: not english"},
        {"row": 3, "detail": "every turn exceeds a limit: at most 2 words"},
        {"row": 4, "detail": "every turn exceeds a limit: at most 5 characters"},
    ]


def test_a_share_at_the_limit_of_single_precision_is_not_poor(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    turns: list[dict[str, Any]] = [
        {"row": 0, "repeated_lines": 0.3},
        {"row": 1, "repeated_lines": 0.31},
        {"row": 2, "longest_run": 201},
        {"row": 3, "empty_answer": True},
        {"row": 3, "turn": 1},
    ]
    kinds = dict.fromkeys(TURN, pa.float32()) | {"empty_answer": pa.bool_(), "refusal": pa.bool_()}
    schema = pa.schema({"row": pa.int64(), "turn": pa.int32(), "longest_run": pa.int32(), **kinds})
    records = [{"turn": 0, "longest_run": 1, **TURN, **turn} for turn in turns]
    write(lake, LakeTable.TEXT_QUALITY, "turns", pa.Table.from_pylist(records, schema))
    assert rows_with_poor_turns(lake, "some", "gopher")["row"].to_pylist() == [1, 2]
    assert rows_with_poor_turns(lake, "some", "basic")["row"].to_pylist() == [2]


def test_texts_that_were_not_measured_drop_nothing_silently(tmp_path: Path) -> None:
    with pytest.raises(NotMaterializedError, match="text_quality of 'some' is not materialized"):
        rows_with_poor_turns(Lake(tmp_path), "some", "basic")
