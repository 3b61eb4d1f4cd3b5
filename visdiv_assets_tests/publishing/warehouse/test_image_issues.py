"""The issues of images in the DuckDB file, compared with a plain reference of CleanVision's rules."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.curation.image_issues import ISSUES
from visdiv_assets.errors import StaleError
from visdiv_assets.imaging.listing import IMAGES_SCHEMA
from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.storage.lake import Lake

NAMES = [issue.name for issue in ISSUES]
#: An image without an issue.
USUAL: dict[str, Any] = {
    "image_id": "0" * 32,
    "status": "ok",
    "detail": "",
    "format": "png",
    "width": 300,
    "height": 200,
    "size_bytes": 1,
    "brightness": 120.0,
    "brightness_p5": 20.0,
    "brightness_p99": 240.0,
    "contrast": 60.0,
    "entropy": 7.0,
    "sharpness": 2500.0,
    "histogram_deviation": 10.0,
    "grayscale": False,
    "brightness_deviation": 50.0,
    "colors": 60,
    "low_information": False,
}
UNREADABLE = {
    "image_id": "1" * 32,
    "status": "corrupt",
    "detail": "broken",
    "width": 9,
    "height": 9000,
    "size_bytes": 3,
}

Image = dict[str, Any]


def published(folder: Path, images: Sequence[Image], schema: pa.Schema = IMAGES_SCHEMA) -> Path:
    lake = Lake(folder / "lake")
    write = lake.write("subset_images", "some", code_version="1", source_revision="1")
    records = [{"row": row, "image_index": 0, **image} for row, image in enumerate(images)]
    with write.add("shard") as unit:
        unit.table("rows", pa.Table.from_pylist(records, schema), schema)
    unread = sum(image["status"] != "ok" for image in images)
    write.commit(rows=len(images), images=len(images), images_unique=1, images_unreadable=unread, files=[])
    publish(lake, folder / "visdiv.duckdb")
    return folder / "visdiv.duckdb"


def issues_of(folder: Path, images: Sequence[Image]) -> list[list[str] | None]:
    with duckdb.connect(str(published(folder, images)), read_only=True) as connection:
        found = connection.execute(f"SELECT {', '.join(NAMES)} FROM images ORDER BY row").fetchall()
    return [None if row[0] is None else [name for name, has in zip(NAMES, row, strict=True) if has] for row in found]


def plain_issues(image: Image, images: Sequence[Image]) -> list[str] | None:
    """CleanVision's rules, one image at a time."""
    if image["status"] != "ok":
        return None
    found = []
    if image["brightness_p99"] / 255 < 0.32:
        found.append("dark")
    if 1 - image["brightness_p5"] / 255 < 0.05:
        found.append("light")
    if min(image["width"] / image["height"], image["height"] / image["width"]) < 0.35:
        found.append("odd_aspect_ratio")
    sizes = [math.sqrt(each["width"] * each["height"]) for each in images if each["status"] == "ok"]
    low, high = np.percentile(sizes, [25, 75])
    size, gap = math.sqrt(image["width"] * image["height"]), 3 * (high - low)
    # Rounding decides for an image exactly on a bound.
    if size < low - gap - 1e-9 or size > high + gap + 1e-9:
        found.append("odd_size")
    if image["low_information"]:
        found.append("low_information")
    histogram = 1 - math.exp(-image["histogram_deviation"] / 100)
    score = 1 - math.exp(-math.sqrt(image["sharpness"]) / 100) + (histogram if histogram > 0.18 else 0)
    if min(score, 1) < 0.29:
        found.append("blurry")
    if image["grayscale"]:
        found.append("grayscale")
    return found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"brightness_p99": 81.0}, ["dark"]),
        ({"brightness_p99": 82.0}, []),
        ({"brightness_p5": 243.0}, ["light"]),
        ({"brightness_p5": 242.0}, []),
        ({"width": 1000, "height": 349}, ["odd_aspect_ratio", "odd_size"]),
        ({"width": 349, "height": 1000}, ["odd_aspect_ratio", "odd_size"]),
        ({"width": 301}, ["odd_size"]),
        ({"low_information": True}, ["low_information"]),
        ({"sharpness": 1100.0}, ["blurry"]),
        ({"sharpness": 1200.0}, []),
        ({"sharpness": 100.0, "histogram_deviation": 21.0}, ["blurry"]),
        ({"sharpness": 400.0, "histogram_deviation": 21.0}, []),
        ({"grayscale": True, "brightness_p99": 0.0}, ["dark", "grayscale"]),
    ],
)
def test_a_measure_beyond_its_threshold_is_an_issue(tmp_path: Path, changes: Image, expected: list[str]) -> None:
    images = [USUAL | changes, *[USUAL] * 8]
    assert issues_of(tmp_path, images) == [expected, *[[]] * 8]
    assert plain_issues(images[0], images) == expected


def images() -> st.SearchStrategy[Image]:
    measured = st.fixed_dictionaries(
        {
            "width": st.integers(1, 3000),
            "height": st.integers(1, 3000),
            "brightness_p5": st.integers(0, 255).map(float),
            "brightness_p99": st.integers(0, 255).map(float),
            "sharpness": st.integers(0, 5000).map(float),
            "histogram_deviation": st.integers(0, 60).map(float),
            "low_information": st.booleans(),
            "grayscale": st.booleans(),
        }
    )
    return measured.map(lambda changes: USUAL | changes) | st.just(UNREADABLE)


@settings(max_examples=6, deadline=None)
@given(st.lists(images(), min_size=1, max_size=40))
def test_issues_are_those_of_a_plain_reference(found: list[Image]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert issues_of(Path(folder), found) == [plain_issues(image, found) for image in found]


def test_the_view_counts_every_issue_of_every_subset(tmp_path: Path) -> None:
    given = [USUAL, USUAL | {"grayscale": True}, USUAL | {"grayscale": True, "brightness_p99": 3.0}, USUAL, UNREADABLE]
    with duckdb.connect(str(published(tmp_path, given)), read_only=True) as connection:
        rows = connection.execute("SELECT subset, issue, images, share FROM image_issues ORDER BY issue").fetchall()
    counts = {"grayscale": 2, "dark": 1}
    assert rows == [("some", name, counts.get(name, 0), counts.get(name, 0) / 4) for name in NAMES]


def test_a_subset_without_readable_images_has_no_shares(tmp_path: Path) -> None:
    with duckdb.connect(str(published(tmp_path, [UNREADABLE])), read_only=True) as connection:
        rows = connection.execute("SELECT issue, images, share FROM image_issues ORDER BY issue").fetchall()
        (measured,) = connection.execute("SELECT brightness, aspect_ratio, blurry, width FROM images").fetchall()
    assert rows == [(name, 0, None) for name in NAMES]
    assert measured == (None, None, None, 9)


def test_images_listed_by_an_older_version_are_refused(tmp_path: Path) -> None:
    older = pa.schema([field for field in IMAGES_SCHEMA if field.name != "sharpness"])
    with pytest.raises(StaleError, match=r"subset_images of 'some' was written by another version .*visdiv run some"):
        published(tmp_path, [{key: value for key, value in USUAL.items() if key != "sharpness"}], older)
