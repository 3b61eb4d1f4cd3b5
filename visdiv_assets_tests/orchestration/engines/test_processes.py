"""One process per device, with two devices that are only names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from visdiv_assets import devices
from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.engines import ProcessEngine, Worker
from visdiv_assets.orchestration.resources import build_resources
from visdiv_assets.settings import Settings
from visdiv_assets_tests.orchestration.engines.works import Dying, Squares


@pytest.fixture
def engine() -> Iterator[ProcessEngine]:
    opened = ProcessEngine([Worker("first", 1), Worker("second", 1)], Worker("here", 1))
    yield opened
    opened.close()


def test_each_device_has_one_process_for_work_with_a_model(engine: ProcessEngine) -> None:
    found = [result for _ in range(2) for _, result in engine.map(Squares(True), list(range(8)))]
    by_device = {device: {process for _, where, process in found if where == device} for _, device, _ in found}
    assert by_device.keys() == {"first", "second"}
    assert [len(processes) for processes in by_device.values()] == [1, 1]
    assert os.getpid() not in set.union(*by_device.values())
    ((_, (_, device, process)),) = engine.map(Squares(False), [1])
    assert (device, process) == ("here", os.getpid())


def test_a_dead_worker_is_replaced_and_only_its_unit_retried(engine: ProcessEngine, tmp_path: Path) -> None:
    work = Dying(str(tmp_path), times=1)
    assert dict(engine.map(work, [0, 1, 2, 3, 4])) == {number: number for number in range(5)}
    assert [len(work.attempts(number)) for number in range(5)] == [1, 1, 2, 1, 1]


def test_a_unit_that_kills_every_worker_is_given_up_in_one_line(engine: ProcessEngine, tmp_path: Path) -> None:
    work = Dying(str(tmp_path), times=99)
    with pytest.raises(VisdivError, match=r"the worker on (first|second) died 3 times while it ran"):
        list(engine.map(work, [0, 1, 2, 3, 4]))
    assert len(work.attempts(2)) == 3


def test_all_devices_need_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_cuda", lambda: False)
    with pytest.raises(VisdivError, match=r"VISDIV_DEVICE=cuda:all, but torch finds no CUDA device"):
        build_resources(Settings(device="cuda:all"))["engine"].open()  # type: ignore[attr-defined]
    assert devices.resolve_device("cuda:all") == "cuda"
