"""The random sample of pairs that people review, from which precision is estimated."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.candidates import SIDES

#: The seed of samples.
SEED = 1


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
    with np.errstate(over="ignore"):
        numbers = np.full(table.num_rows, seed, np.uint64)
        for side in (pc.min_element_wise(a, b), pc.max_element_wise(a, b)):
            numbers = _mix(numbers ^ _leading_bits(side))
    return numbers


def _leading_bits(ids: pa.ChunkedArray) -> np.ndarray:
    """Return the first 64 bits of image_ids: uint64 [n]."""
    digits = np.frombuffer(ids.to_numpy().astype("S16").tobytes(), np.uint8).reshape(-1, 16)
    values = np.where(digits > ord("9"), digits - ord("a") + 10, digits - ord("0")).astype(np.uint64)
    shifts = np.arange(60, -1, -4, dtype=np.uint64)
    bits: np.ndarray = np.bitwise_or.reduce(values << shifts, axis=1)
    return bits


def _mix(numbers: np.ndarray) -> np.ndarray:
    """Return pseudo-random numbers for numbers, uint64 [n]: the step of the generator SplitMix64."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = numbers ^ (numbers >> np.uint64(31))
    return mixed
