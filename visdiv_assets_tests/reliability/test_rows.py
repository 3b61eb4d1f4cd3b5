"""Unusual rows: subsets without images, texts of any length and with any character."""

from __future__ import annotations

import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.sources import CRITERIA, SCHEMA
from visdiv_assets_tests.conftest import Pipeline, image, near_copy, other_model
from visdiv_assets_tests.reliability.processes import FORKS, SECONDS, Work, finished, peak_bytes
from visdiv_assets_tests.reliability.test_names import Elements

COLOR = other_model("color")
STAGES = ("subset_images", "subset_turns", "quality_rows")

MARKUP = "<script>alert(2)</script><img src=x onerror=alert(3)>"


def row(*images: bytes, user: str = "question", path: str | None = None) -> dict[str, Any]:
    return {
        "images": [{"bytes": data, "path": path} for data in images],
        "texts": [{"user": user, "assistant": "answer"}],
        "source": "test",
        **{f"{criterion}_ratings": [4] for criterion in CRITERIA},
    }


def write(pipeline: Pipeline, name: str, table: pa.Table) -> Path:
    folder = Path(pipeline.settings.source) / "subsets" / name
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "train-00000.parquet")
    return folder / "train-00000.parquet"


def measured(work: Work, connection: Connection) -> None:
    """Do some work, and tell what it took: seconds of computing, and bytes."""
    seconds, before = time.process_time(), peak_bytes()
    finished(work)
    connection.send((time.process_time() - seconds, peak_bytes() - before))


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_hundred_thousand_rows_without_an_image_are_cheap(pipeline: Pipeline) -> None:
    thousand = pa.Table.from_pylist([row()] * 1000, SCHEMA)
    write(pipeline, "text", pa.concat_tables([thousand] * 100))
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(target=measured, args=(Work(pipeline.settings, ("text",), publish=True), theirs))
    process.start()
    theirs.close()
    assert ours.poll(SECONDS)
    seconds, growth = ours.recv()
    process.join(SECONDS)
    assert process.exitcode == 0
    # Measured: 1.1 seconds and 120 MB, most of it for what is imported on the way.
    assert seconds < 20
    assert growth < 300 << 20
    assert pipeline.query('SELECT "rows", rows_passing_quality, images FROM subsets') == [(100_000, 100_000, 0)]
    assert pipeline.query("SELECT count(*) FROM dropped_rows") == [(0,)]
    assert pipeline.lake.require("curated_rows", "all").facts["rows"] == {"text": 100_000}


def test_markup_in_texts_and_paths_is_shown_as_text_or_not(pipeline: Pipeline) -> None:
    rows = [row(data, user=MARKUP, path=f"{MARKUP}.png") for data in (image(0), near_copy(0), MARKUP.encode())]
    write(pipeline, "some", pa.Table.from_pylist(rows, SCHEMA))
    assert pipeline.run("some", sscd=COLOR).success
    (page,) = (Path(pipeline.settings.data) / "reports" / "duplicates").glob("*.html")
    elements = Elements(page.read_text())
    assert "img" not in elements.names
    assert {name for name in elements.attributes if name.startswith("on")} == set()
    listed = pipeline.lake.read(pipeline.lake.require("subset_images", "some")).to_pylist()
    assert listed[2]["status"] == "not_an_image"
    assert MARKUP[:16] in listed[2]["detail"]


@pytest.mark.parametrize(
    "text",
    ["null \0 byte", "\ufffe\uffff \u202e right to left \x1b[31m", "x" * 10_000_000],
    ids=["null bytes", "characters that are none", "10 MB"],
)
def test_texts_of_any_length_and_character_are_read_and_rated(pipeline: Pipeline, text: str) -> None:
    write(pipeline, "some", pa.Table.from_pylist([row(image(0), user=text), row(image(1))], SCHEMA))
    ran = pipeline.run("some", only=STAGES)
    assert ran.success, ran.failures
    assert ran.metadata("quality_rows")["turns"] == 2
    assert ran.metadata("subset_images")["images"] == 2


@pytest.mark.parametrize(
    "broken", [b"\xed\xa0\x80", b"\xff\xfe", b"cut off \xe4\xb8"], ids=["lone surrogate", "other bytes", "cut off"]
)
def test_a_text_that_is_not_utf8_is_null_and_counted(pipeline: Pipeline, broken: bytes) -> None:
    table = pa.Table.from_pylist([row(image(0)), row(image(1))], SCHEMA)
    users = pa.Array.from_buffers(pa.string(), 2, pa.array([b"question", broken], pa.binary()).buffers())
    turns = pa.StructArray.from_arrays([users, pa.array(["answer", "answer"])], names=["user", "assistant"])
    texts = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), turns)
    write(pipeline, "broken", table.set_column(1, SCHEMA.field("texts"), texts))
    ran = pipeline.run("broken", only=STAGES)
    assert ran.success, ran.failures
    turns = pipeline.lake.require("subset_turns", "broken")
    assert turns.facts["unread"] == 1
    assert pipeline.lake.read(turns, "turns")["user"].to_pylist() == ["question", None]
