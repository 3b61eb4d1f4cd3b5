"""Find candidate pairs: images worth comparing by their pixels, close by SSCD or by PDQ in one of 8 orientations.

Each of the two finds copies that the other misses: SSCD finds crops, captions and borders; PDQ finds blur, resizing,
compression, turned images and negatives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import load_embeddings
from visdiv_assets.duplicates.corpus_lists import scratch_array
from visdiv_assets.duplicates.hash_bands import WORDS
from visdiv_assets.duplicates.pdq_join import Hashes
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.imaging.pdq import ORIENTATIONS
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.pair_similarity import pair_similarities
from visdiv_assets.vectors.partner_lists import PartnerRule

CANDIDATE_SCHEMA = pa.schema(
    [
        ("left", pa.int64()),
        ("right", pa.int64()),
        ("similarity", pa.float32()),
        ("pdq_distance", pa.int16()),
    ]
)
#: Candidate pairs by image_id.
PAIR_SCHEMA = pa.schema(
    [
        ("image_id_a", pa.string()),
        ("image_id_b", pa.string()),
        ("similarity", pa.float32()),
        ("pdq_distance", pa.int16()),
    ]
)
#: Hashes moved at a time: 16 MB.
ROWS_MOVED = 1 << 16
#: How far the similarity of a candidate pair may be under the lower background similarity of its images. Of 457 pairs
#: of real images and their edited copies, or of two copies, none is more than .02 under it, of confirmed pairs of clip
#: art none more than .03; 40 % of the other pairs are .075 under it.
BACKGROUND_MARGIN = 0.075
#: Smallest SSCD similarity of a region and a whole image. Regions that show the image reach .58 in collages and
#: screenshots of real images; at .45, twice as many pairs of different images are candidates.
REGION_FLOOR = 0.5
#: The floor of close pairs of a join that finds none: no similarity reaches it.
NO_CLOSE_PAIRS = 2.0
#: The columns with the image_ids of a pair.
SIDES = ("image_id_a", "image_id_b")


@dataclass(frozen=True)
class CandidateRule:
    """Which pairs of images are candidates.

    Attributes:
        floor: smallest SSCD similarity.
        k_best: keep a pair only if it is among the K best of one of its two images by SSCD, or by PDQ.
        pdq_distance: largest number of differing bits of two PDQ hashes, of 256.
    """

    floor: float
    k_best: int
    pdq_distance: int

    def partners(self, close_floor: float, close_k_best: int) -> PartnerRule:
        """Return the rule of a join that finds candidates, and close pairs from a floor on."""
        return PartnerRule(min(self.floor, close_floor), self.k_best, close_floor, close_k_best)

    def of_regions(self) -> PartnerRule:
        """Return the rule of a join of regions with whole images, of which one may be the region's own."""
        return PartnerRule(max(self.floor, REGION_FLOOR), self.k_best + 1, NO_CLOSE_PAIRS, 1)

    def select(self, pairs: pa.Table) -> pa.Table:
        """Return those of a join's candidates, table of `join.PAIR_SCHEMA`, that reach the floor."""
        return pairs.filter(pc.greater_equal(pairs["similarity"], pa.scalar(self.floor, pa.float32())))


@dataclass(frozen=True)
class Images:
    """The images of one set, each once.

    Attributes:
        image_ids: string [n].
        vectors: their unit vectors [n, d].
        hashes: their PDQ hashes, of those that have one.
    """

    image_ids: pa.Array
    vectors: Matrix
    hashes: Hashes


def stands_out(similarity: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return which pairs are about as close as one of their images is to its nearest images.

    An image of a template is close to all others. Those that are less close than its nearest ones, and to which others
    are closer, too, are different images. A copy of an image is among the closest to one of the two.

    Args:
        similarity: float32 [p].
        left: float32 [p], background similarity of the left images (`vectors.score_normalization`); NaN if there is
            none.
        right: float32 [p], the same of the right images.

    Returns:
        bool [p]; true if an image has no background.
    """
    far_under: np.ndarray = similarity < np.minimum(left, right) - np.float32(BACKGROUND_MARGIN)
    return ~far_under


def select_outstanding(found: pa.Table, background: np.ndarray) -> pa.Table:
    """Return the pairs of one set that PDQ found or that stand out: table of `CANDIDATE_SCHEMA`, like `found`.

    Args:
        found: the pairs.
        background: float32 [n], background similarities of the images, with NaN.
    """
    left, right = (background[found[side].to_numpy()] for side in ("left", "right"))
    outstanding = pa.array(stands_out(found["similarity"].to_numpy(), left, right))
    return found.filter(pc.or_(outstanding, pc.is_valid(found["pdq_distance"])))


def merge_candidates(left: Matrix, right: Matrix | None, by_sscd: pa.Table, by_pdq: pa.Table) -> pa.Table:
    """Return the pairs that one of two searches found.

    Args:
        left: unit vectors [n, d].
        right: unit vectors [m, d]; None for pairs within `left`.
        by_sscd: table of `join.PAIR_SCHEMA`.
        by_pdq: table of `pdq_join.PAIR_SCHEMA`.

    Returns:
        table of `CANDIDATE_SCHEMA`, sorted by left and right: the similarity of every pair, and the distance of those
        that PDQ found.
    """
    keys = [np.stack([table["left"].to_numpy(), table["right"].to_numpy()]) for table in (by_sscd, by_pdq)]
    pairs, index = np.unique(np.concatenate(keys, axis=1), axis=1, return_inverse=True)
    index = index.reshape(-1)
    similarity = np.full(pairs.shape[1], np.nan, np.float32)
    similarity[index[: by_sscd.num_rows]] = by_sscd["similarity"].to_numpy()
    distance = np.full(pairs.shape[1], -1, np.int16)
    distance[index[by_sscd.num_rows :]] = by_pdq["pdq_distance"].to_numpy()
    missing = np.flatnonzero(np.isnan(similarity))
    other = left if right is None else right
    similarity[missing] = pair_similarities(left, other, pairs[0, missing], pairs[1, missing])
    return pa.table(
        [pairs[0], pairs[1], np.minimum(similarity, 1), pa.array(distance, mask=distance < 0)], schema=CANDIDATE_SCHEMA
    )


def name_pairs(found: pa.Table, left_ids: pa.Array, right_ids: pa.Array | None) -> pa.Table:
    """Replace the row indices of candidate pairs by image_ids: table of `PAIR_SCHEMA`, sorted by image_ids.

    Args:
        found: table of `CANDIDATE_SCHEMA`.
        left_ids: string [n], image_ids of the left set, each once.
        right_ids: string [m], image_ids of the right set, each once; None for pairs within one set, of which the lower
            image_id comes first.
    """
    left_rank = _ranks(left_ids)
    right_rank = left_rank if right_ids is None else _ranks(right_ids)
    a, b = found["left"].to_numpy(), found["right"].to_numpy()
    if right_ids is None:
        right_ids, swapped = left_ids, left_rank[a] > right_rank[b]
        a, b = np.where(swapped, b, a), np.where(swapped, a, b)
    # Integers sort several times as fast as strings.
    order = np.argsort(left_rank[a] * len(right_rank) + right_rank[b])
    columns = left_ids.take(pa.array(a[order])), right_ids.take(pa.array(b[order]))
    return pa.table([*columns, *(found[name].take(order) for name in PAIR_SCHEMA.names[2:])], schema=PAIR_SCHEMA)


def _ranks(image_ids: pa.Array) -> np.ndarray:
    """Return the position of each image_id in sorted order: int64 [n]."""
    ranks = np.empty(len(image_ids), np.int64)
    ranks[np.argsort(image_ids.to_numpy(zero_copy_only=False).astype("S32"))] = np.arange(len(image_ids))
    return ranks


def load_images(store: Lake, images: Manifest, embeddings: Manifest) -> Images:
    """Load the images of a subset or benchmark by the manifests of its images and embeddings."""
    of_set = load_embeddings(store, embeddings)
    return Images(of_set.image_ids, of_set.vectors, load_hashes(store, [images], IdIndex(of_set.image_ids)))


def load_hashes(store: Lake, listed: Iterable[Manifest], index: IdIndex) -> Hashes:
    """Load the PDQ hashes of indexed images from the lists of images of some subsets or benchmarks.

    Those of many images are memory-mapped.
    """
    words = scratch_array((len(index), ORIENTATIONS, WORDS), np.uint64)
    hashed = np.zeros(len(index), bool)
    for images in listed:
        for batch in store.dataset(images).to_batches(columns=["image_id", "pdq"]):
            rows = index.rows(batch["image_id"])
            found = Hashes.of(batch["pdq"].filter(pa.array(rows >= 0)))
            rows = rows[rows >= 0][found.rows]
            words[rows], hashed[rows] = found.words, True
    rows = np.flatnonzero(hashed)
    if len(rows) < len(index):
        # In place: no hash moves to a higher row.
        for start in range(0, len(rows), ROWS_MOVED):
            moved = rows[start : start + ROWS_MOVED]
            words[start : start + len(moved)] = words[moved]
    return Hashes(rows, words[: len(rows)])
