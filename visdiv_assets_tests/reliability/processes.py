"""Helpers of the reliability tests: runs in separate processes that stop at a chosen call, and checks of their output.

The processes are forked from a server that has imported everything, so each starts at once. They run the unchanged
product except for one function, which is wrapped: it reports that it was called and then waits for a message or for
SIGKILL.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import logging
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.settings import Settings
from visdiv_assets.storage.files import escape
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets_tests.conftest import Pipeline, other_model

FORKS = multiprocessing.get_context("forkserver")
# Preload modules that a run imports later, which would take each process a second.
FORKS.set_forkserver_preload([__name__, "alembic", "cv2", "faiss", "pdqhash", "scipy.optimize", "scipy.sparse.csgraph"])

#: Maximum seconds to wait for a process; a busy machine is many times slower than an idle one.
SECONDS = 300.0

#: The subsets of the fixture `corpus`.
SUBSETS = ("a", "b", "c")

#: Assets of a subset and of the corpus that the tests run: units of each kind and tables made from them. Nightly tests
#: run all assets.
OF_A_SUBSET = (
    "subset_images",
    "subset_turns",
    "quality_rows",
    "sscd_embeddings",
    "near_duplicates",
    "verified_duplicates",
)
OF_ALL = ("cross_subset_duplicates", "verified_cross_subset", "duplicate_clusters", "curated_rows", "warehouse")

#: Columns with the time and the run of a table.
_OF_THE_RUN = {"run_id", "materialized_at"}


@dataclass(frozen=True)
class Stop:
    """The call at which a process stops.

    Attributes:
        place: the function, as `module:name` or `module:Class.name`.
        call: the number of the call, from 1.
        argument: a text that the first arguments of a call must contain for the call to count.
    """

    place: str
    call: int = 1
    argument: str = ""


@dataclass(frozen=True)
class Work:
    """The work of a process: the stages of some subsets, then those of the corpus.

    Attributes:
        settings: settings of the run.
        subsets: subsets to run, in order.
        publish: whether to run the stages of the corpus and build the DuckDB file.
        stop: where to stop; None to run to the end.
        stages: the only assets to run; if empty, `OF_A_SUBSET` and `OF_ALL`.
        everything: whether to run all assets.
    """

    settings: Settings
    subsets: tuple[str, ...] = ()
    publish: bool = False
    stop: Stop | None = None
    stages: tuple[str, ...] = ()
    everything: bool = False


class Running:
    """A running process; `reached`, `go_on` and `kill` are for a process that stops."""

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.process = process
        self._connection = connection
        self.log: list[str] = []

    def next(self, kind: str) -> Any:
        """Return the next message of a kind; earlier lines of the log are kept in `log`."""
        deadline = time.monotonic() + SECONDS
        while self._connection.poll(max(0.0, deadline - time.monotonic())):
            found, content = self._connection.recv()
            if found == "log":
                self.log.append(content)
            if found == kind:
                return content
            if found in ("done", "failed"):
                raise AssertionError(f"{kind} was never reached: {content}")
        raise AssertionError(f"no {kind} within {SECONDS} s")

    def reached(self) -> None:
        """Wait until the process has stopped."""
        self.next("reached")

    def go_on(self) -> None:
        """Let a stopped process continue."""
        self._connection.send("go on")

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.join(SECONDS)
        assert self.process.exitcode == -9

    def done(self) -> dict[str, dict[str, Any]]:
        """Wait until the process ends, and return the metadata of each asset; all its runs must succeed."""
        metadata: dict[str, dict[str, Any]] = self.next("done")
        self.process.join(SECONDS)
        return metadata


@contextmanager
def running(work: Work) -> Iterator[Running]:
    """Start a process that does some work, and end it with the block."""
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(target=_do, args=(work, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Running(process, ours)
    finally:
        if process.is_alive():
            process.kill()
        process.join(SECONDS)
        ours.close()


def stopped_and_killed(work: Work) -> None:
    """Run a process to its stop and kill it there."""
    with running(work) as process:
        process.reached()
        process.kill()


def finished(work: Work) -> dict[str, dict[str, Any]]:
    """Do some work in this process and return the metadata of each asset, of its last run."""
    with dg.DagsterInstance.ephemeral() as instance:
        pipeline = Pipeline(work.settings, instance)
        of_a_subset, of_all = ((), ()) if work.everything else (work.stages or OF_A_SUBSET, work.stages or OF_ALL)
        runs = [pipeline.run(subset, only=of_a_subset, sscd=other_model("color")) for subset in work.subsets]
        runs += [pipeline.publish(only=of_all)] if work.publish else []
        failures = [ran.failures for ran in runs if not ran.success]
        assert not failures, failures
        return {asset: ran.metadata(asset) for ran in runs for asset in ran.materialized}


def _do(work: Work, connection: Connection) -> None:
    # The test ignores the output of a run.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    handler = _Sending(connection)
    logging.getLogger("visdiv_assets").addHandler(handler)
    if work.stop:
        _wrap(work.stop, connection)
    try:
        metadata = finished(work)
    except BaseException as error:
        connection.send(("failed", repr(error)))
        raise
    connection.send(("done", _plain(metadata)))


class _Sending(logging.Handler):
    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        self._connection.send(("log", record.getMessage()))


def _wrap(stop: Stop, connection: Connection) -> None:
    module, _, name = stop.place.partition(":")
    owner: Any = importlib.import_module(module)
    *path, attribute = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    real: Callable[..., Any] = getattr(owner, attribute)
    calls = 0

    def stopping(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        if stop.argument in " ".join(map(str, arguments[:2])):
            calls += 1
            if calls == stop.call:
                connection.send(("reached", None))
                connection.recv()
        return real(*arguments, **named)

    setattr(owner, attribute, stopping)


def _plain(metadata: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return only numbers and texts, which can be sent through a pipe."""
    return {
        asset: {name: value for name, value in of_asset.items() if isinstance(value, int | float | str)}
        for asset, of_asset in metadata.items()
    }


def copy(settings: Settings, origin: Settings, *partitions: str) -> None:
    """Copy some partitions of all tables but the publications from another lake into an empty one."""
    for table in set(Lake(origin.lake_root).tables()) - {LakeTable.PUBLICATIONS}:
        for partition in partitions:
            folder = Path(origin.lake_root) / table / partition
            if folder.is_dir():
                shutil.copytree(folder, Path(settings.lake_root) / table / partition)


def check_equal(settings: Settings, undisturbed: Settings) -> None:
    """Check that all manifests, data files and tables equal those of the undisturbed run, without temporary files."""
    expected = contents(undisturbed)
    assert len(expected) >= len(SUBSETS) * len(OF_A_SUBSET)
    assert contents(settings) == expected
    assert tables(settings.warehouse_path) == tables(undisturbed.warehouse_path)
    assert temporary_files(settings.data) == []


def check_written(settings: Settings, undisturbed: Settings, *partitions: str) -> None:
    """Check that some partitions, named `table/partition`, equal those of the undisturbed run."""
    expected, found = contents(undisturbed), contents(settings)
    assert {name: found.get(name) for name in partitions} == {name: expected[name] for name in partitions}
    assert temporary_files(settings.data) == []


def contents(settings: Settings) -> dict[str, tuple[Manifest, dict[str, str]]]:
    """Return each partition's manifest, without time and run, and the SHA-256 of its files; no publications."""
    lake = Lake(settings.lake_root)
    found = {}
    for table in set(lake.tables()) - {LakeTable.PUBLICATIONS}:
        for partition in lake.partitions(table):
            manifest = lake.require(table, partition)
            folder = Path(settings.lake_root) / table / escape(partition)
            names = [file.name for unit in manifest.units for file in unit.files.values()]
            digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
            found[f"{table}/{partition}"] = (replace(manifest, run_id="", materialized_at=""), digests)
    return found


def tables(path: str | Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of a published file, without `meta`, `history` and the columns of time and run."""
    with duckdb.connect(str(path), read_only=True) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() "
            "WHERE NOT internal AND table_name NOT IN ('meta', 'history') ORDER BY table_name, column_index"
        ).fetchall()
        shown: dict[str, list[str]] = {}
        for table, column in columns:
            if column not in _OF_THE_RUN:
                shown.setdefault(table, []).append(f'"{column}"')
        return {
            table: connection.execute(f'SELECT {", ".join(names)} FROM "{table}" ORDER BY ALL').fetchall()
            for table, names in shown.items()
        }


def temporary_files(folder: str | Path) -> list[str]:
    """Return the names of all temporary files in a folder."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(path.name for path in Path(folder).rglob(".*") if ".tmp" in path.name)
    return []


def peak_bytes() -> int:
    """Return the peak memory of this process; `ru_maxrss` would start with the peak of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024
