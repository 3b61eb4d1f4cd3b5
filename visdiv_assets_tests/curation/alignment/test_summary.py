from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.curation.alignment.summary import QUANTILES, Totals, summarize_rows, summarize_subset, totals_of
from visdiv_assets.curation.alignment.turns import TURNS_SCHEMA


def turns(*values: tuple[int, float | None, bool | None]) -> pa.Table:
    records = [{"row": row, "turn": 0, "cosine": cosine, "truncated": cut} for row, cosine, cut in values]
    return pa.Table.from_pylist(records, TURNS_SCHEMA)


def summary(cosines: list[float], rows: list[float] | None = None) -> dict[tuple[str, str], dict[str, object]]:
    totals = Totals(turns=len(cosines), turns_scored=len(cosines), rows_scored=1, texts=8, texts_truncated=2)
    values = np.array(cosines, np.float32)
    found = summarize_subset(values, values if rows is None else np.array(rows, np.float32), totals)
    return {(record["unit"], record["name"]): record for record in found.to_pylist()}


def test_a_row_has_the_least_and_the_mean_of_its_scored_turns() -> None:
    values = turns((0, 0.2, False), (0, -0.4, True), (0, None, None), (2, 0.3, False))
    parts = [batch for start in (0, 1) for batch in values.slice(start * 2, 2).to_batches()]
    rows = summarize_rows(parts, np.array([1, 2, 3])).to_pylist()
    assert [row["row"] for row in rows] == [0, 1, 2]
    assert [(row["turns"], row["turns_scored"], row["turns_truncated"], row["images"]) for row in rows] == [
        (3, 2, 1, 1),
        (0, 0, 0, 2),
        (1, 1, 0, 3),
    ]
    assert rows[0]["cosine_min"] == pytest.approx(-0.4)
    assert rows[0]["cosine_mean"] == pytest.approx(-0.1)
    assert rows[0]["clip_score_min"] == 0
    assert rows[0]["clip_score_mean"] == pytest.approx(2.5 * 0.2 / 2)
    assert [rows[1][name] for name in ("cosine_min", "cosine_mean", "clip_score_min", "clip_score_mean")] == [None] * 4


def test_totals_are_counted() -> None:
    rows = summarize_rows(turns((0, 0.2, True), (0, None, None), (1, None, False)).to_batches(), np.array([1, 0]))
    assert totals_of(rows, 2) == Totals(turns=3, turns_scored=1, rows_scored=1, texts=2, texts_truncated=1)


def test_named_filters_keep_what_reaches_them_exactly() -> None:
    found = summary([0.1, 0.28, 0.29, 0.3, 0.31])
    assert {name: found["turn", name]["reached"] for name in ("laion_5b", "laion_400m")} == {
        "laion_5b": 4,
        "laion_400m": 2,
    }
    assert found["turn", "laion_400m"]["share"] == pytest.approx(0.4)
    assert found["turn", "laion_400m"]["clip_score"] == pytest.approx(0.75)
    assert "alt-text" in str(found["turn", "laion_5b"]["remark"])


@pytest.mark.parametrize("count", [1, 2, 10, 997])
def test_the_best_thirty_percent_are_kept(count: int) -> None:
    found = summary(np.random.default_rng(count).permutation(count / 1000 * np.linspace(0, 1, count)).tolist())
    assert found["row", "datacomp_top_30"]["reached"] == max(round(0.3 * count), 1)


def test_quantiles_are_values_that_occur_in_order() -> None:
    values = np.random.default_rng(0).normal(0.25, 0.05, 501).astype(np.float32).tolist()
    found = summary(values)
    quantiles = [float(str(found["turn", name]["cosine"])) for name in QUANTILES]
    assert quantiles == sorted(quantiles)
    assert set(quantiles) <= set(values)
    assert found["turn", "p50"]["cosine"] == pytest.approx(np.median(values), abs=1e-3)
    assert found["turn", "p99"]["reached"] == 6


def test_turns_and_rows_are_separate_units() -> None:
    found = summary([0.1, 0.2, 0.4], rows=[0.4])
    assert (found["turn", "laion_400m"]["scored"], found["row", "laion_400m"]["scored"]) == (3, 1)
    assert found["row", "laion_400m"]["share"] == 1


def test_the_share_of_truncated_texts_is_given() -> None:
    record = summary([0.1])["text", "truncated"]
    assert (record["reached"], record["scored"], record["share"]) == (2, 8, 0.25)


def test_without_a_score_there_are_no_quantiles_and_no_shares() -> None:
    found = summary([])
    assert {name for _, name in found} == {"laion_5b", "laion_400m", "truncated"}
    assert found["turn", "laion_5b"]["share"] is None
