"""Let text that was read in images correct verdicts of pixels: two pages that read differently are not copies.

Text only takes confirmations back. It never confirms a pair, and where it was not read in both images, nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.text_differences import texts_differ
from visdiv_assets.duplicates.verify import TEXTS_DIFFER
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.texts.ocr.findings import BOXES_SCHEMA
from visdiv_assets.texts.ocr.interface import ReadText

#: Confirmed pairs whose text is in memory at a time, about 3 kB each for pages. Each time all text is read again.
PAIRS_AT_A_TIME = 200_000

_CORNERS = [name for name in BOXES_SCHEMA.names if name[0] in "xy"]


def heed_texts(
    pairs: Iterable[pa.RecordBatch], lake: Lake, read: Sequence[Manifest], ids: Sequence[str] = SIDES
) -> Iterator[pa.RecordBatch]:
    """Yield compared pairs, in which those that are confirmed although their texts differ are rejected.

    Args:
        pairs: the columns `ids` and those of `VERDICT_SCHEMA`, as pixels decide.
        lake: where the text is.
        read: manifests of the text that was read, with its boxes; without any, the pairs stay as they are.
        ids: the columns with the two image_ids of a pair.
    """
    if not read:
        yield from pairs
        return
    for table in _blocks(pairs):
        differ = _differing(table, lake, read, ids)
        yield from (reject(table, differ) if len(differ) else table).to_batches()


def reject(pairs: pa.Table, differ: np.ndarray) -> pa.Table:
    """Return compared pairs with some of them rejected because their texts differ.

    Their confidence is null: it was estimated from pixels, and these agree.

    Args:
        pairs: the columns of `VERDICT_SCHEMA`, and others.
        differ: int64 [n], rows of the pairs to reject.
    """
    chosen = np.zeros(pairs.num_rows, bool)
    chosen[differ] = True
    verdict = {"verified": False, "confidence": None, "evidence": "unconfirmed", "reason": TEXTS_DIFFER}
    for name, value in verdict.items():
        index = pairs.schema.get_field_index(name)
        field = pairs.schema.field(index)
        pairs = pairs.set_column(index, field, pc.if_else(chosen, pa.scalar(value, field.type), pairs[name]))
    return pairs


def _blocks(pairs: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield pairs, as many at a time as have `PAIRS_AT_A_TIME` confirmed ones."""
    waiting: list[pa.RecordBatch] = []
    confirmed = 0
    for batch in pairs:
        waiting.append(batch)
        confirmed += pc.sum(batch["verified"]).as_py() or 0
        if confirmed >= PAIRS_AT_A_TIME:
            yield pa.Table.from_batches(waiting)
            waiting, confirmed = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)


def _differing(pairs: pa.Table, lake: Lake, read: Sequence[Manifest], ids: Sequence[str]) -> np.ndarray:
    """Return the rows of confirmed pairs whose texts differ; the same pixels say the same, however they were read."""
    confirmed = np.flatnonzero(
        pc.and_(pc.fill_null(pairs["verified"], False), pc.not_equal(pairs["evidence"], "identical_pixels"))
    )
    chosen = pairs.select([*ids, "transform"]).take(pa.array(confirmed))
    names = [chosen[name].to_pylist() for name in ids]
    texts = read_texts_of(lake, read, [*names[0], *names[1]])
    found = [
        row
        for row, a, b, transform in zip(confirmed, *names, chosen["transform"].to_pylist(), strict=True)
        if a != b and a in texts and b in texts and texts_differ(texts[a], texts[b], transform)
    ]
    return np.array(found, np.int64)


def read_texts_of(lake: Lake, read: Sequence[Manifest], image_ids: Sequence[str]) -> dict[str, ReadText]:
    """Read the text of some images.

    Args:
        lake: where it is.
        read: manifests of the text in images of subsets and benchmarks.
        image_ids: the images; repetitions do no harm.

    Returns:
        the text by image_id; images in which none was found, or which were not read, are missing.
    """
    texts: dict[str, ReadText] = {}
    wanted = set(image_ids)
    for manifest in read:
        if not wanted or not manifest.files("boxes"):
            continue
        boxes = lake.read(manifest, "boxes", where=pc.field("image_id").isin(pa.array(sorted(wanted), pa.string())))
        if not boxes.num_rows:
            continue
        # The boxes of an image follow one another.
        names = boxes["image_id"].to_numpy(zero_copy_only=False)
        starts = np.flatnonzero(np.concatenate([np.ones(1, bool), names[1:] != names[:-1]]))
        corners = np.column_stack([boxes[name].to_numpy() for name in _CORNERS]).reshape(-1, 4, 2)
        said, confidences = boxes["text"].to_pylist(), boxes["confidence"].to_numpy()
        for start, stop in zip(starts, [*starts[1:], len(names)], strict=True):
            texts[names[start]] = ReadText(corners[start:stop], said[start:stop], confidences[start:stop])
        wanted -= texts.keys()
    return texts
