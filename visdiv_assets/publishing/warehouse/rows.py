"""The table of the rows of subsets: its columns, and the statements that fill it."""

from __future__ import annotations

from visdiv_assets.curation.quality import RATINGS
from visdiv_assets.curation.reasons import DROP_REASONS
from visdiv_assets.publishing.warehouse.columns import ROW, SUBSET, Column, Table, enum
from visdiv_assets.publishing.warehouse.images import DROPPED_ROWS
from visdiv_assets.sources.schema import CRITERIA

#: Characters of an excerpt of a text.
EXCERPT = 200

#: Columns of `dropped_rows` that `rows` has too; they are NULL for kept rows.
_FROM_DROPPED = (
    "detail",
    "witness_kind",
    "witness",
    "witness_row",
    "witness_image_index",
    "similarity",
    "confidence",
    "evidence",
    "image_index",
)
_FINDING = (
    "NULL unless the row appears in a finding: it is dropped, has a copy in the corpus or in a benchmark, shares text "
    "with a benchmark, or repeats a question and answer."
)

ROWS = Table(
    "rows",
    "One row per row of a subset: its file, whether a clean copy keeps it and why not, the image that it is dropped "
    "for (the witness), its ratings, and the beginning of its texts if it appears in a finding.",
    (
        SUBSET,
        ROW,
        Column("file", "VARCHAR", "File of the source that holds the row, by its path in the subset."),
        Column("row_in_file", "BIGINT", "Row of the file, from 0."),
        Column("images", "INTEGER", "Image positions of the row, unreadable ones included."),
        Column("turns", "INTEGER", "Turns (a question and its answer) of the row; NULL if its texts are not stored."),
        Column("kept", "BOOLEAN", "True if a clean copy keeps the row; NULL if that was not decided."),
        Column(
            "reason",
            enum(*DROP_REASONS),
            "Why the row is dropped; NULL for kept rows. If several reasons apply, the first of them.",
        ),
        *(column for column in DROPPED_ROWS.columns if column.name in _FROM_DROPPED),
        Column("rating", "FLOAT", "Mean of all ratings of the row's turns, 1 (worst) to 5 (best); NULL without any."),
        *(
            Column(criterion, "FLOAT", f"Mean rating of the row's turns by {criterion}; NULL without any.")
            for criterion in CRITERIA
        ),
        Column("question", "VARCHAR", f"The first {EXCERPT} characters of the first question. {_FINDING}"),
        Column("answer", "VARCHAR", f"The first {EXCERPT} characters of the first answer. {_FINDING}"),
    ),
)

_RATED = [f"{criterion}_ratings" for criterion in CRITERIA]
_COUNTED = f"BETWEEN {min(RATINGS)} AND {max(RATINGS)}"


def _summed(column: str, function: str) -> str:
    return f"{function}({column}) FILTER (WHERE {column} {_COUNTED})"


#: From the turns of a subset in `stored`: a row per row with turns.
RATED_ROWS = f"""
SELECT "row", count(*) AS turns,
    ({" + ".join(f"coalesce({_summed(column, 'sum')}, 0)" for column in _RATED)})
        / nullif({" + ".join(_summed(column, "count") for column in _RATED)}, 0) AS rating,
    {", ".join(f"{_summed(column, 'avg')} AS {criterion}" for column, criterion in zip(_RATED, CRITERIA, strict=True))}
FROM stored GROUP BY "row"
"""

#: The rows of `$subset` that appear in a finding.
ROWS_IN_FINDINGS = """
SELECT "row" FROM dropped_rows WHERE subset = $subset
UNION SELECT "row" FROM duplicate_clusters WHERE subset = $subset
UNION SELECT "row" FROM contamination_pairs WHERE subset = $subset AND verdict = 'confirmed'
UNION SELECT "row" FROM text_overlaps WHERE subset = $subset
UNION SELECT "row" FROM repeated_turns WHERE subset = $subset
"""


def _excerpt(column: str) -> str:
    return f"CASE WHEN length({column}) > {EXCERPT} THEN left({column}, {EXCERPT}) || '…' ELSE {column} END"


#: From the first turns of some rows in `stored`: their excerpts.
EXCERPTS = f"""SELECT "row", {_excerpt('"user"')} AS question, {_excerpt("assistant")} AS answer FROM stored"""

#: From `listed` (row, file, row_in_file of all rows) and the tables `rated` and `excerpts`: the rows of `$subset`.
ROWS_STATEMENT = f"""
INSERT INTO rows
SELECT $subset, l."row", coalesce(l.file, i.file), l.row_in_file, coalesce(i.images, 0),
    CASE WHEN $has_turns THEN coalesce(t.turns, 0) END,
    CASE WHEN $decided THEN d.reason IS NULL END, d.reason,
    {", ".join(f"d.{name}" for name in [column.name for column in DROPPED_ROWS.columns] if name in _FROM_DROPPED)},
    t.rating, {", ".join(f"t.{criterion}" for criterion in CRITERIA)}, e.question, e.answer
FROM listed l
LEFT JOIN (
    SELECT "row", count(*) AS images, min(file) AS file FROM images WHERE subset = $subset GROUP BY "row"
) i USING ("row")
LEFT JOIN rated t USING ("row")
LEFT JOIN (FROM dropped_rows WHERE subset = $subset) d USING ("row")
LEFT JOIN excerpts e USING ("row")
ORDER BY l."row"
"""
