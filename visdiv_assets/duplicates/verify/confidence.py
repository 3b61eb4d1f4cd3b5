"""The confidence of a verdict: the probability that a pair is a copy, by a logistic model of its evidence.

The model has one set of coefficients for photographs, and one for pages, charts and drawings. More agreement never
lowers the confidence: all coefficients but the intercept are at least 0. They were fitted to copies of images and to
look-alikes, drawn ones and nearest other images; the program `visdiv_assets_tests.testing.fit_confidence` fits them
again, and measures the confidence on images that it did not use for fitting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from visdiv_assets.duplicates.verify.evidence import LOW_CONFIDENCE, MIN_CONFIDENCE, Evidence

#: No verdict is certain, except that the same pixels are the same pixels.
MIN_VALUE, MAX_VALUE = 0.001, 0.999


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the confidence depends on; each the larger, the more probable a copy.

    Attributes:
        confirmed: 1 if the rules of verification confirm the pair.
        bits: of the features that agree, ln(1 + bits).
        inliers: features that agree, ln(1 + inliers).
        agreement: share of windows that agree: -ln of the share that does not, at least 1 %.
        windows: windows that were compared, ln(1 + windows).
        disagreement: area of the largest place of disagreement, -ln(1 + area).
        color: difference of colors, -ln(1 + levels).
    """

    confirmed: float
    bits: float
    inliers: float
    agreement: float
    windows: float
    disagreement: float
    color: float


#: Intercept, and the coefficients of `Statistics`, in the order of its attributes.
PHOTOGRAPHIC = (-3.61, (2.21, 0.00, 0.00, 3.92, 1.73, 2.02, 0.00))
DRAWN = (-1.59, (4.59, 0.59, 0.00, 0.20, 0.00, 0.32, 0.00))


def statistics_of(evidence: Evidence) -> Statistics:
    """Return what the confidence in a pair depends on."""
    return Statistics(
        confirmed=float(not evidence.reason or evidence.reason == LOW_CONFIDENCE),
        bits=math.log1p(evidence.bits),
        inliers=math.log1p(evidence.inliers),
        agreement=-math.log(max(1.0 - evidence.agreement, 0.01)),
        windows=math.log1p(evidence.windows),
        disagreement=-math.log1p(evidence.disagreement),
        color=-math.log1p(evidence.color_difference),
    )


def values_of(statistics: Statistics) -> tuple[float, ...]:
    """Return the statistics in the order of their coefficients."""
    return tuple(getattr(statistics, name) for name in Statistics.__slots__)


def confidence_of(evidence: Evidence) -> float | None:
    """Return the probability that a pair is a copy; None if nothing was compared, or nothing told what is rare."""
    if evidence.kind == "identical_pixels":
        return 1.0
    if evidence.photographic is None or not evidence.weighed:
        return None
    intercept, coefficients = PHOTOGRAPHIC if evidence.photographic else DRAWN
    values = values_of(statistics_of(evidence))
    score = intercept + sum(factor * value for factor, value in zip(coefficients, values, strict=True))
    return min(max(1.0 / (1.0 + math.exp(-min(max(score, -50.0), 50.0))), MIN_VALUE), MAX_VALUE)


def with_confidence(evidence: Evidence) -> Evidence:
    """Return evidence with its confidence; a confirmed pair of less than `MIN_CONFIDENCE` becomes undecided."""
    confidence = confidence_of(evidence)
    if evidence.verified and confidence is not None and confidence < MIN_CONFIDENCE:
        return replace(evidence, verified=None, kind="unconfirmed", reason=LOW_CONFIDENCE, confidence=confidence)
    return replace(evidence, confidence=confidence)
