"""Pooled pairs as the join sees them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.curation.selection.clippings import PooledPairs, nearest_earlier
from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.arrays import StackedArray
from visdiv_assets.vectors.join import PAIR_SCHEMA, self_join
from visdiv_assets_tests.testing.vectors import random_units, slow_join, unit


def test_rows_are_the_normalized_sum_of_image_and_text() -> None:
    images, texts = random_units(20, 8), random_units(20, 8, seed=1)
    pooled = PooledPairs(StackedArray([images[:7], images[7:]]), texts)
    wanted = unit(images.astype(np.float64) + texts)
    assert pooled.shape == (20, 8)
    np.testing.assert_allclose(pooled[3:11], wanted[3:11], atol=1e-6)
    np.testing.assert_allclose(pooled[np.array([19, 0, 7])], wanted[[19, 0, 7]], atol=1e-6)
    assert pooled[20:40].shape == (0, 8)


def test_the_join_finds_the_samples_that_are_alike_in_both() -> None:
    images, texts = random_units(40, 16), random_units(40, 16, seed=1)
    images[9], texts[9] = images[4], texts[4]
    images[20] = images[30]  # the same image, another question
    pooled = PooledPairs(images.astype(np.float16), texts.astype(np.float16))
    found = self_join(pooled, 0.9)
    assert found.select(["left", "right"]).to_pylist() == [{"left": 4, "right": 9}]
    lower = self_join(pooled, 0.3)
    wanted = slow_join(pooled[0:40], None, 0.3)
    assert [tuple(pair.values())[:2] for pair in lower.to_pylist()] == [pair[:2] for pair in wanted]


def test_a_text_opposite_to_its_image_is_like_nothing() -> None:
    images = random_units(3, 4)
    texts = images.copy()
    texts[1] = -images[1]
    assert PooledPairs(images, texts)[0:3][1].tolist() == [0, 0, 0, 0]


def test_the_score_is_the_similarity_to_an_earlier_sample() -> None:
    pairs = pa.table([[0, 0, 1], [2, 3, 3], [0.5, 0.75, 0.5]], schema=PAIR_SCHEMA)
    assert nearest_earlier(5, pairs).tolist() == [0, 0, 0.5, 0.75, 0]
    assert nearest_earlier(0, PAIR_SCHEMA.empty_table()).tolist() == []


def test_unpaired_images_and_texts_are_refused() -> None:
    with pytest.raises(VisdivError, match="3 images and 4 texts are not pairs"):
        PooledPairs(random_units(3, 4), random_units(4, 4))
    with pytest.raises(VisdivError, match="images have 4 dimensions and texts 5"):
        PooledPairs(random_units(3, 4), random_units(3, 5))
