"""The random sample of pairs that people review."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from visdiv_assets.duplicates.review_sample import review_sample


def made_pairs(count: int) -> pa.Table:
    """Return distinct pairs of few images, numbered."""
    ids = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(200)]
    a, b = np.triu_indices(200, 1)
    ordered = sorted((min(ids[i], ids[j]), max(ids[i], ids[j])) for i, j in zip(a, b, strict=True))[:count]
    one, two = zip(*ordered, strict=True)
    return pa.table({"image_id_a": list(one), "image_id_b": list(two), "number": np.arange(count)})


def numbers(table: pa.Table | None) -> list[int]:
    """Return the numbers of sampled pairs."""
    assert table is not None
    drawn: list[int] = table["number"].to_pylist()
    return drawn


def test_the_sample_depends_on_the_pairs_and_the_seed_only() -> None:
    pairs = made_pairs(3000)
    drawn = numbers(review_sample(pairs.to_batches(), 40))
    assert len(set(drawn)) == 40
    assert numbers(review_sample(pairs.to_batches(max_chunksize=7), 40)) == drawn
    shuffled = pairs.take(np.random.default_rng(0).permutation(3000))
    assert numbers(review_sample(shuffled.to_batches(), 40)) == drawn
    turned = pairs.rename_columns({"image_id_a": "image_id_b", "image_id_b": "image_id_a"})
    assert numbers(review_sample(turned.to_batches(), 40)) == drawn
    assert len(set(numbers(review_sample(pairs.to_batches(), 40, seed=2))) & set(drawn)) < 10
    assert numbers(review_sample(pairs.to_batches(), 60))[:40] == drawn


def test_few_new_pairs_change_few_of_the_sample() -> None:
    before = numbers(review_sample(made_pairs(3000).to_batches(), 100))
    after = numbers(review_sample(made_pairs(3300).to_batches(), 100))
    assert 80 <= len(set(before) & set(after)) < 100


def test_every_pair_is_equally_likely() -> None:
    pairs = made_pairs(2000)
    drawn = np.zeros(2000, int)
    for seed in range(200):
        drawn[numbers(review_sample(pairs.to_batches(), 100, seed))] += 1
    # Each is drawn 10 times on average, with a standard deviation of 3.1; the 50 pairs of an image are alike.
    assert 2.7 < drawn.std() < 3.5
    of_images = drawn.reshape(40, 50).mean(axis=1)
    assert of_images.std() < 0.8


def test_a_pair_that_is_listed_twice_is_drawn_once() -> None:
    pairs = made_pairs(5)
    twice = pa.concat_tables([pairs, pairs.set_column(2, "number", pa.array(np.arange(5) + 5))])
    assert sorted(numbers(review_sample(twice.to_batches(), 10))) == [0, 1, 2, 3, 4]
    assert review_sample([], 10) is None
