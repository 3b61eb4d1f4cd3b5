"""Undo what a global change of color does to the brightness beyond a tone curve: brighter colors, clipped channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.params import ColorParams

if TYPE_CHECKING:
    from numpy.typing import NDArray


def match_brightness(
    one: NDArray[np.float32],
    two: NDArray[np.float32],
    inside: NDArray[np.bool_],
    signal: NDArray[np.complex64],
    params: ColorParams,
) -> NDArray[np.float32]:
    """Change the brightness of an image in proportion to its colors, as a change of hue or saturation does.

    Args:
        one: float32 [h, w], the image that is changed, of one tone with the other.
        two: float32 [h, w], the image that it is fitted to.
        inside: bool [h, w], where both images have pixels.
        signal: complex64 [H, W], color difference signals of `one`, at a smaller size.
        params: parameters of the colors.

    Returns:
        float32 [h, w].
    """
    import cv2

    size = signal.shape[1], signal.shape[0]
    wanted = cv2.resize(two - one, size, interpolation=cv2.INTER_AREA)
    there = cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99
    red, blue, goal = signal.imag[there], signal.real[there], wanted[there]
    if len(goal) < params.min_even_pixels:
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


def find_clipped(
    one: NDArray[np.uint8], two: NDArray[np.uint8], inside: NDArray[np.bool_], params: ColorParams
) -> NDArray[np.bool_]:
    """Find where higher brightness or contrast clipped a channel of one of the images, so that it cannot be compared.

    A channel counts as clipped only if a whole range of the other image's levels is at the limit; ink on white paper
    is not clipped, and two colors of a flag are not either.

    Args:
        one: uint8 [h, w, 3], RGB.
        two: uint8 [h, w, 3], RGB, aligned with `one`.
        inside: bool [h, w], where both images have pixels.
        params: parameters of the colors.

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
                # From `start` up, nearly all pixels of the source are at the limit of the target.
                full = (driven > 0.8 * counts) | ~used
                start = 32 - int(np.argmin(full[::-1])) if not full.all() else 0
                if np.count_nonzero(used[start:31]) >= params.clipped_levels:
                    result |= (s >= 8 * start - 12) & (t >= 240)
    return result & inside
