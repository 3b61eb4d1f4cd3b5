"""M4's weights beside a solver that knows nothing of its dual."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from visdiv_assets.curation.selection.attribute_balance import balance_attributes
from visdiv_assets.errors import InputError


def drawn(rows: int, attributes: int, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    s = random.random((rows, attributes)) < 0.4
    # Labels are more frequent beside the first attribute.
    y = random.random((rows, labels)) < 0.3 + 0.2 * s[:, :1]
    return s, y


def moments(s: np.ndarray, y: np.ndarray, pi: np.ndarray) -> np.ndarray:
    columns = [s[:, k] - pi[k] for k in range(s.shape[1])]
    columns += [(s[:, k] - pi[k]) * y[:, r] for r in range(y.shape[1]) for k in range(s.shape[1])]
    return np.array(columns).T


def test_weights_are_the_closest_to_uniform_that_are_balanced() -> None:
    s, y = drawn(200, 2, 2, seed=1)
    pi, rate = np.array([0.5, 0.4]), 0.5
    found = balance_attributes(s, y, targets=pi, rate=rate)
    a = moments(s, y, pi)
    # Bounded least squares, with the constraints as rows of a large weight.
    rows = np.concatenate([np.eye(200), 1e4 * np.ones((1, 200)) / 200, 1e4 * a.T / 200])
    wanted = np.concatenate([np.full(200, rate), [1e4 * rate], np.zeros(a.shape[1])])
    plain = lsq_linear(rows, wanted, bounds=(0, 1), tol=1e-12)
    assert np.abs(plain.x @ a / 200).max() < 1e-4
    assert found.weights == pytest.approx(plain.x, abs=1e-3)
    assert found.worst < 1e-5
    bias = found.bias.to_pydict()
    assert bias["attribute"] == ["0", "1"] * 3
    assert bias["label"] == [None, None, "0", "0", "1", "1"]
    assert bias["before"] == pytest.approx(a.mean(axis=0))
    assert bias["after"] == pytest.approx(found.weights @ a / found.weights.sum(), abs=1e-9)
    assert bias["rows"][2:4] == (s & y[:, :1]).sum(axis=0).tolist()


def test_without_targets_only_associations_change() -> None:
    s, y = drawn(5000, 1, 1, seed=2)
    found = balance_attributes(s, y, names=(["women"], ["kitchen"]))
    assert abs(found.bias["before"][1].as_py()) > 0.03
    assert found.worst < 1e-6
    assert found.weights.mean() == pytest.approx(0.5, abs=1e-6)
    weighted = np.average(s[:, 0], weights=found.weights)
    assert weighted == pytest.approx(s.mean(), abs=1e-5)
    assert found.bias["label"].to_pylist() == [None, "kitchen"]


def test_what_no_weights_can_balance_is_reported() -> None:
    s, y = np.zeros((10, 1), bool), np.zeros((10, 0), bool)
    found = balance_attributes(s, y, targets=np.array([0.5]))
    assert found.worst == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0.0}, "the rate must be above 0"),
        ({"targets": np.array([2.0])}, "one share from 0 to 1 for each of 1 attributes"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, float], message: str) -> None:
    s, y = drawn(5, 1, 1, seed=3)
    with pytest.raises(InputError, match=message):
        balance_attributes(s, y, **arguments)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must be bool"):
        balance_attributes(s, y[:2])
    with pytest.raises(InputError, match="at least one row and one attribute"):
        balance_attributes(s[:, :0], y)
