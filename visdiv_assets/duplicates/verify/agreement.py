"""Compare two aligned images window by window, at the scale of letters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.params import WindowParams

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Agreement:
    """The result of comparing windows.

    Attributes:
        share: share of the textured windows that agree, 0 to 1.
        windows: number of separate textured windows: the textured area over the area of a window.
        noise: estimated noise of a fixed size, gray levels.
        looseness: estimated noise in proportion to the texture (misalignment, compression), as a share of the
            texture's deviation, 0 to 1.
        disagrees: bool [h, w], centers of windows that disagree.
        textured: bool [h, w], centers of windows with texture.
    """

    share: float
    windows: float
    noise: float
    looseness: float
    disagrees: NDArray[np.bool_]
    textured: NDArray[np.bool_]

    def with_disagreement(self, disagrees: NDArray[np.bool_], share: float) -> Agreement:
        """Return a copy of this comparison with part of the disagreement explained."""
        return replace(self, disagrees=disagrees, share=share)


def largest_region(disagrees: NDArray[np.bool_], params: WindowParams) -> float:
    """Return the area of the largest connected region of centers of disagreeing windows, in areas of a window."""
    import cv2

    if not disagrees.any():
        return 0.0
    count, _, statistics, _ = cv2.connectedComponentsWithStats(disagrees.astype(np.uint8), connectivity=8)
    return 0.0 if count < 2 else float(statistics[1:, cv2.CC_STAT_AREA].max()) / params.side**2


def compare_windows(
    one: NDArray[np.float32], two: NDArray[np.float32], inside: NDArray[np.bool_], params: WindowParams
) -> Agreement:
    """Compare two aligned images of equal tone and sharpness window by window.

    In each window, one image is fitted by the other times a gain plus an offset. The residual is compared with the
    noise of the pair: noise of a fixed size (compression, grain) and noise in proportion to the texture (misalignment
    by a fraction of a pixel), both estimated from the pair by medians.

    Args:
        one: float32 [h, w].
        two: float32 [h, w].
        inside: bool [h, w], where both images have pixels.
        params: parameters of the windows.
    """
    import cv2

    # Every second window of every second row suffices, because neighbors share most of their pixels.
    mean1, mean2 = _window_means(one, params), _window_means(two, params)
    var1 = np.maximum(_window_means(one * one, params) - mean1 * mean1, 0)
    var2 = np.maximum(_window_means(two * two, params) - mean2 * mean2, 0)
    cov = _window_means(one * two, params) - mean1 * mean2
    larger, smaller = np.maximum(var1, var2), np.minimum(var1, var2)
    # Both images have one tone, so a gain far from 1 explains nothing.
    gain = np.clip(cov / (larger + 1.0), params.min_gain, 1.0)
    # The residual of the smaller without gain times the larger; if the two have nothing in common, it is their sum.
    scaled = gain * gain * larger
    rest = np.asarray(np.maximum(smaller - 2 * gain * cov + scaled, 0), np.float32)
    both = np.asarray(smaller + scaled, np.float32)
    reach = 2 * (params.side // 2 + 1) + 1
    valid = cv2.erode(inside.astype(np.uint8), np.ones((reach, reach), np.uint8), borderValue=0)[::2, ::2] > 0
    textured = (larger > params.min_deviation**2) & valid
    count = int(np.count_nonzero(textured))
    windows = 4 * count / params.side**2
    if windows < 1:
        return Agreement(0.0, windows, 0.0, 0.0, np.zeros(inside.shape, bool), _upsample(textured, inside.shape))
    around = np.asarray(cv2.blur(both, (params.surround // 2,) * 2), np.float32)
    sample = np.flatnonzero(textured.ravel())[:: max(1, count // params.max_samples)]
    fixed, loose, ringing = _estimate_noise(both.ravel()[sample], rest.ravel()[sample], around.ravel()[sample], params)
    ringing = min(ringing, params.max_ringing)
    floor = params.min_noise**2 + min(fixed, params.max_noise**2)
    expected = floor + min(loose, params.max_proportional_noise) * both + ringing * around
    disagrees = (rest > params.min_excess * expected) & (rest > params.min_unexplained * (both + 1.0))
    # Noise does not excuse windows that have nothing in common: for different images, its estimate is high.
    noisy = params.unlike_levels**2 + params.unlike_ringing * ringing * around
    disagrees |= (rest > params.unlike_share * (both + 1.0)) & (rest > noisy)
    disagrees &= textured
    # All windows that contain a difference show it; lines of one or two pixels along an edge come from resampling.
    opened = cv2.morphologyEx(disagrees.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)) > 0
    share = 1.0 - float(np.count_nonzero(opened)) / count
    shape = inside.shape
    return Agreement(share, windows, fixed**0.5, loose**0.5, _upsample(opened, shape), _upsample(textured, shape))


def _estimate_noise(
    both: NDArray[np.float32], rest: NDArray[np.float32], around: NDArray[np.float32], params: WindowParams
) -> tuple[float, float, float]:
    """Estimate the noise of a pair from its textured windows.

    Args:
        both: float32 [n], sum of the variances of the two images.
        rest: float32 [n], the residual of it.
        around: float32 [n], mean of `both` around the window.
        params: parameters of the windows.

    Returns:
        Variance of the noise of a fixed size, and the noise in proportion to `both` and to `around`, as shares.
    """
    strong = both >= np.percentile(both, 60)
    loose = float(np.median(rest[strong] / both[strong]))
    weak = both <= np.percentile(both, 30)
    fixed = float(np.median(np.maximum(rest[weak] - loose * both[weak], 0)))
    # Ringing: the noise of compression beside strong texture, estimated where there is little texture.
    beside = both < params.beside_share * around
    enough = np.count_nonzero(beside) > 0.01 * len(both)
    return fixed, loose, float(np.median(rest[beside] / around[beside])) if enough else 0.0


def _window_means(values: NDArray[np.float32], params: WindowParams) -> NDArray[np.float32]:
    """Return the means of every second window of every second row."""
    import cv2

    return np.ascontiguousarray(cv2.blur(values, (params.side,) * 2)[::2, ::2], np.float32)


def _upsample(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return mask.repeat(2, axis=0).repeat(2, axis=1)[: shape[0], : shape[1]]
