"""Keypoints, and the alignments that their matches vote for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify import params

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Keypoints:
    """SIFT keypoints of one image.

    Attributes:
        positions: float32 [n, 2], x and y in pixels of the keypoint view, pixel corners at whole numbers.
        scales: float32 [n], diameter in the same pixels.
        angles: float32 [n], radians, clockwise as y points down.
        descriptors: uint8 [n, 128].
        size: width and height of the keypoint view in pixels.
    """

    positions: NDArray[np.float32]
    scales: NDArray[np.float32]
    angles: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    size: tuple[int, int]


def find_keypoints(gray: NDArray[np.uint8]) -> Keypoints:
    """Find the strongest SIFT keypoints (Lowe 2004) of an image at `KEYPOINT_PIXELS`.

    Args:
        gray: uint8 [h, w].
    """
    import cv2

    size = (gray.shape[1], gray.shape[0])
    # What touches the border has half its neighborhood: keypoints of a cropped copy need some room.
    margin = 8
    view = cv2.copyMakeBorder(gray, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    # The stubs lack it, though it is in the main modules.
    sift = cv2.SIFT_create(  # type: ignore[attr-defined]
        nfeatures=params.KEYPOINTS, contrastThreshold=0.02, edgeThreshold=20
    )
    found, descriptors = sift.detectAndCompute(view, None)
    if descriptors is None or not len(found):
        empty = np.empty(0, np.float32)
        return Keypoints(empty.reshape(0, 2), empty, empty, np.empty((0, 128), np.uint8), size)
    return Keypoints(
        np.array([k.pt for k in found], np.float32) + np.float32(0.5 - margin),
        np.array([k.size for k in found], np.float32),
        np.radians(np.array([k.angle for k in found], np.float32)),
        np.asarray(descriptors, np.uint8),
        size,
    )


def _mirrored_order() -> NDArray[np.int64]:
    """Where each number of a descriptor comes from when the image is mirrored.

    A descriptor holds 4 x 4 cells of 8 directions, all relative to the keypoint's own direction; a mirror swaps the
    cells' sides across that direction and negates the directions.
    """
    order = np.arange(128).reshape(4, 4, 8)
    return order[::-1][:, :, (-np.arange(8)) % 8].reshape(-1)


def aligned_by_keypoints(a: Keypoints, b: Keypoints, mirrored: bool) -> list[NDArray[np.float64]]:
    """The alignments that most matches of keypoints agree on.

    Every match proposes the similarity transform that its two keypoints' places, scales and directions imply, and all
    other matches vote; the winner is refitted as an affine map. Unlike RANSAC this is exhaustive, so it depends on no
    random numbers, and it finds the few right among many wrong matches that pages of text give.

    Args:
        a: keypoints of the one image.
        b: keypoints of the other.
        mirrored: whether b is taken as a mirror image.

    Returns:
        Affine maps [3, 3] from b to a, both in units of their width and height; that of most
        votes first, at most `KEYPOINT_HYPOTHESES`.
    """
    if len(a.positions) < params.FEWEST_VOTES or len(b.positions) < params.FEWEST_VOTES:
        return []
    left = _root(a.descriptors)
    right = _root(b.descriptors)
    if mirrored:
        right = right[:, _mirrored_order()]
    likeness = right @ left.T
    count = min(3, likeness.shape[1])
    nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    values = np.take_along_axis(likeness, nearest, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    nearest, values = np.take_along_axis(nearest, order, 1), np.take_along_axis(values, order, 1)
    distance = np.sqrt(np.maximum(2 - 2 * values, 1e-6))
    # Lowe's ratio ranks; it does not exclude, since a page repeats its letters.
    ratio = distance[:, 0] / np.maximum(distance[:, -1], 1e-6) + 0.3 * distance[:, 0]
    good = np.flatnonzero(values[:, 0] > params.LEAST_LIKENESS)
    good = good[np.argsort(ratio[good], kind="stable")[: params.MATCHES]]
    if len(good) < params.FEWEST_VOTES:
        return []
    second = good[values[good, 1] > params.LEAST_LIKENESS] if count > 1 else good[:0]
    index_b = np.concatenate([good, second])
    index_a = np.concatenate([nearest[good, 0], nearest[second, 1] if count > 1 else second])

    sign = -1.0 if mirrored else 1.0
    points_a = a.positions[index_a].astype(np.float64)
    points_b = b.positions[index_b].astype(np.float64)
    scale = np.log(a.scales[index_a] / b.scales[index_b])
    turn = a.angles[index_a] - sign * b.angles[index_b]
    za = points_a[:, 0] + 1j * points_a[:, 1]
    zb = points_b[:, 0] + 1j * sign * points_b[:, 1]
    rotation = np.exp(scale + 1j * turn)
    # error[i, j]: how far match j is from where match i's transform puts it.
    error = np.abs((za[None] - za[:, None]) - rotation[:, None] * (zb[None] - zb[:, None]))
    reach = np.abs(za[None] - za[:, None])
    tolerance = params.VOTE_TOLERANCE + params.VOTE_DRIFT * reach
    close = np.abs(scale[None] - scale[:, None]) < params.VOTE_SCALE
    swing = np.abs(np.angle(rotation[None] / rotation[:, None])) < params.VOTE_TURN
    agree = (error < tolerance) & close & swing
    hypotheses: list[tuple[NDArray[np.float64], int]] = []
    usable = np.ones(len(za), bool)
    for _ in range(params.KEYPOINT_HYPOTHESES):
        votes = (agree & usable[None]).sum(1) * usable
        best = int(np.argmax(votes))
        if votes[best] < params.FEWEST_VOTES:
            break
        inliers = agree[best] & usable
        matrix, inliers = _refit(points_a, points_b, inliers)
        usable &= ~agree[best] & ~inliers
        # Several keypoints may share a place: only different places are evidence.
        places = len(np.unique(np.round(points_a[inliers] / 2), axis=0))
        if matrix is None or places < params.FEWEST_VOTES:
            continue
        to_a = np.diag([1 / a.size[0], 1 / a.size[1], 1.0])
        from_b = np.diag([float(b.size[0]), float(b.size[1]), 1.0])
        hypotheses.append((to_a @ matrix @ from_b, places))
    return [matrix for matrix, _ in sorted(hypotheses, key=lambda item: -item[1])]


def _root(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """RootSIFT (Arandjelovic and Zisserman 2012): unit vectors whose product is the Hellinger kernel."""
    values = descriptors.astype(np.float32)
    return np.asarray(np.sqrt(values / np.maximum(values.sum(1, keepdims=True), 1e-6)), np.float32)


def _refit(
    points_a: NDArray[np.float64], points_b: NDArray[np.float64], inliers: NDArray[np.bool_]
) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_]]:
    """Fit an affine map to the inliers, collect those near it, and fit again."""
    matrix = None
    ones = np.column_stack([points_b, np.ones(len(points_b))])
    for tolerance in (6.0, 3.0, 2.0):
        if inliers.sum() < params.FEWEST_VOTES:
            return None, inliers
        full = inliers.sum() >= 2 * params.FEWEST_VOTES
        solution = (
            _affine(ones[inliers], points_a[inliers]) if full else _similarity(points_b[inliers], points_a[inliers])
        )
        if solution is None:
            return None, inliers
        matrix = np.vstack([solution, [0.0, 0.0, 1.0]])
        inliers = np.hypot(*(ones @ solution.T - points_a).T) < tolerance
    return matrix, inliers


def _affine(ones: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64] | None:
    solution, _, rank, _ = np.linalg.lstsq(ones, targets, rcond=1e-6)
    return np.asarray(solution.T, np.float64) if rank == 3 else None


def _similarity(source: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Least-squares similarity, mirrored if that fits better."""
    best = None
    for sign in (1.0, -1.0):
        z = source[:, 0] + 1j * sign * source[:, 1]
        w = targets[:, 0] + 1j * targets[:, 1]
        spread = np.abs(z - z.mean()) ** 2
        if spread.sum() < 1e-6:
            return None
        r = np.sum(np.conj(z - z.mean()) * (w - w.mean())) / spread.sum()
        t = w.mean() - r * z.mean()
        residual = float(np.abs(r * z + t - w).sum())
        if best is None or residual < best[0]:
            matrix = np.array([[r.real, -sign * r.imag, t.real], [r.imag, sign * r.real, t.imag]])
            best = (residual, matrix)
    return None if best is None else best[1]
