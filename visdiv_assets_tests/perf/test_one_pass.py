"""The measurement of the pass: its figures and their relations, not their values."""

from __future__ import annotations

import pytest

from visdiv_assets.perf import one_pass
from visdiv_assets_tests.conftest import ColorEmbedder, image


def test_the_pass_is_compared_with_the_stages_that_it_needs() -> None:
    told: list[int] = []
    encoded = [image(seed) for seed in range(9)]
    *stages, whole = one_pass.figures_of("squares", encoded, ColorEmbedder(), rounds=2, progress=told.append)
    assert told == [1, 1]
    names = [figure.name for figure in stages]
    assert names == [
        f"pass, {stage} only, squares" for stage in ("decode", "listing", "model", "features", "thumbnail")
    ]
    assert all(figure.ours > 0 and figure.unit == "core-ms" for figure in (*stages, whole))
    assert whole.theirs is not None
    assert whole.theirs == pytest.approx(sum(figure.ours for figure in stages) - stages[1].ours)
    assert whole.ratio == pytest.approx(whole.theirs / whole.ours)
