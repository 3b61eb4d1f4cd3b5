"""Find out whether one global change of color explains how the colors of two aligned images differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.geometry import inverse
from visdiv_assets.duplicates.verify.params import ColorParams
from visdiv_assets.duplicates.verify.registration import Registered, size_of, warp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visdiv_assets.duplicates.verify.prepared import PreparedImage


@dataclass(frozen=True, slots=True)
class ColorChange:
    """How the colors of two aligned images relate.

    Attributes:
        remaining: float32 [h, w], the difference that the best plausible global change leaves, in levels.
        valid: bool [h, w], where it was measured: pixels of even color in both images.
        worst: the remaining difference that a share of only `ColorParams.min_area` of the valid pixels exceeds.
        recolored: whether the change exceeds that of compression.
        gain: saturation of the less colorful image over that of the other, about 1 if there is no change.
        turn: turn of the hue, degrees.
        signals: complex64 [h, w], color difference signals of the frame's image and of the other.
        views: uint8 [h, w, 3], RGB of the frame's image and of the other.
        inside: bool [h, w], where both images have pixels.
    """

    remaining: NDArray[np.float32]
    valid: NDArray[np.bool_]
    worst: float
    recolored: bool
    gain: float
    turn: float
    signals: tuple[NDArray[np.complex64], NDArray[np.complex64]]
    views: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    inside: NDArray[np.bool_]

    def worst_outside(self, place: NDArray[np.bool_], params: ColorParams) -> float:
        """Return `worst` without an area, bool [h, w]."""
        return _worst(self.remaining[self.valid & ~place], params)


def _worst(values: NDArray[np.float32], params: ColorParams) -> float:
    """Return the value that a share of only `min_area`, or `min_pixels`, of all values exceeds."""
    if not len(values):
        return 0.0
    rank = max(int(params.min_area * len(values)), params.min_pixels)
    return float(np.partition(values, max(0, len(values) - 1 - rank))[max(0, len(values) - 1 - rank)])


def compare_colors(
    a: PreparedImage, b: PreparedImage, matrix: NDArray[np.float64], laid: Registered, params: ColorParams
) -> ColorChange:
    """Fit a global change of color and measure the difference that it leaves.

    In this model, the color difference signals (Cb, Cr as one complex number) of the less colorful image are those of
    the other times one complex gain (saturation, and a turn of the hue of at most `max_turn`) plus an offset that may
    grow with the brightness (color temperature, toning). Unlike a free map of RGB, it turns no flag into another.

    Args:
        a: one image.
        b: the other.
        matrix: map [3, 3] from b to a in units.
        laid: the two images registered in one frame.
        params: parameters of the colors.
    """
    import cv2

    frame, other = (a.color, b.color) if laid.of_a else (b.color, a.color)
    to_frame = matrix if laid.of_a else inverse(matrix)
    warped, inside = warp(other, to_frame, size_of(frame))
    margin = np.ones((3, 3), np.uint8)
    inside = cv2.erode(inside.astype(np.uint8), margin, borderValue=0) > 0
    y1, c1 = _signals(frame)
    y2, c2 = _signals(warped)
    even = inside & (_unevenness(y1, c1) < params.max_unevenness) & (_unevenness(y2, c2) < params.max_unevenness)
    if np.count_nonzero(even) < params.min_even_pixels:
        even = inside
    if not even.any():
        blank = np.zeros(inside.shape, np.float32)
        return ColorChange(blank, even, 0.0, False, 1.0, 0.0, (c1, c2), (frame, warped), inside)
    colorfulness = [float(np.mean(np.abs(c[even] - np.mean(c[even])))) for c in (c1, c2)]
    source, target, brightness = (c1, c2, y1) if colorfulness[0] >= colorfulness[1] else (c2, c1, y2)
    gain, offset, slope = _fit_change(source[even], target[even], brightness[even] / 255.0 - 0.5, params)
    remaining = np.abs(target - (gain * source + offset + slope * (brightness / 255.0 - 0.5))).astype(np.float32)
    # Misalignment by half a pixel at an edge between colors is not a difference of colors.
    calm = np.where(even, cv2.erode(cv2.blur(remaining, (3, 3)), margin), 0).astype(np.float32)
    shift = float(np.percentile(np.abs(target[even] - source[even]), 90))
    turn = abs(float(np.degrees(np.angle(gain)))) if abs(gain) > 0.05 else 0.0
    return ColorChange(
        calm,
        even,
        _worst(calm[even], params),
        shift > params.recolored_difference,
        abs(gain),
        turn,
        (c1, c2),
        (frame, warped),
        inside,
    )


def _signals(image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.complex64]]:
    """Return the luminance [h, w] and the color difference signals 0.564 (B - Y) + 0.713 (R - Y) i (ITU-R BT.601)."""
    values = image.astype(np.float32)
    brightness = values @ np.array([0.299, 0.587, 0.114], np.float32)
    signal = 0.564 * (values[..., 2] - brightness) + 1j * 0.713 * (values[..., 0] - brightness)
    return brightness, signal.astype(np.complex64)


def _unevenness(brightness: NDArray[np.float32], signal: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the range of levels in the 3 x 3 neighborhood of each pixel, the largest of the three signals."""
    import cv2

    window = np.ones((3, 3), np.uint8)
    result = np.zeros(brightness.shape, np.float32)
    for layer in (brightness, np.ascontiguousarray(signal.real), np.ascontiguousarray(signal.imag)):
        result = np.maximum(result, cv2.dilate(layer, window) - cv2.erode(layer, window))
    return result


def _fit_change(
    source: NDArray[np.complex64], target: NDArray[np.complex64], brightness: NDArray[np.float32], params: ColorParams
) -> tuple[complex, complex, complex]:
    """Fit target = gain * source + offset + slope * brightness robustly within plausible bounds."""
    step = max(1, len(source) // params.max_samples)
    source, target, brightness = source[::step], target[::step], brightness[::step]
    columns = (source, np.ones_like(source), brightness.astype(np.complex64))
    weight = np.ones(len(source), np.float32)
    gain, offset, slope = 1 + 0j, 0j, 0j
    for _ in range(4):
        # A pull towards no change decides where the colors do not determine the fit.
        pull = np.array([0.3, 3e-3, 3e-3]) * float(weight.sum()) * 0.1
        solution = _least_squares(columns, target, weight, pull, np.array([1.0, 0, 0]))
        gain = _bound_gain(solution[0], params)
        rest = target - np.complex64(gain) * source
        solution = _least_squares(columns[1:], rest, weight, pull[1:], np.zeros(2))
        offset = _bound_size(solution[0], params.max_tint)
        slope = _bound_size(solution[1], 2 * params.max_tint)
        error = np.abs(rest - np.complex64(offset) - np.complex64(slope) * brightness)
        scale = max(4.0, 2.0 * float(np.median(error)))
        weight = (1 / (1 + (error / scale) ** 2)).astype(np.float32)
    return gain, offset, slope


def _least_squares(
    columns: tuple[NDArray[np.complex64], ...],
    target: NDArray[np.complex64],
    weight: NDArray[np.float32],
    pull: NDArray[np.float64],
    towards: NDArray[np.float64],
) -> list[complex]:
    """Solve weighted complex least squares with a pull of each unknown towards a value."""
    weighted = [column * weight for column in columns]
    # vdot is used because a matrix product of this size would only start the threads of the linear algebra library.
    normal = np.array([[np.vdot(w, c) for c in columns] for w in weighted], np.complex128) + np.diag(pull)
    right = np.array([np.vdot(w, target) for w in weighted], np.complex128) + pull * towards
    return [complex(v) for v in np.linalg.solve(normal, right)]


def _bound_gain(gain: complex, params: ColorParams) -> complex:
    limit = np.radians(params.max_turn)
    angle = float(np.clip(np.angle(gain), -limit, limit))
    # Beyond a right angle nothing of the colors is kept.
    size = max(0.0, float(abs(gain) * np.cos(np.angle(gain) - angle)))
    return complex(min(size, params.max_saturation) * np.exp(1j * angle))


def _bound_size(value: complex, limit: float) -> complex:
    return value * min(1.0, limit / max(abs(value), 1e-9))
