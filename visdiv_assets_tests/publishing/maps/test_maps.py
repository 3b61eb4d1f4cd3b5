from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.publishing.maps.clusters import cluster_names, find_clusters, name_by_turns
from visdiv_assets.publishing.maps.layout import MIN_FOR_NEIGHBORS, draw_sample, layout, possible_layouts
from visdiv_assets.publishing.maps.page import map_page
from visdiv_assets.publishing.maps.points import POINTS_SCHEMA, Sampled, map_points
from visdiv_assets.publishing.plots.maps import plot
from visdiv_assets.publishing.site_head import SiteHead
from visdiv_assets.texts.templates import Turn
from visdiv_assets_tests.testing.clip_lakes import unit


def points(kind: str, count: int, name: str = "bird, red", name_of_layout: str = "umap") -> pa.Table:
    records = [
        {
            "kind": kind,
            "layout": name_of_layout,
            "id": f"{number:032x}",
            "row": number,
            "image_index": None if kind == "clip_text" else 0,
            "x": float(number),
            "y": -1.5,
            "cluster": number % 3 - 1,
            "cluster_name": name if number % 3 else "",
        }
        for number in range(count)
    ]
    return pa.Table.from_pylist(records, POINTS_SCHEMA)


def test_a_sample_is_seeded_ascending_and_all_of_what_is_small() -> None:
    assert draw_sample(5, 10).tolist() == [0, 1, 2, 3, 4]
    chosen = draw_sample(1000, 50)
    assert np.array_equal(chosen, draw_sample(1000, 50))
    assert len(set(chosen.tolist())) == 50
    assert (np.diff(chosen) > 0).all()
    assert not np.array_equal(chosen, draw_sample(1000, 50, seed=1))


@pytest.mark.parametrize("count", [0, 1, 2, 5, 31, 40])
def test_a_few_points_lie_along_their_main_directions(count: int) -> None:
    vectors = unit(np.random.default_rng(count).standard_normal((max(count, 1), 8)))[:count].astype(np.float16)
    places = layout(vectors, np.arange(count), "pca")
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()
    if count > 2:
        centered = vectors.astype(float) - vectors.astype(float).mean(axis=0)
        assert places.var(axis=0) * count == pytest.approx(np.linalg.svd(centered)[1][:2] ** 2, rel=1e-2)


def test_only_the_chosen_rows_are_laid_out() -> None:
    vectors = unit(np.random.default_rng(0).standard_normal((30, 4))).astype(np.float16)
    rows = np.array([3, 7, 29])
    assert np.array_equal(layout(vectors, rows, "pca"), layout(vectors[rows], np.arange(3), "pca"))


def test_a_vector_that_is_not_finite_is_rejected() -> None:
    with pytest.raises(VisdivError, match="not finite"):
        layout(np.full((3, 2), np.nan, np.float16), np.arange(3), "pca")


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["umap", "tsne"])
def test_groups_stay_together_and_the_map_is_the_same_again(name: str) -> None:
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(4), 60)
    vectors = unit(np.eye(16)[group] * 3 + random.standard_normal((240, 16)) * 0.3).astype(np.float16)
    places = layout(vectors, np.arange(240), name)
    assert np.array_equal(places, layout(vectors, np.arange(240), name))
    cluster = find_clusters(places)
    assert set(cluster.tolist()) - {-1} == {0, 1, 2, 3}
    for number in range(4):
        assert len(set(group[cluster == number].tolist())) == 1


def test_clusters_are_dense_groups_numbered_from_the_largest() -> None:
    random = np.random.default_rng(1)
    sizes = (30, 80, 50)
    places = np.concatenate([random.normal(20 * number, 0.5, (size, 2)) for number, size in enumerate(sizes)])
    cluster = find_clusters(places)
    assert np.bincount(cluster[cluster >= 0]).tolist() == sorted(np.bincount(cluster[cluster >= 0]).tolist())[::-1]
    assert {int(np.median(cluster[30:110])), int(np.median(cluster[110:])), int(np.median(cluster[:30]))} == {0, 1, 2}
    assert np.median(cluster[30:110]) == 0


@pytest.mark.parametrize("count", [0, 1, 9])
def test_a_few_points_are_no_clusters(count: int) -> None:
    assert find_clusters(np.zeros((count, 2), np.float32)).tolist() == [-1] * count


def test_a_cluster_is_named_by_the_words_that_the_others_lack() -> None:
    texts = ["the image shows a red bird"] * 5 + ["the image shows a chart of prices 2024"] * 5 + ["owl"]
    first, second = cluster_names(texts, np.array([0] * 5 + [1] * 5 + [-1]))
    assert {"bird", "red"} <= set(first.split(", "))
    assert {"chart", "prices"} <= set(second.split(", "))
    assert "owl" not in first + second


@pytest.mark.parametrize("text", ["", "the a of", "12 345", "\x00 \ud83d".encode("utf-8", "replace").decode()])
def test_clusters_without_words_have_no_name(text: str) -> None:
    assert cluster_names([text] * 4, np.array([0, 0, 1, 1])) == ["", ""]


def test_no_clusters_have_no_names() -> None:
    assert cluster_names(["bird"], np.array([-1])) == []
    assert cluster_names([], np.empty(0, np.int32)) == []


def test_words_of_any_script_can_name() -> None:
    (name, other) = cluster_names(["Vögel 鳥類 😀"] * 3 + ["Karte"] * 3, np.array([0] * 3 + [1] * 3))
    assert set(name.split(", ")) == {"vögel", "鳥類"}
    assert other == "karte"


def test_few_points_have_one_layout() -> None:
    assert possible_layouts(("umap", "tsne"), MIN_FOR_NEIGHBORS - 1) == ("pca",)
    assert possible_layouts(("umap", "tsne"), MIN_FOR_NEIGHBORS) == ("umap", "tsne")


def test_points_are_told_as_rows() -> None:
    vectors = unit(np.random.default_rng(3).standard_normal((9, 4))).astype(np.float16)
    sample = Sampled("sscd", vectors, np.array([2, 5]), ["a", "b"], np.array([7, 8]), [0, 3])
    table = map_points(sample, [[("bird", None)]] * 2, ("umap", "tsne"), 10)
    assert table.schema == POINTS_SCHEMA
    assert table.select(["kind", "layout", "id", "row", "image_index", "cluster"]).to_pylist() == [
        {"kind": "sscd", "layout": "pca", "id": "a", "row": 7, "image_index": 0, "cluster": -1},
        {"kind": "sscd", "layout": "pca", "id": "b", "row": 8, "image_index": 3, "cluster": -1},
    ]


def test_the_plot_is_one_image_for_all_maps() -> None:
    drawn = plot(pa.concat_tables([points("sscd", 40, "a $ sign"), points("clip_text", 7)]))
    assert drawn.startswith(b"\x89PNG")
    assert len(drawn) < 100_000
    with pytest.raises(ValueError, match="nothing to plot"):
        plot(POINTS_SCHEMA.empty_table())


def page_data(page: str) -> dict[str, Any]:
    (written,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data: dict[str, Any] = json.loads(written)
    return data


def test_the_page_holds_every_map_with_its_images_and_texts() -> None:
    table = pa.concat_tables([points("sscd", 6), points("clip_text", 3)])
    page = map_page("Maps of some", table, images={f"{1:032x}": "QUJD"}, texts={1: "a red bird"})
    data = page_data(page)
    first, second = data["maps"]
    assert (first["kind"], second["kind"]) == ("sscd", "clip_text")
    assert first["image"] == [-1, 0, -1, -1, -1, -1]
    (umap,) = first["layouts"]
    assert umap["name"] == "umap"
    assert umap["x"] == [0, 2000, 4000, 6000, 8000, 10000]
    assert umap["y"] == [0] * 6
    assert data["images"] == ["QUJD"]
    assert [data["texts"][place] for place in first["text"]][1] == "a red bird"
    assert first["name"] == ["bird, red", "bird, red"]
    assert page.count("<tr data-kind") == 4
    # A row can be chosen by keyboard, too.
    assert page.count('aria-pressed="false"') == 4


def test_layouts_are_tabs_of_one_map_with_its_clusters() -> None:
    turned = points("sscd", 6, name_of_layout="pca")
    turned = turned.set_column(5, "x", turned["y"]).set_column(6, "y", points("sscd", 6)["x"])
    page = map_page("Maps of some", pa.concat_tables([points("sscd", 6), turned]))
    (shown,) = page_data(page)["maps"]
    assert [each["title"] for each in shown["layouts"]] == ["UMAP", "PCA"]
    assert shown["layouts"][1]["y"] == shown["layouts"][0]["x"][::-1]
    assert len(shown["row"]) == 6
    assert page.count("<tr data-kind") == 2


def test_all_layouts_have_the_clusters_of_the_first() -> None:
    group = np.repeat(np.arange(2), 40)
    noise = np.random.default_rng(5).standard_normal((80, 8))
    vectors = unit(np.eye(8)[group] * 9 + noise * 0.2).astype(np.float16)
    sample = Sampled("sscd", vectors, np.arange(80), [f"{n:02}" for n in range(80)], np.arange(80), [0] * 80)
    turns = [[("What is it?", ("a red bird", "a chart")[number])] for number in group]
    table = map_points(sample, turns, ("pca", "tsne"), 10)
    pca, tsne = (table.filter(pc.equal(table["layout"], name)) for name in ("pca", "tsne"))
    assert pca["cluster"].equals(tsne["cluster"])
    assert set(pca["cluster_name"].to_pylist()) >= {"chart", "bird, red"}
    assert not pca["x"].equals(tsne["x"])


def test_template_questions_name_no_cluster() -> None:
    first: list[list[Turn]] = [[("What does the picture show?", "a red bird"), ("How many birds?", None)]]
    second: list[list[Turn]] = [[("What does the picture show?", "a chart")]]
    names = name_by_turns(first * 6 + second * 6, np.array([0] * 6 + [1] * 6), 10)
    assert [set(name.split(", ")) for name in names] == [{"bird", "birds", "red"}, {"chart"}]


def test_a_question_names_where_the_answers_have_no_words() -> None:
    turns = [[("What does the picture show?", str(number))] for number in range(12)]
    assert name_by_turns(turns, np.array([0] * 6 + [1] * 6), 10) == ["does, picture"] * 2


def test_the_page_of_a_map_links_to_the_site() -> None:
    head = SiteHead("made/up", "2026-01-02 03:04 UTC", to_site="../site/")
    page = map_page("Maps of some", points("sscd", 6), head=head)
    assert '<a href="../site/maps.html">Maps</a>' in page
    assert "<bdi>made/up</bdi>" in page


def test_no_text_can_leave_its_place_and_nothing_is_asked_for() -> None:
    evil = "</script><script>alert(1)</script><img src=http://x>&\u2028"
    page = map_page(evil, points("sscd", 6, evil), texts=dict.fromkeys(range(6), evil))
    assert page.count("<script") == 2
    assert "<img" not in page
    assert "default-src &#39;none&#39;" in page
    assert page_data(page)["texts"][0].startswith("</script><script>alert(1)")


def test_nothing_is_no_page() -> None:
    with pytest.raises(ValueError, match="nothing to show"):
        map_page("Maps", POINTS_SCHEMA.empty_table())
