"""The close pairs, the candidate pairs and the overlaps of a corpus, from the partners of its images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from visdiv_assets.duplicates.candidates import PAIR_SCHEMA, stands_out
from visdiv_assets.duplicates.corpus_images import CorpusImages
from visdiv_assets.duplicates.corpus_lists import BestKeys, is_own, partner_of, similarity_of
from visdiv_assets.duplicates.corpus_partners import CorpusPartners
from visdiv_assets.duplicates.near import PAIRS_SCHEMA
from visdiv_assets.imaging.pdq import BITS
from visdiv_assets.vectors.pair_similarity import inner_products

OVERLAP_SCHEMA = pa.schema(
    [
        ("subset", pa.string()),
        ("other_subset", pa.string()),
        ("threshold", pa.float64()),
        ("images", pa.int64()),
        ("images_shared", pa.int64()),
        ("images_shared_exactly", pa.int64()),
        ("share", pa.float64()),
    ]
)

#: Images whose lists are read at a time.
ROWS_AT_A_TIME = 1 << 18
#: Pairs of a batch, and so of a row group, of which verification reads some at a time.
PAIRS_AT_A_TIME = 1 << 16
#: Length of an image_id.
_ID = 32


def close_pairs(partners: CorpusPartners) -> Iterator[pa.RecordBatch]:
    """Yield the close pairs of images that no subset has both of: batches of `PAIRS_SCHEMA`, sorted, each pair once."""
    images = partners.images
    _, needed = partners.rule.lists["close"]
    a, b, similarity = _best_pairs(partners.lists["close"], needed)
    for part in _slices(len(a)):
        clipped = np.minimum(similarity[part], np.float32(1))
        normalized = clipped - (images.background[a[part]] + images.background[b[part]]) / np.float32(2)
        names = (id_strings(images, rows[part]) for rows in (a, b))
        yield pa.record_batch([*names, clipped, pa.array(normalized, from_pandas=True)], schema=PAIRS_SCHEMA)


def candidate_pairs(partners: CorpusPartners) -> Iterator[pa.RecordBatch]:
    """Yield the candidate pairs of images that no subset has both of: batches of `candidates.PAIR_SCHEMA`, sorted."""
    images = partners.images
    _, needed = partners.rule.lists["candidates"]
    by_sscd, by_pdq = (_best_pairs(partners.lists[name], needed) for name in ("candidates", "hashes"))
    kept = stands_out(by_sscd[2], images.background[by_sscd[0]], images.background[by_sscd[1]])
    by_sscd = by_sscd[0][kept], by_sscd[1][kept], by_sscd[2][kept]
    codes = [a << 32 | b for a, b, _ in (by_sscd, by_pdq)]
    pairs = np.unique(np.concatenate(codes))
    a, b = pairs >> 32, pairs & 0xFFFFFFFF
    similarity = np.full(len(pairs), np.nan, np.float32)
    similarity[np.searchsorted(pairs, codes[0])] = by_sscd[2]
    distance = np.full(len(pairs), -1, np.int16)
    distance[np.searchsorted(pairs, codes[1])] = BITS - by_pdq[2]
    missing = np.flatnonzero(np.isnan(similarity))
    similarity[missing] = inner_products(images.vectors, images.vectors, a[missing], b[missing])
    for part in _slices(len(a)):
        columns = [
            *(id_strings(images, rows[part]) for rows in (a, b)),
            np.clip(similarity[part], -1, 1),
            pa.array(distance[part], mask=distance[part] < 0),
        ]
        yield pa.record_batch(columns, schema=PAIR_SCHEMA)


def _slices(count: int) -> Iterator[slice]:
    for start in range(0, count, PAIRS_AT_A_TIME):
        yield slice(start, start + PAIRS_AT_A_TIME)


def overlap_table(partners: CorpusPartners) -> pa.Table:
    """Return the images that every two subsets share, in both directions, at every threshold.

    An image is shared at a threshold if the other subset has the same bytes, or an image whose similarity reaches the
    threshold. All pairs count, also those that are not stored.

    Returns:
        table of `OVERLAP_SCHEMA`, sorted by subset, other subset and threshold.
    """
    images, thresholds = partners.images, partners.rule.thresholds
    count, levels = len(images.subsets), len(thresholds)
    exact = _shared_exactly(images)
    image, other, level = partners.shared.entries()
    held = np.diff(images.member_starts)[image]
    entry = np.repeat(np.arange(len(image)), held)
    place = np.arange(len(entry)) - np.repeat(np.cumsum(held) - held, held)
    subset = images.members[images.member_starts[image][entry] + place].astype(np.int64)
    code = (subset * count + other[entry]) * (levels + 1) + level[entry]
    reached = np.bincount(code, minlength=count * count * (levels + 1)).reshape(count, count, levels + 1)
    # The number of images whose level is at least that of each threshold.
    shared = np.cumsum(reached[:, :, ::-1], axis=2)[:, :, ::-1][:, :, 1:] + exact[:, :, None]
    one, two = np.nonzero(~np.eye(count, dtype=bool))
    names = np.array(images.subsets, object)
    total = np.repeat(exact.diagonal()[one], levels)
    of_both = shared[one, two].reshape(-1)
    with np.errstate(invalid="ignore"):
        share = np.where(total > 0, of_both / np.maximum(total, 1), np.nan)
    return pa.table(
        [
            pa.array(np.repeat(names[one], levels), pa.string()),
            pa.array(np.repeat(names[two], levels), pa.string()),
            np.tile(np.array(thresholds, np.float64), len(one)),
            total,
            of_both,
            np.repeat(exact[one, two], levels),
            pa.array(share, from_pandas=True),
        ],
        schema=OVERLAP_SCHEMA,
    )


def id_strings(images: CorpusImages, rows: np.ndarray) -> pa.Array:
    """Return the image_ids of some images, at most 2^25: string [m]."""
    data = np.ascontiguousarray(images.image_ids[rows])
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(_ID)
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(data))


def _best_pairs(lists: BestKeys, needed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs across subsets among the best of one of their images, each once, sorted.

    Args:
        lists: the partners of all images.
        needed: number of partners of an image that count.

    Returns:
        int64 [p], int64 [p] and float32 [p]: the lower image, the higher one, and their similarity.
    """
    codes, similarities = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for start in range(0, len(lists.keys), ROWS_AT_A_TIME):
        best = lists.keys[start : start + ROWS_AT_A_TIME, -needed:]
        row, place = np.nonzero(best)
        keys = best[row, place]
        across = ~is_own(keys)
        row, keys = row[across] + start, keys[across]
        partner = partner_of(keys)
        codes.append(np.minimum(row, partner) << 32 | np.maximum(row, partner))
        similarities.append(similarity_of(keys))
    code, similarity = np.concatenate(codes), np.concatenate(similarities)
    order = np.argsort(code, kind="stable")
    code, similarity = code[order], similarity[order]
    once = np.diff(code, prepend=-1) != 0
    return code[once] >> 32, code[once] & 0xFFFFFFFF, similarity[once]


def _shared_exactly(images: CorpusImages) -> np.ndarray:
    """Return the number of images that every two subsets have: int64 [subsets, subsets]."""
    kinds = len(images.kind_bits)
    count = len(images.subsets)
    of_kind = np.bincount(images.kind, minlength=kinds)
    shared = np.diag(of_kind[:count])
    owner, subset = images.subsets_of_kind(np.arange(count, kinds))
    held = np.zeros((kinds - count, count), np.int64)
    held[owner, subset] = 1
    together: np.ndarray = shared + held.T @ (held * of_kind[count:, None])
    return together
