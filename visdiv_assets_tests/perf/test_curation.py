"""The measurement of methods of curation at a tiny size: tests of the results, not of the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from visdiv_assets.perf import curation, measuring
from visdiv_assets.perf.measuring import Run


def test_every_method_of_curation_says_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> Run:
        return measuring.measure_here(prepare, arguments)

    monkeypatch.setattr(measuring, "measure_in_subprocess", here)
    told: list[int] = []
    figures = curation.measure(rows=1200, progress=told.append)
    assert sum(told) == len(figures) == len(curation.METHODS)
    said = {figure.name.removesuffix(" of 1,200"): figure.remark for figure in figures}
    assert set(said) == set(curation.METHODS)
    assert said["masking of numbers"] == "1,200 texts with a number"
    assert said["types by features"].startswith("12 thumbnails measured")
    assert said["types and content by CLIP"] == "1,200 images scored"
    before, after = (float(part.split()[0]) for part in said["M4 balancing"].removeprefix("largest bias ").split(", "))
    assert after < 1e-4 < before
