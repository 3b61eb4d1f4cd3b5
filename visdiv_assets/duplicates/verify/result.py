"""The result of verifying a pair: evidence, or what is known of a pair whose pixels are needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.colors import Colors
from visdiv_assets.duplicates.verify.confidence import with_confidence
from visdiv_assets.duplicates.verify.decision import Features, is_photographic
from visdiv_assets.duplicates.verify.evidence import Evidence, unconfirmed
from visdiv_assets.duplicates.verify.geometry import inverse, overlap_of
from visdiv_assets.duplicates.verify.measure import Measured
from visdiv_assets.duplicates.verify.naming import is_toned, name_kind
from visdiv_assets.duplicates.verify.params import VerifyParams
from visdiv_assets.duplicates.verify.prepared import PreparedImage

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Screened:
    """What features and thumbnails said of a pair that they did not decide.

    Attributes:
        swapped: whether the second image of the pair is `one` in what follows.
        negative: whether features agree with the negative of `two`.
        found: alignment by features, map [3, 3] from two to one in units; None if there is none.
        features: what the features say.
        weighed: whether a background told what is rare.
        may_be_equal: whether the two may have the same pixels.
        best: the alignment under which thumbnails agree best; None if they were not compared.
        thumbnail_share: disagreement of the thumbnails.
    """

    swapped: bool
    negative: bool
    found: NDArray[np.float64] | None
    features: Features
    weighed: bool
    may_be_equal: bool
    best: NDArray[np.float64] | None = None
    thumbnail_share: float = 1.0


class Result:
    """Makes evidence of measurements, with the transform from the second argument of `verify` to the first."""

    def __init__(self, screened: Screened, params: VerifyParams) -> None:
        self._screened, self._params = screened, params

    def confirmed(
        self, one: PreparedImage, two: PreparedImage, found: Measured, colors: Colors | None, *, marked: bool
    ) -> Evidence:
        """Return the evidence of a confirmed pair, with its kind."""
        limits = self._params.kind
        toned = self._screened.negative or is_toned(found.laid, self._params)
        recolored = toned or (colors is not None and colors.difference > limits.recolored)
        kind = name_kind(one, two, found.matrix, self._params, marked=marked, recolored=recolored)
        return self._described(Evidence(True, kind, ""), found, colors)

    def unconfirmed(self, reason: str, found: Measured | None = None, colors: Colors | None = None) -> Evidence:
        """Return the evidence of a pair that is rejected or undecided for a reason."""
        return self._described(unconfirmed(reason), found, colors)

    def _described(self, evidence: Evidence, found: Measured | None, colors: Colors | None) -> Evidence:
        features = self._screened.features
        evidence = replace(
            evidence,
            photographic=is_photographic(features, self._params),
            weighed=self._screened.weighed,
            inliers=features.inliers,
            bits=features.bits,
            color_difference=colors.difference if colors is not None else 0.0,
        )
        if found is None:
            return with_confidence(evidence)
        evidence = replace(
            evidence,
            transform=self._transform(found.matrix),
            overlap=max(overlap_of(found.matrix)),
            agreement=found.contents.agreement,
            windows=round(found.contents.windows),
            disagreement=found.contents.largest,
        )
        return with_confidence(evidence)

    def _transform(self, matrix: NDArray[np.float64]) -> tuple[float, ...]:
        matrix = inverse(matrix) if self._screened.swapped else matrix
        matrix = matrix / matrix[2, 2]
        rows = 2 if np.abs(matrix[2, :2]).max() < 1e-9 else 3
        return tuple(float(value) for value in matrix[:rows].ravel())
