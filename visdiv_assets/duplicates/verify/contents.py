"""Compare what two aligned images show, window by window."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from visdiv_assets.duplicates.verify.colors import quantile
from visdiv_assets.duplicates.verify.params import ContentParams

if TYPE_CHECKING:
    from numpy.typing import NDArray


#: Distance in pixels between windows, and the number of windows side by side in the width of one.
STRIDE = 3
_ACROSS = 3
#: Windows in the area of a window.
_PER_AREA = _ACROSS**2
#: Shifts of the second image, down and to the right, within its border of one pixel; (1, 1) leaves it in place. There
#: is one for each pixel of a square of `STRIDE`, in the same order.
_SHIFTS = tuple(product(range(STRIDE), repeat=2))


@dataclass(frozen=True, slots=True)
class Contents:
    """How the windows of two aligned images agree.

    A window is a square of 9 x 9 pixels, one every `STRIDE` pixels of both directions; its agreement is the correlation
    of the two images in it, under the best shift of a pixel. Windows without texture in either image say nothing.

    Attributes:
        windows: area with texture, in areas of a window.
        noise: median of 1 minus the correlation over the windows with most texture: what blur, compression, grain and
            misalignment leave everywhere.
        share: share of the texture that disagrees by more than that noise explains.
        largest: area of the largest place of disagreement, in areas of a window.
        total: area of all places of disagreement, in areas of a window.
        deep: share of the texture whose correlation is below one half.
        changed: number of pixels that differ by more than `ContentParams.changed_levels`, before any blur.
        disagrees: bool [ceil(h / STRIDE), ceil(w / STRIDE)], windows that disagree.
        textured: bool, of that shape, windows with texture.
    """

    windows: float
    noise: float
    share: float
    largest: float
    total: float
    deep: float
    changed: int
    disagrees: NDArray[np.bool_]
    textured: NDArray[np.bool_]

    @property
    def agreement(self) -> float:
        """Share of the texture that agrees."""
        return 1.0 - self.share

    def without(self, place: NDArray[np.bool_]) -> Contents:
        """Return the comparison of what lies outside a place, bool, of the shape of `disagrees`."""
        textured, disagrees = self.textured & ~place, self.disagrees & ~place
        count = max(1, int(np.count_nonzero(textured)))
        share = float(np.count_nonzero(disagrees)) / count
        largest, total = _areas(disagrees)
        deep = min(self.deep, share)
        return Contents(count / _PER_AREA, self.noise, share, largest, total, deep, self.changed, disagrees, textured)


def compare_contents(
    one: NDArray[np.uint8], two: NDArray[np.uint8], inside: NDArray[np.bool_], params: ContentParams
) -> Contents:
    """Compare two aligned images.

    The sharper image is blurred to the sharpness of the other first. Correlations do not depend on the brightness and
    contrast of a window, so that no tone curve is fitted.

    Args:
        one: uint8 [h, w], luminance.
        two: uint8 [h, w], the other image in the frame of the first.
        inside: bool [h, w], where both have pixels.
        params: parameters.
    """
    import cv2

    changed = int(np.count_nonzero((cv2.absdiff(one, two) > params.changed_levels) & inside))
    left = one.astype(np.float32)
    # What one image lacks must not bleed in from beside it.
    right = np.where(inside, two, one).astype(np.float32)
    outside = cv2.blur(_reduce((~inside).astype(np.float32)), (_ACROSS, _ACROSS))
    core = np.asarray(outside < 1e-6)
    if np.count_nonzero(core) < _PER_AREA:
        return _nothing(core.shape)
    left, right = _equalize_sharpness(left, right, inside, params)
    unlike, variance, noise = correlate_windows(left, right, core, params)
    around = cv2.dilate(variance, np.ones((5, 5), np.uint8))
    textured = core & (variance > max(params.min_deviation**2, params.over_noise * noise))
    textured &= variance > params.ringing * around
    count = int(np.count_nonzero(textured))
    if count < _PER_AREA:
        return _nothing(core.shape)
    values = variance[textured]
    strong = unlike[textured][values >= quantile(values, 0.5)]
    typical = quantile(strong, 0.5)
    limit = min(params.max_unlike, max(params.min_unlike, params.noise_factor * typical))
    disagrees = _open(textured & (unlike > limit))
    largest, total = _areas(disagrees)
    return Contents(
        windows=count / _PER_AREA,
        noise=typical,
        share=float(np.count_nonzero(disagrees)) / count,
        largest=largest,
        total=total,
        deep=float(np.count_nonzero(_open(textured & (unlike > params.deep_unlike)))) / count,
        changed=changed,
        disagrees=disagrees,
        textured=textured,
    )


def _nothing(shape: tuple[int, ...]) -> Contents:
    blank = np.zeros(shape, bool)
    return Contents(0.0, 1.0, 1.0, 0.0, 0.0, 1.0, int(np.prod(shape)), blank, blank)


def _open(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop rows of single windows along edges, which resampling leaves; a changed letter shows in more windows."""
    import cv2

    # A kernel of even size needs opposite anchors, or the result would move.
    square = np.ones((2, 2), np.uint8)
    eroded = cv2.erode(mask.astype(np.uint8), square, anchor=(1, 1), borderValue=0)
    return np.asarray(cv2.dilate(eroded, square, anchor=(0, 0), borderValue=0) > 0)


def _areas(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the area of the largest connected place and of all places, in areas of a window."""
    import cv2

    if not mask.any():
        return 0.0, 0.0
    _, _, found, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = found[1:, cv2.CC_STAT_AREA]
    return float(areas.max()) / _PER_AREA, float(areas.sum()) / _PER_AREA


def _reduce(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of the squares of `STRIDE` x `STRIDE` pixels, [ceil(h / STRIDE), ceil(w / STRIDE)]."""
    import cv2

    image = _whole_squares(image)
    size = (image.shape[1] // STRIDE, image.shape[0] // STRIDE)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def _whole_squares(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the pixels of all squares; if they do not fit, the last one of a row or column overlaps that before it."""
    height, width = image.shape
    if min(height, width) < STRIDE:
        # Repeat what is less than a square.
        image = np.pad(image, [(0, max(0, STRIDE - side)) for side in image.shape], "edge")
        height, width = image.shape
    if height % STRIDE:
        image = np.concatenate([image[: height - height % STRIDE], image[-STRIDE:]])
    if width % STRIDE:
        image = np.concatenate([image[:, : width - width % STRIDE], image[:, -STRIDE:]], axis=1)
    return image


def _window_means(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of each window."""
    import cv2

    return np.asarray(cv2.blur(_reduce(image), (_ACROSS, _ACROSS)), np.float32)


def _equalize_sharpness(
    one: NDArray[np.float32], two: NDArray[np.float32], inside: NDArray[np.bool_], params: ContentParams
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Blur the sharper of two images until both have as much fine detail."""
    import cv2

    details = _detail(one, inside), _detail(two, inside)
    if max(details) < params.equal_detail * min(details):
        return one, two
    first = details[0] > details[1]
    sharp, goal = (one if first else two), min(details)
    before, more = sharp, max(details)
    after, less = sharp, more
    for sigma in params.blurs:
        after = np.asarray(cv2.GaussianBlur(sharp, (0, 0), sigma), np.float32)
        less = _detail(after, inside)
        if less <= goal:
            break
        before, more = after, less
    step = np.clip((more - goal) / max(more - less, 1e-6), 0, 1)
    mixed = before + np.float32(step) * (after - before)
    return (mixed, two) if first else (one, mixed)


def _detail(image: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Return the deviation of what a blur of three pixels removes."""
    import cv2

    fine = image - cv2.GaussianBlur(image, (3, 3), 0)
    squares = cv2.norm(fine, cv2.NORM_L2SQR, inside.view(np.uint8))
    return float(np.sqrt(squares / np.count_nonzero(inside) + 0.05))


def correlate_windows(
    one: NDArray[np.float32], two: NDArray[np.float32], core: NDArray[np.bool_], params: ContentParams
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Correlate the windows of two aligned images, the second one moved by up to a pixel.

    Args:
        one: float32 [h, w], luminance.
        two: float32 [h, w], the other image in the frame of the first.
        core: bool [ceil(h / STRIDE), ceil(w / STRIDE)], windows from which noise is estimated.
        params: parameters.

    Returns:
        1 minus the best correlation of each window and the larger of its two variances, float32 of the shape of `core`,
        and the variance of the noise. If squares do not fit into a side, the last one overlaps that before it.
    """
    import cv2

    mean1 = _window_means(one)
    var1 = np.maximum(_window_means(one * one) - mean1 * mean1, 0)
    around = np.asarray(cv2.copyMakeBorder(two, 1, 1, 1, 1, cv2.BORDER_REPLICATE), np.float32)
    mean2 = _shifted_means(around)
    var2 = np.maximum(_shifted_means(around * around) - mean2 * mean2, 0)
    height, width = one.shape
    products = [_reduce(one * around[dy : dy + height, dx : dx + width]) for dy, dx in _SHIFTS]
    shared = _planes(cv2.blur(cv2.merge(products), (_ACROSS, _ACROSS))) - mean1 * mean2
    # The noise is that of the images as they are.
    unmoved = var2[_SHIFTS.index((1, 1))]
    noise1, noise2 = _noise(var1[core], params), _noise(unmoved[core], params)
    largest = np.maximum(var1, unmoved)
    spread = (var1 + np.float32(noise1)) * (var2 + np.float32(noise2))
    shared /= np.sqrt(spread, out=spread)
    return np.asarray(1 - shared.max(0), np.float32), np.asarray(largest, np.float32), max(noise1, noise2)


def _shifted_means(around: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of each window of an image with a border of one pixel, moved by each of `_SHIFTS`."""
    import cv2

    means = np.asarray(cv2.blur(around, (STRIDE, STRIDE)), np.float32)
    squares = _whole_squares(means[1:-1, 1:-1])
    rows, columns = (side // STRIDE for side in squares.shape)
    # The squares around the pixels of a square are those that the shifts move there.
    moved = squares.reshape(rows, STRIDE, columns, STRIDE).transpose(0, 2, 1, 3).reshape(rows, columns, len(_SHIFTS))
    return _planes(cv2.blur(moved, (_ACROSS, _ACROSS)))


def _planes(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return the channels of an image one after the other: [h, w, n] -> [n, h, w]."""
    import cv2

    return np.stack(cv2.split(image))


def _noise(variance: NDArray[np.float32], params: ContentParams) -> float:
    """Return the variance of the noise: that of the windows with least texture."""
    sample = variance[:: max(1, len(variance) // params.max_samples)]
    return float(np.clip(quantile(sample, params.quiet_share), params.min_noise, params.max_noise))
