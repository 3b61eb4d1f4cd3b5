"""Clusters as stars: a center, and images that are copies of the center itself.

No image joins a cluster by way of another one, so that an image is dropped only for an image that it is a copy of.
"""

from __future__ import annotations

import numpy as np

from visdiv_assets.duplicates.clusters import Pairs


class Stars:
    """Stars that grow one center at a time, the best images first.

    Each other image joins the most similar center, of those that come before it, that it is a copy of.

    Attributes:
        center: int64 [n], the center that each image has joined; its own index if it is one, -1 without.
        pair: int64 [n], index of the pair of each image and its center; -1 for centers and images without one.
    """

    def __init__(self, count: int, pairs: Pairs) -> None:
        """Begin without centers.

        Args:
            count: number of images.
            pairs: all pairs of copies.
        """
        self.center = np.full(count, -1, np.int64)
        self.pair = np.full(count, -1, np.int64)
        self._similarity = np.full(count, -np.inf, np.float32)
        one, other = np.concatenate([pairs.left, pairs.right]), np.concatenate([pairs.right, pairs.left])
        order = np.argsort(one, kind="stable")
        self._starts = np.searchsorted(one[order], np.arange(count + 1))
        self._copies = other[order]
        self._pairs = order % max(1, len(pairs.left))
        self._similarities = pairs.similarity[self._pairs]

    def add(self, image: int) -> None:
        """Make an image without a center one; its copies with no center, or a less similar one, join it."""
        self.center[image] = image
        self._similarity[image] = np.inf
        edges = slice(self._starts[image], self._starts[image + 1])
        if edges.start == edges.stop:
            return
        copies, similarities = self._copies[edges], self._similarities[edges]
        closer = similarities > self._similarity[copies]
        joining = copies[closer]
        self.center[joining] = image
        self.pair[joining] = self._pairs[edges][closer]
        self._similarity[joining] = similarities[closer]

    def settle(self, images: np.ndarray) -> None:
        """Let those of some images that have a center keep it, also if a later one is more similar."""
        self._similarity[images[self.center[images] >= 0]] = np.inf

    def complete(self, priority: np.ndarray) -> None:
        """Let the images without a center form stars by priority (int64 [n], lower is better); the others stay."""
        self.settle(np.arange(len(self.center)))
        waiting = np.flatnonzero(self.center < 0)
        for image in waiting[np.argsort(priority[waiting], kind="stable")].tolist():
            if self.center[image] < 0:
                self.add(image)
            self._similarity[image] = np.inf
