"""A Ray cluster of two nodes on this machine gives the results of the local engine, also if a node is killed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from visdiv_assets.orchestration.engines import Engine
from visdiv_assets.orchestration.engines.ray import SEVERAL_MACHINES
from visdiv_assets.orchestration.resources import EngineResource
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets.vectors import join_blocks
from visdiv_assets_tests.conftest import SAMPLE, Pipeline, Row, lake_files, near_copy, one_each, other_model
from visdiv_assets_tests.orchestration.engines.works import Watching

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
]


class WatchedEngineResource(EngineResource):
    """The configured engine, slowed down; its workers log their attempts in a folder."""

    folder: str
    seconds: float

    def open(self) -> Engine:
        return Watching(super().open(), Path(self.folder), self.seconds)


@dataclass
class Cluster:
    """Two nodes of one CPU each; the first is the head."""

    nodes: Any
    second: Any
    begun_when_killed: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(self.nodes.address)

    def kill_in_the_middle(self, folder: Path, finished: int) -> threading.Thread:
        """Kill the second node in the middle of a unit, once `finished` units are finished."""

        def wait() -> None:
            for _ in range(6000):
                found = Units(folder)
                if len(found.ended) >= finished and found.in_progress(self.second.node_id):
                    self.begun_when_killed = found.in_progress(self.second.node_id)
                    self.nodes.remove_node(self.second, allow_graceful=False)
                    return
                time.sleep(0.02)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        return thread


@dataclass
class Units:
    """The log of `Watched` work: each attempt at a unit, `<unit> <attempt>`, with its node."""

    folder: Path

    @property
    def begun(self) -> dict[str, str]:
        return self._written("begun")

    @property
    def ended(self) -> dict[str, str]:
        return self._written("ended")

    def in_progress(self, node: str) -> list[str]:
        ended = self.ended
        return [attempt for attempt, of_node in self.begun.items() if of_node == node and attempt not in ended]

    def _written(self, what: str) -> dict[str, str]:
        found = {path.name.partition(" ")[2]: path.read_text() for path in self.folder.glob(f"{what} *")}
        return {attempt: node for attempt, node in found.items() if node}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv(SEVERAL_MACHINES, "0")
    import ray
    from ray.cluster_utils import Cluster as Nodes

    common: dict[str, Any] = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}
    nodes: Any = Nodes(initialize_head=True, head_node_args={**common, "include_dashboard": False})
    second = nodes.add_node(**common)
    nodes.wait_for_nodes()
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    try:
        yield Cluster(nodes, second)
    finally:
        ray.shutdown()
        nodes.shutdown()


def on_ray(pipeline: Pipeline) -> Pipeline:
    return pipeline.elsewhere().changed(engine="ray", ray_workers=2)


def check_lost_work_alone_was_repeated(cluster: Cluster, folder: Path, units: int) -> None:
    found = Units(folder)
    attempts = Counter(attempt.split()[0] for attempt in found.begun)
    on_second = {attempt.split()[0] for attempt, node in found.begun.items() if node == cluster.second.node_id}
    on_head = Counter(a.split()[0] for a, node in found.begun.items() if node != cluster.second.node_id)
    repeated = {unit for unit, times in attempts.items() if times > 1}
    print(  # noqa: T201 - the counts are what this test is about
        f"{units} units, {len(found.begun)} attempts: {len(on_second)} begun on the node that was killed, "
        f"{len(cluster.begun_when_killed)} lost in the middle, {len(repeated)} repeated"
    )
    assert cluster.begun_when_killed
    assert len(attempts) == units
    assert {attempt.split()[0] for attempt in cluster.begun_when_killed} <= repeated <= on_second
    assert set(on_head.values()) == {1}


def test_all_tables_are_those_of_the_local_engine(cluster: Cluster, pipeline: Pipeline) -> None:
    color = other_model("color")
    for number, name in enumerate(("a", "b")):
        first = 20 * number
        pipeline.write(name, one_each(range(first, first + 4)), [Row([near_copy(first)]), *one_each([1, 2])])
    pipeline.write("bench", [*one_each([1, 50]), Row([near_copy(20)])], kind=Kind.BENCHMARK)
    compared = []
    for each in (pipeline, on_ray(pipeline)):
        assert each.run("bench", kind=Kind.BENCHMARK, sscd=color).failures == {}
        for name in ("a", "b"):
            assert each.run(name, sscd=color).failures == {}
        assert each.publish().failures == {}
        compared.append(lake_files(each.settings.lake_root))
    assert len(compared[0]) > 50
    assert compared[0] == compared[1]


def test_a_node_killed_in_the_middle_of_embedding(cluster: Cluster, pipeline: Pipeline, tmp_path: Path) -> None:
    stages = ("subset_images", "sscd_embeddings")
    pipeline.write("a", *(one_each([2 * number, 2 * number + 1]) for number in range(16)))
    assert pipeline.run("a", only=stages, sscd=other_model("color")).success
    folder = tmp_path / "watched"
    folder.mkdir()
    killing = cluster.kill_in_the_middle(folder, finished=5)
    remote = on_ray(pipeline)
    ran = remote.run("a", only=stages, sscd=other_model("color"), engine=watched(remote.settings, folder))
    assert ran.failures == {}
    killing.join()
    check_lost_work_alone_was_repeated(cluster, folder, units=16)
    assert ran.metadata("sscd_embeddings")["images_embedded"] == 32
    assert lake_files(remote.settings.lake_root) == lake_files(pipeline.settings.lake_root)


def test_a_node_killed_in_the_middle_of_a_join(
    cluster: Cluster, pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join_blocks, "ROWS_OF_A_BLOCK", 4)
    monkeypatch.setattr(join_blocks, "PAIRS_OF_A_BLOCK", 60)
    before = ("subset_images", "sscd_embeddings")
    pipeline.write("a", [*one_each(range(20)), *(Row([near_copy(seed)]) for seed in range(20))])
    remote = on_ray(pipeline)
    for each in (pipeline, remote.changed(engine="local")):
        assert each.run("a", only=before, sscd=other_model("color")).success
    assert pipeline.run("a", only=["near_duplicates"]).success
    folder = tmp_path / "watched"
    folder.mkdir()
    killing = cluster.kill_in_the_middle(folder, finished=3)
    ran = remote.run("a", only=["near_duplicates"], engine=watched(remote.settings, folder))
    assert ran.failures == {}
    killing.join()
    check_lost_work_alone_was_repeated(cluster, folder, units=len(join_blocks.split_into_blocks(40)))
    assert len(join_blocks.split_into_blocks(40)) > 7
    assert remote.lake.read(remote.lake.require("near_duplicates", "a"), "pairs").num_rows >= 20
    assert lake_files(remote.settings.lake_root) == lake_files(pipeline.settings.lake_root)


def watched(settings: Settings, folder: Path) -> WatchedEngineResource:
    return WatchedEngineResource(
        engine="ray",
        device="cpu",
        threads=1,
        ray_workers=settings.ray_workers,
        ray_gpus=0,
        folder=str(folder),
        seconds=1.0,
    )


def test_the_sample_gives_the_tables_of_the_local_engine(cluster: Cluster, tmp_path: Path) -> None:
    local = Settings(source=str(SAMPLE), data=str(tmp_path / "local"), device="cpu", clip_model="")
    remote = local.model_copy(update={"data": str(tmp_path / "ray"), "engine": "ray", "ray_workers": 2})
    compared = []
    for settings in (local, remote):
        with dg.DagsterInstance.ephemeral() as instance:
            pipeline = Pipeline(settings, instance)
            for kind, folder in ((Kind.BENCHMARK, "benchmarks"), (Kind.SUBSET, "subsets")):
                for name in sorted(path.name for path in (SAMPLE / folder).iterdir()):
                    assert pipeline.run(name, kind=kind).failures == {}
            assert pipeline.publish().failures == {}
        compared.append(lake_files(settings.lake_root))
    assert compared[0] == compared[1]
