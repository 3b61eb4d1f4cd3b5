"""Similarities from which images count as duplicates."""

from __future__ import annotations

#: Similarities from which published tools and papers call two images duplicates, by the name of the publisher.
NAMED_THRESHOLDS: dict[str, float] = {
    "finevision": 0.95,
    "blog": 0.93,
    "hf_toolkit": 0.90,
    "sscd_paper": 0.75,
}

#: Similarities at which rates and overlaps are published; they include the named ones.
PUBLISHED_THRESHOLDS = (0.75, 0.80, 0.85, 0.90, 0.93, 0.95, 0.98)


def published_thresholds(floor: float, own: float) -> list[float]:
    """Return the thresholds of rates and overlaps: the published ones from a floor on, and the user's own."""
    return sorted({own, *(value for value in PUBLISHED_THRESHOLDS if value >= floor)})
