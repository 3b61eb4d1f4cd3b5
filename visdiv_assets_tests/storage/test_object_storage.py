"""The guarantees of the lake on a disk and on a real S3 server, and errors of a server."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage import object_store, uris
from visdiv_assets.storage.lake import Lake, PartitionWrite
from visdiv_assets_tests.storage.helpers import NUMBERS, ODD_NAMES, numbers, read_numbers, run_python, write_numbers
from visdiv_assets_tests.testing.s3_server import S3Server


@pytest.fixture
def on_s3(s3: S3Server) -> str:
    return uris.join(s3.uri(s3.new_bucket()), "lake")


@pytest.fixture(params=["disk", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "lake")
    place: str = request.getfixturevalue("on_s3")
    return place


@pytest.fixture
def lake(root: str) -> Lake:
    return Lake(root)


def begin(lake: Lake, **plan: Any) -> PartitionWrite:
    return lake.write("table", "some", **{"code_version": "1", **plan})


def overwrite(lake: Lake, path: str, content: bytes | None) -> None:
    """Damage a file behind the lake's back; None removes it."""
    full = lake.files.full_path(path)
    lake.files.filesystem.delete_file(full)
    if content is not None:
        with lake.files.filesystem.open_output_stream(full) as stream:
            stream.write(content)


def test_rows_are_read_back_in_the_order_of_the_units(lake: Lake) -> None:
    assert (lake.tables(), lake.partitions("table"), lake.manifest("table", "some")) == ([], [], None)
    manifest = write_numbers(lake, "some", {"b": [3, 1], "a": [2], "empty": [], "c": [0, 9]})
    assert lake.manifest("table", "some") == manifest
    assert read_numbers(lake, "some") == [3, 1, 2, 0, 9]
    assert lake.dataset(manifest).scanner().to_reader().read_all()["number"].to_pylist() == [3, 1, 2, 0, 9]
    assert (lake.tables(), lake.partitions("table")) == (["table"], ["some"])


def test_partitions_may_have_odd_names(lake: Lake) -> None:
    for number, name in enumerate(ODD_NAMES):
        write_numbers(lake, name, {"u/n:i t": [number]})
    assert lake.partitions("table") == sorted(ODD_NAMES)
    assert [read_numbers(lake, name) for name in ODD_NAMES] == [[number] for number in range(len(ODD_NAMES))]
    assert lake.snapshot().partitions("table") == sorted(ODD_NAMES)


def test_readers_see_the_old_state_until_the_commit(lake: Lake) -> None:
    before = write_numbers(lake, "some", {"unit": [1]})
    write = begin(lake, settings={"changed": True})
    with write.add("unit") as unit:
        unit.table("rows", numbers(2), NUMBERS)
    assert lake.manifest("table", "some") == before
    assert lake.read(write.draft())["number"].to_pylist() == [2]
    write.commit()
    assert read_numbers(lake, "some") == [2]
    assert lake.read(before)["number"].to_pylist() == [1]


KILLED = """
import os, signal, sys
import pyarrow as pa
from visdiv_assets.storage.lake import Lake

schema = pa.schema([("number", pa.int64())])
write = Lake(sys.argv[1]).write("table", "some", code_version="1")
for name, value in (("one", 1), ("two", 2)):
    with write.add(name) as unit:
        unit.table("rows", pa.table({"number": [value]}, schema), schema)
with write.add("three") as unit:
    unit.table("rows", pa.table({"number": [3]}, schema), schema)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_the_old_state_and_reusable_units(lake: Lake, root: str) -> None:
    before = write_numbers(lake, "some", {"unit": [0]}, code_version="0")
    killed = run_python(KILLED, root)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert lake.manifest("table", "some") == before
    write = begin(lake)
    assert [write.reuse(name) for name in ("one", "two", "three")] == [True, True, False]
    with write.add("three") as unit:
        unit.table("rows", numbers(3), NUMBERS)
    write.commit()
    assert read_numbers(lake, "some") == [1, 2, 3]


@pytest.mark.parametrize("content", [b"cut", None])
@pytest.mark.parametrize("units", [1, 4])
def test_a_damaged_or_lost_file_is_one_line_and_is_made_again(lake: Lake, content: bytes | None, units: int) -> None:
    manifest = write_numbers(lake, "some", {str(number): [number] for number in range(units)})
    path = manifest.path_of(manifest.files("rows")[0].name)
    overwrite(lake, path, content)
    with pytest.raises(VisdivError, match=r"\.rows\.parquet is missing or damaged: materialize table of 'some' again"):
        lake.read(manifest)
    write = begin(lake)
    assert [write.reuse(str(number)) for number in range(units)] == [False] + [True] * (units - 1)


def test_a_damaged_manifest_is_one_line_that_names_it(lake: Lake) -> None:
    manifest = write_numbers(lake, "some", {"unit": [1]})
    overwrite(lake, manifest.path_of("manifest.json"), b'{"units": 3}')
    with pytest.raises(VisdivError, match=r"lake/table/some/manifest.json is not a manifest of this program .* again"):
        lake.require("table", "some")


def test_of_two_writers_the_last_commit_wins_and_is_complete(on_s3: str) -> None:
    first, second = (begin(Lake(on_s3), settings={"writer": number}) for number in range(2))
    for value, write in ((1, first), (2, second)):
        with write.add("unit") as unit:
            unit.table("rows", numbers(value), NUMBERS)
    second.commit()
    first.commit()
    assert read_numbers(Lake(on_s3), "some") == [1]


def test_an_object_whose_block_fails_is_not_replaced(on_s3: str) -> None:
    files = Lake(on_s3).files
    with files.replace("file") as stream:
        stream.write(b"old")

    def fail() -> None:
        with files.replace("file") as stream:
            stream.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert files.read("file") == b"old"


def test_a_large_object_is_replaced_as_a_whole_or_not_at_all(
    on_s3: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "PIECE", 6 << 20)
    files = Lake(on_s3).files
    contents = [np.random.default_rng(seed).bytes((12 << 20) + 5) for seed in range(2)]

    def put(content: bytes) -> None:
        with files.replace("file") as stream:
            stream.write(content)

    def refuse(part: str, request: str, environment: dict[str, str]) -> str | None:
        return "AccessDenied" if part in request else None

    put(contents[0])
    assert files.read("file") == contents[0]
    for part in ("partNumber=1&", "partNumber=2&"):
        s3.refuse = partial(refuse, part)
        with pytest.raises(VisdivError, match=r"cannot write s3://bucket-\w+/some/prefix/lake/file: access is denied"):
            put(contents[1])
        s3.refuse = lambda request, environment: None
        assert files.read("file") == contents[0]


def test_inspecting_a_lake_takes_few_requests(on_s3: str, s3: S3Server) -> None:
    lake = Lake(on_s3)
    with s3.counted() as writing:
        write_numbers(lake, "0", {"unit": [0]})
    assert [request.partition(" ")[0] for request in writing] == ["HEAD", "HEAD", "PUT", "PUT", "GET", "PUT"]
    for number in range(1, 20):
        write_numbers(lake, str(number), {"unit": [number]})
    with s3.counted() as listing:
        assert len(lake.partitions("table")) == 20
    assert len(listing) == 1
    with s3.counted() as looking:
        now = lake.snapshot()
        for name in now.partitions("table"):
            assert now.require("table", name).partition == name
            assert now.manifest("table", name + "?") is None
    # The tables, one listing, and two for each manifest.
    assert len(looking) == 1 + 1 + 2 * 20
    with s3.counted() as reading:
        assert now.read(now.require("table", "7"))["number"].to_pylist() == [7]
    assert {request.partition(" ")[0] for request in reading} == {"GET"}


def test_a_snapshot_does_not_see_later_writes(on_s3: str) -> None:
    lake = Lake(on_s3)
    write_numbers(lake, "old", {"unit": [1]})
    now = lake.snapshot("table")
    write_numbers(lake, "new", {"unit": [2]})
    write_numbers(lake, "other", {"unit": [3]}, table="another")
    assert (now.partitions("table"), now.manifest("table", "new")) == (["old"], None)
    assert now.partitions("another") == ["other"]
    assert read_numbers(lake, "new") == [2]


# What a server refuses -----------------------------------------------------------------------------------------------


def commands(lake: Lake) -> list[Callable[[], object]]:
    return [
        lambda: lake.partitions("table"),
        lambda: lake.manifest("table", "some"),
        lambda: write_numbers(lake, "some", {"unit": [1]}),
        lambda: lake.files.remove("file"),
    ]


def told(lake: Lake, count: int = 4) -> list[str]:
    """What each of the first commands says."""
    lines = []
    for command in commands(lake)[:count]:
        with pytest.raises(VisdivError) as caught:
            command()
        lines.append(str(caught.value))
    return lines


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AccessDenied", "access is denied.*: set credentials that may list, read, write and delete there"),
        ("InvalidAccessKeyId", "access is denied.*AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"),
        ("PermanentRedirect", "the bucket is in another region.*: add its region, as in .*region="),
        ("SlowDown", "the server is busy or broken .*: try again later"),
    ],
)
def test_what_the_server_refuses_is_one_line_with_advice(
    s3: S3Server, code: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uris, "ATTEMPTS", 1)
    lake = Lake(uris.join(s3.uri("bucket"), "lake"))
    s3.refuse = lambda request, environment: code
    for line in told(lake):
        assert "s3://bucket/some/prefix/lake" in line
        assert "A long text" not in line
        assert len(line) < 400
        with pytest.raises(VisdivError, match=reason):
            raise VisdivError(line)


def test_missing_credentials_are_reported(s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    s3.refuse = lambda request, environment: None if "HTTP_AUTHORIZATION" in environment else "AccessDenied"
    for line in told(Lake(uris.join(s3.uri("bucket"), "lake"))):
        assert "access is denied" in line
        assert "AWS_ACCESS_KEY_ID" in line


def test_a_bucket_that_does_not_exist_is_not_an_empty_lake(s3: S3Server) -> None:
    lines = told(Lake(uris.join(s3.uri("no-such-bucket"), "lake")), 3)
    assert all("no bucket 'no-such-bucket' exists" in line or "no such bucket" in line for line in lines)
    assert all("correct VISDIV_DATA" in line for line in lines)


def test_a_server_that_is_away_is_one_line(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uris, "ATTEMPTS", 1)
    lake = Lake("s3://bucket/lake?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1")
    for line in told(lake):
        assert "s3://bucket/lake" in line
        assert "the server cannot be reached" in line
        assert ": check that it runs and that VISDIV_DATA has its address" in line


def test_an_error_while_rows_are_read_is_one_line(on_s3: str, s3: S3Server) -> None:
    lake = Lake(on_s3)
    write = begin(lake)
    with write.add("unit") as unit:
        unit.table("rows", pa.table({"number": np.arange(100_000)}), NUMBERS)
    manifest = write.commit()
    s3.refuse = lambda request, environment: "AccessDenied" if ".parquet" in request and "GET" in request else None
    with pytest.raises(VisdivError, match=r"cannot read s3://.*/lake/table/some: access is denied"):
        lake.read(manifest)
