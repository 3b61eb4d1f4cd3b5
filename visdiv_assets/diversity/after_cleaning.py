"""What cleaning takes out of a subset's moments: the images of the rows that go."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.vectors.matrix import Matrix

#: Ways to clean, and the reasons for which each takes rows out; None: all of them.
CLEANED: dict[str, tuple[str, ...] | None] = {
    "decontaminated": ("contaminated",),
    "deduplicated": ("duplicate",),
    "clean": None,
}

#: Vectors read at a time.
BLOCK = 16_384


def moments_of_dropped(
    listed: pa.Table, dropped: pa.Table, image_ids: pa.Array, vectors: Matrix, *, model_id: str, dimension: int
) -> dict[str, Moments]:
    """The moments of the images that each way of `CLEANED` takes out of a subset.

    Args:
        listed: its readable positions: row, image_id.
        dropped: rows that go: row, reason, each row once.
        image_ids: string [n], one for each vector.
        vectors: unit vectors [n, d]; only those of images that go are read.
        model_id: which model made them.
        dimension: d, also where there is no vector.
    """
    found = {}
    for kind, reasons in CLEANED.items():
        rows = dropped["row"]
        if reasons is not None:
            rows = rows.filter(pc.is_in(dropped["reason"], pa.array(reasons, pa.string())))
        going = listed.filter(pc.is_in(listed["row"], rows.combine_chunks()))["image_id"].value_counts()
        places = pc.index_in(going.field("values"), image_ids).to_numpy(zero_copy_only=False)
        order = np.argsort(places)
        places, counts = places[order], going.field("counts").to_numpy()[order]
        starts = range(0, len(places), BLOCK)
        found[kind] = Moments.from_batches(
            (vectors[places[start : start + BLOCK]] for start in starts),
            [counts[start : start + BLOCK] for start in starts],
            dimension=dimension,
            model_id=model_id,
        )
    return found
