"""Names of the reasons for which a clean copy drops rows, and of the methods that select rows."""

from __future__ import annotations

#: Why a clean copy may leave a row out; the first that applies is given.
DROP_REASONS = ("unreadable", "quality", "contaminated", "duplicate", "selection")

#: Methods by which the best rows can be kept, and none.
KEEP_BY = ("", "semdedup", "conformity", "whitened_clip", "clip_score")
