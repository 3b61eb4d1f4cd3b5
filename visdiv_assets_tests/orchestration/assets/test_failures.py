"""Failures end in one line that names the cause and the remedy, and leave the earlier state unchanged."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from visdiv_assets.orchestration.assets.stage import user_errors
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets.wording import several
from visdiv_assets_tests.conftest import (
    CHECKOUT,
    Pipeline,
    Row,
    lake_files,
    near_copy,
    one_each,
    other_model,
    written_at,
)


def only_failure(pipeline: Pipeline, subset: str, step: str) -> str:
    """Run a subset whose run must fail in one step, and return the message of the failure."""
    ran = pipeline.run(subset)
    assert not ran.success
    assert list(ran.failures) == [step]
    message = ran.failures[step]
    assert message is not None, "the step failed with a stack trace"
    assert "\n" not in message
    return message


# The source ----------------------------------------------------------------------------------------------------------


def remove_source(source: Path) -> str:
    shutil.rmtree(source)
    return f"there is no folder '{source}'"


def remove_subset(source: Path) -> str:
    shutil.rmtree(source / "subsets" / "some")
    return f"{source} has no 'some' among its subsets"


def remove_files(source: Path) -> str:
    (source / "subsets" / "some" / "train-00000.parquet").unlink()
    return f"{source}/subsets/some holds no .parquet file"


def replace_file(source: Path) -> str:
    file = source / "subsets" / "some" / "train-00000.parquet"
    file.write_bytes(b"<html>not found</html>")
    return f"{file} is not a readable Parquet file"


def cut_file(source: Path) -> str:
    file = source / "subsets" / "some" / "train-00000.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    return f"{file} is not a readable Parquet file"


@pytest.mark.nightly
@pytest.mark.parametrize("damage", [remove_source, remove_subset, remove_files, replace_file, cut_file])
def test_an_unreadable_source_is_named_and_the_lake_stays(pipeline: Pipeline, damage: Callable[[Path], str]) -> None:
    pipeline.write("some", one_each([0, 1]))
    assert pipeline.run("some").success
    before = lake_files(pipeline.settings.lake_root)
    beginning = damage(Path(pipeline.settings.source))
    assert only_failure(pipeline, "some", "subset_pass").startswith(beginning)
    assert lake_files(pipeline.settings.lake_root) == before


@pytest.mark.nightly
def test_a_damaged_second_file_leaves_the_state_of_the_first_run(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0, 1]))
    assert pipeline.run("some").success
    assert pipeline.publish().success
    tables = [f"lake/{table}" for table in pipeline.lake.tables()]
    before = {name: lake_files(Path(pipeline.settings.data) / name) for name in tables}
    broken = Path(pipeline.settings.source) / "subsets" / "some" / "train-00001.parquet"
    broken.write_bytes(b"PAR1")
    assert str(broken) in only_failure(pipeline, "some", "subset_pass")
    assert {name: lake_files(Path(pipeline.settings.data) / name) for name in tables} == before
    assert pipeline.publish().success
    assert pipeline.query("SELECT images FROM subsets") == [(2,)]
    broken.unlink()
    ran = pipeline.run("some")
    assert ran.success
    assert ran.metadata("subset_images")["units_reused"] == 1


@pytest.mark.nightly
def test_a_source_that_changed_since_it_was_listed_is_a_failure(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0, 1]))
    assert pipeline.run("some").success
    before = lake_files(pipeline.settings.lake_root)
    pipeline.write("some", one_each([0, 2]))
    ran = pipeline.run("some", only=["sscd_embeddings"])
    assert ran.failures == {"subset_pass": "'some' has changed since subset_images listed it: run `visdiv run some`"}
    assert lake_files(pipeline.settings.lake_root) == before
    assert pipeline.run("some").success


@pytest.mark.parametrize("asset", ["quality_rows", "sscd_embeddings", "near_duplicates", "subset_diversity"])
def test_a_stage_whose_input_is_missing_names_it(pipeline: Pipeline, asset: str) -> None:
    pipeline.write("some", one_each([0]))
    (message,) = pipeline.run("some", only=[asset]).failures.values()
    assert message is not None
    assert message.endswith("of 'some' is not materialized: run `visdiv run some`")


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("table", "name", "asset"),
    [
        ("subset_images", "*.rows.parquet", "near_duplicates"),
        ("near_duplicates", "*.candidates.parquet", "verified_duplicates"),
        ("sscd_embeddings", "*.vectors.npy", "near_duplicates"),
        ("subset_turns", "*.turns.parquet", "quality_rows"),  # streamed
    ],
)
def test_flipped_bytes_that_a_stage_reads_are_one_line(pipeline: Pipeline, table: str, name: str, asset: str) -> None:
    pipeline.write("one", [*one_each([1, 2]), Row([near_copy(1)])])
    assert pipeline.run("one", sscd=other_model("color")).success
    (file,) = (Path(pipeline.settings.lake_root) / table / "one").glob(name)
    data = bytearray(file.read_bytes())
    # All but the magic bytes, and the footer of a Parquet file.
    end = len(data) - 8 - int.from_bytes(data[-8:-4], "little") if name.endswith(".parquet") else 80
    data[6:end] = bytes(255 ^ byte for byte in data[6:end])
    file.write_bytes(data)
    # Whatever else the stage depends on, it must read the file.
    shutil.rmtree(Path(pipeline.settings.lake_root) / asset)
    message = str(pipeline.run("one", only=[asset], sscd=other_model("color")).failures[asset])
    assert message.startswith(f"{file} has other bytes than those that were written; damaged files are removed: ")
    assert message.endswith(f"materialize {table} of 'one' again, or run `visdiv run --all`, and check the disk")
    assert pipeline.run("one", sscd=other_model("color")).success
    assert file.exists()


@pytest.mark.nightly
@pytest.mark.parametrize("asset", ["near_duplicates", "subset_diversity"])
def test_embeddings_older_than_the_list_of_images_are_a_failure(pipeline: Pipeline, asset: str) -> None:
    """The UI can materialize one asset without those that it depends on."""
    pipeline.write("some", [*one_each(range(3)), Row([near_copy(0)])])
    assert pipeline.run("some").success
    pipeline.write("some", one_each([4, 5]))
    assert pipeline.run("some", only=["subset_images"]).success
    before = lake_files(pipeline.settings.lake_root, asset)
    ran = pipeline.run("some", only=[asset])
    assert not ran.success
    message = ran.failures[asset]
    assert message is not None, "the step failed with a stack trace"
    assert message == "sscd_embeddings of 'some' is older than its subset_images: run `visdiv run some`"
    assert lake_files(pipeline.settings.lake_root, asset) == before


def test_near_duplicates_and_their_contact_sheet_need_no_source(pipeline: Pipeline) -> None:
    """Pairs come from vectors, and their contact sheet from thumbnails: both are in the lake."""
    pipeline.write("some", [*one_each(range(3)), Row([near_copy(0)])])
    pipeline.write("other", one_each([0]))
    stages = ("subset_images", "subset_thumbnails", "sscd_embeddings", "near_duplicates")
    assert pipeline.run("some", only=stages, sscd=other_model("color")).success
    remove_subset(Path(pipeline.settings.source))
    ran = pipeline.changed(similarity_floor=0.9).run("some", only=["near_duplicates"])
    assert ran.success, ran.failures


# Settings ------------------------------------------------------------------------------------------------------------


def test_weights_that_are_missing_are_named(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0]))
    broken = pipeline.changed(sscd_model="sscd_disc_mixup", sscd_weights="/no/such/file.pt")
    message = only_failure(broken, "some", "subset_pass")
    assert message == "VISDIV_SSCD_WEIGHTS names /no/such/file.pt, which is not a file"


def test_a_model_that_cannot_run_on_the_device_is_named(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0]))
    broken = pipeline.changed(sscd_model="sscd_disc_mixup_int8", device="cuda:99")
    message = only_failure(broken, "some", "subset_pass")
    assert message.startswith("sscd_disc_mixup_int8 runs on the CPU only, not on cuda:99")


def test_a_data_folder_that_is_a_file_is_named(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([0]))
    Path(pipeline.settings.data).write_bytes(b"")
    assert pipeline.settings.data in only_failure(pipeline, "some", "subset_pass")


# Models --------------------------------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_vectors_of_another_model_are_replaced_in_every_stage(pipeline: Pipeline) -> None:
    pipeline.write("some", [*one_each(range(4)), Row([near_copy(0)])])
    sscd = pipeline.run("some").metadata("sscd_embeddings")["model_id"]
    ran = pipeline.run("some", sscd=other_model("color"))
    assert ran.success
    embeddings = ran.metadata("sscd_embeddings")
    assert (embeddings["images_embedded"], embeddings["images_reused"]) == (5, 0)
    color = "color@000000000000/skew_320"
    assert embeddings["model_id"] == color != sscd
    tables = ("sscd_embeddings", "sscd_index", "near_duplicates", "subset_diversity")
    assert {pipeline.lake.require(table, "some").model_id for table in tables} == {color}
    assert pipeline.lake.array(pipeline.lake.require("sscd_embeddings", "some"), "vectors").shape == (5, 192)
    assert pipeline.publish().success
    for table in ("subsets", "close_pairs", "diversity"):
        assert pipeline.query(f"SELECT DISTINCT model_id FROM {table}") == [(color,)]


def test_vectors_of_the_first_model_are_reused_after_another(pipeline: Pipeline) -> None:
    stages = ("subset_images", "sscd_embeddings")
    pipeline.write("some", one_each(range(3)))
    assert pipeline.run("some", only=stages).success
    first = pipeline.lake.require("sscd_embeddings", "some").digest
    assert pipeline.run("some", only=stages, sscd=other_model("color")).success
    ran = pipeline.run("some", only=stages)
    assert ran.metadata("sscd_embeddings")["units_reused"] == 1
    assert pipeline.lake.require("sscd_embeddings", "some").digest == first


@pytest.mark.nightly
@pytest.mark.parametrize("kind", [Kind.SUBSET, Kind.BENCHMARK])
def test_vectors_of_two_models_are_never_compared(pipeline: Pipeline, kind: Kind) -> None:
    """Not with another subset's, and not with a benchmark's: the failure names both sets and both models."""
    pipeline.write("some", one_each([0, 1]))
    pipeline.write("other", one_each([2, 3]), kind=kind)
    assert pipeline.run("other", kind=kind).success
    ran = pipeline.run("some", sscd=other_model("color"))
    step = "contamination" if kind is Kind.BENCHMARK else "cross_subset_duplicates"
    failures = ran.failures if kind is Kind.BENCHMARK else pipeline.publish().failures
    assert list(failures) == [step]
    message = failures[step] or ""
    for part in ("'some'", "'other'", "color@000000000000/skew_320", "sscd_disc_mixup_int8@86386042eb85/skew_320"):
        assert part in message
    assert pipeline.run("some").success
    assert pipeline.publish().success


# Killed runs ---------------------------------------------------------------------------------------------------------

SHARDS, ROWS = 3, 24


@contextmanager
def visdiv(settings: Settings, *arguments: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The `visdiv` command as a process group of its own, which is ended with the block."""
    environment = {
        **os.environ,
        "VISDIV_SOURCE": settings.source,
        "VISDIV_DATA": settings.data,
        "VISDIV_DEVICE": "cpu",
        "VISDIV_CLIP_MODEL": "",
        "VISDIV_DISK_RESERVE_GIGABYTES": "0",
    }
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "visdiv_assets.cli.main", *arguments],
            env=environment,
            cwd=CHECKOUT,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def finished_units(settings: Settings) -> list[Path]:
    return list((Path(settings.lake_root) / "sscd_embeddings").glob("*/*.unit.json"))


@pytest.mark.nightly
def test_a_killed_run_resumes_after_its_last_finished_file(pipeline: Pipeline, tmp_path: Path) -> None:
    settings = pipeline.settings
    shards = [one_each(range(number * ROWS, (number + 1) * ROWS)) for number in range(SHARDS)]
    pipeline.write("some", *shards)
    undisturbed = pipeline.elsewhere()
    assert undisturbed.run("some").success

    log = tmp_path / "killed.log"
    with visdiv(settings, "run", "some", output=log) as process:
        deadline = time.monotonic() + 60
        while not finished_units(settings):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
    finished = len(finished_units(settings))
    assert 1 <= finished < SHARDS
    assert pipeline.lake.manifest("sscd_embeddings", "some") is None
    before = written_at(settings.lake_root, *pipeline.lake.tables())

    log = tmp_path / "again.log"
    with visdiv(settings, "run", "some", output=log) as process:
        try:
            code = process.wait(timeout=90)
        except subprocess.TimeoutExpired:
            pytest.fail(f"a run after one that was killed does not end; it printed: {log.read_text()!r}")
    assert code == 0, log.read_text()
    assert f"{several((SHARDS - finished) * ROWS, 'image')} embedded" in log.read_text()
    after = written_at(settings.lake_root, *pipeline.lake.tables())
    # A file of the unit that was being written when the run was killed is written again.
    kept = {name for name in before if f"{name.partition('.')[0]}.unit.json" in before}
    assert len(kept) > 4 * finished
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    expected = lake_files(undisturbed.settings.lake_root)
    assert len(expected) > 20
    assert lake_files(settings.lake_root, *undisturbed.lake.tables()) == expected


def test_an_error_of_object_storage_while_streaming_is_one_line() -> None:
    said = "When reading 'b/x': AWS Error UNKNOWN (HTTP status 503) during GetObject operation: No response body."
    with pytest.raises(dg.Failure) as caught, user_errors():
        raise OSError(said)
    assert caught.value.description == "cannot read VISDIV_DATA: the server is busy or broken (503): try again later"
    with pytest.raises(PermissionError), user_errors():
        raise PermissionError(13, "of a disk")
