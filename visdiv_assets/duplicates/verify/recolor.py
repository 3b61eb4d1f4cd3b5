"""What a global change of color does to brightness, beyond a tone curve: colors that brighten, lights that clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify import params

if TYPE_CHECKING:
    from numpy.typing import NDArray


def matched_brightness(
    one: NDArray[np.float32], two: NDArray[np.float32], inside: NDArray[np.bool_], signal: NDArray[np.complex64]
) -> NDArray[np.float32]:
    """The one with its brightness changed in proportion to its colors, as a turned hue or another saturation does.

    Args:
        one: float32 [h, w], of one tone with the other.
        two: float32 [h, w].
        inside: bool [h, w], where both show something.
        signal: complex64 [H, W], color difference signals of the one, at a smaller size.
    """
    import cv2

    size = signal.shape[1], signal.shape[0]
    wanted = cv2.resize(two - one, size, interpolation=cv2.INTER_AREA)
    there = cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99
    red, blue, goal = signal.imag[there], signal.real[there], wanted[there]
    if len(goal) < params.FEWEST_EVEN:
        return one
    weight = np.ones(len(goal), np.float32)
    share = np.zeros(2)
    for _ in range(4):
        rr, bb, rb = (float(np.sum(weight * x * y)) for x, y in ((red, red), (blue, blue), (red, blue)))
        pull = 2.0 * float(weight.sum())
        right = np.array([float(np.sum(weight * red * goal)), float(np.sum(weight * blue * goal))])
        share = np.clip(np.linalg.solve([[rr + pull, rb], [rb, bb + pull]], right), -0.6, 0.6)
        error = np.abs(goal - share[0] * red - share[1] * blue)
        weight = (1 / (1 + (error / max(4.0, 2.0 * float(np.median(error)))) ** 2)).astype(np.float32)
    change = (share[0] * signal.imag + share[1] * signal.real).astype(np.float32)
    enlarged = cv2.resize(change, (one.shape[1], one.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(one + enlarged, np.float32)


def clipped(one: NDArray[np.uint8], two: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where brightening or more contrast drove a channel of one of the images to its limit: nothing to compare there.

    A channel counts as driven to its limit only if that happens to a whole range of the other's levels, so ink on white
    paper is no limit, nor are two colors of a flag.

    Args:
        one: uint8 [h, w, 3], RGB.
        two: uint8 [h, w, 3], aligned with it.
        inside: bool [h, w], where both show something.

    Returns:
        bool [h, w].
    """
    result = np.zeros(inside.shape, bool)
    for source, target in ((one, two), (two, one)):
        for channel in range(3):
            for turned in (False, True):
                s, t = source[..., channel], target[..., channel]
                if turned:
                    s, t = 255 - s, 255 - t
                counts = np.bincount(s[inside] >> 3, minlength=32)
                driven = np.bincount(s[inside & (t >= 250)] >> 3, minlength=32)
                used = counts >= 12
                # From here up, nearly all that the one shows is at the other's limit.
                full = (driven > 0.8 * counts) | ~used
                start = 32 - int(np.argmin(full[::-1])) if not full.all() else 0
                if np.count_nonzero(used[start:31]) >= params.CLIPPED_LEVELS:
                    result |= (s >= 8 * start - 12) & (t >= 240)
    return result & inside
