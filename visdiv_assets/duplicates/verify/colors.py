"""Find out how the colors of two aligned images relate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.params import ColorParams

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LUMINANCE = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, slots=True)
class Colors:
    """How the colors of two aligned images relate.

    Attributes:
        difference: difference of red, green or blue, levels; 99 % of the places have less.
        luminance: difference of the luminance, levels; 99 % of the places have less.
        unexplained: share of the variance of one image's colors that the best affine map of the other's leaves; the
            better of the two directions.
        chroma: the colors of the two images, as the distance from gray in levels; 1 % of the places have more.
        kept: share of the places with color in either image whose hue and saturation the other keeps; 1 if there are
            none.
        distinct: number of distinct colors of the image with fewer, in steps of 32 levels.
    """

    difference: float
    luminance: float
    unexplained: float
    chroma: tuple[float, float]
    kept: float
    distinct: int


def compare_colors(
    one: NDArray[np.uint8], two: NDArray[np.uint8], where: NDArray[np.bool_], params: ColorParams
) -> Colors | None:
    """Compare the colors of two aligned images.

    Both are averaged over 3 x 3 pixels, so that misalignment by half a pixel does not count, and thin lines still do.

    Args:
        one: uint8 [h, w, 3], RGB.
        two: uint8 [h, w, 3], RGB, in the same frame.
        where: bool [h, w], which places to compare.
        params: parameters.

    Returns:
        the relation; None if there are too few places.
    """
    import cv2

    step = max(1, int(np.count_nonzero(where)) // params.max_samples)
    x, y = (np.asarray(cv2.blur(image, (3, 3))[where][::step], np.float64) for image in (one, two))
    if len(x) < params.min_places:
        return None
    apart = x - y
    grays = [values @ _LUMINANCE for values in (x, y)]
    hues = [_chroma(values, gray) for values, gray in zip((x, y), grays, strict=True)]
    return Colors(
        difference=quantile(np.abs(apart).max(1), 0.99),
        luminance=quantile(np.abs(apart @ _LUMINANCE), 0.99),
        unexplained=min(_unexplained(x, y, params), _unexplained(y, x, params)),
        chroma=(quantile(np.abs(hues[0]), 0.99), quantile(np.abs(hues[1]), 0.99)),
        kept=_kept(hues[0], hues[1], grays, params),
        distinct=min(len(np.unique((values // 32) @ np.array([1, 8, 64]))) for values in (x, y)),
    )


def _chroma(values: NDArray[np.float64], gray: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the color difference signals 0.564 (B - Y) + 0.713 (R - Y) i (ITU-R BT.601)."""
    return np.asarray(0.564 * (values[:, 2] - gray) + 0.713j * (values[:, 0] - gray))


def _kept(
    one: NDArray[np.complex128], two: NDArray[np.complex128], grays: list[NDArray[np.float64]], params: ColorParams
) -> float:
    """Return `Colors.kept`."""
    sizes = np.abs(one), np.abs(two)
    colored = np.maximum(*sizes) > params.colored
    if np.count_nonzero(colored) < params.min_colored * len(one):
        return 1.0
    a, b = one[colored], two[colored]
    turned = np.abs(np.angle(a * np.conj(b))) > np.radians(params.max_turn)
    # Less contrast takes saturation away in proportion.
    contrasts = [float(gray.std()) + 1.0 for gray in grays]
    ratio = contrasts[1] / contrasts[0]
    relative = np.abs(b) / np.maximum(np.abs(a), 1e-6) / (ratio if ratio < 1 else 1.0)
    inverse = np.abs(a) / np.maximum(np.abs(b), 1e-6) / (1 / ratio if ratio > 1 else 1.0)
    faded = np.minimum(relative, inverse) < params.min_saturation
    return 1.0 - float((turned | faded).mean())


def _unexplained(source: NDArray[np.float64], target: NDArray[np.float64], params: ColorParams) -> float:
    """Return the share of the target's variance that the best affine map of the source's colors leaves."""
    design = np.column_stack([source, np.ones(len(source))])
    weight = np.ones(len(source))
    error = np.zeros(target.shape)
    for _ in range(params.refits):
        # A pull towards no change decides where the colors do not determine the map.
        pull = params.pull * float(weight.sum())
        weighted = design * weight[:, None]
        normal = weighted.T @ design + np.diag([pull, pull, pull, 1e-3])
        right = weighted.T @ target + np.vstack([np.eye(3) * pull, np.zeros((1, 3))])
        error = target - design @ np.linalg.solve(normal, right)
        weight = 1 / (1 + np.square(np.abs(error).max(1) / params.fit_noise))
    variance = float(np.square(target - target.mean(0)).sum())
    return float(np.square(error).max(1).sum()) / max(variance, 1e-9)


def quantile(values: NDArray[np.floating], share: float) -> float:
    """Return the value that a share of all values does not exceed; 0 if there are none."""
    if not len(values):
        return 0.0
    rank = min(len(values) - 1, int(share * len(values)))
    return float(np.partition(values, rank)[rank])
