"""M4, multi-modal moment matching: weights of rows under which attributes are balanced.

Source: Alabdulmohsin et al. 2024, "CLIP the Bias: How Useful is Balancing Data in Multimodal Learning?",
arXiv 2403.04547. Attributes s_k (such as who is shown) are to have their target shares pi_k (first moments), and to be
uncorrelated with labels y_r (such as where they are shown; second moments).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.errors import InputError

BIAS_SCHEMA = pa.schema(
    [
        ("attribute", pa.string()),
        ("label", pa.string()),
        ("rows", pa.int64()),
        ("before", pa.float64()),
        ("after", pa.float64()),
    ]
)
#: Default share of the rows that a draw with the weights keeps.
RATE = 0.5
#: A bias of this times its price remains, so that prices stay finite where no weights are balanced.
RIDGE = 1e-7
#: Of Newton's method: maximum number of steps, the gain under which it ends, and the smallest part of a step.
ITERATIONS, TOLERANCE, SMALLEST_STEP = 200, 1e-16, 1e-6


@dataclass(frozen=True)
class Balance:
    """The result of `balance_attributes`.

    Attributes:
        weights: float64 [n], from 0 to 1: the probability of keeping each row. Their mean is the rate.
        bias: table of `BIAS_SCHEMA`: for each attribute, and for each with each label, the number of rows that have
            both, and E[q (s - pi) y] / E[q] for weights of 1 and for those found; y is 1 where there is no label.
        worst: the largest absolute bias of the weights; nearly 0 unless no weights are balanced.
    """

    weights: np.ndarray
    bias: pa.Table
    worst: float


def balance_attributes(
    attributes: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[list[str], list[str]] | None = None,
    targets: np.ndarray | None = None,
    rate: float = RATE,
) -> Balance:
    """Find the weights closest to uniform under which attributes are balanced.

    Minimizes E[(q - rate)^2] over weights 0 <= q <= 1 with E[q] = rate, E[q (s_k - pi_k)] = 0 for each attribute, and
    E[q (s_k - pi_k) y_r] = 0 for each attribute and label. The paper allows a bias of epsilon and solves it by
    stochastic gradient descent; here epsilon is 0, and the dual is solved by Newton's method. Rows with the same
    attributes and labels have the same weight, so time and memory grow with the number of different combinations.

    Args:
        attributes: bool [n, k].
        labels: bool [n, r]; r may be 0.
        names: of the attributes and of the labels; None: their indices.
        targets: float [k], pi; None: the present shares, so that only associations change.
        rate: the mean weight.

    Raises:
        InputError: shapes differ, there is no row or attribute, or a number is out of range.
    """
    rows, count = _check(attributes, labels, rate)
    shares = attributes.mean(axis=0)
    pi = shares if targets is None else np.asarray(targets, np.float64)
    if pi.shape != (count,) or not ((pi >= 0) & (pi <= 1)).all():
        raise InputError(f"targets must be one share from 0 to 1 for each of {count} attributes")
    both = np.concatenate([attributes, labels], axis=1).astype(bool)
    packed = np.packbits(both, axis=1)
    _, first, inverse, counts = np.unique(
        packed.view(f"V{packed.shape[1]}").ravel(), return_index=True, return_inverse=True, return_counts=True
    )
    matrix = _moments(attributes[first], labels[first], pi)
    weights = _solve(matrix, counts / rows, rate)
    share = counts / rows
    before, after = share @ matrix, (share * weights) @ matrix / (share @ weights)
    return Balance(weights[inverse], _table(attributes, labels, names, before, after), float(np.abs(after).max()))


def _check(attributes: np.ndarray, labels: np.ndarray, rate: float) -> tuple[int, int]:
    if attributes.ndim != 2 or labels.ndim != 2 or len(attributes) != len(labels):
        raise InputError(
            f"attributes and labels must be bool [n, k] and [n, r]: got {list(attributes.shape)}, {list(labels.shape)}"
        )
    if not attributes.size:
        raise InputError("there is nothing to balance: give at least one row and one attribute")
    if not 0 < rate <= 1:
        raise InputError(f"the rate must be above 0 and at most 1: got {rate}")
    return attributes.shape[0], attributes.shape[1]


def _moments(attributes: np.ndarray, labels: np.ndarray, pi: np.ndarray) -> np.ndarray:
    """Return (s - pi) y of each row: float64 [m, k (1 + r)], first without label, then by label."""
    centered = attributes.astype(np.float64) - pi
    ones = np.ones((len(labels), 1))
    with_labels = np.concatenate([ones, labels.astype(np.float64)], axis=1)
    found: np.ndarray = (with_labels[:, :, np.newaxis] * centered[:, np.newaxis, :]).reshape(len(labels), -1)
    return found


def _solve(matrix: np.ndarray, share: np.ndarray, rate: float) -> np.ndarray:
    """Minimize E[(q - rate)^2] / 2 by Newton steps on its dual, whose variables are the prices of E[q] and of biases.

    Args:
        matrix: float64 [m, c], the biases of each kind of row.
        share: float64 [m], share of the rows of that kind.
        rate: E[q].

    Returns:
        float64 [m].
    """
    columns = np.concatenate([np.ones((len(matrix), 1)), matrix], axis=1)
    wanted = np.zeros(columns.shape[1])
    wanted[0] = rate

    def at(prices: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the weights at some prices, and the value of the dual."""
        q = np.clip(rate - columns @ prices, 0, 1)
        gap = (share * q) @ columns - wanted
        return q, float(share @ (q - rate) ** 2 / 2 + prices @ gap - RIDGE * prices @ prices / 2)

    prices = np.zeros(columns.shape[1])
    q, value = at(prices)
    for _ in range(ITERATIONS):
        slope = (share * q) @ columns - wanted - RIDGE * prices
        inside = (q > 0) & (q < 1)
        curve = (columns[inside].T * share[inside]) @ columns[inside] + RIDGE * np.eye(len(prices))
        step = np.linalg.solve(curve, slope)
        if slope @ step < TOLERANCE:
            break
        size = 1.0
        while size > SMALLEST_STEP:
            new_q, new_value = at(prices + size * step)
            if new_value >= value + size * (slope @ step) / 4:
                break
            size /= 2
        prices, q, value = prices + size * step, new_q, new_value
    return q


def _table(
    attributes: np.ndarray,
    labels: np.ndarray,
    names: tuple[list[str], list[str]] | None,
    before: np.ndarray,
    after: np.ndarray,
) -> pa.Table:
    count = attributes.shape[1]
    of_attributes, of_labels = names or (
        [str(index) for index in range(count)],
        [str(index) for index in range(labels.shape[1])],
    )
    rows = [attributes.sum(axis=0), *((attributes & labels[:, [index]]).sum(axis=0) for index in range(len(of_labels)))]
    return pa.table(
        [
            pa.array(of_attributes * (1 + len(of_labels)), pa.string()),
            pa.array([label for label in [None, *of_labels] for _ in range(count)], pa.string()),
            np.concatenate(rows),
            before,
            after,
        ],
        schema=BIAS_SCHEMA,
    )
