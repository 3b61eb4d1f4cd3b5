"""Scores as rows of the table `diversity`."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.scores import scores

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
    ]
)


def score_table(moments: Mapping[str, Moments]) -> pa.Table:
    """Two rows of `SCORES_SCHEMA`, centred and not, for each set of pictures.

    Args:
        moments: by scope.
    """
    rows = [
        {"scope": scope, "model_id": of_scope.model_id, **vars(scores(of_scope, centered=centered))}
        for scope, of_scope in moments.items()
        for centered in (True, False)
    ]
    return pa.Table.from_pylist(rows, schema=SCORES_SCHEMA)
