"""Fit the weights of `curation.image_types.by_features`, and measure them on images that they were not fitted to.

    python -m visdiv_assets_tests.curation.fit_image_types LABELED.parquet [--write]

The file has the columns image (encoded bytes), type (a type, or other) and half (tune or closed). The weights come from
the images of tune whose type is one of `FITTED`; so do the thresholds, by cross-validation. Printed is the confusion
table of each half. With --write the weights are put into the package.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from visdiv_assets.curation.image_types.by_features import (
    INTERCEPT,
    MEASURES,
    THRESHOLD,
    TYPES,
    WEIGHTS,
    feature_matrix,
    read_weights,
)
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.measures import measure
from visdiv_assets.imaging.resize import Reduced
from visdiv_assets.imaging.thumbnails import SIDE, encode_thumbnail
from visdiv_assets.imaging.type_features import FEATURES, type_features

#: Types that have a class, and those that are never given: pages and formulas look alike.
FITTED, NEVER_GIVEN = ("chart", "document", "drawing", "math", "photo", "screenshot"), ("math",)
#: Precision that a threshold keeps in cross-validation, the lowest threshold, and the number of parts.
PRECISION, LOWEST, FOLDS = 0.95, 0.5, 5


def measured(images: Sequence[bytes]) -> np.ndarray:
    """Return the features of encoded images as the stages compute them, float64 [n, features]."""
    found, measures = [], []
    for data in images:
        decoded = decode_image(data, limits=DecodeLimits()).pixels
        assert decoded is not None
        found.append(type_features(encode_thumbnail(decoded, SIDE)))
        measures.append(measure(decoded, Reduced(decoded)))
    table = pa.table({name: pa.array([float(getattr(each, name)) for each in measures]) for name in MEASURES})
    return feature_matrix(np.stack(found), table)


def fit(features: np.ndarray, types: np.ndarray, path: Path) -> None:
    """Fit the weights to images, and write them to a file."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=5_000))
    held_out = cross_val_predict(model, features, types, cv=FOLDS, method="predict_proba")
    model.fit(features, types)
    scaler, regression = model[0], model[1]
    thresholds = [_threshold(held_out, types, index) for index in range(len(regression.classes_))]
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["feature", "mean", "deviation", *regression.classes_])
        numbers = np.column_stack([scaler.mean_, scaler.scale_, regression.coef_.T])
        for name, line in zip((*FEATURES, *MEASURES), numbers, strict=True):
            lines.writerow([name, *(f"{value:.6g}" for value in line)])
        lines.writerow([INTERCEPT, "", "", *(f"{value:.6g}" for value in regression.intercept_)])
        given = [
            "" if name in NEVER_GIVEN else f"{value:.3f}"
            for name, value in zip(regression.classes_, thresholds, strict=True)
        ]
        lines.writerow([THRESHOLD, "", "", *given])


def _threshold(probabilities: np.ndarray, types: np.ndarray, index: int) -> float:
    """Return the lowest probability of a class that keeps `PRECISION` if all types were equally frequent."""
    names = np.unique(types)
    mine = probabilities.argmax(axis=1) == index
    for lowest in np.sort(probabilities[mine, index]):
        given = mine & (probabilities[:, index] >= lowest)
        rates = np.array([given[types == name].mean() for name in names])
        if lowest >= LOWEST and rates[index] >= PRECISION * rates.sum():
            return float(lowest)
    return 1.0


def confusion(types: np.ndarray, found: Sequence[str | None]) -> str:
    """Return a table of true types by the types that were given, with precision and recall of each."""
    given = [name for name in FITTED if name not in NEVER_GIVEN]
    columns = [*given, None]
    cells = Counter(zip(types.tolist(), found, strict=True))
    rows = [name for name in (*TYPES, "other") if name in types]
    lines = ["true type   " + "".join(f"{column or 'none':>12}" for column in columns)]
    lines += [f"{name:<12}" + "".join(f"{cells[name, column]:>12}" for column in columns) for name in rows]
    for column in given:
        right, total = cells[column, column], sum(cells[name, column] for name in rows)
        rates = {name: cells[name, column] / int((types == name).sum()) for name in rows}
        equal = rates[column] / max(sum(rates[name] for name in rows if name in FITTED), 1e-9)
        lines.append(
            f"{column}: precision {right} of {total}, {equal:.2f} if types were equally frequent; "
            f"recall {rates[column]:.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Fit, and print what the weights reach."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labeled", type=Path)
    parser.add_argument("--write", action="store_true", help="put the weights into the package")
    arguments = parser.parse_args()
    labeled = pq.read_table(arguments.labeled)
    features = measured(labeled["image"].to_pylist())
    types, half = (labeled[name].to_numpy() for name in ("type", "half"))
    if arguments.write:
        fitted = (half == "tune") & np.isin(types, FITTED)
        fit(features[fitted], types[fitted], WEIGHTS)
    weights = read_weights(WEIGHTS)
    for name in dict.fromkeys(half.tolist()):
        of_half = half == name
        sys.stdout.write(f"{name}\n{confusion(types[of_half], weights.classify(features[of_half])[0].to_pylist())}\n\n")


if __name__ == "__main__":
    main()
