"""The registry of methods, and the tables that compare what they keep."""

from __future__ import annotations

import importlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.curation.selection import overlap_tables as module
from visdiv_assets.curation.selection.methods import METHODS, Method, keep_fraction, order_rows, scores_of_picks
from visdiv_assets.curation.selection.overlap_tables import (
    DIVERSITY_SCHEMA,
    EVERYTHING,
    OVERLAP_SCHEMA,
    SHARES_SCHEMA,
    diversity_before_and_after,
    keep_same_fraction,
    overlaps,
    share_per_subset,
)
from visdiv_assets.diversity import get_diversity_components
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.testing.vectors import random_units


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_method_names_a_documented_function(method: Method) -> None:
    where, _, function = method.function.rpartition(".")
    found = getattr(importlib.import_module(f"visdiv_assets.{where}"), function)
    assert found.__doc__
    assert METHODS[method.name] is method


@settings(deadline=None)
@given(
    name=st.sampled_from(list(METHODS)),
    scores=st.lists(st.sampled_from([-1.5, 0.0, 0.25, 1.0, 1e9]), max_size=12),
    fraction=st.floats(0, 1),
)
def test_best_rows_come_first(name: str, scores: list[float], fraction: float) -> None:
    sign = -1 if METHODS[name].keeps == "high" else 1
    values = np.array(scores, np.float32)
    order = order_rows(name, values).tolist()
    assert sorted(order) == list(range(len(scores)))
    assert [sign * scores[row] for row in order] == sorted(sign * score for score in scores)
    assert order_rows(name, values).tolist() == order
    kept = keep_fraction(name, values, fraction)
    assert np.flatnonzero(kept).tolist() == sorted(order[: round(fraction * len(scores))])


def test_a_cut_among_ties_keeps_a_share_of_every_part() -> None:
    scores = np.repeat(np.array([1, 0], np.float32), [3000, 27000])
    kept = keep_fraction("wfpp", scores, 0.4)
    assert kept[:3000].all()
    shares = kept[3000:].reshape(9, 3000).mean(axis=1)
    # Of 27,000 rows 9,000 are drawn: the share of a part has a standard deviation of 0.008.
    assert shares.min() > 1 / 3 - 0.04
    assert shares.max() < 1 / 3 + 0.04


def test_duplicates_and_leaks_are_dropped_and_rare_words_kept() -> None:
    scores = np.array([0.1, 0.9])
    first = {name: int(order_rows(name, scores)[0]) for name in METHODS}
    assert {name for name, row in first.items() if row == 0} == {"semdedup", "conformity", "clippings", "text_overlap"}


def test_picks_become_scores_that_give_their_order_back() -> None:
    picks = np.array([4, 0, 3])
    scores = scores_of_picks(picks, 6)
    assert scores.dtype == np.float32
    assert order_rows("clip_cov", scores)[:3].tolist() == [4, 0, 3]
    assert scores_of_picks(np.empty(0, np.int64), 3).tolist() == [0, 0, 0]
    with pytest.raises(VisdivError, match="pass the number of rows that the picks refer to"):
        scores_of_picks(picks, 4)


def test_impossible_scores_and_fractions_are_refused() -> None:
    with pytest.raises(VisdivError, match=r"the score of row 1 by wfpp is NaN: compute it again$"):
        order_rows("wfpp", np.array([0, np.nan]))
    with pytest.raises(VisdivError, match="unknown selection method 'magic': use one of semdedup, "):
        order_rows("magic", np.zeros(2))
    with pytest.raises(VisdivError, match="one number per row"):
        order_rows("wfpp", np.zeros((2, 2)))
    for fraction in (-0.1, 1.1, float("nan")):
        with pytest.raises(VisdivError, match="give a number between 0 and 1"):
            keep_fraction("wfpp", np.zeros(2), fraction)
    with pytest.raises(VisdivError, match="give one bool for each of 3 rows"):
        keep_same_fraction({"wfpp": np.zeros(3), "semdedup": np.zeros(2)}, 0.5)


@settings(deadline=None)
@given(data=st.data(), rows=st.integers(0, 12))
def test_shares_and_overlaps_match_sets_of_rows(data: st.DataObject, rows: int) -> None:
    subsets = data.draw(st.lists(st.sampled_from(["b", "a", "日本"]), min_size=rows, max_size=rows))
    masks = st.lists(st.booleans(), min_size=rows, max_size=rows)
    kept = {name: np.array(data.draw(masks), bool) for name in ("one", "two", "three")}
    rows_of = {name: set(np.flatnonzero(mask).tolist()) for name, mask in kept.items()}
    shares = share_per_subset(kept, pa.array(subsets, pa.string()))
    assert shares.schema == SHARES_SCHEMA
    assert shares.to_pylist() == [
        {
            "method": name,
            "subset": subset,
            "rows": subsets.count(subset),
            "kept": (held := sum(subsets[row] == subset for row in rows_of[name])),
            "share": held / subsets.count(subset),
        }
        for name in kept
        for subset in sorted(set(subsets))
    ]
    found = overlaps(kept)
    assert found.schema == OVERLAP_SCHEMA
    for row in found.to_pylist():
        a, b = rows_of[row["method_a"]], rows_of[row["method_b"]]
        assert (row["kept_a"], row["kept_b"], row["both"]) == (len(a), len(b), len(a & b))
        assert row["jaccard"] == (len(a & b) / len(a | b) if a | b else 1)
    assert [(row["method_a"], row["method_b"]) for row in found.to_pylist()] == [
        ("one", "two"),
        ("one", "three"),
        ("two", "three"),
    ]


@pytest.mark.parametrize("centered", [True, False])
def test_diversity_is_that_of_the_rows_kept(monkeypatch: pytest.MonkeyPatch, centered: bool) -> None:
    monkeypatch.setattr(module, "BLOCK", 7)
    vectors = random_units(60, 8).astype(np.float16)
    mask = np.random.default_rng(0).random(60) < 0.4
    found = diversity_before_and_after({"some": mask, "none": np.zeros(60, bool)}, vectors, centered=centered)
    assert found.schema == DIVERSITY_SCHEMA
    everything, some, none = found.to_pylist()
    assert (everything["method"], some["method"], none["method"]) == (EVERYTHING, "some", "none")
    for row, rows in ((everything, vectors), (some, vectors[mask])):
        both = get_diversity_components(rows)
        wanted = both.centered if centered else both.uncentered
        assert row["images"] == len(rows)
        for name in ("effective_rank", "participation_ratio", "score"):
            assert row[name] == pytest.approx(getattr(wanted, name))
    assert (none["images"], none["effective_rank"], none["score"]) == (0, None, None)


def test_diverse_picks_are_more_diverse_than_a_crowded_set() -> None:
    from visdiv_assets.curation.selection import select_diverse_samples

    vectors = np.concatenate([random_units(1, 16) + 0.1 * random_units(900, 16, 1), random_units(100, 16, 2)])
    scores = {"k_center": scores_of_picks(select_diverse_samples(vectors, 100), 1000)}
    everything, picked = diversity_before_and_after(keep_same_fraction(scores, 0.1), vectors).to_pylist()
    assert picked["images"] == 100
    assert picked["effective_rank"] > 1.5 * everything["effective_rank"]


def test_masks_of_other_rows_and_a_reserved_name_are_refused() -> None:
    vectors = random_units(4, 3)
    with pytest.raises(VisdivError, match="the mask of x is bool"):
        diversity_before_and_after({"x": np.ones(3, bool)}, vectors)
    with pytest.raises(VisdivError, match="the mask of x is int64"):
        overlaps({"x": np.ones(3, np.int64)})
    with pytest.raises(VisdivError, match="a method cannot be called"):
        diversity_before_and_after({EVERYTHING: np.ones(4, bool)}, vectors)
