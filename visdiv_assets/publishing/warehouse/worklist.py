"""Turns worth rewriting, found in the published DuckDB file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.errors import StaleError
from visdiv_assets.publishing.row_formats import Rows
from visdiv_assets.publishing.warehouse.query import query_rows
from visdiv_assets.storage.lake import Lake

# Turns with the most reasons come first, then others by a hash, so that a limit takes some of each subset.
_TURNS = """
WITH cuts AS (SELECT subset, quantile_disc(clip_score_mean, {clip_share}) AS cut FROM alignment GROUP BY subset),
repeats AS (SELECT DISTINCT subset, "row", turn FROM repeated_turns WHERE kind = 'pair' AND NOT is_first),
found AS (
    SELECT q.subset, q."row", q.turn, a.clip_score_mean AS clip_score, q.answer_words,
        {clip_share} > 0 AND coalesce(a.clip_score_mean <= c.cut, false) AS low,
        q.empty_answer AS empty, q.answer_words <= {words} AS short, {duplicates} AND r.turn IS NOT NULL AS repeats
    FROM text_quality q
    LEFT JOIN alignment a ON a.subset = q.subset AND a."row" = q."row"
    LEFT JOIN cuts c ON c.subset = q.subset
    LEFT JOIN repeats r ON r.subset = q.subset AND r."row" = q."row" AND r.turn = q.turn
    WHERE {subsets}
)
SELECT subset, "row", turn, concat_ws(', ',
    CASE WHEN low THEN 'low CLIPScore' END,
    CASE WHEN empty THEN 'empty answer' WHEN short THEN 'short answer' END,
    CASE WHEN repeats THEN 'repeats another turn' END) AS reasons, clip_score, answer_words
FROM found WHERE low OR empty OR short OR repeats
ORDER BY low::INTEGER + (empty OR short)::INTEGER + repeats::INTEGER DESC, hash(subset, "row", turn) LIMIT {limit}
"""


def find_turns(
    path: Path, *, clip_share: float, words: int, duplicates: bool, subsets: Sequence[str], limit: int
) -> Rows:
    """Return turns of rows with a low CLIPScore, with a short answer, or that repeat another turn.

    Args:
        path: the DuckDB file.
        clip_share: share of the rows of each subset whose CLIPScore counts as low.
        words: most words of a short answer.
        duplicates: whether turns count that repeat an earlier one.
        subsets: names of subsets; empty: all.
        limit: maximum number of turns; those with the most reasons are returned, then a fixed sample.

    Returns:
        subset, row, turn, reasons, clip_score of the row (NULL without CLIP vectors) and answer_words.

    Raises:
        StorageError: there is no file yet.
    """
    quoted = ", ".join("'{}'".format(name.replace("'", "''")) for name in subsets)
    return query_rows(
        path,
        _TURNS.format(
            clip_share=float(clip_share),
            words=int(words),
            duplicates=bool(duplicates),
            subsets=f"q.subset IN ({quoted})" if subsets else "true",
            limit=int(limit),
        ),
        name="turns",
    )


def require_published(path: Path, lake: Lake, subsets: Collection[str]) -> None:
    """Check that the DuckDB file is of the rows that the lake has now.

    Args:
        path: the DuckDB file.
        lake: the lake.
        subsets: names of subsets of the file.

    Raises:
        StaleError: a subset has changed since the file was published.
    """
    published = query_rows(path, "SELECT subset, source_revision FROM subsets", name="subsets").values
    for subset, revision in published:
        if subset in subsets and lake.require(LakeTable.SUBSET_IMAGES, str(subset)).source_revision != revision:
            raise StaleError(f"{subset!r} has changed since {path} was published: run `visdiv run --all`")
