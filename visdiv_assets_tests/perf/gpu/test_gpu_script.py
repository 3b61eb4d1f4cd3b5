"""The script that checks a machine with a GPU, which also runs to its end without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

SCRIPT = str(files("visdiv_assets.perf").joinpath("gpu_check.sh"))


def run_script(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable}
    return subprocess.run(
        ["bash", SCRIPT, *arguments], capture_output=True, text=True, check=False, env=environment, timeout=3600
    )


def test_the_script_names_what_is_missing(tmp_path: Path) -> None:
    assert "usage:" in run_script().stderr
    given = run_script(str(tmp_path / "gpu.json"), str(tmp_path / "nothing"))
    assert given.returncode == 2
    assert f"{tmp_path / 'nothing'} is not a folder" in given.stderr


@pytest.mark.nightly
def test_the_script_runs_to_its_end(tmp_path: Path) -> None:
    result = tmp_path / "gpu.json"
    ended = run_script(str(result), "", "3000")
    assert ended.returncode == 0, ended.stderr
    steps = json.loads(result.read_text())["steps"]
    assert list(steps) == [
        "sscd",
        "join",
        "clip_images",
        "cuda_all",
        "large_join",
        "verification",
        "moments",
        "clip_texts",
    ]
    figures = [figure for step in steps.values() for figure in step["figures"]]
    assert all(figure["ours"] > 0 for figure in figures)
    assert all(figure["name"] in ended.stdout for figure in figures)
    compared = [figure["remark"] for figure in figures if figure["name"].startswith("blocks of ")]
    assert len(compared) == 2
    assert all(remark.startswith("the same ") for remark in compared)
