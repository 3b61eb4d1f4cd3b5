from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from visdiv_assets.publishing.reports.pair_selection import DRAWN, PAIRS_SHOWN, drawn, on_page, records_on_page

TIES = [("name", "ascending")]
PAIRS = st.lists(
    st.tuples(st.one_of(st.none(), st.sampled_from([0.4, 0.5, 0.9])), st.sampled_from([None, True, False])),
    max_size=120,
)


def random_pairs(count: int, seed: int = 0) -> tuple[list[float | None], list[bool | None]]:
    rng = np.random.default_rng(seed)
    # Many ties.
    return list(rng.integers(450, 1000, count) / 1000), list(map(bool, rng.integers(0, 2, count)))


def test_without_verdicts_the_closest_are_on_the_page() -> None:
    similarities = [number / 1000 for number in range(PAIRS_SHOWN + 50)]
    assert on_page(similarities, [None] * len(similarities)) == list(range(PAIRS_SHOWN + 50))[:49:-1]
    assert drawn(similarities, [None] * len(similarities)) == set()


def test_pairs_that_a_threshold_misjudges_are_on_the_page() -> None:
    # 400 close confirmed pairs, then rejected ones, then confirmed ones that are hardly alike.
    similarities = [0.99] * 400 + [0.8] * 50 + [0.5] * 50
    verified = [True] * 400 + [False] * 50 + [True] * 50
    chosen = on_page(similarities, verified)
    assert len(chosen) == PAIRS_SHOWN
    special = drawn(similarities, verified)
    assert special == {*range(400, 400 + DRAWN), *range(450, 450 + DRAWN)}
    assert special < set(chosen)
    assert chosen == sorted(chosen)


@given(PAIRS)
def test_the_drawn_pairs_are_the_extremes(pairs: list[tuple[float | None, bool | None]]) -> None:
    similarities, verified = [each for each, _ in pairs], [each for _, each in pairs]
    special = drawn(similarities, verified)
    for kind, sign in ((True, 1), (False, -1)):
        there = [
            number for number in range(len(pairs)) if verified[number] is kind and similarities[number] is not None
        ]
        chosen = [sign * (similarities[number] or 0) for number in there if number in special]
        others = [sign * (similarities[number] or 0) for number in there if number not in special]
        assert len(chosen) == min(len(there), DRAWN)
        assert not others or max(chosen) <= min(others)


def test_a_table_gives_what_python_would_choose() -> None:
    similarities, verified = random_pairs(5000)
    names = [f"{number:05}" for number in np.random.default_rng(1).permutation(5000)]
    table = pa.table({"name": names, "similarity": similarities, "verified": verified})
    by_name = sorted(range(5000), key=names.__getitem__)
    expected = on_page([similarities[number] for number in by_name], [verified[number] for number in by_name])
    found = records_on_page(table, TIES)
    assert [record["name"] for record in found] == [names[by_name[number]] for number in expected]
    assert found[0].keys() == {"name", "similarity", "verified"}


def test_a_table_without_verdicts_gives_its_closest() -> None:
    table = pa.table({"name": list("abc"), "similarity": [0.5, 0.9, 0.9]})
    assert [record["name"] for record in records_on_page(table, TIES)] == ["b", "c", "a"]
    assert records_on_page(table.slice(0, 0), TIES) == []


def test_unknown_verdicts_are_neither_confirmed_nor_rejected() -> None:
    table = pa.table({"name": list("ab"), "similarity": [0.5, 0.9], "verified": pa.array([None, True])})
    assert [record["verified"] for record in records_on_page(table, TIES)] == [True, None]
