"""The notebook of the documentation runs, and prints what it shows."""

from __future__ import annotations

from pathlib import Path

from visdiv_assets_tests.testing.notebooks import cells, recorded, run


def test_the_notebook_prints_what_it_shows(tmp_path: Path) -> None:
    code = cells()
    found = list(run(["".join(cell["source"]) for cell in code], tmp_path))
    assert len(found) >= 8
    assert found == [recorded(cell) for cell in code]
