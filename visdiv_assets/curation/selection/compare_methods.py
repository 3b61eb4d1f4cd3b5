"""Comparison of what selection methods keep at the same fraction of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.selection.options import Options, TextModels
from visdiv_assets.curation.selection.overlap_tables import diversity_before_and_after, overlaps, share_per_subset
from visdiv_assets.curation.selection.row_vectors import image_table, images_of
from visdiv_assets.curation.selection.select import CHOICES, Wanted, select_rows
from visdiv_assets.errors import InputError, ModelError, StorageError
from visdiv_assets.storage.lake import Lake


class MethodComparison(NamedTuple):
    """The tables of `overlap_tables`: shares of subsets, agreement of methods, and diversity of what each keeps.

    Attributes:
        shares: how much of each subset a method selects.
        overlaps: how far two methods agree.
        diversity: of the selected rows.
        judged_by: the vectors that diversity is computed from: "CLIP" or "SSCD".
        left_out: methods that were not asked for by name and cannot be computed, each with the reason.
    """

    shares: pa.Table
    overlaps: pa.Table
    diversity: pa.Table
    judged_by: str
    left_out: dict[str, str]


def compare_methods(
    lake: Lake, methods: Sequence[str], subsets: Sequence[str], fraction: float, models: TextModels | None = None
) -> MethodComparison:
    """Let each method select a fraction of the rows that it can judge, and compare the selections.

    Rows without a readable image are excluded from the comparison, since diversity is computed from the first image of
    each row: from its CLIP vector, or from its SSCD vector if there are no CLIP vectors.

    Args:
        lake: holds the tables of the pipeline.
        methods: names from `select.CHOICES`; empty: all that can be computed from what the lake holds.
        subsets: names of the subsets to select from; empty: all.
        fraction: fraction of rows to select.
        models: embed texts, for number_masked.

    Raises:
        VisdivError: as for `select.select_rows`; InputError if there is no readable image.
    """
    rows, vectors = images_of(lake, subsets)
    if not vectors.shape[0]:
        raise InputError("methods cannot be compared, because no subset has a readable image: add images to the source")
    names = sorted(set(rows.subset.to_pylist()))
    keys = _keys(rows.subset, rows.row, names)
    kept: dict[str, np.ndarray] = {}
    left_out: dict[str, str] = {}
    for method in methods or CHOICES:
        try:
            chosen = select_rows(lake, method, names, Wanted(fraction=fraction), Options(), models).rows
        except (InputError, ModelError, StorageError) as error:
            if methods:
                raise
            left_out[method] = str(error)
            continue
        kept[method] = np.isin(keys, _keys(chosen["subset"].combine_chunks(), chosen["row"].to_numpy(), names))
    return MethodComparison(
        share_per_subset(kept, rows.subset),
        overlaps(kept),
        diversity_before_and_after(kept, vectors),
        "CLIP" if image_table(lake) == LakeTable.CLIP_IMAGE_EMBEDDINGS else "SSCD",
        left_out,
    )


def _keys(subset: pa.Array, row: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return one integer for each (subset, row), int64 [n]."""
    index = pa.compute.index_in(subset, pa.array(names)).to_numpy().astype(np.int64)
    keys: np.ndarray = (index << 40) + row
    return keys
