"""The measurement of selection methods at a tiny size: tests of the results, not of the time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.cli.perf import perf
from visdiv_assets.perf import measuring, selection, suite
from visdiv_assets.perf.measuring import Run


def test_every_method_runs_once_and_says_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> Run:
        return measuring.measure_here(prepare, arguments)

    monkeypatch.setattr(measuring, "measure_in_subprocess", here)
    monkeypatch.setattr(selection, "BENCHMARK_TEXTS", 40)
    monkeypatch.setattr(selection, "PICKS", 20)
    told: list[int] = []
    figures = selection.measure(rows=1200, progress=told.append)
    assert sum(told) == len(figures) == len(selection.METHODS)
    said = {figure.name.removesuffix(" of 1,200"): figure.remark for figure in figures}
    assert set(said) == set(selection.METHODS)
    assert said["ClipCov, a tenth"] == "120 selected"
    assert said["k-center greedy, 1,000"] == said["k-means++, 1,000"] == "20 selected"
    # Every hundredth row holds a benchmark's text, which has 28 n-grams of 13 words.
    assert said["text overlap"] == "12 texts hold some of 1,120 13-grams"


def test_vectors_are_unit_and_texts_near_their_images(tmp_path: Path) -> None:
    selection.write_vectors(tmp_path, 500)
    images, texts = (np.load(tmp_path / name).astype(np.float32) for name in ("images.npy", "texts.npy"))
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=2e-3)
    cosines = images @ texts.T
    assert np.diag(cosines).min() > 0.3
    assert (cosines.argmax(axis=1) == np.arange(500)).mean() > 0.5
    assert (np.triu(images @ images.T, 1) > 0.9).any(), "there are no near duplicates to find"


def test_texts_are_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        selection.write_texts(tmp_path / name, 300)
    first, second = (pa.OSFile(str(tmp_path / name / "texts.arrow")).read() for name in ("a", "b"))
    assert first == second


def test_the_command_offers_every_part_of_the_suite() -> None:
    (only,) = [option for option in perf.params if option.name == "only"]
    assert isinstance(only.type, click.Choice)
    assert set(only.type.choices) == set(suite.PARTS)
