"""The whole chain with the data on a real S3 server: the same tables as on disk, and one-line errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow.fs as pafs
import pytest
from click.testing import CliRunner

from visdiv_assets.cli.main import main
from visdiv_assets.orchestration.doctor import Level, data
from visdiv_assets.sources import Kind
from visdiv_assets.storage import uris
from visdiv_assets.wiring import open_lake
from visdiv_assets_tests.conftest import Pipeline, Row, clean_environment, near_copy, one_each, other_model
from visdiv_assets_tests.reliability.processes import tables
from visdiv_assets_tests.testing.s3_server import S3Server

#: Each takes many seconds.
pytestmark = pytest.mark.nightly


@pytest.fixture
def on_s3(pipeline: Pipeline, s3: S3Server, tmp_path: Path) -> Pipeline:
    """The jobs on two subsets that share images, with their data on S3."""
    pipeline.write("one", one_each([1, 2, 3]), [Row([near_copy(1)]), Row([b"no image"])])
    pipeline.write("other (+)", one_each([3, 4, 5]))
    return pipeline.changed(
        data=s3.uri(s3.new_bucket()), local_data=str(tmp_path / "local"), sscd_model="sscd_disc_mixup_int8"
    )


def run_all(pipeline: Pipeline, benchmarks: Sequence[str], subsets: Sequence[str] = ("one", "other (+)")) -> None:
    for kind, names in ((Kind.BENCHMARK, benchmarks), (Kind.SUBSET, subsets)):
        for name in names:
            ran = pipeline.run(name, kind=kind, sscd=other_model("color"))
            assert ran.success, ran.failures
    ran = pipeline.publish()
    assert ran.success, ran.failures


@pytest.mark.parametrize("benchmarks", [[], pytest.param(["bench"], marks=pytest.mark.nightly)])
def test_runs_on_s3_and_on_disk_give_the_same_tables(
    on_s3: Pipeline, s3: S3Server, tmp_path: Path, benchmarks: list[str]
) -> None:
    for benchmark in benchmarks:
        on_s3.write(benchmark, one_each([2, 6]), kind=Kind.BENCHMARK)
    run_all(on_s3, benchmarks)
    on_disk = on_s3.changed(data=str(tmp_path / "data"))
    run_all(on_disk, benchmarks)
    found = tables(on_s3.settings.warehouse_path)
    assert found == tables(on_disk.settings.warehouse_path)
    assert found["close_pairs"]
    assert bool(found["contamination_pairs"]) == bool(benchmarks)

    # The published file is next to the lake; files that need a disk are only on the disk.
    filesystem, root = uris.open_filesystem(on_s3.settings.data)
    with filesystem.open_input_stream(f"{root}/visdiv.duckdb") as stream:
        assert stream.read() == Path(on_s3.settings.warehouse_path).read_bytes()
    assert sorted(info.base_name for info in filesystem.get_file_info(pafs.FileSelector(root))) == [
        "lake",
        "visdiv.duckdb",
    ]
    assert {path.name for path in (tmp_path / "local").iterdir()} == {"reports", "vectors", "visdiv.duckdb"}

    with s3.counted() as again:
        if benchmarks:
            run_all(on_s3, benchmarks)
        else:
            assert on_s3.run("one", sscd=other_model("color")).success
    written = {request.rpartition("/")[2] for request in again if request.startswith("PUT")}
    assert written == ({"manifest.json", "visdiv.duckdb"} if benchmarks else {"manifest.json"})
    assert not any(".npy" in request for request in again)
    assert tables(on_s3.settings.warehouse_path) == found

    check_refused_copy(on_s3, s3)
    check_commands(on_s3, s3)


def check_commands(on_s3: Pipeline, s3: S3Server) -> None:
    """Check the commands on the data that a run has written."""
    settings = on_s3.settings
    environment = {
        "VISDIV_SOURCE": settings.source,
        "VISDIV_DATA": settings.data,
        "VISDIV_LOCAL_DATA": settings.local_data,
    }
    with clean_environment(**environment):
        with s3.counted() as looking:
            status = CliRunner().invoke(main, ["status"])
        assert status.exit_code == 0, status.output
        assert f"data    {uris.display(settings.data)}\n" in status.output
        assert re.search(r"^one +5 images, 1 unreadable, 4 embedded", status.output, re.MULTILINE)
        # A listing of each of six tables, two requests for each of twelve manifests, and three for that across subsets.
        assert len(looking) == 6 + 2 * 12 + 3
        rows = CliRunner().invoke(main, ["query", "--format", "csv", "SELECT subset FROM subsets ORDER BY ALL"])
        assert rows.output.split() == ["subset", "one", "other", "(+)"]
        gc = CliRunner().invoke(main, ["gc", "--older-than", "0", "--delete"])
        assert gc.exit_code == 0, gc.output
        assert "Deleted 0 files" in gc.output
    checked = data.check_storage(settings)
    assert checked is not None
    assert checked.level is Level.OK, checked.text
    assert "no file is missing or truncated" in data.check_lake(settings).text
    assert "no unreferenced files" in data.check_garbage(settings).text
    manifest = open_lake(settings).require("subset_images", "one")
    path = manifest.path_of(manifest.files("rows")[0].name)
    on_s3.lake.files.remove(path)
    assert f"{path} is missing" in data.check_lake(settings).text


def check_refused_copy(on_s3: Pipeline, s3: S3Server) -> None:
    """Check that a refused copy is a one-line error, and that the local file and the earlier copy stay."""
    filesystem, root = uris.open_filesystem(on_s3.settings.data)
    before = filesystem.get_file_info(f"{root}/visdiv.duckdb").mtime_ns
    s3.refuse = lambda request, environment: "AccessDenied" if "PUT" in request and "visdiv.duckdb" in request else None
    said = on_s3.publish(only=["warehouse"]).failures["warehouse"] or ""
    s3.refuse = lambda request, environment: None
    assert f"{on_s3.settings.warehouse_path} is published, but cannot be copied to s3://" in said
    assert "/some/prefix/visdiv.duckdb: access is denied" in said
    assert on_s3.query("SELECT count(*) FROM subsets") == [(2,)]
    assert filesystem.get_file_info(f"{root}/visdiv.duckdb").mtime_ns == before


def test_a_store_that_refuses_is_the_one_line_of_the_run(on_s3: Pipeline, s3: S3Server) -> None:
    s3.refuse = lambda request, environment: "AccessDenied"
    said = on_s3.run("one", only=["subset_images"], sscd=other_model("color")).failures["subset_pass"] or ""
    assert re.search(r"^cannot (read|write) s3://\S+/some/prefix/lake/\S*: access is denied", said)
    assert "AWS_ACCESS_KEY_ID" in said


def test_a_missing_bucket_is_one_line_of_every_command(s3: S3Server, tmp_path: Path) -> None:
    environment = {"VISDIV_DATA": s3.uri("no-such-bucket"), "VISDIV_LOCAL_DATA": str(tmp_path / "local")}
    with clean_environment(**environment):
        for arguments in (["status"], ["gc"], ["export", "--dry-run", str(tmp_path / "clean")]):
            said = CliRunner().invoke(main, arguments)
            assert said.exit_code == 2, said.output
            (line,) = said.stderr.splitlines()
            assert "no bucket 'no-such-bucket' exists for s3://no-such-bucket/some/prefix/lake" in line
    assert not (tmp_path / "local").exists()


def test_data_on_a_disk_has_no_store_to_check(pipeline: Pipeline) -> None:
    assert data.check_storage(pipeline.settings) is None
