"""The diversity of four datasets as published by FineVision's authors, for comparison.

Effective rank and participation ratio come from arXiv 2510.17269, table 1, and the score from the article published
with it; image counts are given there in millions, rounded to one decimal. They are computed from SSCD's 512 dimensions
and count repeated images as often as they occur. The paper says "covariance", computed by Welford's method, which is
centered; it also says "Vendi score", which is uncentered. Centered scores are assumed here.
"""

from __future__ import annotations

import csv
from importlib import resources

import pyarrow as pa

PUBLISHED_SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("images", pa.int64()),
        ("effective_rank", pa.float64()),
        ("participation_ratio", pa.float64()),
        ("score", pa.float64()),
    ]
)


def published_scores() -> pa.Table:
    """Return the published scores as a table of `PUBLISHED_SCHEMA`."""
    text = resources.files("visdiv_assets.diversity").joinpath("published.csv").read_text(encoding="utf-8")
    rows = [
        {"dataset": row.pop("dataset"), "images": int(row.pop("images")), **{name: float(row[name]) for name in row}}
        for row in csv.DictReader(text.splitlines())
    ]
    return pa.Table.from_pylist(rows, schema=PUBLISHED_SCHEMA)
