"""Verify candidate pairs: compare those without a verdict, and reuse the verdicts of earlier runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.candidates import PAIR_SCHEMA, SIDES
from visdiv_assets.duplicates.verify import TEXTS_DIFFER
from visdiv_assets.duplicates.verify_pairs import (
    VERDICT_FIELDS,
    VERDICT_SCHEMA,
    ImageAccess,
    compare_pairs,
)
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.progress import Progress, silent
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

VERIFIED_SCHEMA = pa.schema([*PAIR_SCHEMA, *VERDICT_FIELDS])

#: Approximate number of pairs of one unit of work, which takes about a minute on two cores.
PAIRS_OF_A_UNIT = 4096


def verify_candidates(
    pairs: pa.Table,
    images: ImageAccess,
    known: pa.Table,
    *,
    ids: tuple[str, str] = SIDES,
    threads: int,
    limits: DecodeLimits,
    progress: Progress = silent,
) -> tuple[pa.Table, int]:
    """Return candidate pairs with their verdicts; only pairs without a known verdict are compared, each once.

    Args:
        pairs: table with the columns `ids`; pairs of one image should be adjacent.
        images: reads the images.
        known: known verdicts, as `known_verdicts` returns them.
        ids: the columns with the two image_ids of a pair.
        threads: number of threads that decode and compare.
        limits: limits of an image; a larger one counts as unreadable.
        progress: called with the number of pairs finished.

    Returns:
        the table, with the columns of `VERDICT_SCHEMA` appended, and the number of pairs that were compared.
    """
    keys = pc.binary_join_element_wise(*(pairs[name] for name in ids), " ")
    known_keys = pc.binary_join_element_wise(*(known[name] for name in SIDES), " ").combine_chunks()
    missing = pc.unique(keys.filter(pc.invert(pc.is_in(keys, known_keys))))
    a, b = ([key.split(" ")[side] for key in missing.to_pylist()] for side in (0, 1))
    progress(pairs.num_rows - len(a))
    found = compare_pairs(a, b, images, threads=threads, limits=limits, progress=progress)
    verdicts = pa.concat_tables([known.select(VERDICT_SCHEMA.names), found])
    chosen = verdicts.take(pc.index_in(keys, pa.concat_arrays([known_keys, missing])))
    return pa.table([*pairs.columns, *chosen.columns], schema=pa.schema([*pairs.schema, *VERDICT_FIELDS])), len(a)


def split_into_units(
    pairs: Iterable[pa.RecordBatch], count: int, column: str = SIDES[0]
) -> Iterator[tuple[str, pa.Table]]:
    """Split pairs into units of work by their first image, so that a new image changes few units.

    Args:
        pairs: sorted by `column`.
        count: number of pairs.
        column: the column with the first image_id of a pair, hexadecimal.

    Yields:
        the first digits of the image_ids of each unit that is not empty, and its pairs.
    """
    digits = 0
    while count > PAIRS_OF_A_UNIT * 16**digits:
        digits += 1
    waiting: list[pa.RecordBatch] = []
    current = ""
    for batch in pairs:
        if not batch.num_rows:
            continue
        prefixes = pc.utf8_slice_codeunits(batch[column], 0, digits).to_numpy(zero_copy_only=False).astype(np.str_)
        starts = np.flatnonzero(np.concatenate([np.ones(1, bool), prefixes[1:] != prefixes[:-1]]))
        for start, stop in zip(starts, [*starts[1:], len(prefixes)], strict=True):
            if waiting and prefixes[start] != current:
                yield current, pa.Table.from_batches(waiting)
                waiting = []
            current = str(prefixes[start])
            waiting.append(batch.slice(start, stop - start))
    if waiting:
        yield current, pa.Table.from_batches(waiting)


def has_prefix(column: str, prefix: str) -> pc.Expression:
    """Return a filter of the rows whose hexadecimal id begins with some digits, of a table sorted by it."""
    # "g" comes after all digits. Bounds are compared with the statistics of a file; prefixes are not.
    return (pc.field(column) >= prefix) & (pc.field(column) < f"{prefix}g")


def read_pairs(store: Lake, manifest: Manifest, columns: list[str], where: pc.Expression | None = None) -> pa.Table:
    """Return some columns of compared pairs; tables of older versions have no confidence, which is null then.

    Args:
        store: the lake.
        manifest: of a table with verdicts in the role `pairs`.
        columns: their names.
        where: a filter; null counts as false.
    """
    stored = set(store.dataset(manifest, "pairs").schema.names)
    table = store.read(manifest, "pairs", columns=[name for name in columns if name in stored], where=where)
    if "confidence" in columns and "confidence" not in stored:
        table = table.append_column("confidence", pa.nulls(table.num_rows, pa.float32()))
    return table.select(columns)


def known_verdicts(store: Lake, earlier: Manifest | None, ids: tuple[str, str] = SIDES) -> Callable[[str], pa.Table]:
    """Return a function that reads the verdicts of an earlier run.

    They depend only on the bytes of the two images, on how these are decoded, and on the code.

    Those that text in the images has changed are left out: what the pixels said is not stored with them.

    Args:
        store: the lake.
        earlier: manifest of a table with verdicts of the same code version and decoding, in the role `pairs`; None if
            there is none.
        ids: the columns with the two image_ids of a pair.

    Returns:
        a function from the first digits of the first image_id to the verdicts of these pairs, each once: image_id_a,
        image_id_b and the columns of `VERDICT_SCHEMA`.
    """
    by_pixels = pc.field("reason") != TEXTS_DIFFER

    def read_known(prefix: str) -> pa.Table:
        columns = [*ids, *VERDICT_SCHEMA.names]
        if earlier is None or not earlier.files("pairs"):
            return VERIFIED_SCHEMA.empty_table().select([*SIDES, *VERDICT_SCHEMA.names])
        found = store.read(earlier, "pairs", columns=columns, where=by_pixels & has_prefix(ids[0], prefix))
        return found.rename_columns([*SIDES, *VERDICT_SCHEMA.names])

    return read_known
