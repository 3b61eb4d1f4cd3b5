"""Register two images: guess their alignment from thumbnails, refine a guess, and warp one into the other's frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.geometry import (
    ORIENTATIONS,
    box_map,
    in_pixels,
    in_units,
    inverse,
    is_plausible,
    orientation_map,
    slope_of,
)
from visdiv_assets.duplicates.verify.params import RegistrationParams

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visdiv_assets.duplicates.verify.prepared import PreparedImage


@dataclass(frozen=True, slots=True)
class Registered:
    """Two images in one frame, that of the coarser of the two.

    Attributes:
        frame: uint8 [h, w], luminance of the image whose frame it is.
        other: uint8 [h, w], the other's, warped.
        inside: bool [h, w], where the other image has pixels.
        of_a: whether the frame is that of image a.
    """

    frame: NDArray[np.uint8]
    other: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    of_a: bool


def size_of(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the width and height of an image."""
    return image.shape[1], image.shape[0]


def guess_transforms(a: PreparedImage, b: PreparedImage, params: RegistrationParams) -> list[NDArray[np.float64]]:
    """Guess maps from b to a that stretch one onto the other, with or without plain borders, in 8 orientations.

    Returns:
        Maps [3, 3] in units, at most `max_guesses`; those whose thumbnails correlate best come first.
    """
    found: list[tuple[float, int, NDArray[np.float64]]] = []
    scores = np.stack([frame.thumb.ravel() for frame in a.frames]) @ b.turned_frames.T
    for first, second in np.argwhere(scores >= params.min_correlation).tolist():
        second_frame, index = divmod(second, len(ORIENTATIONS))
        boxes = box_map(a.frames[first].box), inverse(box_map(b.frames[second_frame].box))
        matrix = boxes[0] @ orientation_map(*ORIENTATIONS[index]) @ boxes[1]
        if is_plausible(in_pixels(matrix, size_of(a.gray), size_of(b.gray)), size_of(b.gray)):
            # On equal scores, the upright and untrimmed come first.
            found.append((-float(scores[first, second]), index, matrix))
    found.sort(key=lambda item: (round(item[0], 3), item[1]))
    return [matrix for _, _, matrix in found[: params.max_guesses]]


def warp_into_frame(a: PreparedImage, b: PreparedImage, matrix: NDArray[np.float64], small: bool = False) -> Registered:
    """Warp the finer of two images into the frame of the coarser one.

    Args:
        a: one image.
        b: the other.
        matrix: map [3, 3] from b to a in units.
        small: whether to use the small views of the images.
    """
    between = in_pixels(matrix, size_of(a.gray), size_of(b.gray))
    # The determinant is the number of pixels of a that one pixel of b covers: above 1, a is the finer one.
    of_a = abs(float(np.linalg.det(slope_of(between, size_of(b.gray))))) <= 1.0
    one, two = (a, b) if of_a else (b, a)
    frame, other = (one.small, two.small) if small else (one.gray, two.gray)
    warped, inside = warp(other, matrix if of_a else inverse(matrix), size_of(frame))
    return Registered(frame, warped[..., 0], inside, of_a)


def warp(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Warp an image into another frame without aliasing.

    Args:
        image: uint8 [h, w] or [h, w, 3].
        matrix: map [3, 3] from units of the image to units of the frame.
        size: width and height of the frame in pixels.

    Returns:
        uint8 [height, width, channels], and bool [height, width] where the image has pixels.
    """
    import cv2

    pixels = in_pixels(matrix, size, size_of(image))
    # Average before sampling, per axis: the length of a column of the map is the size of one pixel in the frame.
    reach = np.linalg.norm(slope_of(pixels, size_of(image)), axis=0)
    small = tuple(
        max(1, round(n * min(1.0, float(r)))) if r < 0.95 else n for n, r in zip(size_of(image), reach, strict=True)
    )
    if small != size_of(image):
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
        pixels = in_pixels(matrix, size, size_of(image))
    step = np.abs(pixels / pixels[2, 2] - np.eye(3))
    if size == size_of(image) and float(step.max()) < 1e-6:
        warped, inside = image.copy(), np.ones(image.shape[:2], bool)
    else:
        pixels = pixels / pixels[2, 2]
        if np.abs(pixels[2, :2]).max() * max(size_of(image)) < 1e-6:
            sampled = cv2.warpAffine(image, pixels[:2], size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        else:
            sampled = cv2.warpPerspective(image, pixels, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        warped = np.asarray(sampled, np.uint8)
        inside = _inside(inverse(pixels), size, size_of(image))
    return warped.reshape(*warped.shape[:2], -1), inside


def _inside(back: NDArray[np.float64], size: tuple[int, int], source: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where pixels of the frame lie within the source, given the map from frame to source pixels."""
    x = np.arange(size[0], dtype=np.float32)[None]
    y = np.arange(size[1], dtype=np.float32)[:, None]
    slack = 0.3
    m = back.astype(np.float32)
    depth = m[2, 0] * x + m[2, 1] * y + m[2, 2]
    u = (m[0, 0] * x + m[0, 1] * y + m[0, 2]) / depth
    v = (m[1, 0] * x + m[1, 1] * y + m[1, 2]) / depth
    inside: NDArray[np.bool_] = (u > -0.5 - slack) & (u < source[0] - 0.5 + slack)
    inside &= (v > -0.5 - slack) & (v < source[1] - 0.5 + slack)
    return inside


def refine(
    a: PreparedImage, b: PreparedImage, matrix: NDArray[np.float64], params: RegistrationParams
) -> NDArray[np.float64]:
    """Refine a guess: track points from one image to the other and fit a map to their movement.

    Points are tracked with pyramidal Lucas-Kanade (Bouguet 2000) on images of equalized local contrast, so that
    brightness, contrast and gamma do not matter. The map is fitted with iteratively reweighted least squares, so that
    areas that differ do not matter either; it is affine, or a homography if many points follow it.

    Args:
        a: one image.
        b: the other.
        matrix: guessed map [3, 3] from b to a in units.
        params: parameters of the registration.

    Returns:
        the refined map; the guess if points do not follow any.
    """
    import cv2

    for iteration in range(2):
        laid = warp_into_frame(a, b, matrix, small=True)
        one, two = _equalize_contrast(laid.frame), _equalize_contrast(laid.other)
        mask = laid.inside.astype(np.uint8)
        points = cv2.goodFeaturesToTrack(one, params.max_points, params.point_quality, 6, mask=mask, blockSize=5)
        if points is None or len(points) < params.min_points:
            return matrix
        moved, status, _ = cv2.calcOpticalFlowPyrLK(
            one,
            two,
            points,
            np.empty_like(points),
            winSize=(13, 13),
            maxLevel=3 if iteration == 0 else 1,
            criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.02),
        )
        source, target = points.reshape(-1, 2).astype(np.float64), moved.reshape(-1, 2).astype(np.float64)
        tracked = status.reshape(-1).astype(bool)
        correction, near = _robust_affine(source, target, tracked, params)
        if near.mean() < params.hopeless_share:
            return matrix
        if np.count_nonzero(tracked) >= params.bend_points:
            correction = _bend(correction, source, target, tracked, near, params)
        # The correction maps points of the frame to where the warped image shows them.
        size = size_of(laid.frame)
        unit = in_units(correction, size, size)
        refined = inverse(unit) @ matrix if laid.of_a else matrix @ unit
        if not is_plausible(in_pixels(refined, size_of(a.gray), size_of(b.gray)), size_of(b.gray)):
            return matrix
        matrix = refined / refined[2, 2]
        corners = np.array([[0, 0, 1], [size[0], 0, 1], [size[0], size[1], 1], [0, size[1], 1.0]])
        if float(np.abs(corners @ correction.T - corners).max()) < 0.15:
            break
    return matrix


def _bend(
    affine: NDArray[np.float64],
    source: NDArray[np.float64],
    target: NDArray[np.float64],
    tracked: NDArray[np.bool_],
    near: NDArray[np.bool_],
    params: RegistrationParams,
) -> NDArray[np.float64]:
    """Return the homography [3, 3] that more points follow than follow the affine map, else that map."""
    center, scale = source.mean(0), max(float(source.std()), 1.0)
    x, y = ((source - center) / scale).T
    u, v = ((target - center) / scale).T
    zero, one = np.zeros_like(x), np.ones_like(x)
    design = np.vstack(
        [
            np.column_stack([x, y, one, zero, zero, zero, -u * x, -u * y]),
            np.column_stack([zero, zero, zero, x, y, one, -v * x, -v * y]),
        ]
    )
    goal = np.concatenate([u, v])
    shown = np.column_stack([source, one]) @ affine[:2].T
    error = np.hypot(*(shown - target).T)
    matrix = affine
    # A small pull keeps the map affine where points do not tell.
    pull = np.diag([0, 0, 0, 0, 0, 0, 1e-3, 1e-3]) * len(x)
    for tolerance in (6.0, 4.0, 2.0, 1.0, 0.5, 0.5):
        weight = np.tile(tracked / (1 + (error / tolerance) ** 2) ** 2, 2)
        weighted = design * weight[:, None]
        solution = np.linalg.lstsq(weighted.T @ design + pull, weighted.T @ goal, rcond=None)[0]
        bent = np.append(solution, 1.0).reshape(3, 3)
        to_norm = np.array([[1 / scale, 0, -center[0] / scale], [0, 1 / scale, -center[1] / scale], [0, 0, 1.0]])
        matrix = inverse(to_norm) @ bent @ to_norm
        mapped = np.column_stack([source, one]) @ matrix.T
        error = np.hypot(*(mapped[:, :2] / mapped[:, 2:] - target).T)
    follow = tracked & (error < params.point_tolerance)
    return matrix / matrix[2, 2] if follow.sum() > 1.1 * near.sum() + 3 else affine


def _equalize_contrast(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Equalize local brightness and contrast; nearly flat areas stay nearly flat."""
    import cv2

    values = image.astype(np.float32)
    mean = cv2.blur(values, (31, 31))
    square = cv2.blur(values * values, (31, 31))
    spread = np.sqrt(np.maximum(square - mean * mean, 0)) + 10.0
    return np.asarray(np.clip((values - mean) / spread * 40 + 128, 0, 255), np.uint8)


def _robust_affine(
    source: NDArray[np.float64], target: NDArray[np.float64], tracked: NDArray[np.bool_], params: RegistrationParams
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the affine map [3, 3] that most tracked points follow, and which points do."""
    ones = np.column_stack([source, np.ones(len(source))])
    weight = tracked.astype(np.float64)
    # Start with a common shift: the median is right even if almost half of the points are wrong.
    solution = np.zeros((2, 3))
    solution[:, :2] = np.eye(2)
    if tracked.any():
        solution[:, 2] = np.median((target - source)[tracked], axis=0)
    for scale in (6.0, 4.0, 2.0, 1.0, 0.5, 0.5, 0.3, 0.3):
        error = np.hypot(*(ones @ solution.T - target).T)
        weight = tracked / (1 + (error / scale) ** 2) ** 2
        root = np.sqrt(weight)[:, None]
        # A prior of no change keeps the map plausible where points lie on one line.
        prior = np.column_stack([np.eye(2) * max(float(source.std()), 1.0), [0.0, 0.0]]) * 0.05
        wanted = prior[:, :2]
        design, goal = np.vstack([ones * root, prior]), np.vstack([target * root, wanted])
        solution = np.linalg.lstsq(design, goal, rcond=None)[0].T
    error = np.hypot(*(ones @ solution.T - target).T)
    near = tracked & (error < params.point_tolerance)
    return np.vstack([solution, [0.0, 0.0, 1.0]]), near
