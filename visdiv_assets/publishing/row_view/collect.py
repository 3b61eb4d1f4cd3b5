"""Collect what is known of one row: its images and texts, its scores, close images, and the decision about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow.compute as pc

from visdiv_assets.corpus.access import is_current
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import row_strings
from visdiv_assets.errors import InputError, did_you_mean
from visdiv_assets.publishing.row_view import queries
from visdiv_assets.publishing.site.report_data import Warehouse
from visdiv_assets.storage.lake import Lake

Record = dict[str, Any]


@dataclass(frozen=True)
class RowView:
    """What is known of a row. Records have the column names of the DuckDB file.

    Attributes:
        kind: whether it is in a subset or a benchmark.
        name: of the subset or benchmark.
        row: its index there, from 0.
        file: the file of the source that holds it; None if it is not known.
        row_in_file: its index in that file, from 0.
        decision: kept (None: nothing was decided yet), and of a dropped row reason, detail and the witness.
        images: its image positions: properties, status and quality columns.
        turns: turn, user (question), assistant (answer) and the ratings of each turn.
        strings: the texts of a row of a benchmark, whose columns differ between benchmarks.
        scores: rating, alignment and selection scores, by name; None where there is none.
        copies: the cluster of each image that has copies, and the position that a clean copy keeps.
        pairs: close images in subsets, with verdict and evidence; the closest confirmed ones first.
        pairs_total: number of such pairs; `pairs` may be a part of them.
        leaks: close images on the other side: in benchmarks for a row of a subset, in subsets for one of a benchmark.
        text_overlaps: texts of benchmarks in its questions and answers.
    """

    kind: str
    name: str
    row: int
    file: str | None = None
    row_in_file: int | None = None
    decision: Record = field(default_factory=lambda: {"kept": None})
    images: Sequence[Record] = ()
    turns: Sequence[Record] = ()
    strings: Sequence[str] = ()
    scores: Record = field(default_factory=dict)
    copies: Sequence[Record] = ()
    pairs: Sequence[Record] = ()
    pairs_total: int = 0
    leaks: Sequence[Record] = ()
    text_overlaps: Sequence[Record] = ()


def collect_row(
    warehouse: Warehouse, lake: Lake, name: str, row: int, *, image: int | None = None, benchmark: bool = False
) -> RowView:
    """Collect what is known of a row.

    Args:
        warehouse: the published DuckDB file.
        lake: holds the texts, and the images of benchmarks.
        name: of a subset, or of a benchmark if no subset has that name.
        row: its index, from 0.
        image: index of the only image that counts; None: all images of the row.
        benchmark: whether the name is that of a benchmark.

    Raises:
        InputError: there is no such subset or benchmark, row or image.
    """
    subsets = {str(record["subset"]): int(record["rows"]) for record in warehouse.rows(queries.SUBSETS)}
    if name in subsets and not benchmark:
        _check_row(name, row, subsets[name])
        return _subset_row(warehouse, lake, name, row, image)
    benchmarks = lake.partitions(LakeTable.BENCHMARK_IMAGES)
    if name in benchmarks:
        _check_row(name, row, int(lake.require(LakeTable.BENCHMARK_IMAGES, name).facts["rows"]))
        return _benchmark_row(warehouse, lake, name, row, image)
    known = benchmarks if benchmark else [*subsets, *benchmarks]
    what = "benchmark" if benchmark else "subset or benchmark"
    hint = did_you_mean(name, known) or '`visdiv query "SELECT subset FROM subsets"` lists the subsets'
    raise InputError(f"no {what} {name!r} is published: {hint}")


def _check_row(name: str, row: int, rows: int) -> None:
    if not 0 <= row < rows:
        raise InputError(
            f"{name!r} has no row {row}: " + (f"its rows are 0 to {rows - 1}" if rows else "it has no rows")
        )


def _check_image(view: RowView, image: int | None) -> None:
    if image is not None and not view.images:
        raise InputError(f"row {view.row} of {view.name!r} has no image {image}: images count from 0")


def _subset_row(warehouse: Warehouse, lake: Lake, name: str, row: int, image: int | None) -> RowView:
    given = {"subset": name, "row": row}
    one = {**given, "image": -1 if image is None else image}
    images = [_without_empty(record) for record in warehouse.rows(queries.IMAGES, **one)]
    view = RowView("subset", name, row, images=images)
    _check_image(view, image)
    file, row_in_file = _file_of(lake, name, row, images)
    pairs = warehouse.rows(queries.PAIRS, **one)
    total = pairs[0]["total"] if pairs else 0
    for pair in pairs:
        del pair["total"]
    scores: Record = {}
    for table, sql in queries.SCORES.items():
        scores |= next(iter(warehouse.rows_of(table, sql, **given)), {})
    scores["rating"] = _rating(lake, name, row)
    return replace(
        view,
        file=file,
        row_in_file=row_in_file,
        decision=_decision(warehouse, lake, given),
        turns=_turns(lake, name, row),
        scores={key: value for key, value in scores.items() if value is not None},
        copies=warehouse.rows(queries.COPIES, **one),
        pairs=pairs,
        pairs_total=total,
        leaks=warehouse.rows(queries.LEAKS, **one),
        text_overlaps=warehouse.rows(queries.TEXTS, **given),
    )


def _benchmark_row(warehouse: Warehouse, lake: Lake, name: str, row: int, image: int | None) -> RowView:
    manifest = lake.require(LakeTable.BENCHMARK_IMAGES, name)
    listed = lake.read(manifest, where=pc.field("row") == row).to_pylist()
    images = [_without_empty(record) for record in listed if image is None or record["image_index"] == image]
    for record in images:
        record.pop("row", None)
    view = RowView("benchmark", name, row, images=images)
    _check_image(view, image)
    first = images[0] if images else {}
    given = {"benchmark": name, "row": row, "image": -1 if image is None else image}
    return replace(
        view,
        file=first.get("file"),
        row_in_file=first.get("row_in_file"),
        strings=row_strings(lake, name, row),
        leaks=warehouse.rows(queries.LEAKED_TO, **given),
    )


def _without_empty(record: Record) -> Record:
    return {name: value for name, value in record.items() if value is not None and value != ""}


def _file_of(lake: Lake, name: str, row: int, images: Sequence[Record]) -> tuple[str | None, int | None]:
    """Return file and row_in_file of a row; of one without images from the numbers of rows of the files."""
    if images:
        return images[0].get("file"), images[0].get("row_in_file")
    before = 0
    for file, rows in lake.require(LakeTable.SUBSET_IMAGES, name).facts["files"]:
        if row < before + rows:
            return file, row - before
        before += rows
    return None, None


def _decision(warehouse: Warehouse, lake: Lake, given: Record) -> Record:
    if not warehouse.rows(queries.DECIDED, **given):
        return {"kept": None}
    dropped = warehouse.rows(queries.DROPPED, **given)
    if not dropped:
        return {"kept": True}
    found = {"kept": False, **_without_empty(dropped[0])}
    if found.get("witness_kind") == "benchmark" and "witness_row" in found:
        place = (pc.field("row") == found["witness_row"]) & (pc.field("image_index") == found["witness_image_index"])
        manifest = lake.manifest(LakeTable.BENCHMARK_IMAGES, found["witness"])
        for record in lake.read(manifest, where=place).to_pylist() if manifest else []:
            found |= _without_empty({f"witness_{key}": record[key] for key in ("file", "row_in_file", "path")})
    return found


def _turns(lake: Lake, name: str, row: int) -> list[Record]:
    manifest = lake.manifest(LakeTable.SUBSET_TURNS, name)
    if manifest is None or not manifest.files("turns"):
        return []
    found: list[Record] = lake.read(manifest, "turns", where=pc.field("row") == row).drop_columns(["row"]).to_pylist()
    return sorted(found, key=lambda turn: int(turn["turn"]))


def _rating(lake: Lake, name: str, row: int) -> float | None:
    """Return the mean of the ratings of a row; None without ratings, or if they are those of older turns."""
    manifest = lake.manifest(LakeTable.QUALITY_ROWS, name)
    if manifest is None or not is_current(lake, manifest):
        return None
    found = lake.read(manifest, columns=["rating"], where=pc.field("row") == row)["rating"].to_pylist()
    return found[0] if found else None
