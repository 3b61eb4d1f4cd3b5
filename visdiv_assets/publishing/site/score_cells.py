"""Make table entries for diversity scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from visdiv_assets.publishing.site.page_model import Entry, number

#: Mark of a score of fewer than two images per dimension.
TOO_FEW = "too few"
#: Meaning of the mark, for tooltips.
TOO_FEW_MEANING = "Too few: fewer than two images per dimension; the score is low for this reason."

#: Names of the measures, by column.
MEASURES = {"score": "score", "effective_rank": "effective rank", "participation_ratio": "participation ratio"}

#: Minimum share of the subsets that have the initial sample size.
_MIN_SHARE = 0.9


def scored(value: float | None, few: bool | None, decimals: int = 1) -> Entry:
    """Make an entry for a score, marked if its set has too few images to be compared."""
    entry = number(value, decimals)
    return Entry(entry.value, entry.shown, below=TOO_FEW if few and value is not None else "")


def interval(row: Mapping[str, Any], measure: str, decimals: int) -> Entry:
    """Make an entry for a mean of samples with their interval, marked if the samples have too few images."""
    mean, low, high = (row[f"{measure}_{part}"] for part in ("mean", "low", "high"))
    few = f", {TOO_FEW}" if row["too_few"] else ""
    return Entry(mean, f"{mean:,.{decimals}f}", below=f"{low:,.{decimals}f} to {high:,.{decimals}f}{few}")


def compared_size(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the largest sample size that nine of ten subsets have, or else the smallest sample size.

    Args:
        rows: rows of the table `diversity_rarefied`, at least one.
    """
    subsets = {row["subset"] for row in rows}
    having: dict[int, int] = {}
    for row in rows:
        having[row["sample_size"]] = having.get(row["sample_size"], 0) + 1
    enough = [size for size, count in having.items() if count >= _MIN_SHARE * len(subsets)]
    return max(enough, default=min(having))
