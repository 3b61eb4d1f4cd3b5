"""ClipCov: a subset of pairs that preserves the cross-covariance of images and texts.

Source: Joshi, Jain, Payani and Mirzasoleiman 2024, "Data-Efficient Contrastive Language-Image Pretraining: Prioritizing
Data Quality over Quantity", arXiv 2403.12267; BigML-CS-UCLA/clipcov-data-efficient-clip, `clip_core.ipynb`.
"""

from __future__ import annotations

import heapq

import numpy as np

from visdiv_assets.curation.selection.cross_covariance import check_pairs
from visdiv_assets.errors import InputError
from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.kmeans import k_means
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.unit_rows import unit, unit_at

#: Rows of a class compared at a time.
TILE = 2048
#: Picks of a class after which its scores are computed anew.
BATCH = 200


def clip_cov(
    images: Matrix,
    texts: Matrix,
    count: int,
    *,
    labels: np.ndarray | None = None,
    names: np.ndarray | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> np.ndarray:
    """Pick pairs greedily, best first.

    Within a class of m pairs let K_ij = max(0, v_i.t_j), cross_i = (sum_j K_ij + sum_j K_ji) / m, name_i the cosine of
    the text to the name of its class, and the centers the mean vectors of the class. The score is

        cross_i + 2 v_i.t_i + name_i / 2 - (cos(v_i, center of texts) + cos(t_i, center of images)).

    The best score of all classes is picked. Each time the picks P of a class reach 199, 399, 599 ..., the scores of
    the class are lowered by sum over new picks j of (K_ij + K_ji) / m, by sum over P of cross_j / m, and by sum over
    new picks of name_j / (2 m). This is what the released notebook does: it takes cross of all picks off again with
    every batch, and does not clip the v_i.t_i of a pair itself.

    A class of m pairs costs m^2 products once, and m for each of its picks from the 199th on.

    Args:
        images: unit vectors [n, d] of images.
        texts: of their texts [n, d], row by row.
        count: pairs wanted; all are put in order if there are no more.
        labels: integer class of each pair [n], such as zero-shot classes (None: k-means clusters of the images, as
            latent classes).
        names: float [n], name_i (None: 0).
        seed: of k-means.
        progress: told of pairs scored.

    Returns:
        int64 [min(count, n)], row numbers in the order in which they were picked.

    Raises:
        InputError: images, texts, labels or names differ in number or dimension; `count` is negative; a row is not
            finite or all zero; or a name_i is not finite.
    """
    check_pairs(images, texts)
    rows = images.shape[0]
    if images.shape[1] != texts.shape[1]:
        raise InputError(f"images of {images.shape[1]} dimensions and texts of {texts.shape[1]}: two models")
    if count < 0:
        raise InputError(f"cannot pick {count} pairs: ask for 0 or more")
    given = {"labels": labels, "names": names}
    for what, values in given.items():
        if values is not None and (values.shape != (rows,) or not np.isfinite(values).all()):
            raise InputError(f"{what} are one finite number per pair: {rows} pairs, {what} {list(values.shape)}")
    named = np.zeros(rows) if names is None else names.astype(np.float64)
    classes = k_means(images, seed=seed).cluster if labels is None else labels
    order = np.argsort(classes, kind="stable")
    starts = np.flatnonzero(np.diff(classes[order], prepend=classes[order[:1]] - 1))
    groups = []
    for members in np.split(order, starts[1:]):
        if len(members):
            groups.append(_Class(images, texts, members, named[members]))
            progress(len(members))
    return _picked(groups, min(count, rows))


def _picked(groups: list[_Class], count: int) -> np.ndarray:
    """The best of all classes, one after the other; of equal scores the lowest row."""
    best = [(*group.best(), number) for number, group in enumerate(groups)]
    heapq.heapify(best)
    picked = np.empty(count, np.int64)
    for place in range(count):
        _, row, number = best[0]
        picked[place] = row
        groups[number].pick()
        if groups[number].left():
            heapq.heapreplace(best, (*groups[number].best(), number))
        else:
            heapq.heappop(best)
    return picked


class _Class:
    """The pairs of a class, their scores and which were picked."""

    def __init__(self, images: Matrix, texts: Matrix, members: np.ndarray, names: np.ndarray) -> None:
        self._images, self._texts, self._members, self._names = images, texts, members, names
        self._cross = _cross(images, texts, members)
        self._scores = self._cross + names / 2 + _own_less_centers(images, texts, members)
        self._picked: list[int] = []
        self._counted = 0
        self._sort(np.arange(len(members)))

    def left(self) -> bool:
        """Whether there is a pair that was not picked."""
        return self._next < len(self._order)

    def best(self) -> tuple[float, int]:
        """The negated score of the best pair left, and its row."""
        place = self._order[self._next]
        return -float(self._scores[place]), int(self._members[place])

    def pick(self) -> None:
        """Pick it; now and then lower the scores of the others."""
        self._picked.append(int(self._order[self._next]))
        self._next += 1
        if (len(self._picked) + 1) % BATCH == 0 and self.left():
            self._lower()

    def _sort(self, left: np.ndarray) -> None:
        # Members are in row order, and a stable sort leaves those of equal scores so.
        self._order = left[np.argsort(-self._scores[left], kind="stable")]
        self._next = 0

    def _lower(self) -> None:
        left = np.sort(self._order[self._next :])
        new = np.array(self._picked[self._counted :])
        self._counted = len(self._picked)
        v, t = unit_at(self._images, self._members[new]), unit_at(self._texts, self._members[new])
        lowered = np.empty(len(left))
        for start in range(0, len(left), TILE):
            rows = self._members[left[start : start + TILE]]
            to_new = np.maximum(unit_at(self._images, rows) @ t.T, 0).sum(axis=1, dtype=np.float64)
            from_new = np.maximum(unit_at(self._texts, rows) @ v.T, 0).sum(axis=1, dtype=np.float64)
            lowered[start : start + len(rows)] = to_new + from_new
        self._scores[left] -= (lowered + self._cross[self._picked].sum() + self._names[new].sum() / 2) / len(
            self._members
        )
        self._sort(left)


def _cross(images: Matrix, texts: Matrix, members: np.ndarray) -> np.ndarray:
    """(sum_j K_ij + sum_j K_ji) / m of each member, float64 [m]."""
    total = np.zeros(len(members))
    for i in range(0, len(members), TILE):
        v = unit_at(images, members[i : i + TILE])
        for j in range(0, len(members), TILE):
            product = v @ unit_at(texts, members[j : j + TILE]).T
            np.maximum(product, 0, out=product)
            total[i : i + TILE] += product.sum(axis=1, dtype=np.float64)
            total[j : j + TILE] += product.sum(axis=0, dtype=np.float64)
    return total / len(members)


def _own_less_centers(images: Matrix, texts: Matrix, members: np.ndarray) -> np.ndarray:
    """2 v_i.t_i - cos(v_i, center of texts) - cos(t_i, center of images), float64 [m]."""
    tiles = [members[start : start + TILE] for start in range(0, len(members), TILE)]
    of_images, of_texts = (
        _direction(sum((unit_at(side, rows).sum(axis=0, dtype=np.float64) for rows in tiles), np.zeros(side.shape[1])))
        for side in (images, texts)
    )
    out = np.empty(len(members))
    for start, rows in zip(range(0, len(members), TILE), tiles, strict=True):
        v, t = unit(images[rows], rows), unit(texts[rows], rows)
        own = np.einsum("nd,nd->n", v, t, dtype=np.float64)
        out[start : start + len(rows)] = 2 * own - v @ of_texts - t @ of_images
    return out


def _direction(total: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(total))
    # Vectors that cancel out have no center to be near to.
    return total / length if length > 0 else total
