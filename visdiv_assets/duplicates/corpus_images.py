"""The distinct images of all subsets, each once, with the subsets that hold it and its vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from visdiv_assets.corpus.access import EmbeddedSubset
from visdiv_assets.storage.arrays import RowsOf, StackedArray


@dataclass(frozen=True)
class CorpusImages:
    """The distinct images of a corpus, in order of image_id: a change of one subset keeps the order of all others.

    Images that are in exactly the same subsets are of one kind. The first kinds are those of the images of one subset
    only, in the order of the subsets.

    Attributes:
        image_ids: S32 [n], sorted and distinct.
        subsets: names of the subsets, sorted.
        member_starts: int64 [n + 1], where the subsets of each image begin in `members`.
        members: int32 [m], the subsets of each image, ascending.
        kind: int32 [n], the kind of each image.
        kind_bits: uint64 [kinds, words], the subsets of each kind, one bit each.
        background: float32 [n], the lowest background similarity of an image in its subsets; NaN if there is none.
        vectors: unit vectors [n, d]; of an image of several subsets, that of the first one.
        reading_order: int64 [n], the images by kind, those of a kind in the order in which their vectors are stored.
    """

    image_ids: np.ndarray
    subsets: tuple[str, ...]
    member_starts: np.ndarray
    members: np.ndarray
    kind: np.ndarray
    kind_bits: np.ndarray
    background: np.ndarray
    vectors: RowsOf
    reading_order: np.ndarray

    def __len__(self) -> int:
        return len(self.image_ids)

    def in_any(self, chosen: Sequence[str]) -> np.ndarray:
        """Return whether each image is in one of some subsets: bool [n]."""
        among = np.isin(np.array(self.subsets, np.str_), np.array(chosen, np.str_))
        owner = np.repeat(np.arange(len(self)), np.diff(self.member_starts))
        found = np.zeros(len(self), bool)
        found[owner[among[self.members]]] = True
        return found

    def subsets_with(self, chosen: np.ndarray) -> list[str]:
        """Return the names of the subsets that hold at least one of some images, bool [n]; in order."""
        held = np.unique(self.members[np.repeat(chosen, np.diff(self.member_starts))])
        return [self.subsets[subset] for subset in held.tolist()]

    def share_subset(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return whether the two images of each pair are in a common subset: bool [p]."""
        shared: np.ndarray = (self.kind_bits[self.kind[a]] & self.kind_bits[self.kind[b]]).any(axis=1)
        return shared

    def is_in(self, image: np.ndarray, subset: np.ndarray) -> np.ndarray:
        """Return whether each image is in the subset named beside it: bool [p]."""
        word = self.kind_bits[self.kind[image], subset >> 6]
        held: np.ndarray = (word >> (subset & 63).astype(np.uint64)) & np.uint64(1) != 0
        return held

    def subsets_of_kind(self, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the subsets of each of some kinds: indices into `kind`, and subsets, both int64 [p]."""
        as_bytes = self.kind_bits[kind].astype("<u8").view(np.uint8)
        index, subset = np.nonzero(np.unpackbits(as_bytes, axis=1, bitorder="little"))
        return index, subset


def collect_images(subsets: Sequence[EmbeddedSubset]) -> CorpusImages:
    """Return the distinct images of some subsets.

    Args:
        subsets: the subsets, sorted by name.
    """
    sizes = [len(subset.image_ids) for subset in subsets]
    listed = [subset.image_ids.to_numpy(zero_copy_only=False).astype("S32") for subset in subsets]
    rows = np.concatenate([np.empty(0, "S32"), *listed])
    image_ids, index = np.unique(rows, return_inverse=True)
    # Stable, so that the subsets of an image stay in order.
    order = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(index, minlength=len(image_ids)))]).astype(np.int64)
    members = np.repeat(np.arange(len(subsets), dtype=np.int32), sizes)[order]
    kind, kind_bits = _kinds(starts, members, len(subsets))
    values = [subset.background.to_numpy(zero_copy_only=False).astype(np.float32) for subset in subsets]
    background = np.concatenate([np.empty(0, np.float32), *values])[order]
    first = order[starts[:-1]]
    parts = [part for subset in subsets for part in _parts(subset)]
    return CorpusImages(
        image_ids,
        tuple(subset.name for subset in subsets),
        starts,
        members,
        kind,
        kind_bits,
        np.fmin.reduceat(background, starts[:-1]) if len(image_ids) else background,
        RowsOf(StackedArray(parts), first),
        np.lexsort((first, kind)),
    )


def _parts(subset: EmbeddedSubset) -> list[np.ndarray]:
    """Return the matrices that the vectors of a subset consist of."""
    vectors = subset.vectors
    return vectors.parts if isinstance(vectors, StackedArray) else [vectors[:]]


def _kinds(starts: np.ndarray, members: np.ndarray, subsets: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the kind of each image, int32 [n], and the subsets of each kind as bits, uint64 [kinds, words]."""
    words = max(-(-subsets // 64), 1)
    count = np.diff(starts)
    several = np.flatnonzero(count > 1)
    owner = np.repeat(np.arange(len(several)), count[several])
    of_several = members[np.repeat(count > 1, count)]
    bits = np.zeros((len(several), words), np.uint64)
    np.bitwise_or.at(bits, (owner, of_several >> 6), np.uint64(1) << (of_several & 63).astype(np.uint64))
    distinct, index = np.unique(bits, axis=0, return_inverse=True)
    single = np.zeros((subsets, words), np.uint64)
    each = np.arange(subsets)
    single[each, each >> 6] = np.uint64(1) << (each & 63).astype(np.uint64)
    kind = members[starts[:-1]].astype(np.int32) if len(count) else np.empty(0, np.int32)
    kind[several] = subsets + index.reshape(-1)
    return kind, np.concatenate([single, distinct])
