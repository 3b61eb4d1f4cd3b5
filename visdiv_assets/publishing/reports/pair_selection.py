"""Which pairs a page has, and for which of them it draws the evidence.

Someone who checks a threshold looks for two kinds of pairs that the closest ones alone do not show: the confirmed ones
of low similarity, which the threshold misses, and the refused ones of high similarity, which it claims wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: A page with more pairs than this is neither looked at nor quick to open.
PAIRS_SHOWN = 300

#: Of either kind (confirmed of low similarity, refused of high): these are on the page and their evidence is drawn.
DRAWN = 30

#: Of a sort in Arrow: name of a column, and "ascending" or "descending".
SortKey = tuple[str, str]


def on_page(similarities: Sequence[float | None], verified: Sequence[bool | None]) -> list[int]:
    """Choose the pairs of a page: those that `drawn` chooses, and the closest of the others.

    Args:
        similarities: of each pair; None if it has none.
        verified: whether each is confirmed; None if its pixels were not compared.

    Returns:
        At most `PAIRS_SHOWN` indexes, the closest first; those without a similarity last, ties as given.
    """
    order = _closest_first(similarities)
    special = drawn(similarities, verified)
    others = [number for number in order if number not in special]
    chosen = special | set(others[: PAIRS_SHOWN - len(special)])
    return [number for number in order if number in chosen]


def drawn(similarities: Sequence[float | None], verified: Sequence[bool | None]) -> set[int]:
    """Choose the pairs whose evidence is drawn: confirmed ones of lowest similarity, refused ones of highest.

    Args:
        similarities: see `on_page`.
        verified: see `on_page`.

    Returns:
        Indexes, at most `DRAWN` of either kind.
    """
    ranked = [number for number in _closest_first(similarities) if similarities[number] is not None]
    # From the order as given again, so that ties fall alike in either direction.
    rising = sorted(sorted(ranked), key=lambda number: similarities[number] or 0.0)
    confirmed = [number for number in rising if verified[number] is True]
    refused = [number for number in ranked if verified[number] is False]
    return {*confirmed[:DRAWN], *refused[:DRAWN]}


def records_on_page(pairs: pa.Table, ties: Sequence[SortKey]) -> list[dict[str, Any]]:
    """Choose as `on_page` does from a table of any length, most of which Python never sees.

    Args:
        pairs: a table with the column similarity; verified too if its pairs were verified.
        ties: what orders pairs of equal similarity.

    Returns:
        The records of the page's pairs, the closest first.
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
    def rank(number: int) -> float:
        similarity = similarities[number]
        return math.inf if similarity is None else -similarity

    return sorted(range(len(similarities)), key=rank)
