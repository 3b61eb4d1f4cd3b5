"""The best partners of every image of a corpus in other subsets, and how they follow from those of an earlier corpus.

Only images of new and changed subsets, and those that were in removed ones, are compared again. The lists of the others
keep the partners that are left; a list holds some more than are needed, so that few run short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.duplicates.corpus_images import CorpusImages
from visdiv_assets.duplicates.corpus_join import NO_PARTNERS, Strip, StripResult, StripRule
from visdiv_assets.duplicates.corpus_lists import (
    LAST_PARTNER,
    BestKeys,
    SharedLevels,
    is_own,
    lowest_keys,
    make_keys,
    partner_of,
    similarity_of,
)
from visdiv_assets.duplicates.pdq_join import Hashes, close_hashes
from visdiv_assets.imaging.pdq import BITS
from visdiv_assets.vectors.top_k import runs

#: Partners of an image that are stored beyond those that are needed.
SPARE = 8


@dataclass(frozen=True)
class CorpusRule:
    """Which pairs of images from different subsets are stored.

    Attributes:
        candidate_floor: smallest SSCD similarity of a candidate pair.
        candidates_kept: a candidate pair is among this many best of one of its images, own subsets included.
        pdq_distance: largest number of differing bits of the PDQ hashes of a candidate pair.
        similarity_floor: smallest similarity of a close pair.
        neighbors_kept: a close pair is among this many best of one of its images in other subsets.
        thresholds: similarities from `similarity_floor` on at which shared images are counted, ascending.
    """

    candidate_floor: float
    candidates_kept: int
    pdq_distance: int
    similarity_floor: float
    neighbors_kept: int
    thresholds: tuple[float, ...]

    @property
    def joined(self) -> StripRule:
        """The partners that a join keeps."""
        return StripRule(
            self.candidate_floor,
            self.candidates_kept + SPARE,
            self.similarity_floor,
            self.neighbors_kept + SPARE,
            self.thresholds,
        )

    @property
    def lists(self) -> dict[str, tuple[np.float32, int]]:
        """The lists of an image: the lowest similarity, and the number of partners that are needed."""
        return {
            "candidates": (np.float32(self.candidate_floor), self.candidates_kept),
            "close": (np.float32(self.similarity_floor), self.neighbors_kept),
            "hashes": (np.float32(BITS - self.pdq_distance), self.candidates_kept),
        }


@dataclass(frozen=True)
class StoredList:
    """The lists of some images of an earlier corpus, with images and partners by their index there.

    Attributes:
        images: int64 [m], ascending.
        keys: uint64 [m], ascending for each image.
        limited: int64 [l], images whose lists are short and still complete only from a key on.
        limits: uint64 [l], that key.
    """

    images: np.ndarray
    keys: np.ndarray
    limited: np.ndarray
    limits: np.ndarray


@dataclass(frozen=True)
class EarlierPartners:
    """The partners of the images of an earlier corpus.

    Attributes:
        image_ids: S32 [m], sorted.
        subsets: names of its subsets.
        owner: int64 [p], images, beside the subsets that held them.
        members: int64 [p], indices of these subsets.
        parts: returns the lists of `CorpusRule.lists` of some images, then of the next ones, and so on.
        shared: int64 [s, 3]: images, other subsets and levels.
        unchanged: names of the subsets that are still the same.
    """

    image_ids: np.ndarray
    subsets: tuple[str, ...]
    owner: np.ndarray
    members: np.ndarray
    parts: Callable[[], Iterable[Sequence[StoredList]]]
    shared: np.ndarray
    unchanged: frozenset[str]


class CorpusPartners:
    """The partners of all images, while strips and hashes are added and at the end.

    Attributes:
        images: the images.
        rule: which pairs are stored.
        fresh: bool [n], the images that have to be compared with all others.
        lists: the lists, by the names of `CorpusRule.lists`.
        shared: the shared levels.
    """

    def __init__(self, images: CorpusImages, rule: CorpusRule, earlier: EarlierPartners | None) -> None:
        """Take over what an earlier corpus had and still holds."""
        self.images, self.rule = images, rule
        count = len(images)
        self.lists = {
            name: BestKeys(np.full(count, lowest_keys(floor.reshape(1))[0]), needed + SPARE)
            for name, (floor, needed) in rule.lists.items()
        }
        self.shared = SharedLevels(len(images.subsets))
        self.fresh = np.ones(count, bool)
        if earlier is not None:
            self._take_over(earlier)

    def _take_over(self, earlier: EarlierPartners) -> None:
        images, count = self.images, len(earlier.image_ids)
        # The last image that is not after the earlier one: itself, if it is still there.
        index = np.searchsorted(images.image_ids, earlier.image_ids, side="right") - 1
        present = index >= 0
        present[present] = images.image_ids[index[present]] == earlier.image_ids[present]
        known = [subset in earlier.unchanged for subset in earlier.subsets]
        was_in_changed = np.zeros(count, bool)
        was_in_changed[earlier.owner[~np.array(known, bool)[earlier.members]]] = True
        same = present & ~was_in_changed
        self.fresh[index[same]] = False
        self.fresh |= images.in_any([subset for subset in images.subsets if subset not in earlier.unchanged])
        same[same] = ~self.fresh[index[same]]
        for part in earlier.parts():
            for new, stored in zip(self.lists.values(), part, strict=True):
                self._take_over_list(new, stored, index, present, same)
        places = [images.subsets.index(name) if name in earlier.unchanged else -1 for name in earlier.subsets]
        place = np.array(places, np.int64)
        image, subset, level = earlier.shared.T
        kept = same[image] & (place[subset] >= 0)
        self.shared.add(index[image[kept]], place[subset[kept]], level[kept])

    def _take_over_list(
        self, new: BestKeys, stored: StoredList, index: np.ndarray, present: np.ndarray, same: np.ndarray
    ) -> None:
        """Keep the partners of the images that are the same, except those that are gone or compared again."""
        # The limit of a list may be under the keys of all partners.
        places = np.append(index, LAST_PARTNER)

        def moved(keys: np.ndarray) -> np.ndarray:
            partner = places[np.minimum(partner_of(keys), len(index))]
            return make_keys(similarity_of(keys), partner) + is_own(keys).astype(np.uint64)

        limited = same[stored.limited]
        new.raise_limit(index[stored.limited[limited]], moved(stored.limits[limited]))
        kept = same[stored.images]
        images, keys = stored.images[kept], stored.keys[kept]
        first, counts = runs(images)
        full = first[counts == new.k]
        new.raise_limit(index[images[full]], moved(keys[full]))
        partner, own = partner_of(keys), is_own(keys)
        # A partner in a common subset is not found by the comparison across subsets.
        left = own | present[partner]
        left[left] &= own[left] | ~self.fresh[index[partner[left]]]
        new.fill(index[images[left]], moved(keys[left]))

    def add_own(self, chosen: np.ndarray, candidates: Iterable[pa.Table]) -> None:
        """Begin the empty lists of some images with the candidate pairs within their subsets, which count first.

        Args:
            chosen: bool [n], the images.
            candidates: tables of `candidates.PAIR_SCHEMA`, one of each subset that holds one of them.
        """
        names = ("candidates", "hashes")
        own = {name: BestKeys(self.lists[name].limit, self.rule.lists[name][1]) for name in names}
        for table in candidates:
            a, b = (self._index(table[name]) for name in ("image_id_a", "image_id_b"))
            similarity = table["similarity"].to_numpy()
            distance = table["pdq_distance"].to_numpy().astype(np.float32)
            hashed = np.isfinite(distance)
            for rows, partners in ((a, b), (b, a)):
                of_chosen = chosen[rows]
                keys = make_keys(similarity[of_chosen], partners[of_chosen], own=True)
                own["candidates"].merge(rows[of_chosen], keys)
                of_chosen &= hashed
                keys = make_keys(np.float32(BITS) - distance[of_chosen], partners[of_chosen], own=True)
                own["hashes"].merge(rows[of_chosen], keys)
        for name in names:
            # No partner after the last own one that counts is needed.
            full = np.flatnonzero(chosen & (own[name].keys[:, 0] > 0) & (self.lists[name].keys[:, -1] == 0))
            self.lists[name].raise_limit(full, own[name].lowest[full])
            rows, keys = own[name].entries()
            empty = self.lists[name].keys[rows, -1] == 0
            self.lists[name].fill(rows[empty], keys[empty])

    def _index(self, ids: pa.ChunkedArray) -> np.ndarray:
        index: np.ndarray = np.searchsorted(self.images.image_ids, ids.to_numpy().astype("S32"))
        return index

    def strip(self, start: int, stop: int, only: np.ndarray | None = None) -> Strip:
        """Return a strip with the bounds that are known now.

        Args:
            start: its first row in the joined order.
            stop: the row after its last.
            only: bool [n], the only images that need partners; None for all, and to count shared images, too.
        """
        bounds = []
        for name in ("candidates", "close"):
            bound = similarity_of(self.lists[name].lowest)
            bounds.append(bound if only is None else np.where(only, bound, NO_PARTNERS))
        return Strip(start, stop, bounds[0], bounds[1], only is None)

    def merge(self, result: StripResult) -> None:
        """Add what a strip found."""
        for name, found in (("candidates", result.candidates), ("close", result.close)):
            self.lists[name].merge(found[:, 0].astype(np.int64), found[:, 1])
        image, subset, level = result.shared.T
        self.shared.add(image, subset, level)

    def merge_hashes(self, a: np.ndarray, b: np.ndarray, distance: np.ndarray) -> None:
        """Add pairs of images with close PDQ hashes: int64 [m], int64 [m], int16 [m]."""
        similarity = np.float32(BITS) - distance.astype(np.float32)
        for rows, partners in ((a, b), (b, a)):
            self.lists["hashes"].merge(rows, make_keys(similarity, partners))

    def lacking(self, name: str) -> np.ndarray:
        """Return the images that lost so many partners of a list that it may lack some, and empty their lists.

        Returns:
            bool [n].
        """
        lists, (floor, needed) = self.lists[name], self.rule.lists[name]
        lowest = lowest_keys(floor.reshape(1))[0]
        short = np.flatnonzero(lists.limit > lowest)
        short = short[np.count_nonzero(lists.keys[short], axis=1) < needed]
        lists.limit[short] = lists.lowest[short] = lowest
        lists.keys[short] = 0
        found = np.zeros(len(self.images), bool)
        found[short] = True
        return found


def find_partners(
    partners: CorpusPartners,
    hashes: Hashes,
    own: Callable[[np.ndarray], Iterable[pa.Table]],
    join: Callable[[np.ndarray, np.ndarray | None], None],
) -> None:
    """Find all partners that are not known yet.

    Args:
        partners: what is known; changed in place.
        hashes: the PDQ hashes of the images.
        own: returns the candidate pairs within the subsets that hold some images (bool [n]); see
            `CorpusPartners.add_own`.
        join: compares the vectors of some images (bool [n]) with those of all images, and merges what it finds, for
            some images only (bool [n]) or for all (None); see `CorpusPartners.strip`.
    """
    if partners.fresh.any():
        partners.add_own(partners.fresh, own(partners.fresh))
        join(partners.fresh, None)
        _add_hashes(partners, hashes, partners.fresh)
    lacking = {name: partners.lacking(name) for name in partners.lists}
    again = np.logical_or.reduce(list(lacking.values()))
    if again.any():
        partners.add_own(again, own(again))
        compared = lacking["candidates"] | lacking["close"]
        if compared.any():
            join(compared, compared)
        if lacking["hashes"].any():
            _add_hashes(partners, hashes, lacking["hashes"])


def _add_hashes(partners: CorpusPartners, hashes: Hashes, chosen: np.ndarray) -> None:
    """Add the close hashes of some images, bool [n]."""
    found = close_hashes(
        hashes,
        None,
        distance=partners.rule.pdq_distance,
        k_best=partners.rule.candidates_kept + SPARE,
        excluded=partners.images.share_subset,
        only=None if chosen.all() else chosen,
    )
    partners.merge_hashes(*(column.to_numpy() for column in found.columns))
