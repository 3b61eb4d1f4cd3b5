"""Close hashes, against a plain search that counts the differing bits of every two in 8 orientations."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.duplicates import pdq_join
from visdiv_assets.duplicates.hash_bands import BANDS, LEVELS, MAX_BUCKET, band_masks
from visdiv_assets.duplicates.pdq_join import PAIR_SCHEMA, Hashes, close_hashes
from visdiv_assets.imaging.pdq import BITS, ORIENTATIONS

relaxed = settings(deadline=None, max_examples=25)

#: left, right -> bits
Found = dict[tuple[int, int], int]
#: Of one image: its 8 hashes, bool [8, 256], or None.
Bits = np.ndarray | None


def encoded(images: list[Bits]) -> Hashes:
    stored = [None if bits is None else np.packbits(bits, axis=1).tobytes() for bits in images]
    return Hashes.of(pa.array(stored, pa.binary()))


def drawn(random: np.random.Generator, count: int, empty: float = 0.2) -> list[Bits]:
    """Images with unrelated hashes, some without, and some symmetric ones whose orientations share hashes."""
    images: list[Bits] = []
    for _ in range(count):
        bits = random.integers(0, 2, (ORIENTATIONS, BITS)).astype(bool)
        shared = bits[random.integers(0, random.integers(1, ORIENTATIONS), ORIENTATIONS)]
        images.append(None if random.random() < empty else shared if random.random() < 0.2 else bits)
    return images


def near(random: np.random.Generator, bits: np.ndarray, orientation: int, flipped: int) -> np.ndarray:
    """An image whose first hash is another's in one orientation, but for some bits."""
    copy = random.integers(0, 2, (ORIENTATIONS, BITS)).astype(bool)
    copy[0] = bits[orientation]
    copy[0, random.permutation(BITS)[:flipped]] ^= True
    return copy


def plant(random: np.random.Generator, sources: list[Bits], count: int) -> list[Bits]:
    """Copies and negatives in random orientations, with few to too many bits flipped."""
    known = [bits for bits in sources if bits is not None]
    chosen = random.integers(0, max(len(known), 1), count if known else 0)
    copies = [near(random, known[i], int(random.integers(ORIENTATIONS)), int(random.integers(0, 45))) for i in chosen]
    return [bits ^ negative for bits, negative in zip(copies, random.random(len(copies)) < 0.3, strict=True)]


def slow_search(left: list[Bits], right: list[Bits] | None, distance: int) -> Found:
    found = {}
    for i, one in enumerate(left):
        for j, other in enumerate(left if right is None else right):
            if one is None or other is None or (right is None and j <= i):
                continue
            apart = [int((one[0] != turned).sum()) for turned in other]
            if right is None:
                apart += [int((other[0] != turned).sum()) for turned in one]
            apart += [BITS - bits for bits in apart]
            if min(apart) <= distance:
                found[i, j] = min(apart)
    return found


def searched(left: list[Bits], right: list[Bits] | None, distance: int, k_best: int = 100) -> Found:
    other = None if right is None else encoded(right)
    return listed(close_hashes(encoded(left), other, distance=distance, k_best=k_best))


def listed(table: pa.Table) -> Found:
    assert table.schema == PAIR_SCHEMA
    keys = list(zip(table["left"].to_pylist(), table["right"].to_pylist(), strict=True))
    assert keys == sorted(set(keys)), "a pair twice, or out of order"
    return dict(zip(keys, table["pdq_distance"].to_pylist(), strict=True))


@pytest.fixture
def in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdq_join, "EXHAUSTIVE_PAIRS", 0)
    monkeypatch.setattr(pdq_join, "BLOCK", 100)
    monkeypatch.setattr(pdq_join, "MAX_WAITING", 1000)


def probability(apart: int) -> float:
    """Return the probability that two hashes agree in one of the bands."""
    agree = np.prod([(BITS - apart - index) / (BITS - index) for index in range(LEVELS[0])])
    return float(1 - (1 - agree) ** BANDS)


@relaxed
@given(seed=st.integers(0, 2**16), count=st.integers(0, 8), planted=st.integers(0, 8), distance=st.integers(0, 50))
def test_a_search_within_a_set_finds_what_the_plain_one_finds(
    seed: int, count: int, planted: int, distance: int
) -> None:
    random = np.random.default_rng(seed)
    images = drawn(random, count)
    images += plant(random, images, planted)
    images = [images[number] for number in random.permutation(len(images))]
    found = searched(images, None, distance)
    assert found == slow_search(images, None, distance)
    assert all(left < right for left, right in found)


@relaxed
@given(seed=st.integers(0, 2**16), count=st.integers(0, 8), others=st.integers(0, 6), planted=st.integers(0, 6))
def test_a_search_between_two_sets_equals_a_plain_one(seed: int, count: int, others: int, planted: int) -> None:
    random = np.random.default_rng(seed)
    left = drawn(random, count)
    right = drawn(random, others)
    # Only the right set's hashes are turned: the left one holds the copies.
    left += plant(random, right, planted)
    right += [None, *(bits for bits in left[:2] if bits is not None)]
    assert searched(left, right, 31) == slow_search(left, right, 31)


def test_a_pair_is_found_in_every_orientation_from_either_side() -> None:
    random = np.random.default_rng(0)
    originals = [bits for bits in drawn(random, ORIENTATIONS, 0) if bits is not None]
    copies: list[Bits] = [near(random, bits, orientation, 5) for orientation, bits in enumerate(originals)]
    expected = {(number, ORIENTATIONS + number): 5 for number in range(ORIENTATIONS)}
    negatives: list[Bits] = [~bits for bits in copies if bits is not None]
    for found in (copies, negatives):
        assert searched([*originals, *found], None, 31) == expected
        assert searched(found, list(originals), 31) == {(number, number): 5 for number in range(ORIENTATIONS)}


@pytest.mark.parametrize("orientation", [0, 3])
@pytest.mark.parametrize("distance", [0, 1, 30, 31])
@pytest.mark.parametrize("negative", [False, True])
def test_a_pair_at_the_limit_counts_and_one_bit_more_does_not(orientation: int, distance: int, negative: bool) -> None:
    random = np.random.default_rng(distance)
    (bits,) = drawn(random, 1, 0)
    assert bits is not None
    at, beyond = near(random, bits, orientation, distance), near(random, bits, orientation, distance + 1)
    assert searched([at ^ negative, beyond ^ negative], [bits], distance) == {(0, 0): distance}


def test_a_pair_close_in_several_orientations_is_listed_once() -> None:
    random = np.random.default_rng(1)
    (one,) = drawn(random, 1, 0)
    assert one is not None
    other = np.tile(one[0], (ORIENTATIONS, 1))
    for orientation in range(ORIENTATIONS):
        other[orientation, : 10 - orientation] ^= True
    assert searched([one, other], None, 31) == {(0, 1): 3}


def test_a_symmetric_image_is_no_pair_with_itself() -> None:
    random = np.random.default_rng(2)
    (bits,) = drawn(random, 1, 0)
    assert bits is not None
    symmetric = np.tile(bits[0], (ORIENTATIONS, 1))
    assert searched([symmetric, None, symmetric.copy()], None, 31) == {(0, 2): 0}


def test_with_few_best_every_image_keeps_its_best_partner() -> None:
    random = np.random.default_rng(3)
    (bits,) = drawn(random, 1, 0)
    assert bits is not None
    # A family: the member n differs from the first in n bits, from its neighbors in one.
    family = []
    for flipped in range(12):
        member = random.integers(0, 2, (ORIENTATIONS, BITS)).astype(bool)
        member[0] = bits[0]
        member[0, :flipped] ^= True
        family.append(member)
    found = searched(list(family), None, 31, k_best=1)
    assert found.items() <= slow_search(list(family), None, 31).items()
    assert {number for pair in found for number in pair} == set(range(12))
    assert set(found.values()) == {1}
    assert len(searched(list(family), None, 31)) == 12 * 11 / 2


@pytest.mark.parametrize("left", [[], [None], [None, None]])
def test_without_hashes_there_are_no_pairs(left: list[Bits]) -> None:
    some = drawn(np.random.default_rng(0), 2, 0)
    assert searched(left, None, 31) == {}
    assert searched(left, some, 31) == {}
    assert searched(some, left, 31) == {}


# Bands ---------------------------------------------------------------------------------------------------------------


def test_the_bits_of_a_band_fit_one_word_and_grow_with_the_level() -> None:
    for band in range(BANDS):
        masks = band_masks(band)
        for level, bits in enumerate(LEVELS):
            together = np.bitwise_or.reduce(masks[level])
            assert np.bitwise_count(masks[level]).sum() == np.bitwise_count(together) == bits
            assert (masks[level] & masks[-1] == masks[level]).all()


@pytest.mark.usefixtures("in_bands")
@pytest.mark.parametrize("apart", [0, 8, 16, 24, 28, 31])
@pytest.mark.parametrize("negative", [False, True])
def test_bands_find_the_computed_share_of_pairs(apart: int, negative: bool) -> None:
    random = np.random.default_rng(apart)
    pairs = 400
    originals = [bits for bits in drawn(random, pairs, 0) if bits is not None]
    copies: list[Bits] = [near(random, bits, 3, apart) ^ negative for bits in originals]
    found = searched(copies, list(originals), 31)
    assert found.items() <= {(index, index): apart for index in range(pairs)}.items()
    expected = probability(apart)
    assert len(found) / pairs == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / pairs))


@pytest.mark.usefixtures("in_bands")
def test_bands_find_what_the_plain_search_finds_within_a_set() -> None:
    random = np.random.default_rng(5)
    images = drawn(random, 120)
    images += plant(random, images, 120)
    # Pairs up to 16 bits apart are found almost surely.
    found = {pair: bits for pair, bits in searched(images, None, 31).items() if bits <= 16}
    expected = {pair: bits for pair, bits in slow_search(images, None, 31).items() if bits <= 16}
    assert found == expected
    assert expected


@pytest.mark.usefixtures("in_bands")
def test_few_images_are_found_among_many_from_either_side() -> None:
    random = np.random.default_rng(6)
    some, others = drawn(random, 20), drawn(random, 400)
    # The left images are the copies.
    for left, right in ((plant(random, others, 20), others), (others + plant(random, some, 40), some)):
        found = {pair: bits for pair, bits in searched(left, right, 31).items() if bits <= 16}
        expected = {pair: bits for pair, bits in slow_search(left, right, 31).items() if bits <= 16}
        assert found == expected
        assert expected


@pytest.mark.usefixtures("in_bands")
def test_of_many_equal_hashes_every_image_has_its_k_best() -> None:
    (bits,) = drawn(np.random.default_rng(0), 1, 0)
    assert bits is not None
    count = 10 * MAX_BUCKET
    found = searched([bits] * count, None, 31, k_best=4)
    partners = np.bincount(np.array(list(found)).ravel(), minlength=count)
    assert set(found.values()) == {0}
    assert partners.min() >= 4
    assert len(found) <= 4 * count


@pytest.mark.usefixtures("in_bands")
def test_a_copy_is_found_among_many_similar_hashes() -> None:
    random = np.random.default_rng(2)
    (template,) = drawn(random, 1, 0)
    assert template is not None
    # Charts of one template: about 30 bits from each other; every tenth has a copy 2 bits away.
    charts = [near(random, template, 0, 15) for _ in range(1000)]
    copies = [near(random, bits, 0, 2) for bits in charts[::10]]
    found = searched([*charts, *copies], None, 31, k_best=4)
    assert {(10 * index, 1000 + index): 2 for index in range(100)}.items() <= found.items()


# Choices -------------------------------------------------------------------------------------------------------------


@relaxed
@given(seed=st.integers(0, 2**16), bands=st.booleans())
def test_excluded_pairs_and_those_without_chosen_images_are_absent(seed: int, bands: bool) -> None:
    random = np.random.default_rng(seed)
    images = drawn(random, 20)
    images += plant(random, images, 30)
    groups, only = random.integers(0, 3, len(images)), random.random(len(images)) < 0.3
    hashes = encoded(images)
    with pytest.MonkeyPatch.context() as patched:
        if bands:
            patched.setattr(pdq_join, "EXHAUSTIVE_PAIRS", 0)
        everything = listed(close_hashes(hashes, None, distance=20, k_best=100))
        across = listed(
            close_hashes(hashes, None, distance=20, k_best=100, excluded=lambda a, b: groups[a] == groups[b])
        )
        chosen = listed(close_hashes(hashes, None, distance=20, k_best=100, only=only))
    assert across == {(i, j): bits for (i, j), bits in everything.items() if groups[i] != groups[j]}
    assert chosen == {(i, j): bits for (i, j), bits in everything.items() if only[i] or only[j]}


def test_the_two_sides_may_keep_different_numbers_of_pairs() -> None:
    random = np.random.default_rng(3)
    (bits,) = drawn(random, 1, 0)
    assert bits is not None
    family: list[Bits] = [near(random, bits, 0, flipped) for flipped in range(10)]
    table = close_hashes(encoded([bits]), encoded(family), distance=31, k_best=2, right_k_best=1)
    assert listed(table).keys() == {(0, index) for index in range(10)}
    table = close_hashes(encoded(family), encoded([bits]), distance=31, k_best=1, right_k_best=1)
    assert len(listed(table)) == 10


def test_equal_orientations_of_an_image_are_looked_up_once() -> None:
    random = np.random.default_rng(3)
    images = encoded(drawn(random, pdq_join.BLOCK + 100, empty=0))
    distinct = pdq_join._distinct_orientations(images.words)
    expected = np.zeros_like(distinct)
    for image, words in enumerate(images.words):
        expected[image, np.unique(words, axis=0, return_index=True)[1]] = True
    assert 0 < np.count_nonzero(~distinct) < distinct.size / 2
    np.testing.assert_array_equal(distinct, expected)
