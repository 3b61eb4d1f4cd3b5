"""The cost of steps from samples of the processor time, and a whole rehearsal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from visdiv_assets.orchestration.plan.estimate import FINDINGS, PASS, VERIFICATION
from visdiv_assets.orchestration.plan.recorded import Interval
from visdiv_assets.perf.images.findings import BENCHMARK, WITHIN
from visdiv_assets.perf.images.rehearse import rehearse_images
from visdiv_assets.perf.images.report import report
from visdiv_assets.perf.images.running import Samples, StepCost, step_costs

#: Typed so that it stands for a number in a record.
approx: Any = pytest.approx


def test_steps_share_the_processor_time_of_their_intervals() -> None:
    samples = Samples(clock=[100.0, 110.0, 120.0, 130.0], processor=[1.0, 21.0, 21.0, 31.0], before_mb=None)
    intervals = [
        Interval("verified_duplicates", "a", 105.0, 112.0),
        Interval("verified_duplicates", "b", 120.0, 125.0),
        Interval("subset_diversity", "a", 125.0, 127.5),
    ]
    assert step_costs(intervals, samples) == [
        StepCost("verified_duplicates", VERIFICATION, approx(12.0), approx(15.0)),
        StepCost("subset_diversity", FINDINGS, approx(2.5), approx(2.5)),
    ]


@pytest.mark.nightly
def test_a_rehearsal_finds_planted_photographs(tmp_path: Path) -> None:
    rehearsed = rehearse_images(400, tmp_path)
    found = {(each.place, each.image_kind): each for each in rehearsed.found}
    for place in (WITHIN, BENCHMARK):
        photos = found[place, "photo"]
        assert photos.candidates == photos.planted > 5
        assert photos.confirmed >= 0.8 * photos.planted
    assert {step.group for step in rehearsed.ran.steps} >= {PASS, VERIFICATION, FINDINGS}
    assert rehearsed.pass_ms > rehearsed.model_ms > 1
    assert 0 < rehearsed.pairs_per_image <= 32
    assert "sscd_embeddings" in report(rehearsed)
