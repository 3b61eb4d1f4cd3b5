"""Tables of diversity scores, as stored in the lake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.scores import scores, too_few
from visdiv_assets.diversity.unions import greedy_order, leave_one_out, union
from visdiv_assets.progress import Progress, silent

SCORES_SCHEMA = pa.schema(
    [
        ("scope", pa.string()),
        ("images", pa.int64()),
        ("model_id", pa.string()),
        ("centered", pa.bool_()),
        ("effective_rank", pa.float64()),
        ("participation_ratio", pa.float64()),
        ("participation_ratio_unbiased", pa.float64()),
        ("vendi", pa.float64()),
        ("score", pa.float64()),
        ("mean_norm", pa.float64()),
        ("too_few", pa.bool_()),
        ("step", pa.int32()),
    ]
)
CORPUS_SCHEMA = pa.schema([("subset", pa.string()), *SCORES_SCHEMA])


def score_table(moments: Mapping[str, Moments]) -> pa.Table:
    """Return two rows of `SCORES_SCHEMA`, centered and uncentered, for each set of images.

    Args:
        moments: moments by scope.
    """
    rows = [row for scope, of_scope in moments.items() for row in _score_rows(scope, of_scope)]
    return pa.Table.from_pylist(rows, schema=SCORES_SCHEMA)


def corpus_table(
    whole: Mapping[str, Moments],
    cleaned: Callable[[str], Mapping[str, Moments]],
    progress: Progress = silent,
) -> pa.Table:
    """Compute the scores of the union of all subsets, of the union without each subset, and of cleaned subsets.

    The asset `corpus_diversity` describes the scopes.

    Args:
        whole: moments by subset.
        cleaned: returns the moments of a subset after each way of cleaning, by its name. It is called once per
            subset, since the moments of all subsets at once would take gigabytes.
        progress: called once per subset.

    Returns:
        table of `CORPUS_SCHEMA`.
    """
    if not whole:
        return CORPUS_SCHEMA.empty_table()
    cleaned_rows: dict[str, list[dict[str, Any]]] = {}
    cleaned_union: dict[str, Moments] = {}
    for subset in whole:
        cleaned_rows[subset] = []
        for kind, of_kind in cleaned(subset).items():
            cleaned_rows[subset] += _score_rows(f"subset_{kind}", of_kind, subset=subset)
            cleaned_union[kind] = cleaned_union[kind] + of_kind if kind in cleaned_union else of_kind
    rows = _score_rows("corpus", union(whole))
    for kind, of_all in cleaned_union.items():
        rows += _score_rows(f"corpus_{kind}", of_all)
    for subset, without in leave_one_out(whole).items():
        rows += _score_rows("without", without, subset=subset)
    so_far = None
    for step, subset in enumerate(greedy_order(whole), start=1):
        so_far = whole[subset] if so_far is None else so_far + whole[subset]
        rows += _score_rows("growing", so_far, subset=subset, step=step)
        rows += cleaned_rows[subset]
        progress(1)
    return pa.Table.from_pylist(rows, schema=CORPUS_SCHEMA)


def _score_rows(scope: str, moments: Moments, **columns: Any) -> list[dict[str, Any]]:
    """Return two rows of scores, centered and uncentered, with further columns."""
    common = {
        "scope": scope,
        "model_id": moments.model_id,
        "too_few": too_few(moments.n, moments.dimension),
        **columns,
    }
    return [{**common, **vars(scores(moments, centered=centered))} for centered in (True, False)]
