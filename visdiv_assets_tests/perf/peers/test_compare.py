"""Comparison with other tools: their processes, what they claim, and the table. The tools are small stand-ins."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from visdiv_assets.cli.main import main
from visdiv_assets.perf.peers import by_similarity, compare, in_peer
from visdiv_assets.perf.peers.images import Position, write_images
from visdiv_assets.perf.peers.measured_process import run
from visdiv_assets.settings import Settings
from visdiv_assets.wiring import open_source
from visdiv_assets_tests.conftest import png, shapes

#: Stands in for the package: files with equal bytes are exact duplicates.
IMMACULATE = """
    from collections import defaultdict
    from pathlib import Path
    from types import SimpleNamespace

    def find_duplicates(folder, method):
        if method == "sscd":
            raise ValueError("no such model")
        if method == "sscd_distilled":
            raise SystemExit(0)
        files = defaultdict(list)
        for path in sorted(Path(folder).iterdir()):
            files[path.read_bytes()].append(str(path))
        return SimpleNamespace(exact=[each for each in files.values() if len(each) > 1], near=[])
"""


def python_with(folder: Path, module: str, code: str) -> Path:
    """Make a Python that can import a module, as the one of a virtual environment in which a tool is installed."""
    (folder / f"{module}.py").write_text(textwrap.dedent(code))
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


def write_rows(file: Path, images: list[bytes]) -> None:
    file.parent.mkdir(parents=True)
    pq.write_table(pa.table({"images": [[{"bytes": image, "path": None}] for image in images]}), file)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Return a corpus in which row 0 of the benchmark and row 2 of the subset are copies of row 0 of the subset."""
    folder = tmp_path / "corpus"
    first, second = png(shapes(1)), png(shapes(2))
    write_rows(folder / "subsets" / "drawn" / "train.parquet", [first, second, first])
    write_rows(folder / "benchmarks" / "bench" / "test.parquet", [first])
    copies = [
        {"src": "drawn", "src_row": 0, "dst": name, "dst_row": row, "transform": "exact"}
        for name, row in (("drawn", 2), ("bench", 0))
    ]
    (folder / "truth.json").write_text(json.dumps({"copies": copies}))
    return folder


def test_images_are_files_whose_names_tell_nothing(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    positions = write_images(open_source(Settings(source=str(corpus), data=str(tmp_path / "data"))), out)
    assert positions == {
        f"000000{number}.png": Position(*position)
        for number, position in enumerate([("drawn", 0, 0), ("drawn", 1, 0), ("drawn", 2, 0), ("bench", 0, 0)])
    }
    assert (out / "0000001.png").read_bytes() == png(shapes(2))


def test_a_tool_runs_in_its_own_python(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_ours", lambda settings, folder: compare.Method("ours", ["true"], lambda: []))
    monkeypatch.setattr(compare, "_by_similarity", lambda folder, positions: [])
    settings = Settings(source=str(corpus), data=str(tmp_path / "data"))
    work = tmp_path / "work"
    work.mkdir()
    said: list[str] = []
    python = python_with(tmp_path, "immaculate", IMMACULATE)
    found = {each.tool: each for each in compare.compare(settings, {"immaculate": python}, work, say=said.append)}
    assert list(found) == [
        "ours",
        "immaculate (pdq)",
        "immaculate (sscd_distilled)",
        "immaculate (sscd)",
        "imagededup",
        "fastdup",
    ]
    best = found["immaculate (pdq)"]
    assert (best.found, best.planted, best.recall, best.pairs, best.precision) == (2, 2, 1.0, 3, 1.0)
    assert best.seconds is not None
    assert found["immaculate (sscd)"].remark == "failed: ValueError: no such model"
    assert found["immaculate (sscd_distilled)"].remark == "failed: it wrote no pairs"
    assert found["fastdup"].remark == "not run: give --peer fastdup=PYTHON"
    assert (found["ours"].recall, found["ours"].precision) == (0.0, None)
    assert said[0] == "ours ..."
    lines = compare.table(list(found.values())).splitlines()
    assert [cell.strip() for cell in lines[3].split("|")[1:6]] == ["immaculate (pdq)", "1.000", "2 of 2", "1.000", "3"]


def test_pairs_of_imagededup_and_fastdup_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "imagededup").mkdir()
    (tmp_path / "imagededup" / "__init__.py").touch()
    (tmp_path / "imagededup" / "methods.py").write_text(
        textwrap.dedent("""
            class PHash:
                def __init__(self, verbose): ...
                def find_duplicates(self, image_dir):
                    return {"1.png": ["2.png", "3.png"], "2.png": ["1.png"], "4.png": []}
        """)
    )
    (tmp_path / "fastdup.py").write_text(
        textwrap.dedent("""
            class Run:
                def run(self, overwrite): ...
                def similarity(self, data):
                    return {"filename_from": ["x/1.png"], "filename_to": ["x/2.png"]}
            def create(work_dir, input_dir):
                return Run()
        """)
    )
    assert in_peer.imagededup("PHash", "x") == [("1.png", "2.png"), ("1.png", "3.png"), ("2.png", "1.png")]
    assert in_peer.fastdup("similarity", "x") == [("1.png", "2.png")]


def test_confirmed_pairs_are_read_from_the_duckdb_file(tmp_path: Path) -> None:
    file = tmp_path / "visdiv.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(
            """CREATE TABLE duplicates AS SELECT 'a' AS subset_a, 1 AS row_a, 0 AS image_index_a,
            'b' AS subset_b, 2 AS row_b, 1 AS image_index_b;
            CREATE TABLE contamination_pairs AS SELECT 'a' AS subset, 3 AS row, 0 AS image_index, 'bench' AS benchmark,
            4 AS benchmark_row, 0 AS benchmark_image_index, unnest(['confirmed', 'rejected']) AS verdict"""
        )
    assert compare.read_confirmed(file) == [
        (Position("a", 1, 0), Position("b", 2, 1)),
        (Position("a", 3, 0), Position("bench", 4, 0)),
    ]


def test_similar_pairs_equal_those_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_similarity, "BLOCK", 7)
    vectors = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    expected = [(i, j) for i in range(20) for j in range(i + 1, 20) if vectors[i] @ vectors[j] >= 2]
    assert expected
    assert sorted(by_similarity.pairs_above(vectors, 2)) == expected


def test_memory_counts_the_processes_that_a_tool_starts() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = b\"x\" * 200_000_000; {}'])"
    ended = run([sys.executable, "-c", code.format("import time; time.sleep(0.5)")], 60)
    assert ended.problem is None
    assert ended.peak_mb is not None
    assert 200 <= ended.peak_mb < 300


def test_a_tool_that_does_not_end_is_ended_with_its_processes() -> None:
    begin = time.monotonic()
    ended = run(["/bin/sh", "-c", "sleep 60 & sleep 60"], 0.3)
    assert ended.problem == "not finished after 0 s"
    assert time.monotonic() - begin < 30


def test_a_python_that_is_missing_is_named() -> None:
    assert run(["/no/such/python"], 1).problem == "cannot run /no/such/python: No such file or directory"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--peer", "fastdup=python"], "--peer requires --peers"),
        (["--peers", "--peer", "other=python"], "'other=python' is not TOOL=PYTHON"),
        (["--peers", "--peer", "fastdup"], "'fastdup' is not TOOL=PYTHON"),
        (["--peers", "--large"], "--peers can be combined with --peer and --json only"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(main, ["perf", *arguments])
    assert result.exit_code == 2
    assert told in result.output


@pytest.mark.nightly
def test_ours_and_a_tool_are_compared_from_the_command_line(corpus: Path, tmp_path: Path) -> None:
    python = python_with(tmp_path, "immaculate", IMMACULATE)
    file = tmp_path / "peers.json"
    arguments = ["perf", "--peers", "--source", str(corpus), "--peer", f"immaculate={python}", "--json", str(file)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    rows = {row["tool"]: row for row in json.loads(file.read_text())["peers"]}
    assert rows["visdiv run --all"]["recall"] == rows["visdiv run --all"]["precision"] == 1
    assert rows["SSCD vectors of visdiv, cosine of 0.95 or more"]["recall"] == 1
