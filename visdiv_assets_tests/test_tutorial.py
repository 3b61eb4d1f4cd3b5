"""The tutorial prints what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from visdiv_assets_tests.testing import tutorial


@pytest.mark.nightly
def test_every_command_prints_what_is_shown_below_it(tmp_path: Path) -> None:
    shown = tutorial.steps()
    printed = tutorial.run([step.command for step in shown], tmp_path)
    assert len(shown) >= 10
    compared = zip(shown, printed, strict=True)
    assert {
        step.command: missing for step, out in compared if (missing := tutorial.differences(step.output, out))
    } == {}


def test_every_command_has_its_output_and_every_image_is_there() -> None:
    assert [step.command for step in tutorial.steps() if not step.output] == []
    text = tutorial.TUTORIAL.read_text(encoding="utf-8")
    images = [part.split(")")[0] for part in text.split("![")[1:] for part in part.split("](")[1:]]
    assert images
    assert all((tutorial.TUTORIAL.parent / name).stat().st_size > 10_000 for name in images)


def test_a_number_that_differs_is_seen_and_a_time_is_not() -> None:
    printed = "done  people  3.1 s\nrows  306\nseen: 2026-11-21T15:41:26+00:00\n"
    assert tutorial.differences("done  people  27.0 s\nrows  306\nseen: 2020-01-01T00:00:00+00:00\n", printed) == []
    assert tutorial.differences("...\nrows  306\n...\n", printed) == []
    assert tutorial.differences("...\nrows  307\n...\n", printed) == ["rows  307\n"]
    assert tutorial.differences("rows  306\n...\n", printed) == ["rows  306\n"]
    assert tutorial.differences("done  people  1 s\n", printed) == ["done  people  TIME\n"]


def test_what_is_shown_in_the_wrong_order_is_seen() -> None:
    assert tutorial.differences("two\n...\none\n", "one\ntwo\n") == ["two\n", "one\n"]


def test_commands_share_what_they_set_and_one_that_fails_is_shown(tmp_path: Path) -> None:
    assert tutorial.run(["word=hello\n", 'echo "$word from $PWD"\n'], tmp_path) == [
        "",
        f"hello from {tutorial.FOLDER_SHOWN}\n",
    ]
    with pytest.raises(AssertionError, match="no such thing"):
        tutorial.run(["echo no such thing >&2; exit 3\n"], tmp_path)
