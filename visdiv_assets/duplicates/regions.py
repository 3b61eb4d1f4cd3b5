"""Find images that larger ones show, by vectors of regions that are close to those of whole images.

A region proposes its image and the whole image that it is close to. Pairs that whole images propose come first: an
image takes from its regions what they leave of its K pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from visdiv_assets.duplicates.candidates import CANDIDATE_SCHEMA
from visdiv_assets.embedding.regions import REGIONS
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.storage.arrays import RowsOf, StackedArray
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.vectors.join import PAIR_SCHEMA
from visdiv_assets.vectors.join_blocks import OtherSide
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.pair_similarity import pair_similarities
from visdiv_assets.vectors.top_k import runs


@dataclass(frozen=True)
class Regions:
    """The regions of a set of images.

    Attributes:
        images: int64 [r], the image of the set that each region belongs to.
        vectors: [r, d], unit vectors, or zeros for regions without a vector.
    """

    images: np.ndarray
    vectors: Matrix

    @cached_property
    def side(self) -> OtherSide:
        """The regions as the right side of a join."""
        return ungrouped(self.vectors)


def load_regions(store: Lake, listed: Sequence[Manifest], index: IdIndex) -> Regions:
    """Load the regions of indexed images from the tables of regions of some subsets or benchmarks, each image once.

    Vectors are memory-mapped.
    """
    ids = [store.read(regions, "ids", columns=["image_id"])["image_id"] for regions in listed]
    images = np.concatenate([np.empty(0, np.int64), *(index.rows(of_set) for of_set in ids)])
    parts = [part for regions in listed for part in store.array(regions, "vectors").parts]
    # The regions of an image follow one another: as a matrix with one region in each row, they need not be copied.
    stacked = StackedArray([part.reshape(len(part) * REGIONS, part.shape[1] // REGIONS) for part in parts])
    known, first = np.unique(images, return_index=True)
    rows = np.sort(first[known >= 0])
    vectors = stacked if len(rows) == len(images) else RowsOf(stacked, _spread(rows * REGIONS))
    return Regions(np.repeat(images[rows], REGIONS), vectors)


def ungrouped(vectors: Matrix) -> OtherSide:
    """Return unit vectors [m, d], all of one group, as the right side of a join."""
    return OtherSide(vectors, np.zeros(vectors.shape[0], np.int32))


def _spread(first: np.ndarray) -> np.ndarray:
    """Return the rows of all regions of images whose regions begin at some rows, int64 [n]: int64 [n * regions]."""
    return (first[:, None] + np.arange(REGIONS)).reshape(-1)


def pairs_of_images(found: pa.Table, left: Regions | None, right: Regions | None) -> pa.Table:
    """Replace regions by their images in pairs of a join.

    Args:
        found: table of `join.PAIR_SCHEMA`.
        left: the left rows of the join; None if these are images.
        right: the right rows of the join; None if these are images.

    Returns:
        table of `join.PAIR_SCHEMA`: each pair of images once, with the similarity of its closest region; sorted.
    """
    a, b, similarity = (found[name].to_numpy() for name in PAIR_SCHEMA.names)
    a = a if left is None else left.images[a]
    b = b if right is None else right.images[b]
    order = np.lexsort((-similarity, b, a))
    a, b, similarity = a[order], b[order], similarity[order]
    best = (np.diff(a, prepend=-1) != 0) | (np.diff(b, prepend=-1) != 0)
    return pa.table([a[best], b[best], similarity[best]], schema=PAIR_SCHEMA)


def region_pairs(whole: pa.Table, by_region: pa.Table, left: Matrix, right: Matrix | None, k_best: int) -> pa.Table:
    """Return the pairs that regions add to those that whole images propose.

    Args:
        whole: table of `candidates.CANDIDATE_SCHEMA`.
        by_region: table of `join.PAIR_SCHEMA`, from `pairs_of_images`. Within one set, the left image is the one whose
            regions were compared.
        left: unit vectors of the images [n, d].
        right: unit vectors [m, d]; None for pairs within `left`.
        k_best: a left image takes the closest pairs of its regions until it has K pairs, those of `whole` included.

    Returns:
        table of `candidates.CANDIDATE_SCHEMA`, sorted by left and right; the similarity is that of whole images.
    """
    within = right is None
    other = left if right is None else right
    known = _codes(whole["left"].to_numpy(), whole["right"].to_numpy())
    a, b, similarity = (by_region[name].to_numpy() for name in PAIR_SCHEMA.names)
    low, high = (np.minimum(a, b), np.maximum(a, b)) if within else (a, b)
    new = ~np.isin(_codes(low, high), known) & ~(within & (a == b))
    a, b, similarity = a[new], b[new], similarity[new]
    taken = np.bincount(whole["left"].to_numpy(), minlength=left.shape[0])
    if within:
        taken += np.bincount(whole["right"].to_numpy(), minlength=left.shape[0])
    order = np.lexsort((b, -similarity, a))
    a, b = a[order], b[order]
    rank = np.arange(len(a)) - np.repeat(*runs(a))
    chosen = rank < k_best - taken[a]
    a, b = a[chosen], b[chosen]
    pairs = np.unique(np.stack([np.minimum(a, b), np.maximum(a, b)] if within else [a, b]), axis=1)
    return pa.table(
        [*pairs, pair_similarities(left, other, *pairs), pa.nulls(pairs.shape[1], pa.int16())], schema=CANDIDATE_SCHEMA
    )


def with_regions(whole: pa.Table, added: pa.Table) -> pa.Table:
    """Return candidate pairs with those that regions add: table of `candidates.CANDIDATE_SCHEMA`, sorted."""
    return pa.concat_tables([whole, added]).sort_by([("left", "ascending"), ("right", "ascending")])


def _codes(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return one number for each pair of rows, less than 2^31 each: int64 [p]."""
    codes: np.ndarray = left << 32 | right
    return codes
