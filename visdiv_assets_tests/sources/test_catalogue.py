from __future__ import annotations

from visdiv_assets.sources import category, finevision_categories


def test_every_published_subset_has_one_of_nine_categories() -> None:
    categories = finevision_categories()
    assert len(categories) == 185
    assert len(set(categories.values())) == 9


def test_categories_are_found_by_the_exact_name() -> None:
    assert category("geoqa+(mathv360k)") == "Mathematics"
    assert category("CoSyn_400k_chart") == "Chart & Table"
    assert category("cosyn_400k_chart") is None
    assert category("clipart_nature") is None


def test_the_caller_may_change_what_it_was_given() -> None:
    finevision_categories().clear()
    assert finevision_categories()
