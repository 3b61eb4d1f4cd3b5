"""What selection methods keep of the same share of rows, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.selection.overlap_tables import diversity_before_and_after, overlaps, share_per_subset
from visdiv_assets.curation.selection.select import DIVERSE, STORED, TEXTS, images_of, select_rows
from visdiv_assets.errors import InputError
from visdiv_assets.sources import Source
from visdiv_assets.storage.lake import Lake


class MethodComparison(NamedTuple):
    """Tables of `selection.compare`: where what each method keeps comes from, how far they agree, how diverse it is."""

    shares: pa.Table
    overlaps: pa.Table
    diversity: pa.Table


def compare_methods(
    lake: Lake, source: Source, methods: Sequence[str], subsets: Sequence[str], fraction: float
) -> MethodComparison:
    """Let each method choose a share of the rows that it can judge, and hold what they chose side by side.

    Rows without a readable image are left out afterwards, since the diversity is that of first images: by CLIP, or
    by SSCD where there are no CLIP vectors.

    Args:
        lake: with what the stages wrote.
        source: where texts are read.
        methods: of `chosen.CHOICES`; none: all that have stored scores, or those that need no CLIP, and no texts where
            there are none.
        subsets: names of those that are chosen from; empty: all.
        fraction: the share.

    Raises:
        InputError: as `chosen.select_rows`, or there is no image.
    """
    rows, vectors = images_of(lake, subsets)
    if not vectors.shape[0]:
        raise InputError("there is no readable image to compare methods by")
    names = sorted(set(rows.subset.to_pylist()))
    keys = _keys(rows.subset, rows.row, names)
    kept = {}
    for method in methods or _usual(lake, names):
        chosen = select_rows(lake, source, method, names, count=None, fraction=fraction)
        kept[method] = np.isin(keys, _keys(chosen["subset"].combine_chunks(), chosen["row"].to_numpy(), names))
    return MethodComparison(
        share_per_subset(kept, rows.subset), overlaps(kept), diversity_before_and_after(kept, vectors)
    )


def _usual(lake: Lake, subsets: Sequence[str]) -> list[str]:
    manifest = lake.manifest(LakeTable.SELECTION_SCORES, CORPUS_PARTITION)
    if manifest is None or not manifest.rows("scores"):
        rated = (lake.manifest(LakeTable.QUALITY_ROWS, subset) for subset in subsets)
        has_texts = any(each.facts["turns"] for each in rated if each)
        return [*DIVERSE, *(TEXTS if has_texts else ())]
    scores = lake.read(manifest, "scores", columns=list(STORED))
    return [name for name in STORED if scores[name].null_count < scores.num_rows]


def _keys(subset: pa.Array, row: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """One number for each (subset, row), int64 [n]."""
    number = pa.compute.index_in(subset, pa.array(names)).to_numpy().astype(np.int64)
    keys: np.ndarray = (number << 40) + row
    return keys
