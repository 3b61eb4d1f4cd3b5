"""Whether two aligned images show the same in every place, at the scale of letters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify import params

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a comparison of windows gave.

    Attributes:
        share: textured windows that agree, 0 to 1.
        windows: number of separate textured windows (their area over a window's).
        noise: estimated noise, gray levels.
        looseness: estimated share of the texture's deviation that noise in proportion to it (misalignment, compression)
            takes, 0 to 1.
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
        """The same comparison where part of the disagreement is explained."""
        return replace(self, disagrees=disagrees, share=share)


def largest_region(disagrees: NDArray[np.bool_]) -> float:
    """Area of the largest connected place of disagreeing windows' centers, in windows' areas."""
    import cv2

    if not disagrees.any():
        return 0.0
    count, _, statistics, _ = cv2.connectedComponentsWithStats(disagrees.astype(np.uint8), connectivity=8)
    return 0.0 if count < 2 else float(statistics[1:, cv2.CC_STAT_AREA].max()) / params.WINDOW**2


def compare(one: NDArray[np.float32], two: NDArray[np.float32], inside: NDArray[np.bool_]) -> Agreement:
    """Compare two aligned images of equal tone and sharpness window by window.

    In each window the one is fitted by the other times a gain plus an offset, and what remains is compared with what
    the pair's own noise explains: noise of a fixed size (compression, grain) and noise in proportion to the texture (a
    fraction of a pixel's misalignment), both estimated from the pair by medians.

    Args:
        one: float32 [h, w].
        two: float32 [h, w].
        inside: bool [h, w], where both show something.
    """
    import cv2

    # Every second window of every second row: neighbors share most of their pixels.
    mean1, mean2 = _window_means(one), _window_means(two)
    var1 = np.maximum(_window_means(one * one) - mean1 * mean1, 0)
    var2 = np.maximum(_window_means(two * two) - mean2 * mean2, 0)
    cov = _window_means(one * two) - mean1 * mean2
    larger, smaller = np.maximum(var1, var2), np.minimum(var1, var2)
    # Both were brought to one tone: the gain between them is near 1, and far from it nothing is explained.
    gain = np.clip(cov / (larger + 1.0), params.LEAST_GAIN, 1.0)
    # What is left of the smaller without gain times the larger; of nothing alike, the sum of both is left.
    scaled = gain * gain * larger
    rest = np.asarray(np.maximum(smaller - 2 * gain * cov + scaled, 0), np.float32)
    both = np.asarray(smaller + scaled, np.float32)
    reach = 2 * (params.WINDOW // 2 + 1) + 1
    valid = cv2.erode(inside.astype(np.uint8), np.ones((reach, reach), np.uint8), borderValue=0)[::2, ::2] > 0
    textured = (larger > params.TEXTURE**2) & valid
    count = int(np.count_nonzero(textured))
    windows = 4 * count / params.WINDOW**2
    if windows < 1:
        return Agreement(0.0, windows, 0.0, 0.0, np.zeros(inside.shape, bool), _full(textured, inside.shape))
    around = np.asarray(cv2.blur(both, (params.AROUND // 2,) * 2), np.float32)
    sample = np.flatnonzero(textured.ravel())[:: max(1, count // params.NOISE_SAMPLES)]
    fixed, loose, ringing = _noise(both.ravel()[sample], rest.ravel()[sample], around.ravel()[sample])
    ringing = min(ringing, params.RINGING)
    floor = params.QUIETEST**2 + min(fixed, params.NOISIEST**2)
    expected = floor + min(loose, params.LOOSEST) * both + ringing * around
    disagrees = (rest > params.EXCESS * expected) & (rest > params.UNEXPLAINED * (both + 1.0))
    # Where nothing is alike no estimate of noise is an excuse: different images would estimate much.
    noisy = params.UNLIKE_LEVELS**2 + params.UNLIKE_RINGING * ringing * around
    disagrees |= (rest > params.UNLIKE * (both + 1.0)) & (rest > noisy)
    disagrees &= textured
    # A difference is seen by all windows that hold it; runs one or two pixels wide along an edge are resampling's.
    opened = cv2.morphologyEx(disagrees.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)) > 0
    share = 1.0 - float(np.count_nonzero(opened)) / count
    shape = inside.shape
    return Agreement(share, windows, fixed**0.5, loose**0.5, _full(opened, shape), _full(textured, shape))


def _noise(
    both: NDArray[np.float32], rest: NDArray[np.float32], around: NDArray[np.float32]
) -> tuple[float, float, float]:
    """Estimate a pair's noise from its textured windows.

    Args:
        both: float32 [n], variance of the two.
        rest: float32 [n], what of it remains.
        around: float32 [n], mean of `both` about the window.

    Returns:
        Variance of the noise of a fixed size, and shares of noise in proportion to `both` and to `around`.
    """
    strong = both >= np.percentile(both, 60)
    loose = float(np.median(rest[strong] / both[strong]))
    weak = both <= np.percentile(both, 30)
    fixed = float(np.median(np.maximum(rest[weak] - loose * both[weak], 0)))
    # What compression leaves around strong texture, estimated where there is little texture of its own.
    beside = both < params.BESIDE * around
    enough = np.count_nonzero(beside) > 0.01 * len(both)
    return fixed, loose, float(np.median(rest[beside] / around[beside])) if enough else 0.0


def _window_means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of every second window of every second row."""
    import cv2

    return np.ascontiguousarray(cv2.blur(values, (params.WINDOW,) * 2)[::2, ::2], np.float32)


def _full(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return mask.repeat(2, axis=0).repeat(2, axis=1)[: shape[0], : shape[1]]
