"""The random sample of pairs that people review, from which precision is estimated."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.texts.signatures import hashes_of_names, scramble

#: The seed of samples.
SEED = 1

#: The increment of the generator SplitMix64.
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)


def review_sample(
    pairs: Iterable[pa.RecordBatch], size: int, seed: int = SEED, *, ids: tuple[str, str] = SIDES
) -> pa.Table | None:
    """Draw a uniform random sample of distinct pairs.

    Each pair has a random number, made from its image_ids and the seed, and those of the lowest numbers are drawn. So a
    sample stays the same in another order of pairs, a larger one includes a smaller one, and of new pairs only few
    replace old ones.

    Args:
        pairs: rows with the columns `ids`, and others, which are kept.
        size: number of pairs to draw, if there are as many.
        seed: another seed draws another sample.
        ids: the columns with the two image_ids of a pair.

    Returns:
        the first row of each drawn pair, in the order of their random numbers, in which they may be shown; None if
        there are no batches.
    """
    best: pa.Table | None = None
    numbers = np.empty(0, np.uint64)
    for batch in pairs:
        table = pa.table(batch)
        joined = table if best is None else pa.concat_tables([best, table])
        numbers = np.concatenate([numbers, _random_numbers(table, ids, seed)])
        # The earlier rows come first, and so do the first rows of equal numbers.
        numbers, first = np.unique(numbers, return_index=True)
        numbers = numbers[:size]
        best = joined.take(pa.array(first[:size]))
    return best


def _random_numbers(table: pa.Table, ids: tuple[str, str], seed: int) -> np.ndarray:
    """Return a number for each pair, uint64 [n]: the same for both orders of its images.

    An image_id is a part of a SHA-256 and so is random already; two mixing steps make the numbers of the pairs of an
    image, and of seeds, independent of each other.
    """
    a, b = (table[name] for name in ids)
    numbers = np.full(table.num_rows, seed, np.uint64)
    for side in (pc.min_element_wise(a, b), pc.max_element_wise(a, b)):
        numbers = scramble((numbers ^ hashes_of_names(side)) + _INCREMENT)
    return numbers
