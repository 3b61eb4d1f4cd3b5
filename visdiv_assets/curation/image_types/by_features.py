"""The type of an image by its features, without a model of images: multinomial logistic regression on 25 numbers.

Its weights are in `feature_weights.csv`. A type is given only from a probability on that kept a precision of 0.95 on
the images from which the weights come, else none: features cannot tell a formula from a page, or a map from a chart.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.imaging.type_features import FEATURES

#: Types of images; features tell only some of them.
TYPES = ("photo", "chart", "document", "table", "screenshot", "drawing", "math", "map")

#: Quality measures of the pass that are used beside `type_features`, and whether their logarithm is.
MEASURES = {
    "entropy": False,
    "histogram_deviation": True,
    "sharpness": True,
    "colors": True,
    "contrast": False,
    "brightness": False,
}
WEIGHTS = Path(__file__).with_name("feature_weights.csv")
#: Names of the last two lines of the file.
INTERCEPT, THRESHOLD = "intercept", "threshold"


@dataclass(frozen=True)
class FeatureWeights:
    """The weights of the regression.

    Attributes:
        types: its k classes.
        mean: float64 [features], subtracted from the features.
        deviation: float64 [features], divides them after that.
        weights: float64 [features, k].
        intercept: float64 [k].
        threshold: float64 [k], minimum probability of a type that is given; infinite for one that never is.
    """

    types: tuple[str, ...]
    mean: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    threshold: np.ndarray

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return the probability of each class, float64 [n, k], of images with features [n, features]."""
        # Loaded late: all commands import this module for the names of types.
        from scipy.special import softmax

        found: np.ndarray = softmax((features - self.mean) / self.deviation @ self.weights + self.intercept, axis=1)
        return found

    def classify(self, features: np.ndarray) -> tuple[pa.Array, pa.Array]:
        """Return the type of each image, string [n], and its probability, float32 [n].

        The type is null where the probability of the likeliest class is below its threshold. NaN in the features, of
        which a measure is missing, gives null for both.

        Args:
            features: [n, features], as `feature_matrix` returns them.
        """
        known = np.isfinite(features).all(axis=1)
        probabilities = self.probabilities(np.where(known[:, None], features, self.mean))
        best = probabilities.argmax(axis=1)
        score = probabilities[np.arange(len(best)), best]
        given = known & (score >= self.threshold[best])
        types = pa.array(self.types, pa.string()).take(pa.array(np.where(given, best, 0)))
        absent = pa.scalar(None, pa.string())
        return (
            pc.if_else(pa.array(given), types, absent),
            pa.array(np.where(known, score, np.nan).astype(np.float32), from_pandas=True),
        )


@cache
def feature_weights() -> FeatureWeights:
    """Read the weights that come with the package."""
    return read_weights(WEIGHTS)


def read_weights(path: Path) -> FeatureWeights:
    """Read the weights of a file: a line of mean, deviation and weights for each feature, intercepts, thresholds."""
    with path.open(encoding="utf-8", newline="") as file:
        (_, _, _, *types), *lines = csv.reader(file)
    names = [line[0] for line in lines]
    assert names == [*FEATURES, *MEASURES, INTERCEPT, THRESHOLD]
    numbers = np.array([[float(cell or "nan") for cell in line[1:]] for line in lines])
    threshold = numbers[-1, 2:]
    return FeatureWeights(
        tuple(types),
        numbers[:-2, 0],
        numbers[:-2, 1],
        numbers[:-2, 2:],
        numbers[-2, 2:],
        np.where(np.isnan(threshold), np.inf, threshold),
    )


def feature_matrix(measured: np.ndarray, measures: pa.Table) -> np.ndarray:
    """Return the features of the regression, float64 [n, features].

    Args:
        measured: `type_features` of each image [n, m].
        measures: table of `MEASURES` of the same images; null becomes NaN.
    """
    columns = [measures[name].cast(pa.float64()).to_numpy() for name in MEASURES]
    scaled = [
        np.log2(1 + column) if logarithm else column
        for column, logarithm in zip(columns, MEASURES.values(), strict=True)
    ]
    return np.column_stack([measured.astype(np.float64), *scaled])
