"""Comparison of what selection methods keep at the same fraction of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.selection.overlap_tables import diversity_before_and_after, overlaps, share_per_subset
from visdiv_assets.curation.selection.select import DIVERSE, STORED, TEXTS, Wanted, images_of, select_rows
from visdiv_assets.errors import InputError
from visdiv_assets.storage.lake import Lake


class MethodComparison(NamedTuple):
    """The tables of `overlap_tables`: shares of subsets, agreement of methods, and diversity of what each keeps."""

    shares: pa.Table
    overlaps: pa.Table
    diversity: pa.Table


def compare_methods(lake: Lake, methods: Sequence[str], subsets: Sequence[str], fraction: float) -> MethodComparison:
    """Let each method select a fraction of the rows that it can judge, and compare the selections.

    Rows without a readable image are excluded from the comparison, since diversity is computed from the first image of
    each row: from its CLIP vector, or from its SSCD vector if there are no CLIP vectors.

    Args:
        lake: holds the tables of the pipeline.
        methods: names from `select.CHOICES`; empty: all that have stored scores, or else those that need no CLIP
            vectors (and no texts, if there are none).
        subsets: names of the subsets to select from; empty: all.
        fraction: fraction of rows to select.

    Raises:
        VisdivError: as for `select.select_rows`; InputError if there is no readable image.
    """
    rows, vectors = images_of(lake, subsets)
    if not vectors.shape[0]:
        raise InputError("methods cannot be compared, because no subset has a readable image: add images to the source")
    names = sorted(set(rows.subset.to_pylist()))
    keys = _keys(rows.subset, rows.row, names)
    kept = {}
    for method in methods or _default_methods(lake, names):
        chosen = select_rows(lake, method, names, Wanted(fraction=fraction)).rows
        kept[method] = np.isin(keys, _keys(chosen["subset"].combine_chunks(), chosen["row"].to_numpy(), names))
    return MethodComparison(
        share_per_subset(kept, rows.subset), overlaps(kept), diversity_before_and_after(kept, vectors)
    )


def _default_methods(lake: Lake, subsets: Sequence[str]) -> list[str]:
    manifest = lake.manifest(LakeTable.SELECTION_SCORES, CORPUS_PARTITION)
    if manifest is None or not manifest.rows("scores"):
        rated = (lake.manifest(LakeTable.QUALITY_ROWS, subset) for subset in subsets)
        has_texts = any(each.facts["turns"] for each in rated if each)
        return [*DIVERSE, *(TEXTS if has_texts else ())]
    scores = lake.read(manifest, "scores", columns=list(STORED))
    return [name for name in STORED if scores[name].null_count < scores.num_rows]


def _keys(subset: pa.Array, row: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return one integer for each (subset, row), int64 [n]."""
    index = pa.compute.index_in(subset, pa.array(names)).to_numpy().astype(np.int64)
    keys: np.ndarray = (index << 40) + row
    return keys
