"""Fill the table of rows, one subset at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import first_turns
from visdiv_assets.curation.judge.ratings import RatingsFrom, as_ratings_from, judged_units, merge_ratings
from visdiv_assets.ingest.turns import RATING_COLUMNS, TURNS_SCHEMA
from visdiv_assets.publishing.warehouse.loading import Loader
from visdiv_assets.publishing.warehouse.rows import EXCERPTS, RATED_ROWS, ROWS, ROWS_IN_FINDINGS, ROWS_STATEMENT
from visdiv_assets.sources.schema import CRITERIA
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Rows in a batch of positions of rows: a few megabytes.
BATCH_ROWS = 1 << 16

_LISTED = pa.schema(
    [("row", pa.int64()), ("file", pa.dictionary(pa.int32(), pa.string())), ("row_in_file", pa.int64())]
)


def fill_rows(loader: Loader, subset: str, *, decided: bool) -> None:
    """Insert the rows of a subset; its images and findings, and the dropped rows, must be published before.

    Args:
        loader: the file that is being built.
        subset: its name.
        decided: whether the dropped rows are those of a decision about this subset.
    """
    images = loader.lake.require(LakeTable.SUBSET_IMAGES, subset)
    turns = loader.lake.manifest(LakeTable.SUBSET_TURNS, subset)
    stored = turns if turns and turns.files("turns") else None
    _make(loader, "rated", RATED_ROWS, stored and _ratings(loader.lake, stored))
    _make(loader, "excerpts", EXCERPTS, stored and _texts_in_findings(loader, stored))
    listed = pa.RecordBatchReader.from_batches(_LISTED, _listed(images.facts))
    with loader.registered(listed=listed):
        loader.connection.execute(
            ROWS_STATEMENT, {"subset": subset, "decided": decided, "has_turns": turns is not None}
        )
    for table in ("rated", "excerpts"):
        loader.connection.execute(f"DROP TABLE {table}")
    loader.expect(ROWS.name, images.facts["rows"])


def _make(loader: Loader, name: str, query: str, stored: pa.RecordBatchReader | None) -> None:
    """Make a temporary table from a query on `stored`; an empty one without it."""
    if stored is None:
        schema = pa.schema([("row", pa.int64()), ("user", pa.string()), ("assistant", pa.string())])
        stored = pa.schema([*schema, *((column, pa.int8()) for column in RATING_COLUMNS)]).empty_table()
    with loader.registered(stored=stored):
        loader.connection.execute(f"CREATE TEMP TABLE {name} AS {query}")


def _ratings(lake: Lake, turns: Manifest) -> pa.RecordBatchReader:
    """Return row and ratings of each turn: those that the quality rules have used."""
    quality = lake.manifest(LakeTable.QUALITY_ROWS, turns.partition)
    which = as_ratings_from(quality.settings.get("ratings_from", "source") if quality else "source")
    columns = ["row", *RATING_COLUMNS]
    if which == "source":
        return lake.dataset(turns, "turns").scanner(columns=columns).to_reader()
    manifest, judged = judged_units(lake, turns)
    if quality is None or manifest is None or quality.inputs.get(manifest.table) != manifest.digest:
        judged = {}
    schema = pa.schema([TURNS_SCHEMA.field(name) for name in columns])
    return pa.RecordBatchReader.from_batches(schema, _merged(lake, turns, judged, which, schema))


def _merged(
    lake: Lake, turns: Manifest, judged: Mapping[str, Manifest], which: RatingsFrom, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Yield the ratings of the turns of each shard."""
    for unit in (each for each in turns.units if "turns" in each.files):
        table = lake.read(replace(turns, units=(unit,)), "turns", columns=schema.names)
        others = lake.read(judged[unit.name], columns=list(CRITERIA)) if unit.name in judged else None
        merged = [
            merge_ratings(table[column].combine_chunks(), others[name] if others is not None else None, which)
            for name, column in zip(CRITERIA, RATING_COLUMNS, strict=True)
        ]
        yield pa.record_batch([table["row"].combine_chunks(), *merged], schema=schema)


def _texts_in_findings(loader: Loader, turns: Manifest) -> pa.RecordBatchReader | None:
    """Return the first turns of the rows that appear in a finding."""
    found = loader.connection.sql(ROWS_IN_FINDINGS, params={"subset": turns.partition}).to_arrow_table()["row"]
    return first_turns(loader.lake, turns, found) if len(found) else None


def _listed(facts: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
    """Yield the file of every row and its index there, in order; no file, and index 0, if each row is a file.

    Args:
        facts: those of the manifest of `subset_images`.
    """
    first = 0
    for name, rows in facts["files"] or [(None, facts["rows"])]:
        for start in range(0, rows, BATCH_ROWS):
            index = np.arange(start, min(start + BATCH_ROWS, rows))
            names = pa.DictionaryArray.from_arrays(np.zeros(len(index), np.int32), pa.array([name], pa.string()))
            in_file = index if name is not None else np.zeros(len(index), np.int64)
            yield pa.record_batch([first + index, names, in_file], schema=_LISTED)
        first += rows
