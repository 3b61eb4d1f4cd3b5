"""Names of the reasons for which a clean copy drops rows, and of the methods with stored scores."""

from __future__ import annotations

#: Reasons for which a clean copy may drop a row.
DROP_REASONS = (
    "unreadable",
    "quality",
    "image_quality",
    "text_quality",
    "contaminated",
    "text_contaminated",
    "duplicate",
    "text_duplicate",
    "selection",
)

#: Methods by which VISDIV_KEEP_BY can keep the best rows; empty: none.
KEEP_BY = ("", "semdedup", "conformity", "whitened_clip", "clip_score")
