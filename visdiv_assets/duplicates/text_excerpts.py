"""The beginnings of the texts of some turns, read from the lake."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import stored_turns
from visdiv_assets.storage.lake import Lake

#: Characters of an excerpt.
EXCERPT = 200


def read_excerpts(lake: Lake, groups: pa.Table) -> pa.Array:
    """Return the first characters of the text that each group is about, on one line; null if its turn is gone.

    Args:
        lake: holds the turns.
        groups: columns kind, subset, row and turn. Of a pair, the question and the answer are returned.
    """
    wanted = groups.select(["kind", "subset", "row", "turn"]).to_pylist()
    texts: dict[tuple[str, int, int], tuple[str, str]] = {}
    for subset in sorted({each["subset"] for each in wanted}):
        turns = {(each["row"], each["turn"]) for each in wanted if each["subset"] == subset}
        rows = np.unique([row for row, _ in turns])
        for shard in stored_turns(lake, lake.require(LakeTable.SUBSET_TURNS, subset)):
            within = rows[(rows >= shard.first_row) & (rows < shard.first_row + shard.rows)]
            last, turn = -1, 0
            for row, question, answer in shard.turns_of(within) if len(within) else ():
                turn = turn + 1 if row == last else 0
                last = row
                if (row, turn) in turns:
                    texts[subset, row, turn] = (question or "")[: 2 * EXCERPT], (answer or "")[: 2 * EXCERPT]
    found = [_excerpt(each["kind"], texts.get((each["subset"], each["row"], each["turn"]))) for each in wanted]
    return pa.array(found, pa.string())


def _excerpt(kind: str, turn: tuple[str, str] | None) -> str | None:
    if turn is None:
        return None
    question, answer = turn
    text = {"answer": answer}.get(kind, question) if not kind.startswith("pair") else f"{question} | {answer}"
    return " ".join(text.split())[:EXCERPT]
