"""What of the source is not read is said by `run`, `status`, `doctor`, the DuckDB file and the report site."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets_tests.cli.test_main import visdiv
from visdiv_assets_tests.conftest import made_once, one_each, write_shard

#: Each takes many seconds.
pytestmark = pytest.mark.nightly


def make_and_run(folder: Path) -> None:
    """Make a subset with columns that have no meaning here, beside drawings, and run it."""
    file = write_shard(folder / "source", "some", one_each([1, 2]))
    table = pq.read_table(file).append_column("caption_score", pa.array([0.1, 0.2])).append_column("split", ["a", "b"])
    pq.write_table(table, file)
    logos = folder / "source" / "logos"
    logos.mkdir()
    for number in range(5):
        (logos / f"{number}.svg").write_text("<svg/>")
    (folder / "source" / "notes.txt").write_text("x")
    result = visdiv("run", "--all", source=folder / "source", data=folder / "data", VISDIV_CLIP_MODEL="")
    assert result.exit_code == 0, result.output
    (folder / "stdout").write_text(result.stdout, encoding="utf-8")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `source`, `data`, and `stdout` of the run, to be left unchanged."""
    return made_once(tmp_path_factory, "skipped", make_and_run)


LINES = ["not read: 6 files (5 vector graphics, 1 texts)", "  logos/0.svg and 4 more (.svg)", "  notes.txt"]


def test_run_and_status_count_and_name_files_that_are_not_read(ran: Path) -> None:
    assert (ran / "stdout").read_text(encoding="utf-8").splitlines()[:3] == LINES
    assert visdiv("status", source=ran / "source", data=ran / "data").stdout.splitlines()[2:5] == LINES


def test_doctor_names_files_and_columns_that_are_not_read(ran: Path) -> None:
    output = visdiv("doctor", source=ran / "source", data=ran / "data", VISDIV_CLIP_MODEL="").stdout
    assert "not read: 6 files (5 vector graphics, 1 texts): logos/0.svg and 4 more (.svg), notes.txt" in output
    assert "not used: caption_score, split in some" in output


def test_the_duckdb_file_lists_what_is_not_read(ran: Path) -> None:
    def rows(sql: str) -> list[dict[str, object]]:
        output = visdiv("query", "--format", "json", sql, data=ran / "data").output
        return [json.loads(line) for line in output.splitlines()]

    assert rows("FROM skipped_files ORDER BY folder") == [
        {"folder": ".", "ending": ".txt", "kind": "texts", "files": 1, "example": "notes.txt"},
        {"folder": "logos", "ending": ".svg", "kind": "vector graphics", "files": 5, "example": "logos/0.svg"},
    ]
    assert rows("FROM unused_columns ORDER BY column_name") == [
        {"subset": "some", "column_name": "caption_score", "reason": None},
        {"subset": "some", "column_name": "split", "reason": None},
    ]


def test_the_overview_of_the_site_says_what_is_not_read(ran: Path) -> None:
    assert visdiv("report", "--no-images", source=ran / "source", data=ran / "data").exit_code == 0
    page = (ran / "data" / "reports" / "site" / "index.html").read_text(encoding="utf-8")
    assert "Not read" in page
    assert "5, such as logos/0.svg" in page
    assert "column caption_score" in page
