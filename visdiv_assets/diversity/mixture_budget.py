"""A mixture of subsets with a budget of rows: bounds, the best weights, and what they are compared with."""

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
from visdiv_assets.errors import InputError

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
    """A subset that can be mixed.

    Attributes:
        name: its name.
        rows: its rows with a readable image.
        moments: of its images. In a mixture a row counts once, however many images it holds.
    """

    name: str
    rows: int
    moments: Moments


@dataclass(frozen=True)
class Plan:
    """The best mixture, and the scores of others.

    Attributes:
        mixture: its weights are shares of rows, in the order of the subsets.
        uniform: the score with as many rows of each subset.
        present: the score with all rows that there are.
    """

    mixture: Mixture
    uniform: float
    present: float


def read_bounds(path: str | Path) -> dict[str, tuple[float, float]]:
    """Smallest and largest share of rows by subset, from a CSV file with the columns subset, lower, upper.

    An empty cell is no bound.

    Raises:
        InputError: the file cannot be read, lacks a column, names a subset twice, or a bound is no share.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns, lines = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): give a CSV file in UTF-8") from None
    if missing := [column for column in BOUNDS_COLUMNS if column not in columns]:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}: its first line must be subset,lower,upper")
    found: dict[str, tuple[float, float]] = {}
    for number, line in enumerate(lines, start=2):
        name = (line["subset"] or "").strip()
        if name in found:
            raise InputError(f"{path}, line {number}: {name} is there a second time: keep one of the lines")
        found[name] = (_share(path, number, line["lower"], 0.0), _share(path, number, line["upper"], 1.0))
    return found


def _share(path: str | Path, number: int, cell: str | None, default: float) -> float:
    if not (cell or "").strip():
        return default
    try:
        value = float(cell or "")
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InputError(f"{path}, line {number}: {cell!r} is no share: give a number from 0 to 1")
    return value


def plan(
    subsets: Sequence[MixedSubset],
    *,
    budget: int = 0,
    repeats: float = 1.0,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    objective: str = "effective_rank",
) -> Plan:
    """Find the most diverse mixture of so many rows.

    Args:
        subsets: those that may be used.
        budget: rows of the mixture; 0: no limit is set by the rows that there are.
        repeats: how often a row may be used.
        bounds: smallest and largest shares by subset; those of other subsets are 0 and 1.
        objective: one of `mixture.OBJECTIVES`.

    Raises:
        InputError: see `best_mixture`; the budget is more than there is, or a bound is of no subset.
    """
    names = [subset.name for subset in subsets]
    if unknown := sorted(set(bounds or {}) - set(names)):
        raise InputError(f"there are bounds for {unknown[0]!r}, which is not materialized: it has {', '.join(names)}")
    given = np.array([(bounds or {}).get(name, (0.0, 1.0)) for name in names], np.float64).reshape(-1, 2)
    lower, upper = given[:, 0], given[:, 1]
    rows = np.array([subset.rows for subset in subsets], np.float64)
    if budget:
        if budget > rows.sum() * repeats:
            raise InputError(
                f"a budget of {budget} rows is more than the {int(rows.sum())} rows with images give: lower it, or "
                "raise --repeats"
            )
        upper = np.minimum(upper, rows * repeats / budget)
    moments = [subset.moments for subset in subsets]
    mixture = best_mixture(moments, objective=objective, lower=lower, upper=upper)
    uniform: Float64Array = np.full(len(subsets), 1.0 / len(subsets))
    return Plan(mixture, score_of(moments, uniform, objective), score_of(moments, rows / float(rows.sum()), objective))


def rows_of(weights: Float64Array, budget: int) -> np.ndarray:
    """Whole numbers of rows int64 [n] that sum to the budget and are nearest to its shares (largest remainders)."""
    exact = weights * budget
    rows = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - rows), kind="stable")
    rows[order[: budget - int(rows.sum())]] += 1
    return rows


def weights_table(subsets: Sequence[MixedSubset], found: Plan, *, budget: int, objective: str) -> pa.Table:
    """One row for each subset, table of `WEIGHTS_SCHEMA`; without a budget the rows are null."""
    weights = found.mixture.weights
    rows = rows_of(weights, budget).tolist() if budget else [None] * len(subsets)
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
                "rows": number,
                "rows_available": subset.rows,
                "model_id": subset.moments.model_id,
            }
            for subset, weight, number in zip(subsets, weights, rows, strict=True)
        ],
        schema=WEIGHTS_SCHEMA,
    )
