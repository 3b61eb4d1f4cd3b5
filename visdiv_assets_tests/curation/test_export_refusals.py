from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visdiv_assets import sources
from visdiv_assets.curation.export import SubsetDecision, export, preview
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.curation.exports import decide, dropped, rows, snapshot, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A source of two subsets."""
    root = tmp_path / "source"
    write(root, "a", rows(30))
    write(root, "b", rows(10))
    return root


@pytest.mark.parametrize("place", [".", "subsets", "subsets/a", "new", "subsets/../deep/er"])
def test_a_folder_in_the_source_is_refused(root: Path, place: str) -> None:
    source = sources.open(root)
    before = snapshot(root)
    with pytest.raises(VisdivError, match=r"is in the source .* must not change"):
        export(source, [decide(source, "b")], root / place)
    assert snapshot(root) == before


def test_a_link_into_the_source_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    source = sources.open(root)
    with pytest.raises(VisdivError, match="must not change"):
        export(source, [decide(source, "b")], tmp_path / "link" / "copy")


def test_a_folder_beside_the_source_may_share_its_prefix(root: Path) -> None:
    source = sources.open(root)
    assert export(source, [decide(source, "b")], root.with_name("source copy")).subsets == 1


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "dropped.parquet"])
def test_a_folder_with_other_things_is_refused(root: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / name).write_text("mine")
    source = sources.open(root)
    with pytest.raises(VisdivError, match="is not empty, and its files were not left by an interrupted export"):
        export(source, [decide(source, "b")], folder)
    assert [file.name for file in folder.iterdir()] == [name]


def test_a_finished_export_is_not_overwritten(root: Path, tmp_path: Path) -> None:
    source, folder = sources.open(root), tmp_path / "deep" / "copy"
    export(source, [decide(source, "b")], folder)
    before = snapshot(folder)
    with pytest.raises(VisdivError, match="choose a new or empty folder"):
        export(source, [decide(source, "b")], folder)
    assert snapshot(folder) == before


@pytest.mark.parametrize("place", ["file", "file/within"])
def test_a_file_in_the_way_is_named(root: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    source = sources.open(root)
    with pytest.raises(VisdivError, match=r"file.* is a file, or part of its path is one"):
        export(source, [decide(source, "b")], tmp_path / place)


def changed(decision: SubsetDecision, **fields: Any) -> SubsetDecision:
    return SubsetDecision(**{**vars(decision), **fields})


def test_a_mask_of_another_length_is_refused(root: Path, tmp_path: Path) -> None:
    source = sources.open(root)
    wrong = changed(decide(source, "b"), kept=np.ones(9, bool))
    for attempt in (lambda: export(source, [wrong], tmp_path / "copy"), lambda: preview([wrong])):
        with pytest.raises(VisdivError, match="subset 'b' has 10 rows, but the decision is about 9 rows"):
            attempt()
    assert not (tmp_path / "copy").exists()


def test_contradictory_decisions_are_value_errors(root: Path, tmp_path: Path) -> None:
    source = sources.open(root)
    good = decide(source, "b", [row > 1 for row in range(10)])
    for wrong, message in [
        (changed(good, dropped=dropped("b", [0])), "not the rows with a reason"),
        (changed(good, dropped=dropped("b", [0, 1, 2])), "not the rows with a reason"),
        (changed(good, dropped=dropped("a", [0, 1])), "rows of other subsets"),
        (changed(good, kept=good.kept.astype(int)), "not bool"),
    ]:
        with pytest.raises(ValueError, match=message):
            export(source, [wrong], tmp_path / "copy")
    with pytest.raises(ValueError, match="two decisions"):
        export(source, [good, good], tmp_path / "copy")
    with pytest.raises(VisdivError, match="nothing to export"):
        export(source, [], tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_source_that_changed_since_is_refused(root: Path, tmp_path: Path) -> None:
    source = sources.open(root)
    decision = decide(source, "b")
    write(root, "b", rows(10, start=1))
    with pytest.raises(VisdivError, match=r"subset 'b' in .* has changed since its rows were decided"):
        export(source, [decision], tmp_path / "copy")
    write(root, "b", rows(10))
    assert export(source, [decision], tmp_path / "copy").subsets == 1


def test_a_full_disk_is_one_clear_line_and_leaves_no_half_file(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = sources.open(root), tmp_path / "copy"

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(VisdivError, match=r"cannot write .*: No space left on device"):
            export(source, [decide(source, "b")], folder)
    assert list(folder.rglob("*.parquet")) == []
    export(source, [decide(source, "b")], folder)
    assert sorted(snapshot(folder)) == [
        "README.md",
        "b/train-00000-of-00001.parquet",
        "croissant.json",
        "dropped.parquet",
    ]
