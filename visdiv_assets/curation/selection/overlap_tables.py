"""What several methods keep, side by side: where it comes from, how far they agree, how diverse it is."""

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

#: Name of what no method has touched.
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

#: What each method keeps: bool [n] by name.
Kept = Mapping[str, np.ndarray]


def kept_at(scores_by_method: Mapping[str, np.ndarray], fraction: float) -> dict[str, np.ndarray]:
    """What each method keeps of the same share of rows: bool [n] by name, from scores float [n] by name.

    Raises:
        InputError: as `methods.keep_fraction`, or the methods scored different numbers of rows.
    """
    kept = {name: keep_fraction(name, values, fraction) for name, values in scores_by_method.items()}
    _rows(kept, None)
    return kept


def share_per_subset(kept: Kept, subsets: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Which subsets a method keeps: table of `SHARES_SCHEMA`, methods in their order, subsets sorted.

    Args:
        kept: bool [n] by method.
        subsets: the subset of each row, Arrow strings [n].

    Raises:
        InputError: a mask is not bool [n].
    """
    _rows(kept, len(subsets))
    names, codes = np.unique(np.asarray(subsets.to_numpy(zero_copy_only=False), dtype=str), return_inverse=True)
    rows = np.bincount(codes, minlength=len(names))
    tables = [SHARES_SCHEMA.empty_table()]
    for method, mask in kept.items():
        held = np.bincount(codes[mask], minlength=len(names))
        columns = [[method] * len(names), names.tolist(), rows, held, held / rows]
        tables.append(pa.table([pa.array(values) for values in columns], schema=SHARES_SCHEMA))
    return pa.concat_tables(tables)


def overlaps(kept: Kept) -> pa.Table:
    """How far each two methods agree: table of `OVERLAP_SCHEMA`.

    `jaccard` is rows that both keep over rows that one keeps; 1 if neither keeps any. Two independent draws of a share
    f come to f / (2 - f).

    Raises:
        InputError: a mask is not bool [n].
    """
    _rows(kept, None)
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


def diversity_before_and_after(kept: Kept, vectors: Matrix, *, centered: bool = True) -> pa.Table:
    """How diverse what each method keeps is: table of `DIVERSITY_SCHEMA`, all rows first, as `EVERYTHING`.

    Ranks of fewer images read low by themselves: compare methods at the same fraction, or unbiased ratios.

    Args:
        kept: bool [n] by method.
        vectors: [n, d] of images, SSCD or CLIP; read in blocks, once and then for each method.
        centered: as `diversity.scores.scores`.

    Raises:
        InputError: a mask is not bool [n], a method is called `EVERYTHING`, or a row is not finite or all zero.
    """
    if EVERYTHING in kept:
        raise InputError(f"no method can be called {EVERYTHING!r}: that stands for all rows")
    _rows(kept, vectors.shape[0])
    records = []
    for method, mask in {EVERYTHING: np.ones(vectors.shape[0], bool), **kept}.items():
        moments = Moments.from_batches(_chosen(vectors, mask), dimension=vectors.shape[1])
        records.append({"method": method, **asdict(scores(moments, centered=centered))})
    return pa.Table.from_pylist(records, schema=DIVERSITY_SCHEMA)


def _chosen(vectors: Matrix, mask: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of a mask, block by block."""
    for start in range(0, len(mask), BLOCK):
        chosen = mask[start : start + BLOCK]
        if chosen.any():
            yield vectors[start : start + BLOCK][chosen]


def _rows(kept: Kept, rows: int | None) -> None:
    """Refuse masks that are not of the same rows.

    Raises:
        InputError: one of them is not bool [n].
    """
    for method, mask in kept.items():
        rows = len(mask) if rows is None else rows
        if mask.dtype != bool or mask.shape != (rows,):
            raise InputError(
                f"what {method} keeps is {mask.dtype} {list(mask.shape)}: give a bool for each of {rows} rows"
            )
