"""The command `visdiv run`: its progress, how it is stopped, and its plan."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets import extras, progress
from visdiv_assets.cli.run_plan import format_bytes
from visdiv_assets.storage import disk_space
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.cli.test_main import refused, visdiv
from visdiv_assets_tests.conftest import one_each, write_shard


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number, name in enumerate(("first", "second")):
        write_shard(tmp_path / "source", name, one_each([2 * number, 2 * number + 1]))
    return tmp_path / "source"


def test_a_stopped_run_begins_no_other(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def stop(lake: Lake, table: str, partition: str, **arguments: object) -> NoReturn:
        written.append(partition)
        raise KeyboardInterrupt

    monkeypatch.setattr(Lake, "write", stop)
    result = visdiv("run", "--all", source=source, data=tmp_path / "data")
    assert result.exit_code == 130
    assert result.stdout == ""
    assert result.stderr.strip() == "visdiv: stopped; finished work is kept, and the same command continues"
    assert written == ["first"]


@pytest.mark.nightly
def test_a_run_writes_its_progress_to_stderr(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.005)
    result = visdiv("run", "second", source=source, data=tmp_path / "data", VISDIV_CLIP_MODEL="")
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert [line for line in lines if not line.startswith(("subset 1 of 1 · ", "all subsets together · "))] == []
    assert any(line.startswith("subset 1 of 1 · reading second · ") for line in lines)
    assert " · " not in result.stdout


@pytest.mark.nightly
def test_one_subset_that_cannot_be_opened_stops_no_other(source: Path, tmp_path: Path) -> None:
    (source / "subsets" / "first" / "train-1.parquet").symlink_to("../../blobs/0123")
    (source / "logo.png").write_bytes(b"x")
    fault = "train-1.parquet cannot be read (No such file or directory)"
    result = visdiv("run", "--all", source=source, data=tmp_path / "data", VISDIV_CLIP_MODEL="")
    assert result.exit_code == 1
    left, failed, done, corpus = result.stdout.splitlines()[:4]
    assert left == "not read: logo.png"
    assert failed.startswith("FAILED first ")
    assert fault in failed
    assert done.startswith("done   second ")
    assert corpus.endswith("DuckDB file published")
    lines = visdiv("status", source=source, data=tmp_path / "data").stdout.splitlines()
    assert lines[2] == "not read: logo.png"
    assert lines[3].startswith("first   not materialized: ")
    assert fault in lines[3]
    assert lines[4].startswith("second  2 images, 0 unreadable, 2 embedded")


@pytest.mark.nightly
def test_texts_that_are_not_read_are_counted(tmp_path: Path) -> None:
    file = write_shard(tmp_path / "source", "some", one_each([1, 2]))
    table = pq.read_table(file)
    texts = pa.array(["no conversation", json.dumps([{"role": "user", "content": "q"}])])
    pq.write_table(table.drop_columns(["texts"]).append_column("texts", texts), file)
    result = visdiv("run", "some", source=tmp_path / "source", data=tmp_path / "data", VISDIV_CLIP_MODEL="")
    assert result.exit_code == 0, result.output
    assert "warning: 1 texts or ratings not read" in result.stdout.splitlines()[0]
    (line,) = visdiv("status", source=tmp_path / "source", data=tmp_path / "data").stdout.splitlines()[2:]
    assert "1 texts or ratings not read" in line


# The plan ------------------------------------------------------------------------------------------------------------


def test_without_the_extra_ocr_stops_with_one_line(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    for plan in ((), ("--plan",)):
        line = refused(visdiv("run", "--all", "--ocr", *plan, source=source, data=tmp_path / "data"))
        assert "rapidocr is not installed: run `pip install 'visdiv-assets[ocr]'`" in line
    assert not (tmp_path / "data").exists()


def test_a_plan_before_any_run_measures_rates(source: Path, tmp_path: Path) -> None:
    result = visdiv("run", "--all", "--plan", source=source, data=tmp_path / "data")
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert "subsets 2 new 4 " in words
    assert " first, second" in words
    assert "pass over the source" in words
    assert "measured now on 4 images" in words
    assert "joins" in words
    assert "nothing recorded yet" in words
    assert "time at least " in words
    assert not (tmp_path / "data").exists()


def _files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_plan_after_a_run_has_nothing_to_make(ran_all: Path) -> None:
    before = _files(ran_all)
    result = visdiv("run", "--all", "--plan", source=ran_all / "source", data=ran_all / "data")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[2].startswith("benchmarks 1 unchanged 3 ")
    assert lines[3].startswith("subsets 3 unchanged 15 ")
    assert lines[-1] == "Nothing to make: everything is up to date."
    assert _files(ran_all) == before


def test_a_plan_of_changed_subsets_uses_recorded_rates(ran_all: Path, tmp_path: Path) -> None:
    for name in ("source", "data"):
        shutil.copytree(ran_all / name, tmp_path / name)
    write_shard(tmp_path / "source", "two", one_each([16, 55, 56, 57]))
    lake = tmp_path / "data" / "lake"
    before = _files(lake)
    result = visdiv("run", "two", "--plan", source=tmp_path / "source", data=tmp_path / "data")
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert "subsets 1 changed 3 " in words
    assert "measured now on" not in words
    assert "nothing recorded yet" not in words
    assert "at the peak (measured in this lake)" in words
    assert "(measured in this lake);" in words
    assert _files(lake) == before


def test_a_plan_names_what_would_fail(source: Path, tmp_path: Path) -> None:
    (source / "subsets" / "third").mkdir()
    (source / "subsets" / "third" / "broken.parquet").write_bytes(b"no Parquet")
    result = visdiv("run", "--all", "--plan", source=source, data=tmp_path / "data")
    assert "third: " in result.stdout
    assert "broken.parquet" in result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("visdiv: ")]
    assert line.startswith("visdiv: 1 of 3 runs would fail (third): the lines above say why")
    assert result.exit_code == 1


def test_a_plan_refuses_a_full_disk(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_space, "space_of", lambda folder: disk_space.Space(total=10**13, free=10**6))
    assert "less than the reserve" in refused(visdiv("run", "--all", "--plan", source=source, data=tmp_path / "data"))


def test_a_plan_warns_of_a_small_disk(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_space, "space_of", lambda folder: disk_space.Space(total=1000, free=110))
    result = visdiv("run", "--all", "--plan", source=source, data=tmp_path / "data")
    assert result.exit_code == 0, result.output
    assert f"warning: the disk of {tmp_path / 'data'} is too small" in result.stdout


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 kB"), (2_300_000, "2.3 MB"), (9.99e9, "10 GB"), (9.6e11, "1.0 TB"), (5e15, "5,000 TB")]
)
def test_a_size_has_a_unit_that_suits_it(size: float, text: str) -> None:
    assert format_bytes(size) == text
