"""The confidence of a verdict grows with the evidence, and pairs under the floor are undecided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visdiv_assets.duplicates.verify import confidence as module
from visdiv_assets.duplicates.verify.confidence import (
    DRAWN,
    MAX_VALUE,
    MIN_VALUE,
    PHOTOGRAPHIC,
    Statistics,
    confidence_of,
    statistics_of,
    values_of,
    with_confidence,
)
from visdiv_assets.duplicates.verify.evidence import (
    CONTENTS_DIFFER,
    LOW_CONFIDENCE,
    MIN_CONFIDENCE,
    TOO_SMALL,
    Evidence,
    unconfirmed,
)
from visdiv_assets_tests.testing.fit_confidence import curve, fit, lowest_floor, reliability

STRONG = Evidence(
    True,
    "aligned",
    "",
    agreement=1.0,
    windows=900,
    color_difference=1.0,
    inliers=150,
    bits=80.0,
    photographic=True,
    weighed=True,
)
WEAK = Evidence(
    True,
    "aligned",
    "",
    agreement=0.5,
    windows=3,
    disagreement=80.0,
    color_difference=80.0,
    photographic=False,
    weighed=True,
)


def confidence(evidence: Evidence) -> float:
    value = confidence_of(evidence)
    assert value is not None
    return value


@pytest.mark.parametrize("photographic", [True, False])
def test_strong_evidence_is_above_the_floor_and_weak_below(photographic: bool) -> None:
    assert confidence(replace(STRONG, photographic=photographic)) > MIN_CONFIDENCE
    rejected = replace(WEAK, verified=False, kind="unconfirmed", reason=CONTENTS_DIFFER, photographic=photographic)
    assert confidence(rejected) < 0.2 < MIN_CONFIDENCE


@given(
    st.booleans(),
    st.floats(0, 100),
    st.integers(0, 300),
    st.floats(0, 1),
    st.integers(0, 3000),
    st.floats(0, 300),
    st.floats(0, 100),
)
def test_more_evidence_never_lowers_the_confidence(
    flat: bool, bits: float, inliers: int, agreement: float, windows: int, disagreement: float, color: float
) -> None:
    evidence = Evidence(
        False,
        "unconfirmed",
        CONTENTS_DIFFER,
        agreement=agreement,
        windows=windows,
        disagreement=disagreement,
        color_difference=color,
        inliers=inliers,
        bits=bits,
        photographic=not flat,
        weighed=True,
    )
    before = confidence(evidence)
    assert MIN_VALUE <= before <= MAX_VALUE
    more: list[dict[str, Any]] = [
        {"bits": bits + 10},
        {"inliers": inliers + 10},
        {"agreement": min(1.0, agreement + 0.1)},
        {"windows": windows + 50},
        {"disagreement": disagreement / 2},
        {"color_difference": color / 2},
    ]
    for change in more:
        assert confidence(replace(evidence, **change)) >= before
    assert confidence(replace(evidence, reason="", verified=True, kind="aligned")) >= before


def test_a_confirmed_pair_under_the_floor_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    assert confidence(WEAK) < confidence(STRONG)
    monkeypatch.setattr(module, "MIN_CONFIDENCE", confidence(STRONG))
    assert with_confidence(STRONG) == replace(STRONG, confidence=confidence_of(STRONG))
    demoted = with_confidence(WEAK)
    assert demoted.confidence == confidence_of(WEAK)
    assert (demoted.verified, demoted.kind, demoted.reason) == (None, "unconfirmed", LOW_CONFIDENCE)
    # The rules' verdict is still known to the model.
    assert statistics_of(demoted) == statistics_of(WEAK)


def test_what_was_not_compared_has_no_confidence() -> None:
    assert with_confidence(unconfirmed(TOO_SMALL)).confidence is None
    assert with_confidence(Evidence(True, "identical_pixels", "")).confidence == 1.0


def test_the_fit_finds_the_coefficients_of_drawn_answers() -> None:
    chance = np.random.default_rng(3)
    values = chance.normal(0, 1, (6000, 2))
    copy = chance.random(6000) < 1 / (1 + np.exp(-(-1 + 2 * values[:, 0] + 0.5 * values[:, 1])))
    intercept, weights = fit(values, copy)
    assert intercept == pytest.approx(-1, abs=0.2)
    assert weights == pytest.approx((2, 0.5), abs=0.25)
    # No coefficient is negative.
    assert fit(values * [1, -1], copy)[1][1] == 0


def test_coefficients_fit_the_statistics() -> None:
    for intercept, weights in (PHOTOGRAPHIC, DRAWN):
        assert intercept < 0
        assert len(weights) == len(values_of(statistics_of(STRONG))) == len(Statistics.__slots__)
        assert min(weights) >= 0


def test_the_floor_leaves_99_of_100_confirmed_pairs_right() -> None:
    scores = np.linspace(1, 0, 401)
    confirmed, copy = scores >= 0.1, np.ones(401, bool)
    # Wrong pairs at 0.75 and 0.74; those that are not confirmed do not count.
    copy[[100, 104]] = False
    copy[scores < 0.1] = False
    floor = lowest_floor(confirmed, scores, copy)
    assert floor == 0.5
    copy[112:120] = False
    assert lowest_floor(confirmed, scores, copy) == 0.8
    assert lowest_floor(confirmed, scores, np.zeros(401, bool)) == 1.0


def test_the_measurement_counts_pairs() -> None:
    scores, copy = np.array([0.001, 0.6, 0.999, 0.999]), np.array([False, False, True, True])
    lines = list(reliability(scores, copy))
    assert [line.split() for line in lines[1:]] == [
        ["0.00", "to", "0.01", "1", "0.001", "0.000"],
        ["0.50", "to", "0.80", "1", "0.600", "0.000"],
        ["0.99", "to", "1.00", "2", "0.999", "1.000"],
    ]
    measured = {row[0]: row[1:] for row in curve(np.array([True, True, True, False]), scores, copy)}
    assert measured[0.0] == (3, 2, 0.5)
    assert measured[0.5] == (2, 1, 0.5)
    assert measured[0.99] == (1, 0, 0.5)
