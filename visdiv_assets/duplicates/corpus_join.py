"""Strips of the join of all images of a corpus: a block of images compared with itself and all images after it.

A strip is a unit of work. What it finds holds at least the pairs that belong to the best of an image over all strips;
the bounds that are known when it begins only leave pairs out that do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from visdiv_assets.duplicates.corpus_images import CorpusImages
from visdiv_assets.duplicates.corpus_lists import BestKeys, SharedLevels, lowest_keys, make_keys, similarity_of
from visdiv_assets.progress import Progress, silent
from visdiv_assets.storage.arrays import RowsOf
from visdiv_assets.vectors.bounded_tiles import bounded_tiles
from visdiv_assets.vectors.pair_similarity import MARGIN, inner_products
from visdiv_assets.vectors.tiles import Candidates, Tiles

#: Number of strips that a large corpus is cut into, so that their results, and what a killed run loses, stay small.
STRIPS = 64
#: Strips begin at multiples of this, a whole number of tiles of every kind.
ROWS_OF_A_STRIP = 8192
#: Pairs collected before their exact similarities are computed and the bounds are raised.
MAX_WAITING_PAIRS = 1 << 18
#: The bound of an image that needs no partners: no similarity reaches it.
NO_PARTNERS = np.float32(2)


@dataclass(frozen=True)
class StripRule:
    """Which partners of an image are kept.

    Attributes:
        candidate_floor: smallest similarity of a candidate pair.
        candidates: partners kept of each image from there on.
        close_floor: smallest similarity of a close pair.
        close: partners kept of each image from there on.
        thresholds: similarities from `close_floor` on at which shared images are counted, ascending.
    """

    candidate_floor: float
    candidates: int
    close_floor: float
    close: int
    thresholds: tuple[float, ...]


class Strip(NamedTuple):
    """A block of rows of the joined order, and the bounds known when the strip begins.

    Attributes:
        start: its first row.
        stop: the row after its last.
        candidate_bound: float32 [n], by image: smaller similarities are of no use as candidates.
        close_bound: float32 [n], the same for close pairs.
        counts_shared: whether shared images are counted.
    """

    start: int
    stop: int
    candidate_bound: np.ndarray
    close_bound: np.ndarray
    counts_shared: bool


class StripResult(NamedTuple):
    """What a strip found.

    Attributes:
        candidates: uint64 [m, 2], images and the keys of their partners, sorted.
        close: uint64 [m, 2], the same for close pairs.
        shared: int64 [m, 3], images, other subsets and the levels of `SharedLevels`, sorted.
    """

    candidates: np.ndarray
    close: np.ndarray
    shared: np.ndarray


def split_into_strips(rows: int, total: int) -> list[tuple[int, int]]:
    """Split the first rows of a self-join into blocks that take about the same time with all rows after them.

    Args:
        rows: number of rows to split.
        total: number of all rows.

    Returns:
        the first row of each block, and the row after its last.
    """
    pairs = rows * total - rows * (rows + 1) // 2
    found: list[tuple[int, int]] = []
    start = 0
    for end in [*range(ROWS_OF_A_STRIP, rows, ROWS_OF_A_STRIP), *([rows] if rows else [])]:
        done = end * total - end * (end + 1) // 2
        if end == rows or done * STRIPS >= pairs * (len(found) + 1):
            found.append((start, end))
            start = end
    return found


@dataclass(frozen=True)
class ImageJoin:
    """The join of some images of a corpus with all, prepared for its strips.

    Attributes:
        images: all images.
        order: int64 [n], the images in the joined order: first those that are compared with all.
        tiles: tiles of the self-join of the vectors in this order.
        bounds: the bounds of the tiles, float32 [n], raised by every strip.
        rule: which partners are kept.
    """

    images: CorpusImages
    order: np.ndarray
    tiles: Tiles
    bounds: np.ndarray
    rule: StripRule


def join_images(images: CorpusImages, first: np.ndarray, rule: StripRule, *, device: str) -> ImageJoin:
    """Prepare the join of some images (bool [n]) with all on a device: "cpu", "cuda" or "cuda:N".

    Raises:
        InputError: a vector is not finite.
        ModelError: the device cannot be used.
    """
    chosen = first[images.reading_order]
    order = np.concatenate([images.reading_order[chosen], images.reading_order[~chosen]])
    bounds = np.full(len(order), min(rule.candidate_floor, rule.close_floor) - MARGIN, np.float32)
    kind = images.kind[order]
    vectors = RowsOf(images.vectors, order)
    tiles = bounded_tiles(vectors, None, (bounds, bounds), groups=(kind, kind), device=device)
    return ImageJoin(images, order, tiles, bounds, rule)


def compute_strip(join: ImageJoin, strip: Strip, progress: Progress = silent) -> StripResult:
    """Find the partners of the images of a strip among themselves and among all later images, for both sides.

    Args:
        join: the join.
        strip: the strip.
        progress: called with the number of the strip's rows finished.

    Raises:
        InputError: a vector is not finite.
    """
    search = _Search(join, strip)
    for tile in join.tiles.between(strip.start, strip.stop):
        search.add(tile)
        progress(tile.rows_done)
    return search.result()


class _List:
    """One of the two lists of partners of every image: its keys, and the similarities below which no pair enters.

    Rows are those of the joined order from the strip's first row on.
    """

    def __init__(self, bound: np.ndarray, floor: float, k: int) -> None:
        limit = np.maximum(bound, np.float32(floor))
        self.keys = BestKeys(lowest_keys(limit), k)
        # Products in float32 may be too small by the margin.
        self.bound = limit - np.float32(MARGIN)

    def raise_bounds(self, rows: np.ndarray, similarity: np.ndarray) -> None:
        """Raise the bound of every row that has K pairs in a tile to the K-th best of them."""
        if not len(rows):
            return
        first = int(rows.min())
        counts = np.bincount(rows - first)
        if counts.max() < self.keys.k:
            return
        full = np.flatnonzero(counts >= self.keys.k)
        ordered = np.sort((rows - first).astype(np.uint64) << np.uint64(32) | lowest_keys(similarity) >> np.uint64(32))
        ends = np.cumsum(counts)
        kth = similarity_of(ordered[ends[full] - self.keys.k] << np.uint64(32))
        self.bound[full + first] = np.maximum(self.bound[full + first], kth - np.float32(2 * MARGIN))

    def reached(self, rows: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """Return which pairs may enter the lists of their rows: bool [m]."""
        reached: np.ndarray = similarity >= self.bound[rows]
        return reached

    def merge(self, rows: np.ndarray, keys: np.ndarray) -> None:
        """Add exact keys and raise the bounds."""
        touched = self.keys.merge(rows, keys)
        kth = similarity_of(self.keys.lowest[touched])
        self.bound[touched] = np.maximum(self.bound[touched], kth - np.float32(MARGIN))


class _Search:
    """The state of a strip that is being compared. Rows are those of the joined order less the strip's first row."""

    def __init__(self, join: ImageJoin, strip: Strip) -> None:
        images, rule = join.images, join.rule
        self._images, self._rule, self._start = images, rule, strip.start
        self._order = join.order[strip.start :]
        self._kind = images.kind[self._order]
        self._candidates = _List(strip.candidate_bound[self._order], rule.candidate_floor, rule.candidates)
        self._close = _List(strip.close_bound[self._order], rule.close_floor, rule.close)
        self._shared = SharedLevels(len(images.subsets))
        self._counts_shared = strip.counts_shared
        self._bounds = join.bounds[strip.start :]
        self._waiting: list[np.ndarray] = []
        self._near_threshold: list[np.ndarray] = []
        self._raise_tile_bounds()

    def add(self, tile: Candidates) -> None:
        """Add the pairs of a tile."""
        a, b, similarity = tile.left - self._start, tile.right - self._start, tile.similarity
        kind_a, kind_b = self._kind[a], self._kind[b]
        differ = kind_a != kind_b
        if not differ.all():
            a, b, similarity, kind_a, kind_b = (x[differ] for x in (a, b, similarity, kind_a, kind_b))
        if not len(a):
            return
        if self._counts_shared:
            self._add_shared(a, b, similarity, kind_a, kind_b)
        both = (self._candidates, self._close)
        reached = np.zeros(len(a), bool)
        for each in both:
            reached |= each.reached(a, similarity) | each.reached(b, similarity)
        a, b, similarity, kind_a, kind_b = (x[reached] for x in (a, b, similarity, kind_a, kind_b))
        bits = self._images.kind_bits
        apart = ~(bits[kind_a] & bits[kind_b]).any(axis=1)
        a, b, similarity = a[apart], b[apart], similarity[apart]
        useful = np.zeros(len(a), bool)
        for each in both:
            for rows in (a, b):
                chosen = each.reached(rows, similarity)
                each.raise_bounds(rows[chosen], similarity[chosen])
                useful |= each.reached(rows, similarity)
        self._waiting.append(np.stack([a[useful], b[useful]]))
        if sum(pairs.shape[1] for pairs in self._waiting) >= MAX_WAITING_PAIRS:
            self._merge()

    def result(self) -> StripResult:
        """Return what was found, by image."""
        self._merge()
        self._merge_near_threshold()
        return StripResult(
            self._by_image(self._candidates.keys),
            self._by_image(self._close.keys),
            np.stack(self._shared.entries(), axis=1),
        )

    def _by_image(self, lists: BestKeys) -> np.ndarray:
        row, keys = lists.entries()
        image = self._order[row].astype(np.uint64)
        found = np.stack([image, keys], axis=1)
        return found[np.lexsort((keys, image))]

    def _raise_tile_bounds(self) -> None:
        """Let the tiles leave pairs out that no list needs; those from the floor on are all counted as shared."""
        floor = np.float32(self._rule.close_floor - MARGIN)
        other = floor if self._counts_shared else self._close.bound
        np.maximum(self._bounds, np.minimum(self._candidates.bound, other), out=self._bounds)

    def _merge(self) -> None:
        """Compute the exact similarities of the waiting pairs and add them to the lists."""
        if not self._waiting:
            return
        a, b = np.concatenate(self._waiting, axis=1)
        self._waiting = []
        similarity = self._exact(a, b)
        rows, partners = np.concatenate([a, b]), self._order[np.concatenate([b, a])]
        keys = make_keys(np.concatenate([similarity] * 2), partners)
        for each in (self._candidates, self._close):
            each.merge(rows, keys)
        self._raise_tile_bounds()

    def _exact(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return similarities that depend only on the two vectors, whatever the tiles."""
        vectors = self._images.vectors
        return inner_products(vectors, vectors, self._order[a], self._order[b])

    def _add_shared(
        self, a: np.ndarray, b: np.ndarray, similarity: np.ndarray, kind_a: np.ndarray, kind_b: np.ndarray
    ) -> None:
        """Add the levels of pairs; those within the margin of a threshold wait for their exact similarity."""
        close = similarity >= np.float32(self._rule.close_floor - MARGIN)
        if not close.any():
            return
        a, b, similarity, kind_a, kind_b = (x[close] for x in (a, b, similarity, kind_a, kind_b))
        level = self._levels(similarity - np.float32(MARGIN))
        self._add_levels(a, kind_b, level)
        self._add_levels(b, kind_a, level)
        near = self._levels(similarity + np.float32(MARGIN)) > level
        self._near_threshold.append(np.stack([a[near], b[near]]))
        if sum(pairs.shape[1] for pairs in self._near_threshold) >= MAX_WAITING_PAIRS:
            self._merge_near_threshold()

    def _merge_near_threshold(self) -> None:
        if not self._near_threshold:
            return
        a, b = np.concatenate(self._near_threshold, axis=1)
        self._near_threshold = []
        level = self._levels(self._exact(a, b))
        self._add_levels(a, self._kind[b], level)
        self._add_levels(b, self._kind[a], level)

    def _levels(self, similarity: np.ndarray) -> np.ndarray:
        """Return how many thresholds each similarity reaches: uint8 [m]."""
        level = np.zeros(len(similarity), np.uint8)
        for threshold in self._rule.thresholds:
            level += similarity >= np.float32(threshold)
        return level

    def _add_levels(self, rows: np.ndarray, kind: np.ndarray, level: np.ndarray) -> None:
        """Add the highest level of each row with partners of each kind, for the subsets of the kind."""
        if not len(rows):
            return
        first = int(rows.min())
        present = np.zeros(len(self._images.kind_bits), bool)
        present[kind] = True
        kinds = np.flatnonzero(present)
        column = (np.cumsum(present) - 1)[kind]
        best = np.zeros((int(rows.max()) - first + 1, len(kinds)), np.uint8)
        # Ascending, so that the highest level is the last one written.
        for value in range(1, len(self._rule.thresholds) + 1):
            reached = level == value
            best[rows[reached] - first, column[reached]] = value
        row, found = np.nonzero(best)
        owner, subset = self._images.subsets_of_kind(kinds[found])
        image = self._order[row + first][owner]
        other = ~self._images.is_in(image, subset)
        self._shared.add(image[other], subset[other], best[row, found][owner][other].astype(np.int64))
