"""`visdiv review` refuses what it cannot record, in one line."""

from __future__ import annotations

from pathlib import Path

from visdiv_assets_tests.cli.test_main import refused, visdiv


def test_a_name_that_is_too_long_is_refused_at_once(tmp_path: Path) -> None:
    line = refused(visdiv("review", "--by", "k" * 1001, data=tmp_path))
    assert line == "the name given to --by has 1,001 characters: give one of at most 1,000"
