"""Tables that compare what several methods keep: shares of subsets, agreement and diversity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pyarrow as pa

from visdiv_assets.curation.selection.methods import keep_fraction
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.scores import scores
from visdiv_assets.errors import InputError
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.unit_rows import BLOCK

#: Name of the set of all rows in tables of methods.
EVERYTHING = "everything"

SHARES_SCHEMA = pa.schema(
    [
        ("method", pa.string()),
        ("subset", pa.string()),
        ("rows", pa.int64()),
        ("kept", pa.int64()),
        ("share", pa.float64()),
    ]
)
OVERLAP_SCHEMA = pa.schema(
    [
        ("method_a", pa.string()),
        ("method_b", pa.string()),
        ("kept_a", pa.int64()),
        ("kept_b", pa.int64()),
        ("both", pa.int64()),
        ("jaccard", pa.float64()),
    ]
)
DIVERSITY_SCHEMA = pa.schema(
    [
        ("method", pa.string()),
        ("images", pa.int64()),
        ("dimension", pa.int64()),
        ("centered", pa.bool_()),
        ("effective_rank", pa.float64()),
        ("participation_ratio", pa.float64()),
        ("participation_ratio_unbiased", pa.float64()),
        ("vendi", pa.float64()),
        ("score", pa.float64()),
        ("mean_norm", pa.float64()),
    ]
)

#: Masks by method, bool [n], True for each row that the method keeps.
KeepMasks = Mapping[str, np.ndarray]


def keep_same_fraction(scores_by_method: Mapping[str, np.ndarray], fraction: float) -> dict[str, np.ndarray]:
    """Return the `KeepMasks` of methods that keep the same fraction of rows, from float [n] scores by method.

    Raises:
        InputError: as for `methods.keep_fraction`, or the methods scored different numbers of rows.
    """
    kept = {name: keep_fraction(name, values, fraction) for name, values in scores_by_method.items()}
    _check_masks(kept, None)
    return kept


def share_per_subset(kept: KeepMasks, subsets: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Compute the share that each method keeps of each subset.

    Args:
        kept: bool [n] by method.
        subsets: the subset of each row, Arrow strings [n].

    Returns:
        table of `SHARES_SCHEMA`, methods in the given order, subsets sorted.

    Raises:
        InputError: a mask is not bool [n].
    """
    _check_masks(kept, len(subsets))
    names, codes = np.unique(np.asarray(subsets.to_numpy(zero_copy_only=False), dtype=str), return_inverse=True)
    rows = np.bincount(codes, minlength=len(names))
    tables = [SHARES_SCHEMA.empty_table()]
    for method, mask in kept.items():
        kept_rows = np.bincount(codes[mask], minlength=len(names))
        columns = [[method] * len(names), names.tolist(), rows, kept_rows, kept_rows / rows]
        tables.append(pa.table([pa.array(values) for values in columns], schema=SHARES_SCHEMA))
    return pa.concat_tables(tables)


def overlaps(kept: KeepMasks) -> pa.Table:
    """Compute how far each pair of methods agrees: table of `OVERLAP_SCHEMA`.

    `jaccard` is the number of rows that both keep over the number that either keeps; 1 if neither keeps any. Two
    independent draws of a fraction f have f / (2 - f).

    Raises:
        InputError: a mask is not bool [n].
    """
    _check_masks(kept, None)
    records = []
    for (a, of_a), (b, of_b) in combinations(kept.items(), 2):
        both, either = int((of_a & of_b).sum()), int((of_a | of_b).sum())
        records.append(
            {
                "method_a": a,
                "method_b": b,
                "kept_a": int(of_a.sum()),
                "kept_b": int(of_b.sum()),
                "both": both,
                "jaccard": both / either if either else 1.0,
            }
        )
    return pa.Table.from_pylist(records, schema=OVERLAP_SCHEMA)


def diversity_before_and_after(kept: KeepMasks, vectors: Matrix, *, centered: bool = True) -> pa.Table:
    """Compute the diversity of all rows, named `EVERYTHING`, and of what each method keeps.

    The ranks of smaller sets are lower by construction: compare methods at the same fraction, or by unbiased ratios.

    Args:
        kept: bool [n] by method.
        vectors: [n, d] of images, SSCD or CLIP; read in blocks, once for all rows and once for each method.
        centered: as in `diversity.scores.scores`.

    Returns:
        table of `DIVERSITY_SCHEMA`, all rows first.

    Raises:
        InputError: a mask is not bool [n], a method is called `EVERYTHING`, or a row is not finite or all zero.
    """
    if EVERYTHING in kept:
        raise InputError(f"a method cannot be called {EVERYTHING!r}: that name stands for all rows")
    _check_masks(kept, vectors.shape[0])
    records = []
    for method, mask in {EVERYTHING: np.ones(vectors.shape[0], bool), **kept}.items():
        moments = Moments.from_batches(_masked_blocks(vectors, mask), dimension=vectors.shape[1])
        records.append({"method": method, **asdict(scores(moments, centered=centered))})
    return pa.Table.from_pylist(records, schema=DIVERSITY_SCHEMA)


def _masked_blocks(vectors: Matrix, mask: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of a mask, block by block."""
    for start in range(0, len(mask), BLOCK):
        chosen = mask[start : start + BLOCK]
        if chosen.any():
            yield vectors[start : start + BLOCK][chosen]


def _check_masks(kept: KeepMasks, rows: int | None) -> None:
    """Check that all masks are bool [rows]; None: as many rows as the first mask has.

    Raises:
        InputError: a mask is not.
    """
    for method, mask in kept.items():
        rows = len(mask) if rows is None else rows
        if mask.dtype != bool or mask.shape != (rows,):
            raise InputError(
                f"the mask of {method} is {mask.dtype} {list(mask.shape)}: give one bool for each of {rows} rows"
            )
