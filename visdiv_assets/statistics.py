"""Statistics of rates: confidence intervals of a share."""

from __future__ import annotations

import numpy as np

#: The name of all benchmarks together.
ALL = "ALL"

#: 97.5 % quantile of the normal distribution: two-sided 95 %.
Z = 1.959963984540054


def wilson_interval(successes: int, trials: int) -> tuple[float | None, float | None]:
    """The Wilson score interval of a proportion at 95 % (Wilson 1927); None, None without trials."""
    if not trials:
        return None, None
    share = successes / trials
    middle = share + Z**2 / (2 * trials)
    half = Z * np.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    scale = 1 + Z**2 / trials
    # The exact bounds at the ends; rounding would leave 1e-17.
    low = 0.0 if successes == 0 else float((middle - half) / scale)
    high = 1.0 if successes == trials else float((middle + half) / scale)
    return low, high
