"""Write a clean copy: the kept rows of every subset as Parquet, and a list of the dropped rows with the reasons.

The folder has the layout of a dataset's repository on the Hugging Face Hub:

    <subset>/train-00000-of-00002.parquet   the kept rows of one shard, in their order
    dropped.parquet                         the dropped rows, `DROPPED_SCHEMA`
    decisions.jsonl                         people's decisions on pairs of images that were obeyed, if there are any
    README.md                               a dataset card, one config per subset
    croissant.json                          the same in Croissant, which other programs read

Every shard becomes one file, even if none of its rows is kept, so that names and numbers match the source. Shards keep
their names; if one of them is unsuitable (it lies in a subfolder of the subset, or does not end in `.parquet`), all
shards of the subset are renumbered. A folder has the name of its subset, if that is possible
(`dataset_card.folder_name`).

Files are written under temporary names and renamed. A file `.unfinished` exists from the beginning to the end of an
export; with it, the same export started again resumes where it stopped, and writes the same files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable, remedy
from visdiv_assets.curation.dataset_card import folder_name, is_plain, with_features
from visdiv_assets.curation.dataset_facts import DatasetFacts
from visdiv_assets.curation.description import describe
from visdiv_assets.curation.resume_marker import ResumeMarker
from visdiv_assets.curation.row_tags import tag_rows, with_tags
from visdiv_assets.curation.turn_filter import FailingTurns, without_turns
from visdiv_assets.duplicates.person_decisions import Decision
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
        ("file", pa.string()),
        ("row_in_file", pa.int64()),
        ("path", pa.string()),  # of the image that the reason is about, else of the row's first image
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("witness_kind", pa.string()),  # "subset" or "benchmark"; null where there is no witness
        ("witness", pa.string()),
        ("witness_row", pa.int64()),
        ("witness_image", pa.int32()),
        ("similarity", pa.float32()),
        ("confidence", pa.float32()),  # of the verdict on the image and the witness; null without
        ("evidence", pa.string()),
        ("image_index", pa.int32()),  # index of the image in the row
    ]
)

DROPPED_FILE = "dropped.parquet"
DECISIONS_FILE = "decisions.jsonl"

#: Raise this whenever the same rows would be written differently, so that no export mixes files of both kinds.
_CODE_VERSION = "3"

#: Rows of a row group, as in FineVision, and the bytes at which it ends early.
GROUP_ROWS = 100
GROUP_BYTES = 64 << 20

#: Values between two checks of a page's size: with pyarrow's 1024, all images of a row group are one page.
_PAGE_VALUES = 16


@dataclass(frozen=True, eq=False)
class SubsetDecision:
    """The rows of a subset to keep.

    Attributes:
        subset: its name.
        version: the version of the subset that the decision is about.
        kept: bool [rows].
        dropped: table of `DROPPED_SCHEMA`, at least one entry for each dropped row and none for the others.
        failing: turns of kept rows to leave out; None to leave out none.
    """

    subset: str
    version: Version
    kept: np.ndarray
    dropped: pa.Table
    failing: FailingTurns | None = None

    @property
    def turns_left_out(self) -> int:
        """The number of turns of kept rows that are left out."""
        return self.failing.total if self.failing is not None else 0


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Attributes:
        subsets: number of subsets.
        rows_kept: number of rows written.
        rows_dropped: number of rows dropped.
        files: number of files with rows, without the list of dropped rows and the card.
        size_bytes: total size of these files.
        turns_left_out: number of turns of these rows that were left out.
    """

    subsets: int
    rows_kept: int
    rows_dropped: int
    files: int
    size_bytes: int
    turns_left_out: int


def preview(decisions: Iterable[SubsetDecision]) -> pa.Table:
    """Return what an export would keep and drop, for a dry run.

    Returns:
        table with a row per subset: subset: string, rows: int64, rows_kept: int64, and for each reason that occurs, in
        alphabetical order, an int64 column of that name: the rows dropped for that reason. If turns are to be left out,
        turns_left_out: int64, those of kept rows.

    Raises:
        VisdivError: a mask does not have the length of its subset.
    """
    lines = []
    for decision in decisions:
        by_reason = _checked_dropped(decision).select(["reason", "row"]).group_by("reason")
        reasons = by_reason.aggregate([("row", "count_distinct")])
        counts = dict(zip(reasons["reason"].to_pylist(), reasons["row_count_distinct"].to_pylist(), strict=True))
        lines.append((decision, counts))
    table = {
        "subset": pa.array([decision.subset for decision, _ in lines], pa.string()),
        "rows": pa.array([decision.version.rows for decision, _ in lines], pa.int64()),
        "rows_kept": pa.array([int(np.count_nonzero(decision.kept)) for decision, _ in lines], pa.int64()),
    }
    for reason in sorted({reason for _, counts in lines for reason in counts}):
        table[reason] = pa.array([counts.get(reason, 0) for _, counts in lines], pa.int64())
    if any(decision.failing is not None for decision, _ in lines):
        table["turns_left_out"] = pa.array([decision.turns_left_out for decision, _ in lines], pa.int64())
    return pa.table(table)


def export(
    source: Source,
    decisions: Iterable[SubsetDecision],
    folder: Path,
    *,
    tagged: bool = False,
    by_people: Sequence[Decision] = (),
    personal: Mapping[str, tuple[int, int]] | None = None,
    facts: DatasetFacts | None = None,
    progress: Progress = silent,
) -> ExportResult:
    """Write the kept rows of all subsets, the list of dropped rows, a dataset card and Croissant metadata.

    Kept rows are written as they are stored, with the stored schema and its metadata, less the failing turns of the
    decisions. If the metadata have no features for `datasets`, they are added (`dataset_card.with_features`).

    Args:
        source: the source of the rows; nothing is written to it.
        decisions: at least one, and at most one per subset; files are written in this order.
        folder: new, empty, or left by an interrupted export.
        tagged: whether to write all rows, with the columns `row_tags.TAG_FIELDS` that say which of them are kept.
        by_people: people's decisions on pairs of images that were obeyed.
        personal: personal data in the texts of the export; see `render_card`.
        facts: what the published findings say of the source; None if there are none.
        progress: called with the number of processed rows, kept or dropped.

    Raises:
        VisdivError: the folder lies in the source or holds other files, a mask does not have the length of its subset,
            the source has changed since the decision or cannot be read, or the folder cannot be written.
        ValueError: a subset appears twice, a mask is not of bool, or `dropped` and `kept` contradict each other.
    """
    folder = Path(folder)
    refuse_inside(source, folder)
    decided = list(decisions)
    if not decided:
        raise VisdivError(
            "there is nothing to export, because no subset has a decision: "
            f"{remedy(LakeTable.CURATED_ROWS, CORPUS_PARTITION)}"
        )
    if len({decision.subset for decision in decided}) < len(decided):
        raise ValueError("a subset has two decisions")
    dropped = [_checked_dropped(decision) for decision in decided]
    versions = [_current_version(source, decision) for decision in decided]
    # It may have to be fetched: better before all rows are written than after.
    license_name = source.license()
    with ResumeMarker(folder) as marker:
        sizes: list[int] = []
        for decision, version in zip(decided, versions, strict=True):
            names = file_names([versioned.shard for versioned in version.shards])
            for name, versioned in zip(names, version.shards, strict=True):
                path = f"{folder_name(decision.subset)}/{name}"
                sizes.append(_write_shard(source, decision, versioned, marker, path, tagged, progress))
        marker.begin(DROPPED_FILE)
        with _open_writer(folder / DROPPED_FILE, DROPPED_SCHEMA, "zstd") as writer:
            for table in dropped:
                if table.num_rows:
                    writer.write_table(table)
        rows = {decision.subset: (decision.version.rows, int(np.count_nonzero(decision.kept))) for decision in decided}
        turns_left_out = sum(decision.turns_left_out for decision in decided)
        texts = describe(
            source.uri,
            folder,
            rows,
            tagged=tagged,
            turns_left_out=turns_left_out,
            decisions=len(by_people),
            personal=personal,
            license_name=license_name,
            facts=facts,
        )
        if by_people:
            texts[DECISIONS_FILE] = "".join(f"{decision.to_json()}\n" for decision in by_people)
        for name, text in texts.items():
            marker.begin(name)
            with _name_errors(folder / name), replace_local(folder / name) as stream:
                stream.write(text.encode())
    kept = sum(kept for _, kept in rows.values())
    return ExportResult(
        subsets=len(decided),
        rows_kept=kept,
        rows_dropped=sum(count for count, _ in rows.values()) - kept,
        files=len(sizes),
        size_bytes=sum(sizes),
        turns_left_out=turns_left_out,
    )


def file_names(shards: Sequence[Shard]) -> list[str]:
    """Return the names of the files for a subset's shards: their own, or new ones for all if one is unsuitable.

    All are renamed because names decide the order of rows, and a flattened `a/b` may sort elsewhere.
    """
    names = [shard.name for shard in shards]
    if all(is_plain(name) and name.endswith(".parquet") for name in names):
        return names
    return [f"train-{index:05d}-of-{len(names):05d}.parquet" for index in range(len(names))]


def refuse_inside(source: Source, folder: Path) -> None:
    """Refuse a folder in the source, which must not change.

    Raises:
        VisdivError: the folder is the source, or lies in it.
    """
    if "://" in source.uri:
        return
    root, target = Path(source.uri).resolve(), folder.resolve()
    if target == root or root in target.parents:
        raise VisdivError(f"{folder} is in the source {source.uri}, which must not change: choose another folder")


def _checked_dropped(decision: SubsetDecision) -> pa.Table:
    """Return the decision's list of dropped rows, after a check that it agrees with the mask."""
    if decision.kept.shape != (decision.version.rows,):
        raise VisdivError(
            f"subset {decision.subset!r} has {decision.version.rows} rows, but the decision is about "
            f"{len(decision.kept)} rows: {remedy(LakeTable.CURATED_ROWS, CORPUS_PARTITION)}"
        )
    if decision.kept.dtype != bool:
        raise ValueError(f"the mask of {decision.subset!r} has dtype {decision.kept.dtype}, not bool")
    dropped = decision.dropped.select(DROPPED_SCHEMA.names).cast(DROPPED_SCHEMA)
    if not np.array_equal(np.unique(dropped["row"].to_numpy()), np.flatnonzero(~decision.kept)):
        raise ValueError(f"the dropped rows of {decision.subset!r} are not the rows with a reason")
    if not pc.all(pc.equal(dropped["subset"], decision.subset), min_count=0).as_py():
        raise ValueError(f"the dropped rows of {decision.subset!r} contain rows of other subsets")
    return dropped


def _current_version(source: Source, decision: SubsetDecision) -> Version:
    """Return the subset's present version. Raises VisdivError if its content differs from the decision's version."""
    version = version_of(source, Kind.SUBSET, decision.subset, decision.version.known_digests())
    if version.revision != decision.version.revision:
        raise VisdivError(
            f"subset {decision.subset!r} in {source.uri} has changed since its rows were decided: "
            f"{remedy(LakeTable.CURATED_ROWS, CORPUS_PARTITION)}"
        )
    return version


def _write_shard(
    source: Source,
    decision: SubsetDecision,
    versioned: VersionedShard,
    marker: ResumeMarker,
    path: str,
    tagged: bool,
    progress: Progress,
) -> int:
    """Write the kept rows of a shard, or all with tags, unless that is already done; return the size in bytes."""
    shard = versioned.shard
    kept = decision.kept[versioned.first_row : versioned.first_row + shard.rows]
    inputs = [_CODE_VERSION, pa.__version__, versioned.digest, hashlib.sha256(kept.tobytes()).hexdigest()]
    failing = decision.failing.of_rows(versioned.first_row, shard.rows) if decision.failing is not None else None
    if failing is not None and failing.total:
        inputs.append(failing.digest())
    tags = tag_rows(kept, decision.dropped, versioned.first_row) if tagged else None
    made_from = digest_of(inputs if tags is None else [*inputs, _digest(tags)])
    size = marker.size_of(path, made_from)
    if size is not None:
        progress(shard.rows)
        return size
    marker.begin(path)
    stored = source.stored(Kind.SUBSET, decision.subset, shard)
    if failing is not None and failing.total:
        stored = without_turns(stored, failing)
    if tags is not None:
        stored, kept = with_tags(stored, tags), np.ones_like(kept)
    schema = with_features(stored.schema)
    with _open_writer(marker.folder / path, schema, stored.compression) as writer:
        for group in _row_groups(stored, schema, kept, progress):
            writer.write_table(group, GROUP_ROWS)
    return marker.finish(path, made_from)


def _digest(table: pa.Table) -> str:
    """Return a digest of the values of a table."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return hashlib.sha256(stream.getvalue()).hexdigest()


def _row_groups(stored: StoredShard, schema: pa.Schema, kept: np.ndarray, progress: Progress) -> Iterator[pa.Table]:
    """Yield the kept rows as tables of the size of row groups; never an empty one, which some readers reject."""
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
def _open_writer(path: Path, schema: pa.Schema, compression: str) -> Iterator[pq.ParquetWriter]:
    """Yield a writer of a Parquet file that appears complete or not at all."""
    with (
        _name_errors(path),
        replace_local(path) as stream,
        pq.ParquetWriter(stream, schema, compression=compression, write_batch_size=_PAGE_VALUES) as writer,
    ):
        yield writer


@contextmanager
def _name_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise write_error(str(path), error) from error
