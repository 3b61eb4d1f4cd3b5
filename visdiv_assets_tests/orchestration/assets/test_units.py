"""Units of work made by an engine: neither their order nor interruptions change what is committed."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from visdiv_assets.orchestration.engines import Engine, LocalEngine, ProcessEngine, Work, Worker
from visdiv_assets.orchestration.resources import EngineResource
from visdiv_assets.progress import Progress, silent
from visdiv_assets.storage.lake import Lake
from visdiv_assets.vectors import join_blocks
from visdiv_assets_tests.conftest import (
    Pipeline,
    Ran,
    Row,
    lake_files,
    made_once,
    near_copy,
    one_each,
    other_model,
    write_shard,
)
from visdiv_assets_tests.testing.small_lakes import run_stages

BEFORE = ("subset_images", "sscd_embeddings")
#: All assets of the pass that need no CLIP.
PASS = (*BEFORE, "subset_turns", "subset_thumbnails", "subset_features", "subset_regions")


class Backwards:
    """Finishes units in reverse order, or in order, and fails after `limit` of them."""

    def __init__(self, limit: int | None, *, forwards: bool = False) -> None:
        self.limit = limit
        self.forwards = forwards
        self.done = 0

    def map(
        self, work: Work[Any, Any], units: Sequence[Any], progress: Progress = silent
    ) -> Generator[tuple[int, Any]]:
        order = range(len(units)) if self.forwards else range(len(units) - 1, -1, -1)
        ordered = [units[index] for index in order]
        for number, result in LocalEngine(Worker("cpu", 1)).map(work, ordered, progress):
            if self.done == self.limit:
                raise RuntimeError("killed")
            self.done += 1
            yield order[number], result

    def close(self) -> None:
        """Do nothing."""


class BackwardsResource(EngineResource):
    limit: int | None = None
    forwards: bool = False

    def open(self) -> Engine:
        return Backwards(self.limit, forwards=self.forwards)


def backwards(limit: int | None = None, *, forwards: bool = False) -> BackwardsResource:
    return BackwardsResource(
        engine="local", device="cpu", threads=1, ray_workers=0, ray_gpus=0, limit=limit, forwards=forwards
    )


def make(folder: Path) -> None:
    """Write a subset of five files, with copies within and between them, and run it undisturbed."""
    for number in range(4):
        write_shard(folder / "source", "a", one_each(range(4 * number, 4 * number + 4)), number)
    write_shard(folder / "source", "a", [Row([near_copy(seed)]) for seed in range(16)], 4)
    run_stages(folder, subset=PASS, copies_by="similarity")


@pytest.fixture
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `source` and `data` of a run in one process, to be left unchanged."""
    return made_once(tmp_path_factory, "undisturbed_units", make)


@pytest.fixture
def expected(undisturbed: Path) -> dict[str, str]:
    """Return the files of the lake of the undisturbed run."""
    files = lake_files(undisturbed / "data" / "lake")
    assert {name.partition("/")[0] for name in files} >= set(PASS)
    return files


@pytest.fixture
def subset(pipeline: Pipeline, undisturbed: Path) -> Pipeline:
    """Return the jobs on the same source and an empty data folder."""
    return pipeline.changed(source=str(undisturbed / "source"), clip_model="")


def test_units_lie_in_their_order_however_they_were_finished(subset: Pipeline, expected: dict[str, str]) -> None:
    assert subset.run("a", only=PASS, sscd=other_model("color"), engine=backwards()).failures == {}
    assert lake_files(subset.settings.lake_root) == expected


def errors(ran: Ran) -> dict[str, str]:
    """Return the original error of each step that failed."""
    raised = {}
    for event in ran.result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error and error.cause:
                error = error.cause
            raised[str(event.step_key)] = error.message.strip() if error else ""
    return raised


@pytest.mark.parametrize("forwards", [True, False])
def test_reused_and_new_units_keep_their_order(subset: Pipeline, expected: dict[str, str], forwards: bool) -> None:
    interrupted = backwards(limit=2, forwards=forwards)  # two files
    failed = subset.run("a", only=PASS, sscd=other_model("color"), engine=interrupted)
    assert errors(failed) == {"subset_pass": "RuntimeError: killed"}
    ran = subset.run("a", only=PASS, sscd=other_model("color"))
    assert ran.success
    assert ran.metadata("subset_images")["units_reused"] == 2
    # Vectors are stored in the order of the files, since an image belongs to the first that has it.
    assert ran.metadata("sscd_embeddings")["units_reused"] == (2 if forwards else 0)
    assert lake_files(subset.settings.lake_root) == expected


class TwoDevicesResource(EngineResource):
    """Stands in for VISDIV_DEVICE=cuda:all on a machine with two devices; both are the CPU here."""

    def open(self) -> Engine:
        return _two_devices()


@lru_cache
def _two_devices() -> ProcessEngine:
    return ProcessEngine([Worker("cpu", 1), Worker("cpu", 1)], Worker("cpu", 1))


def test_one_process_per_device_writes_the_same_files(subset: Pipeline, expected: dict[str, str]) -> None:
    engine = TwoDevicesResource(engine="local", device="cpu", threads=1, ray_workers=0, ray_gpus=0)
    try:
        ran = subset.run("a", only=PASS, sscd=other_model("color"), engine=engine)
    finally:
        _two_devices().close()
    assert ran.failures == {}
    assert ran.metadata("sscd_embeddings")["images_embedded"] == 32
    assert lake_files(subset.settings.lake_root) == expected


def pairs_counts_and_candidates(lake: Lake) -> list[Any]:
    manifest = lake.require("near_duplicates", "a")
    return [lake.read(manifest, role) for role in ("pairs", "counts", "candidates")]


def test_near_duplicates_by_blocks_equal_those_of_one_join(subset: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    other = subset.elsewhere()
    for each in (subset, other):
        assert each.run("a", only=BEFORE, sscd=other_model("color")).success
    assert subset.run("a", only=["near_duplicates"]).failures == {}
    monkeypatch.setattr(join_blocks, "ROWS_OF_A_BLOCK", 4)
    monkeypatch.setattr(join_blocks, "PAIRS_OF_A_BLOCK", 60)
    count = len(join_blocks.split_into_blocks(32))
    assert count > 5

    assert not other.run("a", only=["near_duplicates"], engine=backwards(limit=3)).success
    engine = Backwards(None)
    monkeypatch.setattr(BackwardsResource, "open", lambda self: engine)
    assert other.run("a", only=["near_duplicates"], engine=backwards()).failures == {}
    assert engine.done == count - 3
    found, expected = pairs_counts_and_candidates(other.lake), pairs_counts_and_candidates(subset.lake)
    assert expected[0].num_rows >= 16
    assert [table.equals(whole) for table, whole in zip(found, expected, strict=True)] == [True] * 3
    # Blocks are intermediate results: the manifest lists only the pairs.
    assert [unit.name for unit in other.lake.require("near_duplicates", "a").units] == ["pairs"]
    assert other.lake.require("near_duplicates", "a").digest == subset.lake.require("near_duplicates", "a").digest
    # Another run has nothing left to do.
    assert other.run("a", only=["near_duplicates"], engine=backwards()).failures == {}
    assert engine.done == count - 3
