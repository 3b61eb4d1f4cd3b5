"""Statistics of proportions, and the label of totals."""

from __future__ import annotations

import numpy as np

#: The label of a row that covers all values of a column: all benchmarks together in the rates of contamination, all
#: kinds or strengths of copies together in the calibration.
ALL = "ALL"

#: The 97.5 % quantile of the standard normal distribution, for two-sided intervals of 95 %.
Z = 1.959963984540054


def wilson_interval(successes: float, trials: float) -> tuple[float | None, float | None]:
    """Compute the Wilson score interval of a proportion at 95 %.

    With p = successes / trials, n = trials and z = 1.96, its bounds are
    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n): E. B. Wilson, "Probable Inference, the Law of
    Succession, and Statistical Inference", Journal of the American Statistical Association 22 (1927), pages 209-212.

    Args:
        successes: number of successes.
        trials: number of trials. Both may be fractions, as effective numbers of dependent trials are.

    Returns:
        Lower and upper bound; None, None without trials.
    """
    if not trials:
        return None, None
    share = successes / trials
    middle = share + Z**2 / (2 * trials)
    half = Z * np.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    scale = 1 + Z**2 / trials
    # The exact bounds at the ends, where rounding would leave 1e-17.
    low = 0.0 if successes == 0 else float((middle - half) / scale)
    high = 1.0 if successes == trials else float((middle + half) / scale)
    return low, high
