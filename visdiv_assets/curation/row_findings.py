"""Findings about the rows of a subset: what decisions are based on, and the table of dropped rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.positions import DECIDED_LEAKS_SCHEMA, LEAK_IDS
from visdiv_assets.contamination.texts import TEXT_OVERLAPS_SCHEMA
from visdiv_assets.corpus.access import current_turns, require_current, require_made_from
from visdiv_assets.corpus.row_files import RowFiles, row_files
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.export import DROPPED_SCHEMA
from visdiv_assets.curation.reasons import DROP_REASONS
from visdiv_assets.curation.row_quality import POOR_ROWS_SCHEMA, rows_with_poor_images, rows_with_poor_turns
from visdiv_assets.duplicates.decided_pairs import obey, read_confirmed, read_decided
from visdiv_assets.storage.lake import Lake
from visdiv_assets.texts.overlap import SIZES

#: The sides of a turn, as a detail names them.
_SIDES = {"user": "question", "assistant": "answer"}


@dataclass(frozen=True)
class RowFacts:
    """Findings about the rows of a subset.

    Attributes:
        subset: name of the subset.
        rows: number of rows.
        rating: float32 [rows], mean quality rating, NaN where there is none.
        unreadable: int64 [rows], index in `defects` of the row's first unreadable image, -1 if there is none.
        leak: int64 [rows], index in `leaks` of the row's closest benchmark image, -1 if there is none.
        text_leak: int64 [rows], index in `text_leaks` of the row's text that has most of a benchmark, -1 if there is
            none.
        blocked: int8 [rows], 1 + the index in `DROP_REASONS` of the reason, other than being a duplicate, for which
            the row is dropped; 0 if there is none.
        defects: unreadable positions: row, image_index, status, detail.
        leaks: contaminated positions: row, image_index, image_id, benchmark, benchmark_row, benchmark_image,
            similarity, confidence, evidence.
        text_leaks: contaminated texts; see `text_leaks`.
        poor: by reason, image_quality or text_quality, the rows that it applies to: table of
            `row_quality.POOR_ROWS_SCHEMA`; only reasons that count.
        files: where the rows are in the source.
        quality_rule: which turns of a row its ratings have to keep; see `quality`.
    """

    subset: str
    rows: int
    rating: np.ndarray
    unreadable: np.ndarray
    leak: np.ndarray
    text_leak: np.ndarray
    blocked: np.ndarray
    defects: pa.Table
    leaks: pa.Table
    text_leaks: pa.Table
    poor: Mapping[str, pa.Table]
    files: RowFiles
    quality_rule: str = "turn"


def load_row_facts(
    lake: Lake,
    subset: str,
    *,
    copies_by: str,
    contamination_threshold: float,
    text_contamination_share: float,
    image_profile: str,
    text_profile: str,
    drop: Sequence[str],
    not_selected: np.ndarray | None = None,
) -> RowFacts:
    """Read the findings about a subset's rows from the lake.

    Args:
        lake: holds `subset_images`; `quality_rows` and the tables of contamination are used where they exist.
        subset: name of the subset.
        copies_by: what makes an image contaminated: "pixels", a confirmed copy of a benchmark image; "similarity", a
            similarity to one of at least `contamination_threshold`.
        contamination_threshold: minimum similarity, with copies_by="similarity".
        text_contamination_share: share of a text's 13-word n-grams in a benchmark from which on it is contaminated.
        image_profile: issues that make an image poor, one of `row_quality.IMAGE_PROFILES`.
        text_profile: limits that make a turn poor, one of `row_quality.TEXT_PROFILES`.
        drop: the `DROP_REASONS` that apply.
        not_selected: bool [rows], rows that the selection drops; None: there is no selection.

    Raises:
        StaleError: the turns were stored again after their ratings were judged, or their texts were compared with
            benchmarks or measured.
    """
    images = lake.require(LakeTable.SUBSET_IMAGES, subset)
    rows = int(images.facts["rows"])
    listed = lake.read(images, columns=["row", "image_index", "image_id", "status", "detail"])
    defects = listed.filter(pc.not_equal(listed["status"], "ok")).drop_columns(["image_id"])
    rating, quality_kept = np.full(rows, np.nan, np.float32), np.ones(rows, bool)
    quality = lake.manifest(LakeTable.QUALITY_ROWS, subset)
    if quality and require_current(lake, quality) and rows:
        rated = lake.read(quality, columns=["kept", "rating"])
        rating = rated["rating"].to_numpy().astype(np.float32)
        quality_kept = rated["kept"].to_numpy()
    leaks = leak_positions(lake, subset, listed, contamination_threshold, copies_by)
    of_texts = text_leaks(lake, subset, text_contamination_share)
    unreadable, leak, text_leak = (_first(table, rows) for table in (defects, leaks, of_texts))
    poor = {}
    if "image_quality" in drop:
        poor["image_quality"] = rows_with_poor_images(lake, subset, image_profile)
    if "text_quality" in drop:
        require_made_from(lake.require(LakeTable.TEXT_QUALITY, subset), current_turns(lake, subset))
        poor["text_quality"] = rows_with_poor_turns(lake, subset, text_profile)
    blocked = np.zeros(rows, np.int8)
    # In reverse order, so that the first reason that applies overwrites the others.
    reasons = (
        ("selection", np.zeros(rows, bool) if not_selected is None else not_selected),
        ("text_contaminated", text_leak >= 0),
        ("contaminated", leak >= 0),
        *((reason, table["row"].to_numpy()) for reason, table in reversed(poor.items())),
        ("quality", ~quality_kept),
        ("unreadable", unreadable >= 0),
    )
    for reason, applies in reasons:
        if reason in drop:
            blocked[applies] = 1 + DROP_REASONS.index(reason)
    files = row_files(lake, images)
    rule = quality.settings.get("rule", "turn") if quality else "turn"
    return RowFacts(
        subset, rows, rating, unreadable, leak, text_leak, blocked, defects, leaks, of_texts, poor, files, rule
    )


def text_leaks(lake: Lake, subset: str, share: float) -> pa.Table:
    """Return the texts of a subset of which a share of the 13-word n-grams is in a benchmark, the largest share first.

    Returns:
        table of row, turn, side, benchmark, runs, runs_found, share; without rows if the texts were not compared.

    Raises:
        StaleError: the turns were stored again after they were compared.
    """
    columns = ["row", "turn", "side", "benchmark", "runs", "runs_found", "share"]
    found = lake.manifest(LakeTable.TEXT_CONTAMINATION, subset)
    if found is not None:
        require_made_from(found, current_turns(lake, subset))
    if found is None or not found.files("overlaps"):
        return pa.schema([TEXT_OVERLAPS_SCHEMA.field(name) for name in columns]).empty_table()
    enough = (pc.field("size") == max(SIZES)) & (pc.field("share") >= np.float32(share))
    overlaps = lake.read(found, "overlaps", columns=columns, where=enough)
    ascending = [(name, "ascending") for name in ("row", "turn", "side", "benchmark")]
    return overlaps.sort_by([("share", "descending"), ("runs_found", "descending"), *ascending])


def leak_positions(lake: Lake, subset: str, listed: pa.Table, threshold: float, copies_by: str) -> pa.Table:
    """Return the contaminated positions of a subset with the closest benchmark image of each, closest first.

    The columns are those of `RowFacts.leaks`.
    """
    schema = pa.schema(
        [
            ("row", pa.int64()),
            ("image_index", pa.int32()),
            ("image_id", pa.string()),
            ("benchmark", pa.string()),
            ("benchmark_row", pa.int64()),
            ("benchmark_image", pa.int32()),
            ("similarity", pa.float32()),
            ("confidence", pa.float32()),
            ("evidence", pa.string()),
        ]
    )
    by_pixels = copies_by == "pixels"
    verified = lake.manifest(LakeTable.VERIFIED_CONTAMINATION, subset)
    contamination = verified if by_pixels else lake.manifest(LakeTable.CONTAMINATION, subset)
    if contamination is None or not contamination.files("pairs"):
        return schema.empty_table()
    columns = ["image_id", *schema.names[3:]]
    if by_pixels:
        pairs = read_confirmed(lake, contamination, columns, DECIDED_LEAKS_SCHEMA, LEAK_IDS)
    else:
        close = pc.field("similarity") >= np.float32(threshold)
        pairs = lake.read(contamination, "pairs", columns=[*columns[:-2], LEAK_IDS[-1]], where=close)
        for name in columns[-2:]:
            pairs = pairs.append_column(name, pa.nulls(pairs.num_rows, schema.field(name).type))
        if verified is not None:
            pairs = pairs.append_column("verified", pa.repeat(True, pairs.num_rows))
            pairs = obey(pairs, read_decided(lake, verified, DECIDED_LEAKS_SCHEMA), LEAK_IDS)
            pairs = pairs.filter(pairs["verified"]).select(columns)
    order = [("similarity", "descending"), ("benchmark", "ascending"), ("benchmark_row", "ascending")]
    ordered = pairs.sort_by(order).append_column("index", pa.array(np.arange(pairs.num_rows)))
    first = ordered.group_by("image_id", use_threads=False).aggregate([("index", "min")])
    best = ordered.take(first["index_min"])
    readable = listed.filter(pc.equal(listed["status"], "ok")).select(["row", "image_index", "image_id"])
    joined = readable.join(best.select(["image_id", *schema.names[3:]]), "image_id", join_type="inner")
    sorting = [("similarity", "descending"), ("row", "ascending"), ("image_index", "ascending")]
    return joined.select(schema.names).cast(schema).sort_by(sorting)


def dropped_rows(facts: RowFacts, duplicates: pa.Table, repeated: pa.Table | None = None) -> pa.Table:
    """Return the dropped rows of a subset with reason and witness: table of `DROPPED_SCHEMA`, sorted by row.

    Args:
        facts: facts about the rows of the subset.
        duplicates: rows dropped as duplicates: row, image_index, reason, keeper_subset, keeper_row, keeper_image,
            similarity, confidence, evidence; one entry per row.
        repeated: rows of the subset dropped because a kept row has all that is in them: table of
            `text_rows.TEXT_ROWS_SCHEMA`.
    """
    # Blocked rows are never duplicates, so no row is listed twice.
    tables = [_rows_dropped_by(facts, reason) for reason in DROP_REASONS if not reason.endswith("duplicate")]
    if repeated is not None and repeated.num_rows:
        tables.append(
            _dropped(
                facts.subset,
                repeated["row"],
                "text_duplicate",
                "the same images and every question-answer pair are in a kept row",
                witness_kind="subset",
                witness=repeated["keeper_subset"],
                witness_row=repeated["keeper_row"],
            )
        )
    if duplicates.num_rows:
        tables.append(
            _dropped(
                facts.subset,
                duplicates["row"],
                "duplicate",
                pc.replace_substring(duplicates["reason"], "_", " "),
                image_index=duplicates["image_index"],
                witness_kind="subset",
                witness=duplicates["keeper_subset"],
                witness_row=duplicates["keeper_row"],
                witness_image=duplicates["keeper_image"],
                similarity=duplicates["similarity"],
                confidence=duplicates["confidence"],
                evidence=duplicates["evidence"],
            )
        )
    dropped = pa.concat_tables(tables).sort_by("row")
    image_index = pc.fill_null(dropped["image_index"], 0).cast(pa.int64())
    for name, values in facts.files.find(dropped["row"].to_numpy(), image_index.to_numpy()).items():
        dropped = dropped.set_column(dropped.column_names.index(name), DROPPED_SCHEMA.field(name), values)
    return dropped


def _rows_dropped_by(facts: RowFacts, reason: str) -> pa.Table:
    """Return the rows that a reason other than "duplicate" drops: table of `DROPPED_SCHEMA`."""
    rows = np.flatnonzero(facts.blocked == 1 + DROP_REASONS.index(reason))
    if reason == "unreadable":
        defects = facts.defects.take(facts.unreadable[rows])
        detail = pc.binary_join_element_wise(defects["status"], defects["detail"], ": ")
        return _dropped(facts.subset, rows, reason, detail, image_index=defects["image_index"])
    if reason == "quality":
        which = "no turn reaches" if facts.quality_rule == "turn" else "a turn does not reach"
        return _dropped(facts.subset, rows, reason, f"{which} the thresholds")
    if reason in ("image_quality", "text_quality"):
        found = facts.poor.get(reason, POOR_ROWS_SCHEMA.empty_table())
        return _dropped(facts.subset, rows, reason, found.filter(pc.is_in(found["row"], pa.array(rows)))["detail"])
    if reason == "selection":
        return _dropped(facts.subset, rows, reason, "not selected by VISDIV_KEEP_BY or VISDIV_KEEP_ROWS")
    if reason == "text_contaminated":
        texts = facts.text_leaks.take(facts.text_leak[rows])
        details = [
            f"{found} of {runs} 13-word n-grams of the {_SIDES[side]} of turn {turn} are in the benchmark"
            for side, turn, runs, found in zip(
                *(texts[name].to_pylist() for name in ("side", "turn", "runs", "runs_found")), strict=True
            )
        ]
        return _dropped(facts.subset, rows, reason, details, witness_kind="benchmark", witness=texts["benchmark"])
    leaks = facts.leaks.take(facts.leak[rows])
    return _dropped(
        facts.subset,
        rows,
        reason,
        "close to an image of a benchmark",
        image_index=leaks["image_index"],
        witness_kind="benchmark",
        witness=leaks["benchmark"],
        witness_row=leaks["benchmark_row"],
        witness_image=leaks["benchmark_image"],
        similarity=leaks["similarity"],
        confidence=leaks["confidence"],
        evidence=leaks["evidence"],
    )


def _dropped(subset: str, rows: object, reason: str, detail: object, **witness: object) -> pa.Table:
    """Return a table of `DROPPED_SCHEMA` for the given rows; scalars apply to all rows, missing columns are null."""
    count = len(rows)  # type: ignore[arg-type]
    given = {"subset": subset, "row": rows, "reason": reason, "detail": detail, **witness}
    columns = []
    for field in DROPPED_SCHEMA:
        value = given.get(field.name)
        if value is None or isinstance(value, str):
            columns.append(pa.array([value] * count, field.type))
        elif isinstance(value, pa.ChunkedArray):
            columns.append(value.cast(field.type))
        else:
            columns.append(pa.array(value, field.type))
    return pa.table(columns, schema=DROPPED_SCHEMA)


def _first(table: pa.Table, rows: int) -> np.ndarray:
    """Return the index of each row's first entry in a table, int64 [rows]; -1 for rows without an entry."""
    first = np.full(rows, table.num_rows, np.int64)
    np.minimum.at(first, table["row"].to_numpy(), np.arange(table.num_rows))
    first[first == table.num_rows] = -1
    return first
