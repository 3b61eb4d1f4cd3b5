"""The guard that code behind a stage does not change without a decision about its CODE_VERSION."""

from __future__ import annotations

import re

import pytest

from visdiv_assets_tests.orchestration import code_versions
from visdiv_assets_tests.orchestration.code_versions import PACKAGE, STAGES, normalized, problem


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_of_a_stage_is_the_recorded_one(stage: str) -> None:
    found = problem(stage, code_versions.current_of(stage), code_versions.recorded().get(stage))
    assert found is None, found


def test_every_version_is_guarded() -> None:
    declared = {
        (path.stem, name)
        for path in (PACKAGE / "orchestration" / "assets").glob("*.py")
        for name in re.findall(r"^(\w*VERSION) = ", path.read_text(), re.MULTILINE)
    }
    assert declared == {(stage.asset, stage.version) for stage in STAGES.values()}


def test_prose_and_layout_do_not_count() -> None:
    plain = "x = 1\ndef f(a: int) -> int:\n    return a\nclass C:\n    pass\n"
    function = 'def f(a):\n    """D."""\n    return (a)\n'
    prose = f'"""M."""\n\nx = 1  # note\n\n\n{function}\n\nclass C:\n    """D."""\n\n    pass\n'
    assert normalized(plain) == normalized(prose)


@pytest.mark.parametrize("changed", ["x = 2", "x = 1.0", "y = 1", "x = 1\nx = 1", "x = '1'"])
def test_a_changed_statement_counts(changed: str) -> None:
    assert normalized(changed) != normalized("x = 1")


def test_the_message_says_what_to_do() -> None:
    before = {"code_version": "1", "hash": "a"}
    assert problem("maps", before, before) is None
    message = problem("maps", {"code_version": "1", "hash": "b"}, before)
    assert message is not None
    assert "raise CODE_VERSION in orchestration/assets/maps.py" in message
    assert code_versions.COMMAND in message
    raised = problem("maps", {"code_version": "2", "hash": "b"}, before)
    assert raised == f"maps: run `{code_versions.COMMAND}` to record CODE_VERSION 2"
    assert problem("maps", before, None) is not None
