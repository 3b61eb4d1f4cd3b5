"""Summaries of the similarities of turns: for each row, and for the subset as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.curation.alignment.turns import CLIP_SCORE_SCALE, clip_score

ROWS_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("turns", pa.int32()),
        ("turns_scored", pa.int32()),
        ("turns_truncated", pa.int32()),
        ("images", pa.int32()),
        ("cosine_min", pa.float32()),
        ("cosine_mean", pa.float32()),
        ("clip_score_min", pa.float32()),
        ("clip_score_mean", pa.float32()),
    ]
)
SUMMARY_SCHEMA = pa.schema(
    [
        ("unit", pa.string()),
        ("measure", pa.string()),
        ("name", pa.string()),
        ("cosine", pa.float64()),
        ("clip_score", pa.float64()),
        ("reached", pa.int64()),
        ("scored", pa.int64()),
        ("share", pa.float64()),
        ("remark", pa.string()),
    ]
)

#: Quantiles in the summary, by name.
QUANTILES = {f"p{round(100 * value):02}": value for value in (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)}

#: Minimum cosine similarities by which LAION filtered pairs, both with ViT-B/32: LAION-5B's English part, LAION-400M.
FILTERS = {"laion_5b": 0.28, "laion_400m": 0.30}
#: DataComp's baseline keeps the best 30 % of the whole pool, with ViT-L/14; here it is applied to the subset.
TOP_NAME, TOP_SHARE = "datacomp_top_30", 0.30

ALT_TEXT = "made for alt-text of web pages: for questions and answers compare with the subset's own quantiles"
OWN_SHARE = "keeps 30 % of every subset by definition: the value says where that cuts"


@dataclass(frozen=True)
class Totals:
    """Counts of the turns and rows of a subset that have a similarity.

    Attributes:
        turns: number of turns.
        turns_scored: turns with a text, in a row with a readable image.
        rows_scored: rows with at least one scored turn.
        texts: turns with a text.
        texts_truncated: turns whose text was truncated.
    """

    turns: int
    turns_scored: int
    rows_scored: int
    texts: int
    texts_truncated: int


def summarize_rows(turns: Iterable[pa.RecordBatch], images: np.ndarray) -> pa.Table:
    """Summarize the turns of every row.

    Args:
        turns: batches of `turns.TURNS_SCHEMA`.
        images: int [rows], number of readable images of every row of the subset.

    Returns:
        table of `ROWS_SCHEMA`, one row per row of the subset. Minimum and mean are over its scored turns, each with the
        image that it fits best; they are null if no turn is scored.
    """
    rows = len(images)
    count, scored, truncated = (np.zeros(rows, np.int64) for _ in range(3))
    smallest = np.full(rows, np.inf, np.float32)
    cosine_sum, score_sum = np.zeros(rows), np.zeros(rows)
    for batch in turns:
        row = batch.column("row").to_numpy()
        count += np.bincount(row, minlength=rows)
        cut = batch.column("truncated").fill_null(False).to_numpy(zero_copy_only=False)
        truncated += np.bincount(row[cut], minlength=rows)
        cosine = batch.column("cosine").to_numpy(zero_copy_only=False)
        has = ~np.isnan(cosine)
        row, cosine = row[has], cosine[has]
        scored += np.bincount(row, minlength=rows)
        np.minimum.at(smallest, row, cosine)
        cosine_sum += np.bincount(row, cosine, minlength=rows)
        score_sum += np.bincount(row, clip_score(cosine), minlength=rows)
    none = scored == 0
    divisor = np.maximum(scored, 1)
    values: list[np.ndarray] = [smallest, cosine_sum / divisor, clip_score(smallest), score_sum / divisor]
    columns = [
        pa.array(np.arange(rows)),
        *(pa.array(numbers, pa.int32()) for numbers in (count, scored, truncated, images)),
        *(pa.array(value, pa.float32(), mask=none) for value in values),
    ]
    return pa.table(columns, schema=ROWS_SCHEMA)


def totals_of(rows: pa.Table, texts: int) -> Totals:
    """Return the totals of a table of `ROWS_SCHEMA`; `texts` is the number of turns with a text."""
    turns, scored, truncated = (
        int(rows[name].to_numpy().sum()) for name in ("turns", "turns_scored", "turns_truncated")
    )
    return Totals(turns, scored, int((rows["turns_scored"].to_numpy() > 0).sum()), texts, truncated)


def summarize_subset(turn_cosines: np.ndarray, row_cosines: np.ndarray, totals: Totals) -> pa.Table:
    """Compute quantiles, and the share that the named filters would keep, of turns and of rows.

    Args:
        turn_cosines: float [t], cosine of each scored turn.
        row_cosines: float [r], mean cosine of each scored row.
        totals: totals of the subset.

    Returns:
        table of `SUMMARY_SCHEMA`; if nothing is scored, it has no quantiles, and shares are null.
    """
    records = [
        record
        for unit, cosines in (("turn", turn_cosines), ("row", row_cosines))
        for record in _summarize_unit(unit, np.sort(cosines))
    ]
    cut = {"unit": "text", "measure": "truncated", "name": "truncated", "reached": totals.texts_truncated}
    records.append({**cut, "scored": totals.texts, "share": _share(totals.texts_truncated, totals.texts)})
    return pa.Table.from_pylist(records, SUMMARY_SCHEMA)


def _summarize_unit(unit: str, ordered: np.ndarray) -> list[dict[str, object]]:
    values: list[tuple[str, str, float, str | None]] = [
        ("filter", name, value, ALT_TEXT) for name, value in FILTERS.items()
    ]
    if len(ordered):
        # Quantiles are values that occur, so that the turns that reach one are counted exactly.
        chosen = np.quantile(ordered, list(QUANTILES.values()), method="lower")
        values += [("quantile", name, value, None) for name, value in zip(QUANTILES, chosen, strict=True)]
        values.append(("filter", TOP_NAME, _cut(ordered, TOP_SHARE), OWN_SHARE))
    records = []
    for measure, name, value, remark in values:
        # Compared as float32, as the values are stored: float32(0.3) differs from 0.3.
        reached = len(ordered) - int(np.searchsorted(ordered, np.float32(value)))
        records.append(
            {
                "unit": unit,
                "measure": measure,
                "name": name,
                "cosine": float(value),
                "clip_score": CLIP_SCORE_SCALE * max(float(value), 0),
                "reached": reached,
                "scored": len(ordered),
                "share": _share(reached, len(ordered)),
                "remark": remark,
            }
        )
    return records


def _cut(ordered: np.ndarray, share: float) -> float:
    """Return the threshold that keeps this share of the values, at least one value."""
    kept = max(round(share * len(ordered)), 1)
    return float(ordered[len(ordered) - kept])


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
