"""Let text that was read in images correct verdicts of pixels: two pages that read differently are not copies.

Text only takes confirmations back. It never confirms a pair, and where it was not read in both images, nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import CONTENT, digests_by_partition
from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.text_differences import TEXTS_VERSION, texts_differ
from visdiv_assets.duplicates.verify import TEXTS_DIFFER
from visdiv_assets.imaging.id_index import IdSet
from visdiv_assets.imaging.limits import Decoding, has_decoding
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.texts.ocr.findings import texts_by_image
from visdiv_assets.texts.ocr.interface import ReadText

#: Pairs whose text is in memory at a time, about 3 kB each for pages. Each time all text is read again.
PAIRS_AT_A_TIME = 200_000

#: Name of the version of the rule among the inputs of a table of verified pairs; absent without text.
RULE_INPUT = "texts_version"


def read_texts(lake: Lake, sets: Iterable[tuple[Kind, Manifest]], decoding: Decoding) -> list[Manifest]:
    """Return what was read of the text in images of some subsets and benchmarks; empty if none was.

    A text belongs to an image_id and a decoding: it may be older than the list of images, but what was read in images
    that were decoded in another way is left out.

    Args:
        lake: the lake.
        sets: kind and manifest of the images of each.
        decoding: how images are decoded now.
    """
    found = (lake.manifest(CONTENT[kind].image_texts, images.partition) for kind, images in sets)
    return [manifest for manifest in found if manifest is not None and has_decoding(manifest.settings, decoding)]


def inputs_of_texts(read: Iterable[Manifest]) -> dict[str, str]:
    """Return what verdicts depend on because of text that was read: its digests, and the rule; empty without any."""
    digests = digests_by_partition(read)
    return {**digests, RULE_INPUT: TEXTS_VERSION} if digests else {}


def heed_texts(
    pairs: Callable[[], Iterable[pa.RecordBatch]], lake: Lake, read: Sequence[Manifest], ids: Sequence[str] = SIDES
) -> Iterator[pa.RecordBatch]:
    """Yield compared pairs, in which those that are confirmed although their texts differ are rejected.

    The pairs are read twice: first to compare the texts of the few that have any, then to yield all, so that no more
    than a batch is in memory.

    Args:
        pairs: returns the pairs anew, in the same order: the columns `ids` and those of `VERDICT_SCHEMA`, as pixels
            decide.
        lake: where the text is.
        read: manifests of the text that was read, with its boxes; without any, the pairs stay as they are.
        ids: the columns with the two image_ids of a pair.
    """
    if not read:
        yield from pairs()
        return
    differ = _differing(pairs(), lake, read, ids)
    start = 0
    for batch in pairs():
        first, last = np.searchsorted(differ, [start, start + batch.num_rows])
        if first == last:
            yield batch
        else:
            yield from reject(pa.Table.from_batches([batch]), differ[first:last] - start).to_batches()
        start += batch.num_rows


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


def _differing(pairs: Iterable[pa.RecordBatch], lake: Lake, read: Sequence[Manifest], ids: Sequence[str]) -> np.ndarray:
    """Return the rows of confirmed pairs whose texts differ, int64 ascending.

    Text is looked up for `PAIRS_AT_A_TIME` pairs at a time, of those that have it in both images.
    """
    with_text = _images_with_text(lake, read)
    differ = [np.empty(0, np.int64)]
    waiting: list[pa.Table] = []
    start = 0
    for batch in pairs:
        rows = _rows_with_text(batch, with_text, ids)
        if len(rows):
            chosen = pa.Table.from_batches([batch]).select([*ids, "transform"]).take(pa.array(rows))
            waiting.append(chosen.append_column("pair", pa.array(rows + start)))
        start += batch.num_rows
        if sum(table.num_rows for table in waiting) >= PAIRS_AT_A_TIME:
            differ.append(_compare(pa.concat_tables(waiting), lake, read, ids))
            waiting = []
    if waiting:
        differ.append(_compare(pa.concat_tables(waiting), lake, read, ids))
    return np.concatenate(differ)


def _images_with_text(lake: Lake, read: Sequence[Manifest]) -> IdSet:
    """Return the images in which text was found."""
    found = [
        lake.read(manifest, "read", columns=["image_id"], where=pc.field("boxes") > 0)["image_id"]
        for manifest in read
        if manifest.files("read")
    ]
    images = IdSet()
    images.add(pa.chunked_array([chunk for ids in found for chunk in ids.chunks], pa.string()))
    return images


def _rows_with_text(pairs: pa.RecordBatch, with_text: IdSet, ids: Sequence[str]) -> np.ndarray:
    """Return the rows of confirmed pairs with text in both images; the same pixels say the same, however read."""
    confirmed = pc.and_(pairs["verified"], pc.not_equal(pairs["evidence"], "identical_pixels"))
    different = pc.and_(confirmed, pc.not_equal(*(pairs[name] for name in ids)))
    rows = np.flatnonzero(pc.fill_null(different, False))
    for name in ids:
        rows = rows[with_text.holds(pairs[name].take(pa.array(rows)))]
    return rows


def _compare(pairs: pa.Table, lake: Lake, read: Sequence[Manifest], ids: Sequence[str]) -> np.ndarray:
    """Return those of the column `pair` whose texts differ."""
    names = [pairs[name].to_pylist() for name in ids]
    texts = read_texts_of(lake, read, [*names[0], *names[1]])
    compared = zip(pairs["pair"].to_pylist(), *names, pairs["transform"].to_pylist(), strict=True)
    return np.array([row for row, a, b, transform in compared if texts_differ(texts[a], texts[b], transform)], np.int64)


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
        chosen = pc.field("image_id").isin(pa.array(sorted(wanted), pa.string()))
        texts |= texts_by_image(lake.read(manifest, "boxes", where=chosen))
        wanted -= texts.keys()
    return texts
