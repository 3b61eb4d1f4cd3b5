"""The measurement of duplicate texts at a tiny size: tests of the results, not of the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from visdiv_assets.perf import measuring, texts
from visdiv_assets.perf.measuring import Run


def test_planted_repeats_and_edited_copies_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> Run:
        return measuring.measure_here(prepare, arguments)

    monkeypatch.setattr(texts, "measure_in_subprocess", here)
    monkeypatch.setattr(texts, "SIGNED", 100)
    monkeypatch.setattr(texts, "EDITED", 100)
    told: list[int] = []
    figures = texts.measure(rows=804, progress=told.append)
    assert sum(told) == texts.RUNS
    said = {figure.name: figure.remark for figure in figures}
    # Each of four subsets of 201 rows has four copies of a row, and four edited answers.
    assert said["text duplicates of 804 rows"] == "32 turns repeat a pair, 16 pairs of near duplicates"
    recalls = [figure for figure in figures if figure.peer == "brute force"]
    assert len(recalls) == 2 * len(texts.PLACES) * len(texts.EDITS)
    assert all("precision 1.000" in figure.remark and figure.ours <= (figure.theirs or 0) for figure in recalls)
    by_name = {figure.name: figure for figure in recalls}
    passage = by_name["near duplicates, 5% edited (passage), similarity 0.8"]
    assert passage.theirs is not None
    assert passage.ours >= 0.8 * passage.theirs >= 64
