"""Named similarities from which tools of the field call two images duplicates."""

from __future__ import annotations

#: Similarities that the field's tools call a duplicate, by the name of who published them.
NAMED_THRESHOLDS: dict[str, float] = {
    "finevision": 0.95,
    "blog": 0.93,
    "hf_toolkit": 0.90,
    "sscd_paper": 0.75,
}

#: Similarities at which rates and overlaps are published, the named ones among them.
PUBLISHED_THRESHOLDS = (0.75, 0.80, 0.85, 0.90, 0.93, 0.95, 0.98)


def published_thresholds(floor: float, own: float) -> list[float]:
    """Thresholds at which rates and overlaps are given: the published ones from a floor on, and the user's own."""
    return sorted({own, *(value for value in PUBLISHED_THRESHOLDS if value >= floor)})
