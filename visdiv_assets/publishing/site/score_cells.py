"""Scores of diversity as the pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from visdiv_assets.publishing.site.page_model import Entry, number

#: What stands at each score of fewer than two images a dimension.
TOO_FEW = "too few"
#: What that means, for who points at a column.
TOO_FEW_MEANING = "Marked too few: fewer than two images a dimension, low for that alone."

#: What is measured, by its column.
MEASURES = {"score": "score", "effective_rank": "effective rank", "participation_ratio": "participation ratio"}

#: Share of the subsets that have the number of images at which they are first compared.
_MOST = 0.9


def scored(value: float | None, few: bool | None, decimals: int = 1) -> Entry:
    """A score, marked where its set is too small for it to be compared."""
    entry = number(value, decimals)
    return Entry(entry.value, entry.shown, below=TOO_FEW if few and value is not None else "")


def interval(row: Mapping[str, Any], measure: str, decimals: int) -> Entry:
    """A mean of draws with the interval of the draws, and marked if they are of too few images."""
    mean, low, high = (row[f"{measure}_{part}"] for part in ("mean", "low", "high"))
    few = f", {TOO_FEW}" if row["too_few"] else ""
    return Entry(mean, f"{mean:,.{decimals}f}", below=f"{low:,.{decimals}f} to {high:,.{decimals}f}{few}")


def compared_size(rows: Sequence[Mapping[str, Any]]) -> int:
    """The largest number of images that nine of ten subsets have, else the smallest number.

    Args:
        rows: of the table `diversity_rarefied`, at least one.
    """
    subsets = {row["subset"] for row in rows}
    having: dict[int, int] = {}
    for row in rows:
        having[row["sample_size"]] = having.get(row["sample_size"], 0) + 1
    enough = [size for size, count in having.items() if count >= _MOST * len(subsets)]
    return max(enough, default=min(having))
