"""Fixtures and helpers for the tests of several rooms: a clean environment, small corpora, an embedder, runs of jobs.

Nothing here touches data/local: all files are written to pytest's temporary folders.
"""

from __future__ import annotations

import fcntl
import gc
import hashlib
import io
import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster._core.storage.event_log import InMemoryEventLogStorage
from PIL import Image, ImageDraw
from sqlalchemy import Engine, event

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.embedding.clip import checkpoints
from visdiv_assets.embedding.interface import Embedder, unit_length
from visdiv_assets.orchestration.automation import BENCHMARK_JOB, CORPUS_JOB, SUBSET_JOB
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.orchestration.partitions import PARTITIONS
from visdiv_assets.orchestration.resources import SscdResource
from visdiv_assets.settings import Settings
from visdiv_assets.sources import CRITERIA, SCHEMA, Kind
from visdiv_assets.storage import disk_space
from visdiv_assets.storage.lake import Lake
from visdiv_assets.threads import thread_count
from visdiv_assets_tests.testing.s3_server import CREDENTIALS, S3Server, s3_server

CHECKOUT = Path(__file__).parents[1]
SAMPLE = CHECKOUT / "data" / "sample"

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@contextmanager
def clean_environment(**variables: str) -> Iterator[None]:
    """Run with only the given variables of VISDIV_ and DAGSTER_HOME, no terminal, and restore the environment."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("VISDIV_") or name in ("DAGSTER_HOME", "COLUMNS", "LINES"):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    with clean_environment():
        yield


@pytest.fixture(scope="session", autouse=True)
def _room_on_the_disk() -> Iterator[None]:
    """Report a nearly empty disk, however full the real one is; tests of the reserve patch this themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk_space, "space_of", lambda folder: disk_space.Space(total=10**13, free=10**13))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_the_disk() -> Iterator[None]:
    """Check what is synced, but do not wait for the disk; tests of syncing patch this themselves."""
    event.listen(Engine, "connect", _leave_to_the_system)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", _check_descriptor)
        yield
    event.remove(Engine, "connect", _leave_to_the_system)


@pytest.fixture(scope="session", autouse=True)
def _few_statements_in_memory() -> Iterator[None]:
    """Leave out the two pragmas and the new connection with which Dagster begins each statement on events in memory."""
    owner = threading.get_ident()

    @contextmanager
    def connect(storage: Any) -> Iterator[Any]:
        with storage._db_lock:
            if threading.get_ident() == owner:  # SQLite refuses a connection that another thread has opened
                with storage._held_conn.begin():
                    yield storage._held_conn
            else:
                with storage._engine.begin() as connection:
                    yield connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InMemoryEventLogStorage, "_connect", connect)
        yield


def _check_descriptor(descriptor: int) -> None:
    os.fstat(descriptor)


def _leave_to_the_system(connection: object, record: object) -> None:
    """Let the operating system decide when Dagster's events in SQLite are written to the disk."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session", autouse=True)
def _no_clip_weights() -> Iterator[None]:
    """Skip CLIP unless a test names a folder, whatever this machine has in its cache or can download."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            checkpoints, "_find_on_hub", lambda name: f"no CLIP weights: the tests do not ask the Hub for {name}"
        )
        yield


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """Return the sample of the repository, which is read-only."""
    return SAMPLE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with an empty source and the test's own data folder."""
    (tmp_path / "source" / "subsets").mkdir(parents=True)
    return Settings(source=str(tmp_path / "source"), data=str(tmp_path / "data"), device="cpu", copies_by="similarity")


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(_s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """Return a real S3 server on loopback, with its credentials in the environment."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    yield _s3_server
    _s3_server.refuse = lambda request, environment: None


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Return the test's own Dagster instance, on disk as a user's."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder), overrides={"telemetry": {"enabled": False}}) as opened:
        yield opened


@pytest.fixture
def pipeline(settings: Settings) -> Iterator[Pipeline]:
    """Return the jobs on an empty source. Dagster's state is in memory, which is four times as fast as on disk."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Pipeline(settings, instance)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make` fills once for all workers of pytest-xdist; the others wait for the first."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    root = factory.getbasetemp().parent if parallel else factory.getbasetemp()
    folder, done = root / name, root / f"{name}.done"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def shapes(seed: int, side: int = 64) -> Image.Image:
    """Draw colored shapes; images of two seeds are not near duplicates by SSCD."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (side, side), _color(random))
    draw = ImageDraw.Draw(image)
    for number in range(4):
        x, y = np.sort(random.integers(0, side, (2, 2)), axis=1)
        box = (int(x[0]), int(y[0]), int(x[1]), int(y[1]))
        (draw.ellipse if number % 2 else draw.rectangle)(box, fill=_color(random))
    return image


def _color(random: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = random.integers(0, 256, 3).tolist()
    return red, green, blue


def png(image: Image.Image) -> bytes:
    """Encode an image as PNG."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def image(seed: int) -> bytes:
    """Return `shapes` as a PNG file."""
    return png(shapes(seed))


def near_copy(seed: int) -> bytes:
    """Return the image of a seed with one pixel changed: other bytes, and nearly the same SSCD vector."""
    image = shapes(seed)
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    red, green, blue = pixel
    image.putpixel((0, 0), ((red + 60) % 256, green, blue))
    return png(image)


@dataclass(frozen=True)
class Row:
    """A row of a subset: its images, its turns, and the turns' ratings by criterion."""

    images: Sequence[bytes | None] = ()
    turns: int = 1
    ratings: Mapping[str, Sequence[int | None]] = field(default_factory=dict)


def write_shard(source: str | Path, name: str, rows: Sequence[Row], number: int = 0, kind: Kind = Kind.SUBSET) -> Path:
    """Write one Parquet file of a subset or benchmark in FineVision's columns."""
    path = Path(source) / kind.value / name / f"train-{number:05d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [
        {
            "images": [{"bytes": data, "path": None} for data in row.images],
            "texts": [{"user": f"question {turn}", "assistant": "answer"} for turn in range(row.turns)],
            "source": "test",
            **{f"{criterion}_ratings": list(row.ratings.get(criterion, [])) for criterion in CRITERIA},
        }
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(records, SCHEMA), path)
    return path


def one_each(seeds: Sequence[int]) -> list[Row]:
    """Rows of one image each."""
    return [Row([image(seed)]) for seed in seeds]


class ColorEmbedder(Embedder):
    """A simple real embedder: the mean colors of an 8 x 8 grid, relative to mid-gray, 192 dimensions.

    Attributes:
        embedded: number of images embedded so far.
        threads: names of the threads that called `run`.
    """

    def __init__(self, *, batch_size: int = 4, runs_in_threads: bool = True, name: str = "color") -> None:
        self.model_id = f"{name}@000000000000/skew_320"
        self.dimension = 192
        self.device = "cpu"
        self.batch_size = batch_size
        self.runs_in_threads = runs_in_threads
        self.embedded = 0
        self.threads: set[str] = set()
        self._lock = threading.Lock()

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Embed: uint8 [n, 320, 320, 3] -> float32 [n, 192]."""
        with self._lock:
            self.embedded += len(pixels)
            self.threads.add(threading.current_thread().name)
        blocks = pixels.reshape(len(pixels), 8, 40, 8, 40, 3).mean(axis=(2, 4)).reshape(len(pixels), 192)
        return unit_length(blocks - 127.4)


class BrokenEmbedder(ColorEmbedder):
    """Its vectors are twice too long."""

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Embed, wrongly."""
        return 2 * super().run(pixels)


_OTHER_EMBEDDERS = {"color": ColorEmbedder, "broken": BrokenEmbedder}


class OtherSscdResource(SscdResource):
    """Replaces SSCD by another embedder, named by `model`."""

    def loader(self) -> Callable[[str], Embedder]:
        """Return a function that makes a new one."""
        return partial(_other_embedder, self.model)


def _other_embedder(name: str, device: str) -> Embedder:
    return _OTHER_EMBEDDERS[name](name=name)


def other_model(name: str) -> OtherSscdResource:
    """Return the resource `sscd` with another model: "color" or "broken"."""
    return OtherSscdResource(model=name, device="cpu", weights="", weights_folder="", batch_size=4)


def _asset_of(event: dg.DagsterEvent) -> str:
    assert event.asset_key is not None
    return event.asset_key.to_user_string()


@dataclass(frozen=True)
class Ran:
    """The result of a job's run."""

    result: dg.ExecuteInProcessResult

    @property
    def success(self) -> bool:
        """Whether it succeeded."""
        return self.result.success

    @property
    def materialized(self) -> set[str]:
        """Assets that were materialized."""
        return {_asset_of(event) for event in self.result.get_asset_materialization_events()}

    def metadata(self, asset: str) -> dict[str, Any]:
        """Return the metadata of an asset's materialization."""
        (event,) = [each for each in self.result.get_asset_materialization_events() if _asset_of(each) == asset]
        return {name: value.value for name, value in event.materialization.metadata.items()}

    @property
    def checks(self) -> dict[str, dg.AssetCheckEvaluation]:
        """Evaluations by the check's name; of several assets, a failed one."""
        failed_last = sorted(self.result.get_asset_check_evaluations(), key=lambda evaluation: not evaluation.passed)
        return {evaluation.check_name: evaluation for evaluation in failed_last}

    @property
    def failures(self) -> dict[str, str | None]:
        """The message of the dg.Failure of each failed step; None for a step that failed otherwise."""
        failed = [event for event in self.result.all_events if event.is_step_failure]
        return {
            str(event.step_key): event.step_failure_data.user_failure_data.description
            if event.step_failure_data.user_failure_data
            else None
            for event in failed
        }


@lru_cache(maxsize=8)
def _job(name: str, settings: Settings, **resources: dg.ConfigurableResource) -> dg.JobDefinition:
    """Return a job, the same one for equal arguments: what a test patches must not be read while it is built."""
    return build_definitions(settings, **resources).resolve_job_def(name)


class Pipeline:
    """The jobs, run in this process as by `visdiv run` and the UI."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.instance = instance

    @property
    def lake(self) -> Lake:
        """The lake that the runs write."""
        return Lake(self.settings.lake_root)

    def changed(self, **settings: Any) -> Pipeline:
        """Return the same jobs with other settings."""
        return Pipeline(self.settings.model_copy(update=settings), self.instance)

    def elsewhere(self) -> Pipeline:
        """Return the same jobs with another, empty data folder."""
        return self.changed(data=self.settings.data + "_elsewhere")

    def write(self, name: str, *shards: Sequence[Row], kind: Kind = Kind.SUBSET) -> list[Path]:
        """Write a subset or benchmark of the source, one file for each list of rows."""
        return [write_shard(self.settings.source, name, rows, number, kind) for number, rows in enumerate(shards)]

    def run(
        self,
        name: str,
        *,
        kind: Kind = Kind.SUBSET,
        only: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        **resources: dg.ConfigurableResource,
    ) -> Ran:
        """Run all stages of one subset or benchmark, or `only` some assets."""
        self.instance.add_dynamic_partitions(str(PARTITIONS[kind].name), [name])
        job = _job(SUBSET_JOB if kind is Kind.SUBSET else BENCHMARK_JOB, self.settings, **resources)
        return Ran(
            job.execute_in_process(
                instance=self.instance,
                partition_key=name,
                raise_on_error=False,
                run_config={**QUIET, "ops": {asset: {"config": value} for asset, value in (config or {}).items()}},
                asset_selection=[dg.AssetKey(asset) for asset in only] or None,
            )
        )

    def publish(self, *, only: Sequence[str] = ()) -> Ran:
        """Run the assets of the whole corpus and build the DuckDB file, or run `only` some of these assets."""
        job = _job(CORPUS_JOB, self.settings)
        return Ran(
            job.execute_in_process(
                instance=self.instance,
                raise_on_error=False,
                run_config=QUIET,
                asset_selection=[dg.AssetKey(asset) for asset in only] or None,
            )
        )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return rows of the published DuckDB file."""
        return query(self.settings, sql)


def query(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    """Return rows of the published DuckDB file."""
    with duckdb.connect(settings.warehouse_path, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def lake_files(root: str | Path, *tables: str) -> dict[str, str]:
    """Return the SHA-256 of every file of a lake, or of some tables, by relative path.

    Manifests are hashed without their time and run. Hidden files, such as locks, are ignored, and so is the history of
    publications, which differs between two lakes with equal findings.
    """
    digests = {}
    for path in sorted(Path(root).rglob("*")):
        relative = path.relative_to(root)
        is_hidden = any(part.startswith(".") for part in relative.parts)
        is_chosen = relative.parts[0] in tables if tables else relative.parts[0] != LakeTable.PUBLICATIONS
        if path.is_file() and not is_hidden and is_chosen:
            data = path.read_bytes()
            if path.name == "manifest.json":
                content = json.loads(data)
                data = json.dumps({**content, "materialized_at": "", "run_id": ""}).encode()
            digests[relative.as_posix()] = hashlib.sha256(data).hexdigest()
    return digests


def written_at(root: str | Path, *tables: str) -> dict[str, int]:
    """Return the modification time of every data file of some tables, except manifests: equal if none was rewritten."""
    return {
        path.relative_to(root).as_posix(): path.stat().st_mtime_ns
        for table in tables
        for path in sorted((Path(root) / table).rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Start one worker more than there are cores, since some tests wait for time limits and other processes."""
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else thread_count(0) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the tests and modules, which stay until the end, and the garbage of their import out of every search."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """Let everything be freed at the end."""
    gc.unfreeze()
