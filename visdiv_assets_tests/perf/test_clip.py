"""The measurement of CLIP with a small model: its figures and their relations, not their values."""

from __future__ import annotations

from pathlib import Path

import pytest

from visdiv_assets.perf import clip
from visdiv_assets.perf.embedding import FORMATS
from visdiv_assets_tests.testing.clip_models import small_clip


@pytest.mark.nightly
def test_the_stream_is_compared_with_the_cores_and_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def small(folder: Path) -> None:
        small_clip(folder, towers=["vision"])

    monkeypatch.setattr(clip, "_save_random_vit", small)
    told: list[int] = []
    figures = clip.measure(images=2, rounds=1, progress=told.append)
    assert sum(told) == len(FORMATS)
    for kind in FORMATS:
        of_kind = [figure for figure in figures if figure.name.endswith(f"CLIP ViT-B/32, {kind} of 1200 x 900")]
        assert len(of_kind) == 6
        decode, model, stream, allowed, loop, alone = of_kind
        assert (decode.unit, model.unit, stream.unit) == ("core-ms",) * 3
        assert allowed.peer.startswith("limit of ")
        assert (loop.peer, alone.peer) == ("loop over single images", "model only")
        for rate in (allowed, loop, alone):
            assert rate.theirs is not None
            assert rate.ratio == pytest.approx(rate.ours / rate.theirs)
        # The limit of the cores includes decoding, so it is lower than that of the model only.
        assert allowed.theirs is not None
        assert alone.theirs is not None
        assert allowed.theirs < alone.theirs
