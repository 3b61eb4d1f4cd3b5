"""Detect keypoints, and find the alignments that their matches vote for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.params import KeypointParams

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Keypoints:
    """SIFT keypoints of one image.

    Attributes:
        positions: float32 [n, 2], x and y in pixels of the keypoint view, with pixel corners at integers.
        scales: float32 [n], diameters in pixels of the keypoint view.
        angles: float32 [n], radians, clockwise because y points down.
        descriptors: uint8 [n, 128].
        size: width and height of the keypoint view in pixels.
    """

    positions: NDArray[np.float32]
    scales: NDArray[np.float32]
    angles: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    size: tuple[int, int]


def find_keypoints(gray: NDArray[np.uint8], params: KeypointParams) -> Keypoints:
    """Detect the strongest SIFT keypoints (Lowe 2004) of an image.

    Args:
        gray: uint8 [h, w], at `PreparationParams.keypoint_pixels`.
        params: parameters of the keypoints.
    """
    import cv2

    size = (gray.shape[1], gray.shape[0])
    # Keypoints near the border lack half of their neighborhood: padding keeps those of cropped copies.
    margin = 8
    view = cv2.copyMakeBorder(gray, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    # OpenCV's stubs lack this function.
    sift = cv2.SIFT_create(  # type: ignore[attr-defined]
        nfeatures=params.max_keypoints, contrastThreshold=0.02, edgeThreshold=20
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
    """Return the indices [128] that turn a descriptor into that of the mirrored image.

    A descriptor holds 4 x 4 cells of 8 directions, relative to the direction of the keypoint; mirroring swaps the cells
    across that direction and negates the directions.
    """
    order = np.arange(128).reshape(4, 4, 8)
    return order[::-1][:, :, (-np.arange(8)) % 8].reshape(-1)


def align_by_keypoints(a: Keypoints, b: Keypoints, mirrored: bool, params: KeypointParams) -> list[NDArray[np.float64]]:
    """Find the alignments that most matches of keypoints agree on.

    Every match proposes the similarity transform that follows from the positions, scales and directions of its two
    keypoints, and all other matches vote; the winner is refitted as an affine map. Unlike RANSAC this is exhaustive: it
    uses no random numbers, and it finds the few right matches among the many wrong ones of text pages.

    Args:
        a: keypoints of one image.
        b: keypoints of the other.
        mirrored: whether to treat b as a mirror image.
        params: parameters of the keypoints.

    Returns:
        Affine maps [3, 3] from b to a, both in units of their width and height, at most `max_hypotheses`; the one
        with most votes comes first.
    """
    if len(a.positions) < params.min_votes or len(b.positions) < params.min_votes:
        return []
    left = _root_sift(a.descriptors)
    right = _root_sift(b.descriptors)
    if mirrored:
        right = right[:, _mirrored_order()]
    product = right @ left.T
    count = min(3, product.shape[1])
    nearest = np.argpartition(-product, count - 1, axis=1)[:, :count]
    values = np.take_along_axis(product, nearest, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    nearest, values = np.take_along_axis(nearest, order, 1), np.take_along_axis(values, order, 1)
    distance = np.sqrt(np.maximum(2 - 2 * values, 1e-6))
    # Lowe's ratio ranks matches but does not exclude any, because a page repeats its letters.
    ratio = distance[:, 0] / np.maximum(distance[:, -1], 1e-6) + 0.3 * distance[:, 0]
    good = np.flatnonzero(values[:, 0] > params.min_product)
    good = good[np.argsort(ratio[good], kind="stable")[: params.max_matches]]
    if len(good) < params.min_votes:
        return []
    second = good[values[good, 1] > params.min_product] if count > 1 else good[:0]
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
    # error[i, j] is the distance of match j from where the transform of match i puts it.
    error = np.abs((za[None] - za[:, None]) - rotation[:, None] * (zb[None] - zb[:, None]))
    reach = np.abs(za[None] - za[:, None])
    tolerance = params.vote_tolerance + params.vote_drift * reach
    close = np.abs(scale[None] - scale[:, None]) < params.vote_scale
    swing = np.abs(np.angle(rotation[None] / rotation[:, None])) < params.vote_turn
    agree = (error < tolerance) & close & swing
    hypotheses: list[tuple[NDArray[np.float64], int]] = []
    usable = np.ones(len(za), bool)
    for _ in range(params.max_hypotheses):
        votes = (agree & usable[None]).sum(1) * usable
        best = int(np.argmax(votes))
        if votes[best] < params.min_votes:
            break
        inliers = agree[best] & usable
        matrix, inliers = _refit(points_a, points_b, inliers, params)
        usable &= ~agree[best] & ~inliers
        # Several keypoints may share a position: only different positions are evidence.
        positions = len(np.unique(np.round(points_a[inliers] / 2), axis=0))
        if matrix is None or positions < params.min_votes:
            continue
        to_a = np.diag([1 / a.size[0], 1 / a.size[1], 1.0])
        from_b = np.diag([float(b.size[0]), float(b.size[1]), 1.0])
        hypotheses.append((to_a @ matrix @ from_b, positions))
    return [matrix for matrix, _ in sorted(hypotheses, key=lambda item: -item[1])]


def _root_sift(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return RootSIFT vectors (Arandjelovic and Zisserman 2012): unit vectors whose product is the Hellinger kernel."""
    values = descriptors.astype(np.float32)
    return np.asarray(np.sqrt(values / np.maximum(values.sum(1, keepdims=True), 1e-6)), np.float32)


def _refit(
    points_a: NDArray[np.float64], points_b: NDArray[np.float64], inliers: NDArray[np.bool_], params: KeypointParams
) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_]]:
    """Fit an affine map to the inliers, collect those near it, and fit again."""
    matrix = None
    ones = np.column_stack([points_b, np.ones(len(points_b))])
    for tolerance in (6.0, 3.0, 2.0):
        if inliers.sum() < params.min_votes:
            return None, inliers
        full = inliers.sum() >= 2 * params.min_votes
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
    """Fit a similarity transform by least squares, mirrored if that fits better."""
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
