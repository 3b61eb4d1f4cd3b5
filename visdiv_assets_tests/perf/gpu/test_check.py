"""The check of a GPU: what a repeated run continues from, limits of time, and lost processes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from visdiv_assets.errors import ConfigError, ModelError
from visdiv_assets.perf.gpu.check import MIN_SECONDS, Step, check
from visdiv_assets.perf.gpu.setup import SMALL, Setup
from visdiv_assets.perf.measuring import Figure


def count(setup: Setup) -> list[Figure]:
    """Return how often this was called in a folder."""
    with (setup.folder / "calls").open("a") as stream:
        stream.write("x")
    return [Figure("calls", (setup.folder / "calls").stat().st_size, "calls")]


def fail_until_mended(setup: Setup) -> list[Figure]:
    if not (setup.folder / "mended").exists():
        raise ModelError("no weights")
    return [Figure("mended", 1, "calls")]


def die(setup: Setup) -> list[Figure]:
    os._exit(7)


def hang(setup: Setup) -> list[Figure]:
    time.sleep(600)
    return []


def no_message(line: str) -> None:
    pass


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup("cpu", SMALL, tmp_path)


def never(measure: Callable[[Setup], list[Figure]]) -> Step:
    return Step(0.01, measure)


def test_a_repeated_check_runs_only_what_is_missing(setup: Setup) -> None:
    file = setup.folder / "gpu.json"
    steps = {"bad": Step(60, fail_until_mended), "good": Step(60, count)}
    said: list[str] = []
    outcome = check(steps, setup, file, 120, say=said.append)
    assert [(figure.name, figure.ours) for figure in outcome.figures] == [("calls", 1)]
    assert outcome.problems == ["bad: no weights"]
    assert "bad: no weights" in said
    (setup.folder / "mended").touch()
    outcome = check(steps, setup, file, 120, say=no_message)
    # The figures are in the order of the steps, and the good one was not measured again.
    assert [(figure.name, figure.ours) for figure in outcome.figures] == [("mended", 1), ("calls", 1)]
    assert not outcome.problems
    assert json.loads(file.read_text())["steps"].keys() == steps.keys()


def test_lost_and_slow_steps_do_not_stop_the_check(setup: Setup) -> None:
    steps = {"lost": Step(60, die), "slow": Step(1, hang), "good": Step(60, count)}
    outcome = check(steps, setup, setup.folder / "gpu.json", 180, say=no_message)
    assert [figure.name for figure in outcome.figures] == ["calls"]
    assert outcome.problems == [
        "lost: its process ended with code 7, perhaps for lack of memory",
        "slow: not finished after 1 s",
    ]


def test_a_step_without_time_is_left_for_the_next_run(setup: Setup) -> None:
    outcome = check({"good": Step(60, count)}, setup, setup.folder / "gpu.json", MIN_SECONDS - 1, say=no_message)
    assert outcome.left == ["good"]
    assert not (setup.folder / "calls").exists()


@pytest.mark.parametrize("content", ["{}", "no JSON", '{"machine": "", "setup": {"device": "another"}, "steps": {}}'])
def test_other_results_are_not_continued_from(setup: Setup, content: str) -> None:
    file = setup.folder / "gpu.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match="name another file with --json"):
        check({}, setup, file, 60, say=no_message)
    assert file.read_text() == content
