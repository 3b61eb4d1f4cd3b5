"""The contract of engines, checked for each of them: results, progress, and errors that a user can fix."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.engines import Engine, LocalEngine, PerProcess, ProcessEngine, RayEngine, Worker
from visdiv_assets_tests.orchestration.engines.works import Opening, Squares, opened_here

HERE = Worker("here", 1)

#: Nightly, since starting a cluster takes as long as ten other tests.
on_ray = pytest.param(
    "ray", marks=[pytest.mark.nightly, pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")]
)


@pytest.fixture(scope="module", params=["local", "processes", on_ray])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine; the processes have two devices named first and second."""
    if request.param == "local":
        opened: Engine = LocalEngine(HERE)
    elif request.param == "processes":
        opened = ProcessEngine([Worker("first", 1), Worker("second", 1)], HERE)
    else:
        opened = RayEngine("", HERE)
    yield opened
    opened.close()


@pytest.mark.parametrize("holds_model", [True, False], ids=["with a model", "without"])
def test_every_unit_is_done_once_and_its_size_reported(engine: Engine, holds_model: bool) -> None:
    reported: list[int] = []
    found = dict(engine.map(Squares(holds_model), [3, 1, 2], lambda done: reported.append(done)))
    assert {number: result[0] for number, result in found.items()} == {0: 9, 1: 1, 2: 4}
    assert sorted(reported) == [1, 2, 3]


def test_without_units_nothing_is_done(engine: Engine) -> None:
    assert list(engine.map(Squares(True), [])) == []


@pytest.mark.parametrize("holds_model", [True, False], ids=["with a model", "without"])
def test_an_error_that_a_user_can_fix_comes_back_unchanged(engine: Engine, holds_model: bool) -> None:
    with pytest.raises(VisdivError, match=r"^-2 is negative: give another number$"):
        list(engine.map(Squares(holds_model), [1, -2, 3]))
    # The engine still works.
    assert [result[0] for _, result in engine.map(Squares(holds_model), [5])] == [25]


def test_what_this_process_has_opened_is_opened_again_elsewhere(engine: Engine) -> None:
    opened = PerProcess(opened_here, ("mine", os.getpid()))
    ((_, (text, process)),) = engine.map(Opening(opened), [0])
    assert (text, process == os.getpid()) == (("mine", True) if isinstance(engine, LocalEngine) else ("opened", False))


def test_the_local_engine_keeps_the_order() -> None:
    assert [number for number, _ in LocalEngine(HERE).map(Squares(True), [3, 2, 1])] == [0, 1, 2]
