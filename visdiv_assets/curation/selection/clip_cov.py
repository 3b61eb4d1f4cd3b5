"""ClipCov: selection of pairs that preserve the cross-covariance of images and texts.

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
#: Number of picks of a class after which its scores are lowered.
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

    The best score of all classes is picked. Each time the number of picks P of a class reaches 199, 399, 599 ..., the
    scores of the class are lowered by sum over new picks j of (K_ij + K_ji) / m, by sum over P of cross_j / m, and by
    sum over new picks of name_j / (2 m). This follows the released notebook, which subtracts cross of all picks again
    with every batch, and does not clip the v_i.t_i of a pair.

    A class of m pairs costs m^2 products once, and m products for each of its picks from the 199th on.

    Args:
        images: unit vectors [n, d] of images.
        texts: unit vectors [n, d] of their texts, row by row.
        count: number of pairs to pick; if there are fewer, all are returned in order.
        labels: integer class of each pair [n], such as zero-shot classes (None: k-means clusters of the images, as
            latent classes).
        names: float [n], name_i (None: 0).
        seed: seed of k-means.
        progress: called with the number of pairs scored.

    Returns:
        int64 [min(count, n)], row indices in the order in which they were picked.

    Raises:
        InputError: images, texts, labels or names differ in number or dimension; `count` is negative; a row is not
            finite or all zero; or a name_i is not finite.
    """
    check_pairs(images, texts)
    rows = images.shape[0]
    if images.shape[1] != texts.shape[1]:
        raise InputError(
            f"images have {images.shape[1]} dimensions and texts {texts.shape[1]}: embed both with the same model"
        )
    if count < 0:
        raise InputError(f"cannot pick {count} pairs: ask for 0 or more")
    given = {"labels": labels, "names": names}
    for what, values in given.items():
        if values is not None and (values.shape != (rows,) or not np.isfinite(values).all()):
            raise InputError(
                f"{what} must be one finite number for each of {rows} pairs: got shape {list(values.shape)}"
            )
    named = np.zeros(rows) if names is None else names.astype(np.float64)
    classes = k_means(images, seed=seed).cluster if labels is None else labels
    order = np.argsort(classes, kind="stable")
    starts = np.flatnonzero(np.diff(classes[order], prepend=classes[order[:1]] - 1))
    classes_of_pairs = []
    for members in np.split(order, starts[1:]):
        if len(members):
            classes_of_pairs.append(_Class(images, texts, members, named[members]))
            progress(len(members))
    return _pick_from_all(classes_of_pairs, min(count, rows))


def zero_shot_classes(images: Matrix, texts: Matrix, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Assign each pair to the class whose name is closest to its image.

    Args:
        images: unit vectors [n, d].
        texts: unit vectors [n, d].
        names: unit vectors [c, d] of the names of classes, such as those of "a photo of a dog".

    Returns:
        the class of each pair, int64 [n], and the cosine of its text to the name of its class, float32 [n]: labels and
        names for `clip_cov`.

    Raises:
        InputError: the dimensions differ, or a row is not finite or all zero.
    """
    if names.shape[1] != images.shape[1]:
        raise InputError(
            f"names of classes have {names.shape[1]} dimensions and images {images.shape[1]}: embed both with one model"
        )
    labels, cosines = np.empty(images.shape[0], np.int64), np.empty(images.shape[0], np.float32)
    for start in range(0, images.shape[0], TILE):
        rows = np.arange(start, min(start + TILE, images.shape[0]))
        labels[rows] = (unit_at(images, rows) @ names.T).argmax(axis=1)
        cosines[rows] = np.einsum("nd,nd->n", unit_at(texts, rows), names[labels[rows]])
    return labels, cosines


def _pick_from_all(classes: list[_Class], count: int) -> np.ndarray:
    """Pick the best pair of all classes, again and again; ties go to the lowest row."""
    best = [(*each.best(), index) for index, each in enumerate(classes)]
    heapq.heapify(best)
    picked = np.empty(count, np.int64)
    for pick in range(count):
        _, row, index = best[0]
        picked[pick] = row
        classes[index].pick()
        if classes[index].has_left():
            heapq.heapreplace(best, (*classes[index].best(), index))
        else:
            heapq.heappop(best)
    return picked


class _Class:
    """The pairs of a class, their scores, and the picks among them."""

    def __init__(self, images: Matrix, texts: Matrix, members: np.ndarray, names: np.ndarray) -> None:
        self._images, self._texts, self._members, self._names = images, texts, members, names
        self._cross = _cross(images, texts, members)
        self._scores = self._cross + names / 2 + _own_minus_centers(images, texts, members)
        self._picked: list[int] = []
        self._counted = 0
        self._sort(np.arange(len(members)))

    def has_left(self) -> bool:
        """Return whether there is a pair that was not picked."""
        return self._next < len(self._order)

    def best(self) -> tuple[float, int]:
        """Return the negated score of the best remaining pair, and its row."""
        member = self._order[self._next]
        return -float(self._scores[member]), int(self._members[member])

    def pick(self) -> None:
        """Pick the best remaining pair; after every batch, lower the scores of the others."""
        self._picked.append(int(self._order[self._next]))
        self._next += 1
        if (len(self._picked) + 1) % BATCH == 0 and self.has_left():
            self._lower()

    def _sort(self, left: np.ndarray) -> None:
        # Members are in row order, and a stable sort keeps ties in this order.
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
    """Return (sum_j K_ij + sum_j K_ji) / m of each member, float64 [m]."""
    total = np.zeros(len(members))
    for i in range(0, len(members), TILE):
        v = unit_at(images, members[i : i + TILE])
        for j in range(0, len(members), TILE):
            product = v @ unit_at(texts, members[j : j + TILE]).T
            np.maximum(product, 0, out=product)
            total[i : i + TILE] += product.sum(axis=1, dtype=np.float64)
            total[j : j + TILE] += product.sum(axis=0, dtype=np.float64)
    return total / len(members)


def _own_minus_centers(images: Matrix, texts: Matrix, members: np.ndarray) -> np.ndarray:
    """Return 2 v_i.t_i - cos(v_i, center of texts) - cos(t_i, center of images), float64 [m]."""
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
    # The sum of vectors that cancel out has no direction.
    return total / length if length > 0 else total
