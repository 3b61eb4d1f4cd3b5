"""The join of a corpus: its findings are those of a plain comparison of all images, also after subsets changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from visdiv_assets.corpus.access import EmbeddedSubset
from visdiv_assets.duplicates import corpus_lists, corpus_partners
from visdiv_assets.duplicates.candidates import BACKGROUND_MARGIN, PAIR_SCHEMA
from visdiv_assets.duplicates.corpus_findings import OVERLAP_SCHEMA, candidate_pairs, close_pairs, overlap_table
from visdiv_assets.duplicates.corpus_images import collect_images
from visdiv_assets.duplicates.corpus_join import compute_strip, join_images, split_into_strips
from visdiv_assets.duplicates.corpus_lists import (
    CHUNK,
    BestKeys,
    is_own,
    lowest_keys,
    make_keys,
    partner_of,
    similarity_of,
)
from visdiv_assets.duplicates.corpus_partners import CorpusPartners, CorpusRule, EarlierPartners, find_partners
from visdiv_assets.duplicates.corpus_state import PART_SCHEMAS, earlier_partners, stored_part
from visdiv_assets.duplicates.near import PAIRS_SCHEMA
from visdiv_assets.duplicates.pdq_join import Hashes
from visdiv_assets.imaging.pdq import BITS, ORIENTATIONS
from visdiv_assets_tests.testing.vectors import random_units

relaxed = settings(deadline=None, max_examples=60)
DISTANCE = 31


class Pool(NamedTuple):
    """Images that subsets may hold: vectors [n, d], and 256 bits of a hash [n, 256] that is the same however turned."""

    vectors: np.ndarray
    bits: np.ndarray


#: The images of each subset, by their index in the pool.
Corpus = dict[str, list[int]]


def image_id(image: int) -> str:
    # Multiplied, so that the order of the ids is not that of the pool.
    return f"{image * 7919 % 10007:032x}"


def background(name: str, image: int) -> float | None:
    return None if image % 5 == 0 else (image % 3) / 8 + len(name) / 64


def embedded(pool: Pool, corpus: Corpus) -> list[EmbeddedSubset]:
    return [
        EmbeddedSubset(
            name,
            pa.array(map(image_id, images), pa.string()),
            pool.vectors[images],
            pa.array([background(name, image) for image in images], pa.float32()),
        )
        for name, images in sorted(corpus.items())
    ]


class Plain:
    """The plain comparison of all images of a corpus."""

    def __init__(self, pool: Pool, corpus: Corpus, rule: CorpusRule) -> None:
        self.corpus, self.rule = corpus, rule
        self.held = {
            image: {name for name, images in corpus.items() if image in images}
            for image in sorted({image for images in corpus.values() for image in images}, key=image_id)
        }
        exact = pool.vectors.astype(np.float64)
        self.similarity = (exact @ exact.T).astype(np.float32)
        self.distance = (pool.bits[:, None] != pool.bits[None]).sum(axis=2)

    def best(self, score: np.ndarray, floor: float, k: int, *, own: bool) -> set[tuple[int, int]]:
        """Return pairs across subsets among the k best of one of their images; own partners may count first."""
        found = set()
        for a in self.held:
            partners = [
                b
                for b in self.held
                if a != b and score[a, b] >= np.float32(floor) and (own or not self.held[a] & self.held[b])
            ]
            for b in sorted(partners, key=lambda b: (-score[a, b], image_id(b)))[:k]:
                if not self.held[a] & self.held[b]:
                    found.add((a, b) if image_id(a) < image_id(b) else (b, a))
        return found

    def within(self, name: str) -> pa.Table:
        """Return the candidate pairs of a subset, as `near_duplicates` stores them."""
        alone = Plain.__new__(Plain)
        alone.rule = self.rule
        alone.held = {image: {str(image)} for image in self.held if image in self.corpus[name]}
        rule, inverted = self.rule, BITS - self.distance
        by_sscd = alone.best(self.similarity, rule.candidate_floor, rule.candidates_kept, own=True)
        by_pdq = alone.best(inverted, BITS - rule.pdq_distance, rule.candidates_kept, own=True)
        records = [
            {
                "image_id_a": image_id(a),
                "image_id_b": image_id(b),
                "similarity": self.similarity[a, b],
                "pdq_distance": int(self.distance[a, b]) if (a, b) in by_pdq else None,
            }
            for a, b in by_sscd | by_pdq
        ]
        return pa.Table.from_pylist(records, schema=PAIR_SCHEMA)

    def candidates(self) -> dict[tuple[str, str], tuple[float, int | None]]:
        rule = self.rule
        by_sscd = {
            pair
            for pair in self.best(self.similarity, rule.candidate_floor, rule.candidates_kept, own=True)
            if None in (lows := [self.lowest(image) for image in pair])
            or self.similarity[pair] >= np.float32(min(low for low in lows if low is not None) - BACKGROUND_MARGIN)
        }
        by_pdq = self.best(BITS - self.distance, BITS - rule.pdq_distance, rule.candidates_kept, own=True)
        return {
            (image_id(a), image_id(b)): (
                float(np.clip(self.similarity[a, b], -1, 1)),
                int(self.distance[a, b]) if (a, b) in by_pdq else None,
            )
            for a, b in by_sscd | by_pdq
        }

    def lowest(self, image: int) -> float | None:
        """Return the lowest background similarity of an image in its subsets."""
        known = [background(name, image) for name in self.held[image]]
        return min((low for low in known if low is not None), default=None)

    def close(self) -> dict[tuple[str, str], tuple[float, float | None]]:
        found = {}
        for a, b in self.best(self.similarity, self.rule.similarity_floor, self.rule.neighbors_kept, own=False):
            value = min(float(self.similarity[a, b]), 1)
            lows = [self.lowest(image) for image in (a, b)]
            normalized = None if None in lows else value - sum(low for low in lows if low is not None) / 2
            found[image_id(a), image_id(b)] = (value, normalized)
        return found

    def overlap(self) -> list[tuple[str, str, float, int, int, int]]:
        found = []
        for one in sorted(self.corpus):
            for other in sorted(self.corpus):
                if one == other:
                    continue
                mine, theirs = set(self.corpus[one]), set(self.corpus[other])
                for threshold in self.rule.thresholds:
                    near = {a for a in mine if any(self.similarity[a, b] >= np.float32(threshold) for b in theirs)}
                    shared = len(near | (mine & theirs))
                    found.append((one, other, threshold, len(mine), shared, len(mine & theirs)))
        return found


def search(pool: Pool, corpus: Corpus, rule: CorpusRule, earlier: EarlierPartners | None = None) -> CorpusPartners:
    images = collect_images(embedded(pool, corpus))
    plain = Plain(pool, corpus, rule)
    partners = CorpusPartners(images, rule, earlier)
    by_id = sorted(plain.held, key=image_id)
    packed = np.packbits(pool.bits[by_id].astype(bool), axis=1).reshape(len(by_id), 1, 32)
    words = np.repeat(packed, ORIENTATIONS, axis=1).view(np.uint64)

    def join(first: np.ndarray, only: np.ndarray | None) -> None:
        prepared = join_images(images, first, rule.joined, device="cpu")
        for start, stop in split_into_strips(int(first.sum()), len(images)):
            partners.merge(compute_strip(prepared, partners.strip(start, stop, only)))

    def own(chosen: np.ndarray) -> Iterable[pa.Table]:
        return [plain.within(name) for name in sorted(corpus) if (images.in_any([name]) & chosen).any()]

    find_partners(partners, Hashes(np.arange(len(by_id)), np.ascontiguousarray(words)), own, join)
    return partners


def check(partners: CorpusPartners, plain: Plain) -> None:
    candidates = pa.Table.from_batches(candidate_pairs(partners), PAIR_SCHEMA)
    close = pa.Table.from_batches(close_pairs(partners), PAIRS_SCHEMA)
    overlap = overlap_table(partners)
    assert overlap.schema == OVERLAP_SCHEMA
    for table in (candidates, close):
        keys = list(zip(table["image_id_a"].to_pylist(), table["image_id_b"].to_pylist(), strict=True))
        assert keys == sorted(set(keys))
        assert all(a < b for a, b in keys)
    found = {(row["image_id_a"], row["image_id_b"]): row for row in candidates.to_pylist()}
    expected = plain.candidates()
    assert found.keys() == expected.keys()
    for pair, (similarity, distance) in expected.items():
        assert found[pair]["similarity"] == pytest.approx(similarity, abs=1e-6)
        assert found[pair]["pdq_distance"] == distance
    found = {(row["image_id_a"], row["image_id_b"]): row for row in close.to_pylist()}
    of_close = plain.close()
    assert found.keys() == of_close.keys()
    for pair, (similarity, normalized) in of_close.items():
        assert found[pair]["similarity"] == pytest.approx(similarity, abs=1e-6)
        assert found[pair]["similarity_normalized"] == (None if normalized is None else pytest.approx(normalized))
    names = ("subset", "other_subset", "threshold", "images", "images_shared", "images_shared_exactly")
    rows = [tuple(row[name] for name in names) for row in overlap.to_pylist()]
    assert rows == plain.overlap()
    for row in overlap.to_pylist():
        assert row["share"] == (pytest.approx(row["images_shared"] / row["images"]) if row["images"] else None)


def stored(partners: CorpusPartners, unchanged: Iterable[str], cut: int) -> EarlierPartners:
    """Store partners in two parts, and return what a later corpus takes over."""
    count = len(partners.images)
    edges = [0, min(cut, count), count]
    parts = [stored_part(partners, *edges[:2]), stored_part(partners, *edges[1:])]
    assert {role: table.schema for role, table in parts[0].items()} == PART_SCHEMAS
    return earlier_partners([part.__getitem__ for part in parts], partners.images.subsets, unchanged)


def random_pool(random: np.random.Generator, images: int) -> Pool:
    """Return vectors with products that are exact in any order of summation, ties and copies; and hashes in groups."""
    vectors = np.zeros((images, 8))
    for vector in vectors:
        vector[random.choice(8, 4, replace=False)] = random.choice([0.5, 0.5, -0.5], 4)
    bits = np.zeros((images, BITS), np.uint8)
    for of_image in bits:
        of_image[random.integers(0, 3) * 64 :] = 1
        of_image[: 2 * random.integers(0, 12)] ^= 1
    return Pool(vectors.astype(np.float16), bits)


SUBSETS = ("a", "bb", "ccc", "dddd")


def random_corpus(random: np.random.Generator, images: int) -> Corpus:
    """Return four subsets; most images are in one of them, some in several or none."""
    corpus: Corpus = {name: [] for name in SUBSETS}
    for image in range(images):
        for name in random.choice(SUBSETS, random.choice([0, 1, 1, 1, 1, 1, 1, 2, 3]), replace=False):
            corpus[str(name)].append(image)
    return corpus


def change(random: np.random.Generator, corpus: Corpus, images: int) -> Corpus:
    """Return a corpus of which one or two subsets are new, gone, shorter or longer."""
    after = dict(corpus)
    for name in random.choice(SUBSETS, random.integers(1, 3), replace=False):
        known = after.pop(str(name), [])
        kept = [image for image in known if random.random() < random.choice([0.3, 1.0])]
        more = [image for image in range(images) if image not in kept and random.random() < 0.1]
        if random.random() < 0.8:
            after[str(name)] = kept + more
    return after


def random_rule(random: np.random.Generator) -> CorpusRule:
    floor = float(random.choice([0.5, 0.75]))
    return CorpusRule(
        float(random.choice([0.25, 0.5])),
        int(random.integers(1, 4)),
        DISTANCE,
        floor,
        int(random.integers(1, 4)),
        tuple(value for value in (0.5, 0.75, 0.9, 1.0) if value >= floor),
    )


SEEDS = st.integers(0, 2**32 - 1)


@relaxed
@given(SEEDS, st.integers(0, 24))
def test_findings_equal_a_plain_comparison(seed: int, images: int) -> None:
    random = np.random.default_rng(seed)
    pool, corpus, rule = random_pool(random, images), random_corpus(random, images), random_rule(random)
    check(search(pool, corpus, rule), Plain(pool, corpus, rule))


@relaxed
@given(SEEDS, st.integers(0, 24), st.integers(0, 2))
def test_a_changed_corpus_has_the_findings_of_a_new_one(seed: int, images: int, spare: int) -> None:
    random = np.random.default_rng(seed)
    pool, corpus, rule = random_pool(random, images), random_corpus(random, images), random_rule(random)
    with mock.patch.object(corpus_partners, "SPARE", spare):
        partners = search(pool, corpus, rule)
        for _ in range(2):
            after = change(random, corpus, images)
            unchanged = [name for name in after if corpus.get(name) == after[name]]
            partners = search(pool, after, rule, stored(partners, unchanged, images // 3))
            check(partners, Plain(pool, after, rule))
            corpus = after


def test_strips_give_the_same_lists_in_any_order() -> None:
    count = 9000
    ids = [f"{image:032x}" for image in range(count)]
    vectors = random_units(count, 6, 3).astype(np.float16)
    images = collect_images(
        [
            EmbeddedSubset(name, pa.array(ids[chosen]), vectors[chosen], pa.nulls(len(ids[chosen]), pa.float32()))
            for name, chosen in (("a", slice(0, 4000)), ("b", slice(3900, count)))
        ]
    )
    rule = CorpusRule(0.7, 4, DISTANCE, 0.9, 8, (0.9, 0.95))
    strips = split_into_strips(count, count)
    assert len(strips) == 2
    first = np.ones(count, bool)

    def compare(strips: list[tuple[int, int]], *, known: bool) -> CorpusPartners:
        partners, bounds = CorpusPartners(images, rule, None), CorpusPartners(images, rule, None)
        for start, stop in strips:
            join = join_images(images, first, rule.joined, device="cpu")
            partners.merge(compute_strip(join, (partners if known else bounds).strip(start, stop)))
        return partners

    one, other = compare(strips, known=True), compare(strips[::-1], known=False)
    for name in ("candidates", "close"):
        assert np.count_nonzero(one.lists[name].keys) > count
        np.testing.assert_array_equal(one.lists[name].keys, other.lists[name].keys)
    assert overlap_table(one).equals(overlap_table(other))


def test_keys_are_ordered_by_similarity_and_then_by_image() -> None:
    similarity = np.array([-0.5, -0.25, 0.25, 0.25, 0.25, 0.75], np.float32)
    partner = np.array([0, 7, 9, 3, 0, 2**31 - 2])
    keys = np.concatenate([make_keys(similarity, partner), make_keys(similarity[-1:], partner[-1:], own=True)])
    assert (np.diff(keys.astype(object)) > 0).all()
    np.testing.assert_array_equal(similarity_of(keys), [*similarity, 0.75])
    np.testing.assert_array_equal(partner_of(keys), [*partner, 2**31 - 2])
    assert is_own(keys).tolist() == [False] * 6 + [True]
    assert (lowest_keys(similarity) < keys[:-1]).all()
    assert (lowest_keys(np.nextafter(similarity, np.float32(1))) > keys[:-1]).all()


@relaxed
@given(SEEDS, st.integers(1, 5), st.sampled_from([1, 2, CHUNK]))
@example(852135, 2, 1)
def test_lists_keep_the_best_of_all_offered_keys(seed: int, k: int, chunk: int) -> None:
    random = np.random.default_rng(seed)
    limit = random.integers(1, 20, 6).astype(np.uint64)
    lists = BestKeys(limit, k)
    offered: list[set[int]] = [set() for _ in limit]
    with mock.patch.object(corpus_lists, "CHUNK", chunk):
        for _ in range(4):
            rows, keys = random.integers(0, 6, 12), random.integers(1, 60, 12).astype(np.uint64)
            lists.merge(rows, keys)
            for row, key in zip(rows.tolist(), keys.tolist(), strict=True):
                offered[row].add(key)
    for row, of_row in enumerate(offered):
        best = sorted(key for key in of_row if key >= limit[row])[-k:]
        assert lists.keys[row].tolist() == [0] * (k - len(best)) + best
