"""Writing a clean copy: the kept rows of every subset as Parquet, and a list of the others with the reasons.

The folder that is written looks like a dataset's repository on the Hugging Face Hub:

    <subset>/train-00000-of-00002.parquet   the kept rows of one shard, unchanged, in their order
    dropped.parquet                         the rows left out, `DROPPED_SCHEMA`
    README.md                               a dataset card, one config a subset

Every shard gives one file, also where no row of it is kept, so that names and numbers match the source. Names of shards
are kept; only where one of them is unfit (it lies in a folder within the subset, or is no `.parquet`), all of the
subset's are numbered anew. A folder is named as its subset, unless that cannot be (`dataset_card.folder_name`).

Files are written aside and renamed. A file `.unfinished` is there from the first moment to the last; with it, the same
export started again goes on where it was stopped, and ends with the same files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from visdiv_assets.curation.dataset_card import folder_name, is_plain, render_card, with_features
from visdiv_assets.curation.resume_marker import ResumeMarker
from visdiv_assets.errors import VisdivError
from visdiv_assets.progress import Progress, silent
from visdiv_assets.sources.interface import Kind, Shard, Source, StoredShard
from visdiv_assets.sources.versions import Version, VersionedShard, version_of
from visdiv_assets.storage.error_messages import write_error
from visdiv_assets.storage.files import replace_local
from visdiv_assets.storage.manifest import digest_of

DROPPED_SCHEMA = pa.schema(
    [
        ("subset", pa.string()),
        ("row", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("witness_kind", pa.string()),  # "subset" or "benchmark"; null where there is no witness
        ("witness", pa.string()),
        ("witness_row", pa.int64()),
        ("witness_image", pa.int32()),
        ("similarity", pa.float32()),
        ("image_index", pa.int32()),  # which image of the row
    ]
)

DROPPED_FILE = "dropped.parquet"
CARD_FILE = "README.md"

#: To be raised whenever the same rows would be written otherwise, so that no export goes on with files of both kinds.
_CODE_VERSION = "2"

#: Rows of a row group, as FineVision's, and the bytes at which it ends early.
GROUP_ROWS = 100
GROUP_BYTES = 64 << 20

#: Values between two looks at a page's size: with pyarrow's 1024, all images of a row group are one page.
_PAGE_VALUES = 16


@dataclass(frozen=True, eq=False)
class SubsetDecision:
    """Which rows of a subset stay.

    Attributes:
        subset: its name.
        version: the state of the source that this was decided for.
        kept: bool [rows].
        dropped: table of `DROPPED_SCHEMA`, at least one entry for each row that is not kept and none for others.
    """

    subset: str
    version: Version
    kept: np.ndarray
    dropped: pa.Table


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote.

    Attributes:
        subsets: number of subsets.
        rows_kept: rows in their files.
        rows_dropped: rows left out.
        files: number of their files; the list of dropped rows and the card not counted.
        size_bytes: size of those files together.
    """

    subsets: int
    rows_kept: int
    rows_dropped: int
    files: int
    size_bytes: int


def preview(decisions: Iterable[SubsetDecision]) -> pa.Table:
    """What an export would write and leave out, for a dry run.

    Returns:
        table with a row per subset: subset: string, rows: int64, rows_kept: int64, and for each reason that occurs, in
        the order of their names, an int64 column of that name: the rows that go for it.

    Raises:
        VisdivError: a mask is not as long as its subset.
    """
    lines = []
    for decision in decisions:
        reasons = _dropped(decision).select(["reason", "row"]).group_by("reason").aggregate([("row", "count_distinct")])
        counts = dict(zip(reasons["reason"].to_pylist(), reasons["row_count_distinct"].to_pylist(), strict=True))
        lines.append((decision, counts))
    table = {
        "subset": pa.array([decision.subset for decision, _ in lines], pa.string()),
        "rows": pa.array([decision.version.rows for decision, _ in lines], pa.int64()),
        "rows_kept": pa.array([int(np.count_nonzero(decision.kept)) for decision, _ in lines], pa.int64()),
    }
    for reason in sorted({reason for _, counts in lines for reason in counts}):
        table[reason] = pa.array([counts.get(reason, 0) for _, counts in lines], pa.int64())
    return pa.table(table)


def export(
    source: Source, decisions: Iterable[SubsetDecision], folder: Path, *, progress: Progress = silent
) -> ExportResult:
    """Write the kept rows of all subsets, the list of the others, and a dataset card.

    Kept rows are written as they are stored, with the stored schema and its metadata. A shard whose metadata does not
    tell `datasets` about images gets metadata that does (`dataset_card.with_features`).

    Args:
        source: where the rows are read from; never written to.
        decisions: at least one, no two for the same subset; files are in their order.
        folder: new, empty, or left by an export that was stopped.
        progress: told of rows gone through, kept or not.

    Raises:
        VisdivError: the folder lies in the source or holds other things, a mask is not as long as its subset, the
            source has changed since it was decided, it cannot be read, or the folder cannot be written.
        ValueError: a subset is there twice, a mask is not of bool, or `dropped` and `kept` contradict each other.
    """
    folder = Path(folder)
    _outside(source, folder)
    decided = list(decisions)
    if not decided:
        raise VisdivError("there is nothing to export: no subset has been decided on")
    if len({decision.subset for decision in decided}) < len(decided):
        raise ValueError("a subset is decided on twice")
    dropped = [_dropped(decision) for decision in decided]
    versions = [_unchanged(source, decision) for decision in decided]
    with ResumeMarker(folder) as unfinished:
        sizes: list[int] = []
        for decision, version in zip(decided, versions, strict=True):
            names = file_names([versioned.shard for versioned in version.shards])
            for name, versioned in zip(names, version.shards, strict=True):
                path = f"{folder_name(decision.subset)}/{name}"
                sizes.append(_shard(source, decision, versioned, unfinished, path, progress))
        unfinished.begin(DROPPED_FILE)
        with _written(folder / DROPPED_FILE, DROPPED_SCHEMA, "zstd") as writer:
            for table in dropped:
                if table.num_rows:
                    writer.write_table(table)
        rows = {decision.subset: (decision.version.rows, int(np.count_nonzero(decision.kept))) for decision in decided}
        unfinished.begin(CARD_FILE)
        with _named(folder / CARD_FILE), replace_local(folder / CARD_FILE) as stream:
            stream.write(render_card(source.uri, rows).encode())
    kept = sum(kept for _, kept in rows.values())
    return ExportResult(
        subsets=len(decided),
        rows_kept=kept,
        rows_dropped=sum(count for count, _ in rows.values()) - kept,
        files=len(sizes),
        size_bytes=sum(sizes),
    )


def file_names(shards: Sequence[Shard]) -> list[str]:
    """Names of the files for a subset's shards: their own, or new ones for all where one is unfit.

    New ones for all, because names decide the order of rows, and `a/b` made flat may sort elsewhere.
    """
    names = [shard.name for shard in shards]
    if all(is_plain(name) and name.endswith(".parquet") for name in names):
        return names
    return [f"train-{number:05d}-of-{len(names):05d}.parquet" for number in range(len(names))]


def _outside(source: Source, folder: Path) -> None:
    if "://" in source.uri:
        return
    root, target = Path(source.uri).resolve(), folder.resolve()
    if target == root or root in target.parents:
        raise VisdivError(f"{folder} lies in the source {source.uri}, which is never written to: choose another folder")


def _dropped(decision: SubsetDecision) -> pa.Table:
    """The decision's list of dropped rows, after a look at whether it agrees with the mask."""
    if decision.kept.shape != (decision.version.rows,):
        raise VisdivError(
            f"subset {decision.subset!r} has {decision.version.rows} rows, but it is decided for "
            f"{len(decision.kept)} rows which of them stay: decide again"
        )
    if decision.kept.dtype != bool:
        raise ValueError(f"the mask of {decision.subset!r} is of {decision.kept.dtype}, not bool")
    dropped = decision.dropped.select(DROPPED_SCHEMA.names).cast(DROPPED_SCHEMA)
    if not np.array_equal(np.unique(dropped["row"].to_numpy()), np.flatnonzero(~decision.kept)):
        raise ValueError(f"the rows of {decision.subset!r} that are not kept are not those that have a reason")
    if not pc.all(pc.equal(dropped["subset"], decision.subset), min_count=0).as_py():
        raise ValueError(f"rows of other subsets are among those that {decision.subset!r} drops")
    return dropped


def _unchanged(source: Source, decision: SubsetDecision) -> Version:
    """The subset's present version, which differs from the decision's by times and places only."""
    version = version_of(source, Kind.SUBSET, decision.subset, decision.version.known_digests())
    if version.revision != decision.version.revision:
        raise VisdivError(
            f"subset {decision.subset!r} in {source.uri} has changed since it was decided which rows stay: decide again"
        )
    return version


def _shard(
    source: Source,
    decision: SubsetDecision,
    versioned: VersionedShard,
    unfinished: ResumeMarker,
    path: str,
    progress: Progress,
) -> int:
    """Write the kept rows of a shard, unless that is done; the file's size in bytes."""
    shard = versioned.shard
    kept = decision.kept[versioned.first_row : versioned.first_row + shard.rows]
    made_from = digest_of([_CODE_VERSION, pa.__version__, versioned.digest, hashlib.sha256(kept.tobytes()).hexdigest()])
    size = unfinished.size_of(path, made_from)
    if size is not None:
        progress(shard.rows)
        return size
    unfinished.begin(path)
    stored = source.stored(Kind.SUBSET, decision.subset, shard)
    schema = with_features(stored.schema)
    with _written(unfinished.folder / path, schema, stored.compression) as writer:
        for group in _groups(stored, schema, kept, progress):
            writer.write_table(group, GROUP_ROWS)
    return unfinished.finish(path, made_from)


def _groups(stored: StoredShard, schema: pa.Schema, kept: np.ndarray, progress: Progress) -> Iterator[pa.Table]:
    """The kept rows as tables of the size of row groups; none without rows, which some readers stumble over."""
    held = schema.empty_table()
    start = 0
    for batch in stored.batches:
        mask = kept[start : start + batch.num_rows]
        start += batch.num_rows
        if mask.any():
            rows = batch if mask.all() else batch.filter(pa.array(mask))
            table = pa.Table.from_batches([rows])
            held = pa.concat_tables([held, table if stored.schema.equals(schema) else table.cast(schema)])
        while held.num_rows >= GROUP_ROWS or held.nbytes >= GROUP_BYTES:
            yield held.slice(0, GROUP_ROWS)
            held = held.slice(GROUP_ROWS)
        progress(batch.num_rows)
    if held.num_rows:
        yield held


@contextmanager
def _written(path: Path, schema: pa.Schema, compression: str) -> Iterator[pq.ParquetWriter]:
    """A writer of a Parquet file that appears complete or not at all."""
    with (
        _named(path),
        replace_local(path) as stream,
        pq.ParquetWriter(stream, schema, compression=compression, write_batch_size=_PAGE_VALUES) as writer,
    ):
        yield writer


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise write_error(str(path), error) from error
