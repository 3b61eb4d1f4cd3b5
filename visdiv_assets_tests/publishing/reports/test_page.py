from __future__ import annotations

import base64
import errno
import hashlib
import io
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image

from visdiv_assets.errors import VisdivError
from visdiv_assets.publishing.reports import PAIRS_SHOWN, PairEntry, Report, Table, render, write_report
from visdiv_assets.publishing.site_head import SITE_PAGES, SiteHead
from visdiv_assets_tests.publishing.reports.examples import Page, image, jpeg, pair, report

EMBEDDED = re.compile(r"\.(p\d+)\{background-image:url\(data:image/webp;base64,([A-Za-z0-9+/=]+)\)\}")


def parsed(content: Report) -> Page:
    return Page(render(content))


def embedded(html: str) -> dict[str, Image.Image]:
    return {name: Image.open(io.BytesIO(base64.b64decode(body))) for name, body in EMBEDDED.findall(html)}


def similarities(content: Report) -> list[str]:
    return [card["data-similarity"] for card in parsed(content).all("li") if "data-similarity" in card]


def test_a_image_is_embedded_once_however_many_pairs_show_it() -> None:
    content = report([pair(jpeg(0), jpeg(1)), pair(jpeg(1), jpeg(0)), pair(jpeg(0), jpeg(2))])
    html = render(content)
    assert len(embedded(html)) == html.count("data:image/webp") == 3
    shown = [found["class"].split()[1] for found in Page(html).all("span", role="img")]
    assert shown == ["p0", "p1", "p1", "p0", "p0", "p2"]


def test_images_are_told_apart_by_their_thumbnails() -> None:
    first, second = image(jpeg(0)), image(jpeg(1))
    lying = replace(second, image_id=first.image_id)
    html = render(report([PairEntry(first, lying, {})]))
    assert len(embedded(html)) == 2


@pytest.mark.parametrize(
    ("size", "expected"), [((800, 400), (256, 128)), ((30, 20), (30, 20)), ((1, 2000), (1, 256)), ((2000, 1), (256, 1))]
)
def test_images_are_fitted_and_never_enlarged(size: tuple[int, int], expected: tuple[int, int]) -> None:
    html = render(report([pair(jpeg(0, *size), None)]))
    (image,) = embedded(html).values()
    assert image.format == "WEBP"
    assert image.size == expected
    assert f"jpeg, {size[0]} x {size[1]}" in html


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "unreadable: no bytes"),
        (b"", "unreadable: no bytes"),
        (b"<html>404", "unreadable: not an image (text with markup: begins with b'<html>404')"),
        (jpeg(0)[:200], "unreadable: truncated ("),
        (jpeg(0, 4000, 3000), "unreadable: too large (4000 x 3000 pixels, the limit is 10000000)"),
    ],
)
def test_an_unreadable_image_is_a_box_with_the_reason(data: bytes | None, reason: str) -> None:
    found = parsed(report([pair(data, jpeg(1))]))
    assert reason in found.text
    assert len(found.all("span", role="img")) == 1
    assert len(found.all("span", **{"class": "pixels unreadable"})) == 1


def test_a_image_says_which_it_is() -> None:
    found = parsed(report([pair(jpeg(0), jpeg(1))]))
    labels = [image["aria-label"] for image in found.all("span", role="img")]
    assert labels == ["Image of clipart_nature, row 1, image 0", "Image of clipart_nature, row 2, image 0"]


def test_the_closest_pairs_are_shown_and_all_are_counted() -> None:
    given = [pair(None, None, {"similarity": 0.5 + number / 1000}) for number in range(PAIRS_SHOWN + 10)]
    content = report(given, pairs_total=12_345)
    found = similarities(content)
    assert len(found) == PAIRS_SHOWN
    assert found == sorted(found, reverse=True)
    assert float(found[-1]) == pytest.approx(0.51)
    assert "12,345 pairs in all. This page shows the 300 closest ones, closest first." in parsed(content).text


def test_pairs_without_a_similarity_come_last_as_given() -> None:
    given = [
        pair(None, None, {"similarity": value, "name": name})
        for value, name in [(None, "a"), (0.8, "b"), (float("nan"), "c"), (0.9, "d"), ("0.99", "e"), (True, "f")]
    ]
    assert [entry.columns["name"] for entry in report(given).pairs_shown()] == list("dbacef")


@pytest.mark.parametrize(
    ("values", "total", "sentence"),
    [
        ([], 0, "There are no pairs."),
        ([], 5, "5 pairs in all. This page shows none of them."),
        ([0.9], 1, "1 pair in all."),
        ([0.9], 2, "2 pairs in all. This page shows one of them."),
        ([0.9, 0.8], 2, "2 pairs in all, closest first."),
        ([None, None], 2, "2 pairs in all."),
        ([None, None], 3, "3 pairs in all. This page shows 2 of them."),
    ],
)
def test_the_page_says_what_part_of_the_pairs_it_has(values: list[float | None], total: int, sentence: str) -> None:
    pairs = [pair(None, None, {"similarity": value}) for value in values]
    assert f"\n{sentence}\n" in parsed(report(pairs, pairs_total=total)).text


def test_fewer_pairs_in_all_than_given_is_an_error() -> None:
    with pytest.raises(ValueError, match="pairs_total is 0, but 1 pairs are given"):
        report([pair(None, None)], pairs_total=0)


def test_a_ragged_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="a row of 1 values under 2 headers"):
        Table(["Subset", "Rate"], [["a"]], "Rates")


def test_a_value_is_there_if_any_pair_has_it() -> None:
    content = report([pair(None, None, {"similarity": 0.9}), pair(None, None, {"low_information": True})])
    found = parsed(content)
    assert "Low information" in found.text
    values = found.all("dd", **{"class": "value"})
    assert [value.get("data-number") for value in values] == ["0.9", None, None, "1"]
    assert len([value for value in values if "data-none" in value]) == 2


def test_pairs_can_be_sorted_by_every_value() -> None:
    found = parsed(report([pair(None, None, {"similarity": 0.9, "kind": "near"}), pair(None, None)]))
    orders = [(option["value"], option["data-first"], "selected" in option) for option in found.all("option")]
    assert orders == [
        ("0", "ascending", False),
        ("1", "ascending", False),
        ("2", "ascending", False),
        ("4", "descending", True),
        ("5", "ascending", False),
    ]
    for name in ("Number", "Training image", "Benchmark image", "Similarity", "Kind"):
        assert name in found.text


def test_a_card_shows_similarity_and_confidence() -> None:
    html = render(report([pair(None, None, {"similarity": 0.91, "confidence": 0.5, "overlap": 0.25})]))
    card, details = html.partition("<ol")[2].split("<details>")
    assert "<bdi>0.9100</bdi>" in card
    assert "<bdi>0.5000</bdi>" in card
    assert "<bdi>0.2500</bdi>" not in card
    assert "<bdi>0.2500</bdi>" in details


def test_a_card_says_which_images_it_is_about() -> None:
    (card,) = parsed(report([pair(jpeg(0), jpeg(1))])).all("li", **{"class": "pair"})
    assert (card["data-left-id"], card["data-right-id"]) == (image(jpeg(0)).image_id, image(jpeg(1)).image_id)
    assert card["data-left"] == "clipart_nature 1 0"


def test_a_card_names_the_file_and_its_details_the_whole_place() -> None:
    where = replace(image(jpeg(0), 7), file="deep/folder/train-0.parquet", row_in_file=3, path="pics/cat.jpg")
    html = render(report([PairEntry(where, image(jpeg(1)), {})]))
    assert "<bdi>train-0.parquet, row 3</bdi>" in html
    assert "row 7, image 0; deep/folder/train-0.parquet, row 3; pics/cat.jpg; jpeg, 40 x 30" in html


def test_the_head_links_to_every_page_of_the_site() -> None:
    head = SiteHead("made/up", "2026-01-02 03:04 UTC", to_site="../site/")
    found = Page(render(report([pair(jpeg(0), jpeg(1))]), head))
    assert [link["href"] for link in found.all("a")][1:] == [f"../site/{file}" for file in SITE_PAGES]
    assert "made/up" in found.text
    assert "2026-01-02 03:04 UTC" in found.text


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ([0.7519, 0.95, 0.99999], ("0.751", "0.999")),
        ([0.93, 1.0], ("0.930", "1.000")),
        ([np.float32(0.9), np.float32(0.75), None], ("0.750", "0.899")),
        ([-0.0005, 0.5], ("-0.001", "0.500")),
        ([0.9, 0.9001], None),
        ([None, "0.9"], None),
    ],
)
def test_the_slider_leaves_a_pair_at_either_end(values: list[Any], bounds: tuple[str, str] | None) -> None:
    sliders = parsed(report([pair(None, None, {"similarity": v}) for v in values])).all("input", type="range")
    assert [(slider["min"], slider["max"]) for slider in sliders] == ([] if bounds is None else [bounds])
    if bounds:
        numbers = [value for value in values if value is not None]
        assert float(bounds[0]) <= min(numbers)
        assert float(bounds[1]) <= max(numbers)


def test_what_the_script_and_the_labels_name_is_there() -> None:
    content = report([pair(None, None, {"similarity": value}) for value in (0.8, 0.9)])
    found = parsed(content)
    named = set(re.findall(r'getElementById\("([^"]+)"\)', found.raw["script"]))
    for _, attributes in found.elements:
        named |= {attributes[key] for key in ("for", "aria-labelledby", "aria-describedby") if key in attributes}
    assert named <= {attributes["id"] for _, attributes in found.elements if "id" in attributes}
    assert {"pair-list", "filter", "least", "count", "sort"} <= named
    assert found.all("p", id="count", role="status", **{"aria-live": "polite"})


def test_facts_and_table_are_shown() -> None:
    table = Table(["Subset", "Leaked", "Rate"], [["clipart_people", 9, 0.029], ["ALL", None, "2 %"]], "Rate by subset")
    html = render(report([], facts={"Model": "sscd"}, table=table))
    for text in ("Model", "sscd", "Rate by subset", "Leaked", "clipart_people", "9", "0.0290", "2 %"):
        assert f"<bdi>{text}</bdi>" in html
    assert html.count("no value") == 1
    assert len(Page(html).all("th", scope="row")) == 2


def test_the_page_asks_for_nothing() -> None:
    found = parsed(report([pair(jpeg(0), jpeg(1))]))
    for _, attributes in found.elements:
        assert not attributes.keys() & {"src", "srcset", "action", "style", "onclick", "onload"}
        assert attributes.get("href", "#").startswith(("#", "data:,"))
    for text in found.raw.values():
        assert all(url.startswith("data:image/webp;base64,") for url in re.findall(r"url\(([^)]*)\)", text))
        code = re.sub(r"url\(data:[^)]*\)", "", text)
        assert not re.search(r"https?:|//[a-z]|@import|fetch|XMLHttp|import\(", code)


def test_the_policy_allows_only_the_content_of_the_page() -> None:
    html = render(report([pair(jpeg(0), jpeg(1))]))
    (policy,) = (meta["content"] for meta in Page(html).all("meta", **{"http-equiv": "Content-Security-Policy"}))
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    assert rules["default-src"] == ["'none'"]
    assert rules["img-src"] == ["data:"]
    # A policy holds for what comes after it.
    assert html.index("Content-Security-Policy") < html.index("<style")
    for tag in ("style", "script"):
        bodies = re.findall(f"<{tag}[^>]*>(.*?)</{tag}>", html, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies]
        assert rules[f"{tag}-src"] == [f"'sha256-{digest}'" for digest in digests]


def test_the_same_report_gives_the_same_page() -> None:
    content = report([pair(jpeg(n), jpeg(n + 1), {"similarity": 0.9, "kind": "near"}) for n in range(30)])
    assert render(content) == render(content)


@pytest.mark.nightly
def test_the_largest_page_is_below_six_megabytes() -> None:
    """600 images of noise, and texts of quotes, each of which takes five bytes."""
    pairs = [
        pair(
            jpeg(2 * n, 200, 200),
            jpeg(2 * n + 1, 200, 200),
            {"similarity": n / 300, "evidence": '"' * 9000},
            note="'\"&" * 1000,
        )
        for n in range(PAIRS_SHOWN)
    ]
    html = render(report(pairs))
    assert len(embedded(html)) == 600
    assert 3_000_000 < len(html.encode()) < 6_000_000


def test_a_usual_page_has_the_stored_thumbnails() -> None:
    pairs = [pair(jpeg(n, 320, 200), jpeg(n + 1, 320, 200), note="word " * 500) for n in range(20)]
    content = render(report(pairs))
    assert {image.size for image in embedded(content).values()} == {(256, 160)}
    assert f'title="{"word " * 400}…"' in content


def test_a_report_is_written_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "leaks (1).html"
    content = report([pair(jpeg(0), jpeg(1))])
    size = write_report(content, path)
    assert path.read_bytes().decode() == render(content)
    assert size == path.stat().st_size
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "leaks.html"
    path.write_text("old")

    def no_space(descriptor: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(VisdivError, match=r"leaks\.html: No space left on device"):
        write_report(report([]), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
