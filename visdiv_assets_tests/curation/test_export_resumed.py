from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from visdiv_assets import sources
from visdiv_assets.curation.export import SubsetDecision, export
from visdiv_assets.curation.resume_marker import MARKER, ResumeMarker
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.curation.exports import FinishedItems, decide, snapshot

# Kills itself after some number of rows: in the middle of a file, or between two.
KILLED = r"""
import os, signal, sys
from pathlib import Path
from visdiv_assets import sources
from visdiv_assets.curation.export import export
from visdiv_assets.sources import batching
from visdiv_assets_tests.curation.exports import decide
batching.STORED_ROWS = 20
source, left = sources.open(sys.argv[1]), int(sys.argv[3])
def progress(done):
    global left
    left -= done
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
decisions = [decide(source, subset, seed=int(sys.argv[4])) for subset in source.subsets()]
export(source, decisions, Path(sys.argv[2]), progress=progress)
"""


def killed(source: Path, folder: Path, rows: int, seed: int = 0) -> None:
    """Run an export in another process that is killed after some rows."""
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(source), str(folder), str(rows), str(seed)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr


def decisions(folder: Path, seed: int = 0) -> list[SubsetDecision]:
    source = sources.open(folder)
    return [decide(source, subset, seed=seed) for subset in source.subsets()]


@pytest.fixture(scope="module")
def undisturbed(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of an export of the sample that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    export(sources.open(sample_folder), decisions(sample_folder), folder)
    return snapshot(folder)


@pytest.mark.parametrize("rows", [10, 250, 600, 939])
def test_a_killed_export_started_again_equals_an_undisturbed_one(
    sample_folder: Path, tmp_path: Path, undisturbed: dict[str, str], rows: int
) -> None:
    folder = tmp_path / "copy"
    killed(sample_folder, folder, rows)
    assert (folder / MARKER).exists()
    assert list(folder.rglob("*.tmp"))  # it was killed in the middle of files
    done = {file: file.stat().st_mtime_ns for file in folder.rglob("train-*.parquet")}
    finished = FinishedItems()
    result = export(sources.open(sample_folder), decisions(sample_folder), folder, progress=finished)
    assert snapshot(folder) == undisturbed
    assert {file: file.stat().st_mtime_ns for file in done} == done
    assert finished.count == result.rows_kept + result.rows_dropped == 939
    assert result.files == 6
    assert result.size_bytes == sum(file.stat().st_size for file in folder.rglob("train-*.parquet"))


def test_an_export_may_be_killed_again_and_again(
    sample_folder: Path, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    folder = tmp_path / "copy"
    for rows in (10, 200, 400, 400):
        killed(sample_folder, folder, rows)
    export(sources.open(sample_folder), decisions(sample_folder), folder)
    assert snapshot(folder) == undisturbed


def test_other_decisions_reuse_and_leave_nothing(
    sample_folder: Path, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    folder = tmp_path / "copy"
    killed(sample_folder, folder, 800, seed=5)
    killed(sample_folder, folder, 330, seed=0)
    source = sources.open(sample_folder)
    only = [decide(source, "clipart_people", seed=0)]
    export(source, only, folder)
    assert not (folder / "clipart_nature").exists()
    alone = tmp_path / "alone"
    export(source, only, alone)
    assert snapshot(folder) == snapshot(alone)
    people = "clipart_people/train-00000-of-00002.parquet"
    assert snapshot(folder)[people] == undisturbed[people]


def test_a_changed_or_lost_file_is_written_again(
    sample_folder: Path, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    folder = tmp_path / "copy"
    killed(sample_folder, folder, 700)
    first, second, *_ = sorted(folder.rglob("train-*.parquet"))
    first.unlink()
    second.write_bytes(b"short")
    export(sources.open(sample_folder), decisions(sample_folder), folder)
    assert snapshot(folder) == undisturbed


def test_other_files_in_an_unfinished_export_are_kept(sample_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    killed(sample_folder, folder, 400)
    mine = [folder / "notes.txt", folder / "clipart_nature" / ".notes.txt.tmp", folder / "mine" / "x.parquet"]
    for file in mine:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    source = sources.open(sample_folder)
    export(source, [decide(source, "clipart_people")], folder)
    assert [file.read_text() for file in mine] == ["mine"] * 3
    assert sorted(file.name for file in (folder / "clipart_nature").iterdir()) == [".notes.txt.tmp"]


def test_a_failed_export_resumes_once_the_source_is_fixed(
    tmp_path: Path, sample_folder: Path, undisturbed: dict[str, str]
) -> None:
    root, folder = tmp_path / "source", tmp_path / "copy"
    for file in sample_folder.rglob("*.parquet"):
        copy = root / file.relative_to(sample_folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    decided = decisions(root)
    damaged = root / "subsets" / "clipart_people" / "train-00000-of-00002.parquet"
    whole, status = damaged.read_bytes(), damaged.stat()
    damaged.write_bytes(bytes(len(whole) // 2) + whole[len(whole) // 2 :])
    os.utime(damaged, ns=(status.st_atime_ns, status.st_mtime_ns))  # its size and time show no damage
    with pytest.raises(VisdivError, match=f"{damaged.name} is not a readable Parquet file"):
        export(sources.open(root), decided, folder)
    assert (folder / MARKER).exists()
    assert not list(folder.rglob("*.tmp"))
    damaged.write_bytes(whole)
    export(sources.open(root), decided, folder)
    finished = snapshot(folder)
    described = ("README.md", "croissant.json")
    for name in described:
        assert finished.pop(name) != undisturbed[name]  # it names the source
    assert finished == {name: digest for name, digest in undisturbed.items() if name not in described}


def test_a_marker_that_was_cut_off_is_understood(tmp_path: Path) -> None:
    with ResumeMarker(tmp_path / "one") as first:
        first.begin("a/1.parquet")
        content = (first.folder / MARKER).read_bytes()
    for length in range(len(content)):
        folder = tmp_path / f"cut {length}"
        folder.mkdir()
        (folder / MARKER).write_bytes(content[:length])
        with ResumeMarker(folder) as again:
            again.begin("b/2.parquet")
            lines = (folder / MARKER).read_bytes().splitlines()
            assert lines[0] == content.splitlines()[0]
            assert json.loads(lines[-1]) == {"file": "b/2.parquet"}
        assert list(folder.iterdir()) == []


def test_a_file_in_place_of_the_marker_is_refused(tmp_path: Path) -> None:
    for content in (b"mine", b"{}\n"):
        (tmp_path / MARKER).write_bytes(content)
        with pytest.raises(VisdivError, match="choose a new or empty folder"):
            ResumeMarker(tmp_path)
        assert (tmp_path / MARKER).read_bytes() == content


def test_a_file_is_complete_only_for_the_same_inputs(tmp_path: Path) -> None:
    unfinished = ResumeMarker(tmp_path / "copy")
    (unfinished.folder / "a").mkdir()
    (unfinished.folder / "a" / "1.parquet").write_bytes(b"12345")
    unfinished.begin("a/1.parquet")
    assert ResumeMarker(unfinished.folder).size_of("a/1.parquet", "x") is None
    assert unfinished.finish("a/1.parquet", "x") == 5
    assert ResumeMarker(unfinished.folder).size_of("a/1.parquet", "x") == 5
    assert ResumeMarker(unfinished.folder).size_of("a/1.parquet", "y") is None
    assert ResumeMarker(unfinished.folder).size_of("a/2.parquet", "x") is None
    unfinished.begin("a/1.parquet")
    assert ResumeMarker(unfinished.folder).size_of("a/1.parquet", "x") is None


@pytest.mark.parametrize("path", ["../kept", "/tmp/kept", "a/../../kept", "a/b/kept"])
def test_a_marker_cannot_make_it_remove_files_elsewhere(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "copy"
    (folder / "a" / "b").mkdir(parents=True)
    kept = [tmp_path / "kept", folder / "a" / "b" / "kept"]
    for file in kept:
        file.write_text("kept")
    ResumeMarker(folder / "new").begin(path)
    (folder / "new" / MARKER).rename(folder / MARKER)
    with ResumeMarker(folder):
        pass
    assert all(file.exists() for file in kept)


def test_a_file_is_reused_only_for_the_same_mask(tmp_path: Path, sample_folder: Path) -> None:
    folder = tmp_path / "copy"
    killed(sample_folder, folder, 939)
    source = sources.open(sample_folder)
    decided = decisions(sample_folder)
    flipped = decide(source, "clipart_nature", np.logical_not(decided[0].kept))
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("train-*.parquet")}
    export(source, [flipped, *decided[1:]], folder)
    rewritten = {file.parent.name for file, time in before.items() if file.stat().st_mtime_ns != time}
    assert rewritten == {"clipart_nature"}
