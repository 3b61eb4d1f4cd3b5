"""The precision of verification that people's decisions measure, in words."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.person_decisions import RIGHT, WRONG, look_up
from visdiv_assets.statistics import wilson_interval

_JUDGED_SCHEMA = pa.schema([("a", pa.string()), ("b", pa.string()), ("decision", pa.string()), ("sampled", pa.bool_())])


def judged_pairs(compared: pa.Table, decided: pa.Table, ids: Sequence[str] = SIDES) -> pa.Table:
    """Return the pairs that verification confirms and people have judged.

    Args:
        compared: pairs with the verdicts of verification: the columns `ids` and verified.
        decided: the decisions of the same partition: the columns `ids`, decision and sampled.
        ids: the columns with the two image_ids of a pair, first and last.

    Returns:
        table with the columns a, b, decision and sampled, each pair once.
    """
    confirmed = compared.filter(pc.field("verified"))
    a, b = (confirmed[ids[0]], confirmed[ids[-1]])
    said = {name: look_up(a, b, decided[ids[0]], decided[ids[-1]], decided[name]) for name in ("decision", "sampled")}
    judged = pa.table({"a": a, "b": b, **said}, schema=_JUDGED_SCHEMA).filter(pc.field("decision").is_valid())
    return judged.group_by(judged.column_names).aggregate([])


def precision_sentences(judged: pa.Table) -> list[str]:
    """Say what share of the confirmed pairs people judged wrong; nothing if they judged none.

    Args:
        judged: as `judged_pairs` returns it.
    """
    counts: dict[bool, tuple[int, int]] = {}
    for sampled, pairs in ((True, judged.filter(pc.field("sampled"))), (False, judged)):
        right, wrong = (pairs.filter(pc.field("decision") == decision).num_rows for decision in (RIGHT, WRONG))
        if right + wrong and (right, wrong) not in counts.values():
            counts[sampled] = (right, wrong)
    return [
        precision_sentence(right, wrong, *wilson_interval(right, right + wrong), sampled=sampled)
        for sampled, (right, wrong) in counts.items()
    ]


def precision_sentence(right: int, wrong: int, low: float | None, high: float | None, *, sampled: bool) -> str:
    """Say what share of the confirmed pairs people judged wrong.

    Args:
        right: number of pairs that people judged to be copies.
        wrong: number of those that they judged not to be.
        low: lower end of the 95 % interval of the precision; None without pairs.
        high: its upper end.
        sampled: whether the pairs are those of the random sample.
    """
    judged = right + wrong
    if low is None or high is None:
        return "People could not decide on any of the confirmed pairs that they looked at."
    of = "confirmed pairs of a random sample" if sampled else "confirmed pairs that people looked at"
    said = f"{wrong:,} of {judged:,} {of} were judged wrong: precision {100 * right / judged:.1f} %, 95 % interval "
    said += f"{100 * low:.1f} to {100 * high:.1f} %."
    return said if sampled else f"{said} People may have picked these pairs, so others may be better or worse."
