"""Slots of a pool that a step holds for a part of its work."""

import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from visdiv_assets.orchestration.pools import GPU, pool_slot
from visdiv_assets_tests.conftest import QUIET

#: Each takes many seconds.
pytestmark = pytest.mark.nightly


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster").mkdir()
    limited = {"telemetry": {"enabled": False}, "concurrency": {"pools": {"default_limit": 1}}}
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster"), overrides=limited) as opened:
        yield opened


class Inside:
    """The block of a step: it notes the step, and waits until it may end."""

    def __init__(self, *, may_end: bool = True) -> None:
        self.entered = threading.Event()
        self.may_end = threading.Event()
        if may_end:
            self.may_end.set()


def run(instance: dg.DagsterInstance, inside: Inside, error: type[BaseException] | None = None) -> bool:
    @dg.asset
    def held(context: dg.AssetExecutionContext) -> None:
        with pool_slot(context, GPU):
            inside.entered.set()
            assert inside.may_end.wait(30)
            if error:
                raise error

    job = dg.Definitions(assets=[held], jobs=[dg.define_asset_job("held_job")]).resolve_job_def("held_job")
    return job.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False).success


def claimed(instance: dg.DagsterInstance) -> tuple[int, int]:
    """Return the numbers of claimed slots and of pending steps."""
    info = instance.event_log_storage.get_concurrency_info(GPU)
    return info.active_slot_count, info.pending_step_count


def test_a_second_step_waits_until_the_first_leaves(instance: dg.DagsterInstance) -> None:
    first, second = Inside(may_end=False), Inside()
    threads = [threading.Thread(target=run, args=(instance, inside)) for inside in (first, second)]
    threads[0].start()
    assert first.entered.wait(30)
    threads[1].start()
    assert not second.entered.wait(2)
    assert claimed(instance)[0] == 1
    first.may_end.set()
    assert second.entered.wait(30)
    for thread in threads:
        thread.join(30)
    assert claimed(instance) == (0, 0)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_step_that_fails_frees_its_slot(instance: dg.DagsterInstance, error: type[BaseException]) -> None:
    inside = Inside()
    try:
        assert not run(instance, inside, error)
    except BaseException:
        assert error is KeyboardInterrupt
    assert inside.entered.is_set()
    assert claimed(instance) == (0, 0)


def test_a_limit_that_a_person_set_stays(instance: dg.DagsterInstance) -> None:
    instance.event_log_storage.set_concurrency_slots(GPU, 3)
    assert run(instance, Inside())
    assert instance.event_log_storage.get_concurrency_info(GPU).slot_count == 3


def test_a_pool_without_a_limit_lets_every_step_in() -> None:
    with dg.DagsterInstance.ephemeral() as unlimited:
        assert run(unlimited, Inside())


def test_slots_of_a_killed_run_are_freed_with_its_others(instance: dg.DagsterInstance) -> None:
    first = Inside(may_end=False)
    thread = threading.Thread(target=run, args=(instance, first))
    thread.start()
    assert first.entered.wait(30)
    (running,) = instance.get_runs()
    instance.event_log_storage.free_concurrency_slots_for_run(running.run_id)
    assert claimed(instance) == (0, 0)
    assert run(instance, Inside())
    first.may_end.set()
    thread.join(30)
