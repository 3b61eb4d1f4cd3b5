"""A mixture of subsets with a budget of rows: bounds, the best weights, and the scores of other mixtures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from visdiv_assets.diversity.accumulate import Float64Array
from visdiv_assets.diversity.mixture import Mixture, best_mixture, score_of
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.errors import ConfigError

BOUNDS_COLUMNS = ("subset", "lower", "upper")

WEIGHTS_SCHEMA = pa.schema(
    [
        ("objective", pa.string()),
        ("budget", pa.int64()),
        ("subset", pa.string()),
        ("weight", pa.float64()),
        ("rows", pa.int64()),
        ("rows_available", pa.int64()),
        ("score", pa.float64()),
        ("best_possible", pa.float64()),
        ("score_uniform", pa.float64()),
        ("score_present", pa.float64()),
        ("model_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class MixedSubset:
    """A subset that may be part of a mixture.

    Attributes:
        name: name of the subset.
        rows: number of its rows with a readable image.
        moments: moments of its images. In a mixture a row counts once, however many images it holds.
    """

    name: str
    rows: int
    moments: Moments


@dataclass(frozen=True)
class Plan:
    """The best mixture, and the scores of two others.

    Attributes:
        mixture: the best mixture; its weights are shares of rows, in the order of the subsets.
        uniform: score of the mixture with the same number of rows of each subset.
        present: score of the mixture of all available rows.
    """

    mixture: Mixture
    uniform: float
    present: float


def read_bounds(path: str | Path) -> dict[str, tuple[float, float]]:
    """Read the lower and upper bound of each subset's share from a CSV file with the columns subset, lower, upper.

    An empty cell means no bound: 0 or 1.

    Raises:
        ConfigError: the file cannot be read, lacks a column, names a subset twice, or a bound is not between 0 and 1.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns, lines = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path} ({error}): give a CSV file in UTF-8") from None
    if missing := [column for column in BOUNDS_COLUMNS if column not in columns]:
        raise ConfigError(f"{path} lacks the columns {', '.join(missing)}: its first line must be subset,lower,upper")
    bounds: dict[str, tuple[float, float]] = {}
    for line_number, line in enumerate(lines, start=2):
        name = (line["subset"] or "").strip()
        if name in bounds:
            raise ConfigError(f"{path}, line {line_number}: {name} occurs a second time: keep one of the lines")
        lower = _parse_share(path, line_number, line["lower"], 0.0)
        bounds[name] = (lower, _parse_share(path, line_number, line["upper"], 1.0))
    return bounds


def _parse_share(path: str | Path, line_number: int, cell: str | None, default: float) -> float:
    if not (cell or "").strip():
        return default
    try:
        value = float(cell or "")
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ConfigError(f"{path}, line {line_number}: {cell!r} is not a share: give a number from 0 to 1")
    return value


def plan(
    subsets: Sequence[MixedSubset],
    *,
    budget: int = 0,
    repeats: float = 1.0,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    objective: str = "effective_rank",
) -> Plan:
    """Find the most diverse mixture with a budget of rows.

    Args:
        subsets: subsets that may be used.
        budget: number of rows of the mixture; 0: the available rows set no limit.
        repeats: how often a row may be used within the budget.
        bounds: lower and upper bounds of shares by subset; 0 and 1 for other subsets.
        objective: one of `mixture.OBJECTIVES`.

    Raises:
        ConfigError: the budget exceeds the available rows, or a bound names an unknown subset.
        InputError, ModelError: as for `best_mixture`.
    """
    names = [subset.name for subset in subsets]
    if unknown := sorted(set(bounds or {}) - set(names)):
        raise ConfigError(
            f"there are bounds for {unknown[0]!r}, which is not materialized: use names from {', '.join(names)}"
        )
    given = np.array([(bounds or {}).get(name, (0.0, 1.0)) for name in names], np.float64).reshape(-1, 2)
    lower, upper = given[:, 0], given[:, 1]
    rows = np.array([subset.rows for subset in subsets], np.float64)
    if budget:
        if budget > rows.sum() * repeats:
            raise ConfigError(
                f"a budget of {budget} rows is more than the {int(rows.sum())} rows with images provide: lower "
                "--budget or raise --repeats"
            )
        upper = np.minimum(upper, rows * repeats / budget)
    moments = [subset.moments for subset in subsets]
    mixture = best_mixture(moments, objective=objective, lower=lower, upper=upper)
    uniform: Float64Array = np.full(len(subsets), 1.0 / len(subsets))
    return Plan(mixture, score_of(moments, uniform, objective), score_of(moments, rows / float(rows.sum()), objective))


def allocate_rows(weights: Float64Array, budget: int) -> np.ndarray:
    """Round the shares of a budget to whole rows, int64 [n], that sum to the budget (largest remainder method)."""
    exact = weights * budget
    rows = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - rows), kind="stable")
    rows[order[: budget - int(rows.sum())]] += 1
    return rows


def weights_table(subsets: Sequence[MixedSubset], found: Plan, *, budget: int, objective: str) -> pa.Table:
    """Return a table of `WEIGHTS_SCHEMA` with one row for each subset; `rows` is null without a budget."""
    weights = found.mixture.weights
    rows = allocate_rows(weights, budget).tolist() if budget else [None] * len(subsets)
    common = {
        "objective": objective,
        "budget": budget or None,
        "score": found.mixture.score,
        "best_possible": found.mixture.best_possible,
        "score_uniform": found.uniform,
        "score_present": found.present,
    }
    return pa.Table.from_pylist(
        [
            {
                **common,
                "subset": subset.name,
                "weight": float(weight),
                "rows": allocated,
                "rows_available": subset.rows,
                "model_id": subset.moments.model_id,
            }
            for subset, weight, allocated in zip(subsets, weights, rows, strict=True)
        ],
        schema=WEIGHTS_SCHEMA,
    )
