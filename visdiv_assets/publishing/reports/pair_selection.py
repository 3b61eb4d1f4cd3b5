"""Choose the pairs of a page, and the pairs whose evidence it draws.

To judge a threshold, two kinds of pairs are needed besides the closest ones: confirmed pairs of low similarity, which
the threshold misses, and rejected pairs of high similarity, which it accepts wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Maximum pairs of a page, so that it opens quickly.
PAIRS_SHOWN = 300

#: Maximum pairs of each of these two kinds; all of them are on the page with their evidence drawn.
DRAWN = 30

#: Sort key of Arrow: name of a column, and "ascending" or "descending".
SortKey = tuple[str, str]


def on_page(similarities: Sequence[float | None], verified: Sequence[bool | None]) -> list[int]:
    """Choose the pairs of a page: those that `drawn` chooses, and the closest of the others.

    Args:
        similarities: similarity of each pair; None if it has none.
        verified: true if the pair is confirmed, false if it is rejected, None if it is undecided or was not compared.

    Returns:
        at most `PAIRS_SHOWN` indices, closest first; pairs without a similarity last, ties in the given order.
    """
    order = _closest_first(similarities)
    special = drawn(similarities, verified)
    others = [index for index in order if index not in special]
    chosen = special | set(others[: PAIRS_SHOWN - len(special)])
    return [index for index in order if index in chosen]


def drawn(similarities: Sequence[float | None], verified: Sequence[bool | None]) -> set[int]:
    """Choose the pairs whose evidence is drawn: confirmed ones of lowest similarity, rejected ones of highest.

    Args:
        similarities: see `on_page`.
        verified: see `on_page`.

    Returns:
        indices, at most `DRAWN` of each kind.
    """
    ranked = [index for index in _closest_first(similarities) if similarities[index] is not None]
    # Sort by index first, so that ties keep the given order in both directions.
    rising = sorted(sorted(ranked), key=lambda index: similarities[index] or 0.0)
    confirmed = [index for index in rising if verified[index] is True]
    rejected = [index for index in ranked if verified[index] is False]
    return {*confirmed[:DRAWN], *rejected[:DRAWN]}


def records_on_page(pairs: pa.Table, ties: Sequence[SortKey]) -> list[dict[str, Any]]:
    """Choose as `on_page` does, from a table of any length, without converting all of it to Python objects.

    Args:
        pairs: a table with the column similarity, and verified if its pairs were compared.
        ties: sort keys for pairs of equal similarity.

    Returns:
        the records of the pairs of the page, closest first.
    """
    numbered = pairs.append_column("_position", pa.array(np.arange(pairs.num_rows)))
    parts = [_best(numbered, "descending", ties, PAIRS_SHOWN)]
    if "verified" in pairs.column_names:
        parts.append(_best(numbered.filter(pc.field("verified")), "ascending", ties, DRAWN))
        parts.append(_best(numbered.filter(~pc.field("verified")), "descending", ties, DRAWN))
    records: dict[int, dict[str, Any]] = {}
    for record in pa.concat_tables(parts).sort_by(list(ties)).to_pylist():
        records.setdefault(record.pop("_position"), record)
    few = list(records.values())
    return [few[n] for n in on_page([each["similarity"] for each in few], [each.get("verified") for each in few])]


def _best(pairs: pa.Table, direction: str, ties: Sequence[SortKey], count: int) -> pa.Table:
    keys = [("similarity", direction), *ties]
    return pairs.take(pc.select_k_unstable(pairs, k=min(count, pairs.num_rows), sort_keys=keys))


def _closest_first(similarities: Sequence[float | None]) -> list[int]:
    def rank(index: int) -> float:
        similarity = similarities[index]
        return math.inf if similarity is None else -similarity

    return sorted(range(len(similarities)), key=rank)
