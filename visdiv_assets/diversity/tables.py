"""Scores as rows of the table `diversity`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.rarefaction import too_few
from visdiv_assets.diversity.scores import scores
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
    """Two rows of `SCORES_SCHEMA`, centered and not, for each set of images.

    Args:
        moments: by scope.
    """
    rows = [row for scope, of_scope in moments.items() for row in _rows(scope, of_scope)]
    return pa.Table.from_pylist(rows, schema=SCORES_SCHEMA)


def corpus_table(
    whole: Mapping[str, Moments],
    cleaned: Callable[[str], Mapping[str, Moments]],
    progress: Progress = silent,
) -> pa.Table:
    """The scores of subsets together, table of `CORPUS_SCHEMA`; `assets.mixtures` says what the scopes are.

    Args:
        whole: moments by subset.
        cleaned: gives those of a subset after each way of cleaning, by its name; asked once for each, since those of
            all at a time would take gigabytes.
        progress: told of every subset.
    """
    if not whole:
        return CORPUS_SCHEMA.empty_table()
    of_cleaned: dict[str, list[dict[str, Any]]] = {}
    together: dict[str, Moments] = {}
    for subset in whole:
        of_cleaned[subset] = []
        for kind, of_kind in cleaned(subset).items():
            of_cleaned[subset] += _rows(f"subset_{kind}", of_kind, subset=subset)
            together[kind] = together[kind] + of_kind if kind in together else of_kind
    rows = _rows("corpus", union(whole))
    for kind, of_all in together.items():
        rows += _rows(f"corpus_{kind}", of_all)
    for subset, without in leave_one_out(whole).items():
        rows += _rows("without", without, subset=subset)
    so_far = None
    for step, subset in enumerate(greedy_order(whole), start=1):
        so_far = whole[subset] if so_far is None else so_far + whole[subset]
        rows += _rows("growing", so_far, subset=subset, step=step)
        rows += of_cleaned[subset]
        progress(1)
    return pa.Table.from_pylist(rows, schema=CORPUS_SCHEMA)


def _rows(scope: str, moments: Moments, **further: Any) -> list[dict[str, Any]]:
    """Two rows, centered and not."""
    about = {
        "scope": scope,
        "model_id": moments.model_id,
        "too_few": too_few(moments.n, moments.dimension),
        **further,
    }
    return [{**about, **vars(scores(moments, centered=centered))} for centered in (True, False)]
