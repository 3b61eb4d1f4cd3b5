"""Remove the global differences that copying makes before two images are compared: tone and sharpness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.params import VerifyParams

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS = 32
#: Side, in pixels, of a block whose fine detail is measured.
_BLOCK = 12


def match_tone(
    one: NDArray[np.uint8], two: NDArray[np.uint8], inside: NDArray[np.bool_], params: VerifyParams
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bring two aligned images to one tone: the one with more contrast gets the tone of the other.

    The tone curve is the isotonic regression through the medians of one image's levels where the other image has a
    given level. It follows brightness, contrast, gamma and clipped highlights, and no local change.

    Args:
        one: uint8 [h, w], luminance.
        two: uint8 [h, w], luminance.
        inside: bool [h, w], where both images have pixels.
        params: parameters of the verification.

    Returns:
        Both as float32 [h, w], in the order given.
    """
    import cv2

    mask = inside.astype(np.uint8)
    spread = [float(cv2.meanStdDev(image, mask=mask)[1][0, 0]) for image in (one, two)]
    source, target = (one, two) if spread[0] >= spread[1] else (two, one)
    scale = params.preparation.color_reduction
    size = (max(1, one.shape[1] // scale), max(1, one.shape[0] // scale))
    small = [np.asarray(cv2.resize(i, size, interpolation=cv2.INTER_AREA), np.uint8) for i in (source, target)]
    small_mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    chosen = _best_curve(small[0], small[1], small_mask, spread, params)
    table = np.clip(chosen, 0, 255).astype(np.float32).reshape(1, 256)
    mapped = np.asarray(cv2.LUT(source, table), np.float32)
    plain = target.astype(np.float32)
    return (mapped, plain) if source is one else (plain, mapped)


def _best_curve(
    source: NDArray[np.uint8],
    target: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    spread: list[float],
    params: VerifyParams,
) -> NDArray[np.float64]:
    """Return the levels [256] of the target for those of the source; unchanged if no curve fits much better.

    The loss is truncated, so that an overlay on one image does not decide.
    """
    levels = np.arange(256, dtype=np.float64)
    there = mask > 0
    if not there.any():
        return levels
    s, t = source[there], target[there].astype(np.float32)
    gain = min(spread) / max(max(spread), 1e-6)
    curve = _tone_curve(source, target, mask, params)
    candidates = [levels, float(t.mean()) + gain * (levels - float(s.mean()))]
    # Medians flatten the curve between images that are not the same: two flat images would agree everywhere.
    if float(curve[s].std()) >= params.tone.min_contrast_kept * float(t.std()):
        candidates.append(curve)
    loss = [float(np.minimum(np.abs(c.astype(np.float32)[s] - t), params.tone.max_loss).mean()) for c in candidates]
    best = int(np.argmin(loss))
    return levels if loss[0] < params.tone.min_improvement * loss[best] + 0.5 else candidates[best]


def _tone_curve(
    source: NDArray[np.uint8], target: NDArray[np.uint8], mask: NDArray[np.uint8], params: VerifyParams
) -> NDArray[np.float64]:
    """Return the levels [256] of the target for those of the source, never falling."""
    import cv2

    counts = cv2.calcHist([np.dstack([source, target])], [0, 1], mask, [_BINS, 128], [0, 256, 0, 256]).astype(
        np.float64
    )
    weight = counts.sum(1)
    total = max(weight.sum(), 1.0)
    used = np.flatnonzero(weight >= max(4.0, 2e-4 * total))
    if len(used) < 2:
        return np.arange(256, dtype=np.float64)
    share = np.cumsum(counts[used], axis=1) / weight[used, None]
    medians = (share < 0.5).sum(1) * 2.0 + 0.5
    centers = cv2.calcHist([source], [0], mask, [256], [0, 256]).reshape(_BINS, -1).astype(np.float64)
    levels = np.arange(256).reshape(_BINS, -1)
    center = (centers * levels).sum(1)[used] / np.maximum(centers.sum(1)[used], 1e-9)
    rising = _isotonic(medians, weight[used])
    curve = np.interp(np.arange(256), center, rising)
    middle = int(np.interp(0.5, np.cumsum(weight[used]) / float(weight[used].sum()), center))
    return _never_flat(curve, middle, params)


def _never_flat(curve: NDArray[np.float64], middle: int, params: VerifyParams) -> NDArray[np.float64]:
    """Make a tone curve rise by at least `min_slope` per level, except where it clips: drawings must not vanish."""
    steep = curve.copy()
    for level in range(middle + 1, 256):
        steep[level] = max(steep[level], min(steep[level - 1] + params.tone.min_slope, 255.0))
    for level in range(middle - 1, -1, -1):
        steep[level] = min(steep[level], max(steep[level + 1] - params.tone.min_slope, 0.0))
    return steep


def _isotonic(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the never falling sequence nearest to the values (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for value, weight in zip(values, weights, strict=True):
        blocks.append([float(value), float(weight), 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            v1, w1, n1 = blocks.pop()
            v0, w0, n0 = blocks.pop()
            blocks.append([(v0 * w0 + v1 * w1) / (w0 + w1), w0 + w1, n0 + n1])
    return np.repeat([b[0] for b in blocks], [int(b[2]) for b in blocks])


def match_sharpness(
    one: NDArray[np.float32], two: NDArray[np.float32], inside: NDArray[np.bool_], params: VerifyParams
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Blur the sharper of two aligned images like the other.

    The blur is the mixture of Gaussians that best predicts the blurrier image from the sharper one (least squares); it
    also covers resampling filters and mild sharpening.

    Args:
        one: float32 [h, w].
        two: float32 [h, w].
        inside: bool [h, w], where both images have pixels.
        params: parameters of the verification.

    Returns:
        Both images, in the order given, and the standard deviation of the blur in pixels; 0 if both are equally sharp.
    """
    import cv2

    detail = _detail(one), _detail(two)
    ratio = _detail_ratio(*detail, inside)
    if min(ratio, 1 / ratio) > params.tone.equal_sharpness:
        return one, two, 0.0
    sharp, soft = (one, two) if ratio > 1 else (two, one)
    sharp_detail, soft_detail = detail if ratio > 1 else detail[::-1]
    sigmas = (0.0, 0.7, 1.3, 2.2, 4.0) if min(ratio, 1 / ratio) < 0.6 else (0.0, 0.7, 1.3)
    basis = [sharp if s == 0 else np.asarray(cv2.GaussianBlur(sharp, (0, 0), s), np.float32) for s in sigmas]
    # Every third pixel of every third row suffices for five unknowns.
    chosen = inside[::3, ::3]
    design = np.stack([layer[::3, ::3][chosen] for layer in basis], axis=1)
    goal = soft[::3, ::3][chosen]
    offset = float(goal.mean()) if len(goal) else 0.0
    mean = design.mean(0) if len(goal) else np.zeros(len(sigmas), np.float32)
    design, goal = design - mean, goal - offset
    keep = np.ones(len(goal), bool)
    weights: NDArray[np.float64] = np.zeros(len(sigmas))
    for _ in range(2):
        matrix = (design[keep].T @ design[keep]).astype(np.float64)
        matrix += np.eye(len(sigmas)) * (1e-4 * np.trace(matrix) / len(sigmas) + 1e-6)
        weights = np.asarray(np.linalg.solve(matrix, (design[keep].T @ goal[keep]).astype(np.float64)), np.float64)
        error = np.abs(goal - design @ weights.astype(np.float32))
        keep = error <= max(2.0, 3.0 * float(np.percentile(error, 80)) if len(error) else 2.0)
    mixed = np.full_like(sharp, offset)
    for weight, layer, level in zip(weights, basis, mean, strict=True):
        mixed += np.float32(weight) * (layer - level)
    if _detail_ratio(_detail(mixed), soft_detail, inside) < params.tone.min_detail_kept:
        # Least squares blurs away what differs: blur only to equal sharpness instead.
        mixed, blur = _blur_equally(sharp_detail, soft_detail, inside, basis, sigmas)
        return (mixed, soft, blur) if sharp is one else (soft, mixed, blur)
    blur = float(np.sqrt(max(0.0, np.sum(weights * np.square(sigmas)) / max(float(np.sum(weights)), 0.1))))
    return (mixed, soft, blur) if sharp is one else (soft, mixed, blur)


def _detail(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the energy of fine detail in each block of 12 x 12 pixels, without incomplete blocks at the edges."""
    import cv2

    size = (max(1, image.shape[1] // _BLOCK), max(1, image.shape[0] // _BLOCK))
    # Whole blocks only: averaging over fractions of pixels takes five times as long.
    whole = image[: size[1] * _BLOCK, : size[0] * _BLOCK]
    fine = whole - cv2.GaussianBlur(whole, (5, 5), 1.0)
    return np.asarray(cv2.resize(fine * fine, size, interpolation=cv2.INTER_AREA), np.float32)


def _detail_ratio(one: NDArray[np.float32], two: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Return the ratio of the fine detail of two images: the median over blocks, so that captions do not matter.

    Args:
        one: `_detail` of the first image.
        two: `_detail` of the second image.
        inside: bool [h, w], where both images have pixels.
    """
    import cv2

    size = (one.shape[1], one.shape[0])
    whole = inside[: size[1] * _BLOCK, : size[0] * _BLOCK].astype(np.uint8)
    there = cv2.resize(whole, size, interpolation=cv2.INTER_AREA) > 0
    strongest = np.maximum(one, two)
    used = there & (strongest > max(1.0, 0.1 * float(np.percentile(strongest[there], 95)) if there.any() else 1.0))
    if not used.any():
        return 1.0
    return float(np.sqrt(np.median((one[used] + 0.1) / (two[used] + 0.1))))


def _blur_equally(
    sharp_detail: NDArray[np.float32],
    soft_detail: NDArray[np.float32],
    inside: NDArray[np.bool_],
    basis: list[NDArray[np.float32]],
    sigmas: tuple[float, ...],
) -> tuple[NDArray[np.float32], float]:
    """Mix two layers of adjacent blur into an image with as much detail as the softer one; return its blur too."""
    less = _detail_ratio(sharp_detail, soft_detail, inside)
    for step in range(1, len(basis)):
        more, less = less, _detail_ratio(_detail(basis[step]), soft_detail, inside)
        if less <= 1:
            break
    share = float(np.clip((1 - less) / max(more - less, 1e-6), 0, 1))
    mixed = np.float32(share) * basis[step - 1] + np.float32(1 - share) * basis[step]
    return mixed, share * sigmas[step - 1] + (1 - share) * sigmas[step]
