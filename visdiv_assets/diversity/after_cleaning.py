"""The moments that cleaning subtracts from a subset: those of the images of dropped rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.vectors.matrix import Matrix

#: Ways to clean, and the reasons for which each drops rows; None: all reasons.
CLEANED: dict[str, tuple[str, ...] | None] = {
    "decontaminated": ("contaminated",),
    "deduplicated": ("duplicate",),
    "clean": None,
}

#: Number of vectors read at a time.
BLOCK = 16_384


def moments_of_dropped(
    listed: pa.Table, dropped: pa.Table, image_ids: pa.Array, vectors: Matrix, *, model_id: str, dimension: int
) -> dict[str, Moments]:
    """Compute the moments of the images that each way of `CLEANED` removes from a subset.

    Args:
        listed: readable positions of the subset: row, image_id.
        dropped: dropped rows: row, reason; each row once.
        image_ids: string [n], one for each vector.
        vectors: unit vectors [n, d]; only those of removed images are read.
        model_id: model that made the vectors.
        dimension: d; needed if there is no vector.

    Returns:
        moments by the keys of `CLEANED`.
    """
    removed = {}
    for kind, reasons in CLEANED.items():
        rows = dropped["row"]
        if reasons is not None:
            rows = rows.filter(pc.is_in(dropped["reason"], pa.array(reasons, pa.string())))
        images = listed.filter(pc.is_in(listed["row"], rows.combine_chunks()))["image_id"].value_counts()
        indices = pc.index_in(images.field("values"), image_ids).to_numpy(zero_copy_only=False)
        order = np.argsort(indices)
        indices, counts = indices[order], images.field("counts").to_numpy()[order]
        starts = range(0, len(indices), BLOCK)
        removed[kind] = Moments.from_batches(
            (vectors[indices[start : start + BLOCK]] for start in starts),
            [counts[start : start + BLOCK] for start in starts],
            dimension=dimension,
            model_id=model_id,
        )
    return removed
