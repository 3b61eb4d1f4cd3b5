"""The diversity of datasets as others published it, for comparison, with the ratings that they give.

- `finevision`: four datasets. Effective rank and participation ratio come from arXiv 2510.17269, table 1, and the score
  from the article published with it; image counts are given there in millions, rounded to one decimal. The paper says
  "covariance", computed by Welford's method, which is centered; it also says "Vendi score", which is uncentered.
  Centered scores are assumed here.
- `visual_diversity_evaluation`: the README of github.com/neverabandon80/visual-diversity-evaluation, whose own
  measurements are of nine datasets. It has scores only. It also rates the four datasets of FineVision's authors, who
  give no ratings themselves.

All are computed from SSCD's 512 dimensions and count repeated images as often as they occur. The ratings are words for
ranges of the score, from 0.20 (below: Very Low) to 0.50 (and above: Very Good). They are repeated as they were given,
and are no measure of quality: sets of few images have low scores for that reason alone, sets of photographs have higher
ones than sets with charts and documents, and the frames of a video resemble each other whatever they are good for.
"""

from __future__ import annotations

from importlib import resources

import pyarrow as pa
from pyarrow import csv

PUBLISHED_SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("images", pa.int64()),
        ("effective_rank", pa.float64()),
        ("participation_ratio", pa.float64()),
        ("score", pa.float64()),
        ("rating", pa.string()),
        ("published_by", pa.string()),
    ]
)


def published_scores() -> pa.Table:
    """Return the published scores as a table of `PUBLISHED_SCHEMA`; ranks that were not published are null."""
    data = resources.files("visdiv_assets.diversity").joinpath("published.csv").read_bytes()
    convert = csv.ConvertOptions(column_types=PUBLISHED_SCHEMA, null_values=[""])
    return csv.read_csv(pa.BufferReader(data), convert_options=convert)
