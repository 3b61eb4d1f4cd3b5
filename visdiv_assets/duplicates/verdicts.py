"""Counts of the verdicts of many pairs, from batches of the table of pairs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.verify import MIN_CONFIDENCE

#: Columns that the counts are made from; tables of older versions have no confidence.
COUNTED_COLUMNS = ("verified", "confidence", "evidence", "reason")


@dataclass(frozen=True)
class VerdictCounts:
    """How many pairs have which verdict.

    Attributes:
        pairs: number of compared pairs.
        confirmed: number of confirmed pairs.
        undecided: number of undecided pairs.
        below_floor: number of confirmed pairs with a confidence under `MIN_CONFIDENCE`.
        without_confidence: number of confirmed pairs whose confidence is unknown.
        by_evidence: table of evidence, reason and pairs, the most frequent first.
        undecided_reasons: table of reason and pairs of the undecided pairs, the most frequent first.
    """

    pairs: int
    confirmed: int
    undecided: int
    below_floor: int
    without_confidence: int
    by_evidence: pa.Table
    undecided_reasons: pa.Table

    @property
    def rejected(self) -> int:
        """The number of rejected pairs."""
        return self.pairs - self.confirmed - self.undecided

    @property
    def undecided_share(self) -> float:
        """The share of undecided pairs; 0 without pairs."""
        return self.undecided / max(self.pairs, 1)


def count_verdicts(batches: Iterable[pa.RecordBatch]) -> VerdictCounts:
    """Count the verdicts of pairs.

    Args:
        batches: rows with the columns `COUNTED_COLUMNS`; confidence may be missing.
    """
    counted = [_GROUPS.empty_table()]
    pairs = below_floor = without_confidence = 0
    for batch in batches:
        table = pa.table(batch)
        pairs += table.num_rows
        grouped = table.group_by(_GROUPS.names[:3]).aggregate([([], "count_all")])
        counted.append(grouped.rename_columns(_GROUPS.names).cast(_GROUPS))
        confirmed = table.filter(table["verified"])
        if "confidence" in table.column_names:
            below = pc.less(confirmed["confidence"], pa.scalar(MIN_CONFIDENCE, pa.float32()))
            below_floor += pc.sum(below).as_py() or 0
            without_confidence += confirmed["confidence"].null_count
        else:
            without_confidence += confirmed.num_rows
    groups = pa.concat_tables(counted)
    undecided = groups.filter(pc.is_null(groups["verified"]))
    return VerdictCounts(
        pairs=pairs,
        confirmed=pc.sum(groups.filter(groups["verified"])["pairs"]).as_py() or 0,
        undecided=pc.sum(undecided["pairs"]).as_py() or 0,
        below_floor=below_floor,
        without_confidence=without_confidence,
        by_evidence=_summed(groups, ["evidence", "reason"]),
        undecided_reasons=_summed(undecided, ["reason"]),
    )


_GROUPS = pa.schema(
    [("verified", pa.bool_()), ("evidence", pa.string()), ("reason", pa.string()), ("pairs", pa.int64())]
)


def _summed(groups: pa.Table, by: list[str]) -> pa.Table:
    summed = groups.group_by(by).aggregate([("pairs", "sum")]).rename_columns([*by, "pairs"])
    return summed.sort_by([("pairs", "descending"), *((name, "ascending") for name in by)])
