"""Match the local features of two images, and find the alignments that most matches agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.geometry import orientation_map
from visdiv_assets.duplicates.verify.params import MatchParams

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visdiv_assets.imaging.local_features import LocalFeatures

#: Bits of a descriptor.
BITS = 256


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The local features of an image, ready to be matched.

    Attributes:
        points: float64 [n, 2], x and y in working pixels.
        scales: float64 [n].
        angles: float64 [n], radians.
        signs: float32 [n, 256], the bits of the descriptors as -1 and 1.
        size: width and height of the working size.
    """

    points: NDArray[np.float64]
    scales: NDArray[np.float64]
    angles: NDArray[np.float64]
    signs: NDArray[np.float32]
    size: tuple[int, int]

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.points)


@dataclass(frozen=True, slots=True)
class Alignment:
    """An alignment of two images by their features.

    Attributes:
        matrix: map [3, 3] from b to a in units of width and height.
        inliers: number of mutually nearest features that agree.
        working: the same map in working pixels; that from the mirrored b if it was mirrored.
    """

    matrix: NDArray[np.float64]
    inliers: int
    working: NDArray[np.float64]


def feature_set(features: LocalFeatures) -> FeatureSet:
    """Prepare local features for matching."""
    signs = np.unpackbits(features.descriptors, axis=1).astype(np.float32) * 2 - 1
    points = features.points.astype(np.float64) * np.maximum(features.size, 1)
    return FeatureSet(
        points, features.sizes.astype(np.float64), features.angles.astype(np.float64), signs, features.size
    )


def distances(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the numbers of differing bits, float32 [n, m], of descriptors given as signs. They are exact."""
    return np.asarray((BITS - one @ other.T) * np.float32(0.5), np.float32)


def align(a: FeatureSet, b: FeatureSet, mirrored: bool, params: MatchParams) -> Alignment | None:
    """Find the alignment that most matches of features agree on.

    Every pair of features that are nearest to each other proposes the similarity transform that follows from their
    positions, scales and directions, and all other pairs vote; the winner is fitted again as an affine map, and as a
    homography if that explains more. The search is exhaustive, without random numbers.

    Args:
        a: features of one image.
        b: features of the other; those of the mirrored image if `mirrored`.
        mirrored: whether b was mirrored.
        params: parameters.

    Returns:
        the alignment; None if too few matches agree on one.
    """
    if len(a) < params.min_votes or len(b) < params.min_votes:
        return None
    apart = distances(a.signs, b.signs)
    nearest = apart.argmin(1)
    every = np.arange(len(a))
    good = (apart.argmin(0)[nearest] == every) & (apart[every, nearest] <= params.max_distance)
    index_a, index_b = every[good], nearest[good]
    if len(index_a) < params.min_votes:
        return None
    points_a, points_b = a.points[index_a], b.points[index_b]
    votes = _vote(a, b, index_a, index_b, params)
    count = votes.sum(1)
    best = int(count.argmax())
    if count[best] < params.min_votes:
        return None
    inliers = votes[best]
    fitted = _fit_inliers(points_a, points_b, inliers, params)
    if fitted is None:
        return None
    inliers = _errors(fitted, points_b, points_a) < params.tolerances[-1]
    matrix, inliers = _bend(fitted, points_a, points_b, inliers, params)
    if inliers.sum() < params.min_votes or not _is_plausible(matrix, b.size, params):
        return None
    to_a = np.diag([1 / a.size[0], 1 / a.size[1], 1.0])
    from_b = np.diag([float(b.size[0]), float(b.size[1]), 1.0])
    unit = to_a @ matrix @ from_b
    if mirrored:
        unit = unit @ orientation_map(0, True)
    return Alignment(unit / unit[2, 2], int(inliers.sum()), matrix)


def find_shown(a: FeatureSet, b: FeatureSet, alignment: Alignment, params: MatchParams) -> NDArray[np.int64]:
    """Return the indices of features of a with one like them in b where an alignment puts it, nearest or not.

    Args:
        a: features of one image.
        b: those of the other that were aligned with it.
        alignment: the result of `align`.
        params: parameters.

    Returns:
        int64 [m].
    """
    near = np.hypot(*(a.points[:, None] - _mapped(alignment.working, b.points)[None]).transpose(2, 0, 1))
    alike = distances(a.signs, b.signs) <= params.shown_distance
    return np.flatnonzero(((near < params.shown_tolerance) & alike).any(1))


def _fit_inliers(
    points_a: NDArray[np.float64], points_b: NDArray[np.float64], inliers: NDArray[np.bool_], params: MatchParams
) -> NDArray[np.float64] | None:
    """Fit an affine map [3, 3] to the inliers, collect those near it, and fit again; None if they are too few."""
    matrix: NDArray[np.float64] | None = None
    for tolerance in params.tolerances:
        if inliers.sum() < params.min_votes:
            return None
        matrix = _fit(points_b[inliers], points_a[inliers])
        if matrix is None:
            return None
        inliers = _errors(matrix, points_b, points_a) < tolerance
    return matrix


def _vote(
    a: FeatureSet, b: FeatureSet, index_a: NDArray[np.int64], index_b: NDArray[np.int64], params: MatchParams
) -> NDArray[np.bool_]:
    """Return which matches [m, m] agree with the transform of each match (rows)."""
    scale = np.log(a.scales[index_a] / b.scales[index_b]).astype(np.float32)
    turn = (a.angles[index_a] - b.angles[index_b]).astype(np.float32)
    za = (a.points[index_a, 0] + 1j * a.points[index_a, 1]).astype(np.complex64)
    zb = (b.points[index_b, 0] + 1j * b.points[index_b, 1]).astype(np.complex64)
    rotation = np.exp(scale + 1j * turn).astype(np.complex64)
    between = za[None] - za[:, None]
    error = np.abs(between - rotation[:, None] * (zb[None] - zb[:, None]))
    near = error < params.vote_tolerance + params.vote_drift * np.abs(between)
    swing = np.abs(np.mod(turn[None] - turn[:, None] + np.pi, 2 * np.pi) - np.pi) < params.vote_turn
    return np.asarray(near & swing & (np.abs(scale[None] - scale[:, None]) < params.vote_scale))


def _fit(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Fit an affine map [3, 3] by least squares, kept near a similarity where points are few or on one line."""
    center, aim = source.mean(0), target.mean(0)
    s, t = source - center, target - aim
    spread = float((s**2).sum())
    if spread < 1e-6:
        return None
    zs, zt = s[:, 0] + 1j * s[:, 1], t[:, 0] + 1j * t[:, 1]
    turn = complex(np.vdot(zs, zt)) / spread
    similar = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    # Ridge towards the similarity, of the weight of about two points.
    ridge = 2 * spread / len(source) * np.eye(2)
    linear = np.linalg.solve(s.T @ s + ridge, s.T @ t + ridge @ similar.T).T
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, aim - linear @ center
    return matrix


def _bend(
    matrix: NDArray[np.float64],
    points_a: NDArray[np.float64],
    points_b: NDArray[np.float64],
    inliers: NDArray[np.bool_],
    params: MatchParams,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a homography and its inliers if it explains clearly more matches than the affine map, else the latter."""
    import cv2

    if inliers.sum() < 12:
        return matrix, inliers
    wide = _errors(matrix, points_b, points_a) < 4 * params.tolerances[-1]
    bent = matrix
    for tolerance in (2 * params.tolerances[-1], params.tolerances[-1]):
        if wide.sum() < 12:
            return matrix, inliers
        found = cv2.findHomography(points_b[wide], points_a[wide], 0)[0]
        if found is None or not np.shape(found):
            return matrix, inliers
        bent = np.asarray(found, np.float64)
        wide = _errors(bent, points_b, points_a) < tolerance
    return (bent, wide) if wide.sum() >= 1.15 * inliers.sum() + 2 else (matrix, inliers)


def _errors(
    matrix: NDArray[np.float64], source: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(np.hypot(*(_mapped(matrix, source) - target).T), np.float64)


def _mapped(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where a map takes points [n, 2], also those that it takes to infinity: far away."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    depth = np.where(np.abs(mapped[:, 2:]) < 1e-9, 1e-9, mapped[:, 2:])
    return np.asarray(mapped[:, :2] / depth, np.float64)


def _is_plausible(matrix: NDArray[np.float64], size: tuple[int, int], params: MatchParams) -> bool:
    """Return whether a map neither mirrors, nor flattens, nor changes the scale too much, anywhere in the image."""
    width, height = size
    for x, y in ((0, 0), (width, 0), (0, height), (width, height), (width / 2, height / 2)):
        depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
        if depth < 0.2:
            return False
        u = (matrix[:2, 0] * x + matrix[:2, 1] * y + matrix[:2, 2]) / depth
        slope = (matrix[:2, :2] - np.outer(u, matrix[2, :2])) / depth
        if np.linalg.det(slope) <= 0:
            return False
        largest, smallest = np.linalg.svd(slope, compute_uv=False)
        if smallest < 1 / params.max_scale or largest > params.max_scale or largest > 4 * smallest:
            return False
    return True
