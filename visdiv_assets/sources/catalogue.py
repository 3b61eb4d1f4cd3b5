"""What is known beforehand of FineVision's 185 subsets, from finevision_subsets.csv beside this module.

Its columns are subset, category, images, samples and turns, as published; what is really in a subset may
differ.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources


def finevision_categories() -> dict[str, str]:
    """Category of each of FineVision's subsets, by the subset's name."""
    return dict(_categories())


def category(subset: str) -> str | None:
    """FineVision's category of a subset, one of nine; None if FineVision has no subset of this name."""
    return _categories().get(subset)


@cache
def _categories() -> dict[str, str]:
    table = resources.files("visdiv_assets.sources").joinpath("finevision_subsets.csv")
    lines = table.read_text(encoding="utf-8").splitlines()
    return {row["subset"]: row["category"] for row in csv.DictReader(lines)}
