from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visdiv_assets.imaging.thumbnails import Preview
from visdiv_assets.publishing import text_cells
from visdiv_assets.publishing.reports import AlignedView, ImageRef, PairEntry, Table, Verdict, render
from visdiv_assets.publishing.text_cells import FULL, SHOWN, cell, clean, full_length, shorten
from visdiv_assets_tests.publishing.reports.examples import Page, pair, report

#: Any code points, the lone surrogates too, and often what HTML minds.
ANYTHING = st.text(
    st.one_of(st.characters(), st.characters(categories=["Cs", "Cc", "Cf"]), st.sampled_from("<>&\"'/ \n\r-!`={}%#")),
    max_size=300,
)

EVIL = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "</style></title></textarea><!-- <![CDATA[ -->",
    "\" onmouseover='alert(1)' x=\"",
    "{{ 7 * 7 }}{% raw %}&amp;&#0;",
    "null \0 byte, lone \ud800 and \udfff, \ufffe\U0001ffff",
    "\u202eright to left\u2069\u2069\u200f",
]


def everywhere(text: str) -> str:
    # A path that ends in a separator has no file name to show.
    side = ImageRef(text, 1, 0, text, Preview(None, "no bytes"), text, text, 1, f"{text}x")
    verdict, view = Verdict(False, text, text), AlignedView(b"a", b"b", b"c", (2, 3), (2, 3), 0.1, text)
    return render(
        report(
            [PairEntry(side, side, {"similarity": 0.9, text: text}, verdict, view)],
            title=text,
            introduction=text,
            facts={text: text},
            table=Table([text], [[text]], text),
            left_heading=text,
            right_heading=text,
            # A sentence of nothing is left out.
            measured=[f"Measured: {text}"],
        ),
    )


def structure(html: str) -> list[tuple[str, list[str]]]:
    return [(tag, sorted(attributes)) for tag, attributes in Page(html).elements]


@pytest.mark.parametrize("text", EVIL)
def test_markup_in_data_stays_text(text: str) -> None:
    html = everywhere(text)
    assert structure(html) == structure(everywhere("harmless"))
    # Place, image_id, note and value of both sides; fact, heading, title...: as it was but for what HTML cannot hold.
    assert Page(html).text.count(clean(text, FULL)) >= 15


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING.filter(str.strip))
def test_any_text_leaves_the_page_as_it_is_built(text: str) -> None:
    html, harmless = everywhere(text), everywhere("harmless")
    html.encode("utf-8")
    assert "\0" not in html
    # Empty lines make paragraphs, and a note of white space makes no cell.
    counted, expected = ([tag for tag, _ in structure(each) if tag not in ("p", "bdi")] for each in (html, harmless))
    assert counted == expected


@settings(max_examples=200)
@given(ANYTHING, st.integers(2, 50), st.integers(0, FULL))
def test_a_shortened_text_keeps_its_limits(text: str, shown: int, full: int) -> None:
    result = shorten(text, shown=shown, full=full)
    assert len(result.shown) <= shown
    assert len(result.title) <= full + 1
    assert "\n" not in result.shown
    assert result.title == "" or result.shown.endswith("…")


def test_a_short_text_has_no_title() -> None:
    assert shorten("  two \n\n words ").shown == "two words"
    assert shorten("a" * SHOWN).title == ""


def test_a_long_text_ends_in_an_ellipsis() -> None:
    result = shorten("b" * 5000)
    assert result.shown == "b" * (SHOWN - 1) + "…"
    assert result.title == "b" * FULL + "…"


def test_ten_megabytes_of_text_cost_nothing() -> None:
    text = "<&\0\ud800" * 2_500_000
    begin = time.perf_counter()
    assert len(everywhere(text)) < 200_000
    assert time.perf_counter() - begin < 2


def test_titles_shrink_only_when_the_texts_are_many() -> None:
    assert full_length(["x" * 3000] * 100) == FULL
    assert full_length(["x" * 3000] * 600) == 1000
    assert full_length(["'" * 3000] * 600) == 0
    assert full_length(["x" * SHOWN] * 1_000_000) == FULL


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        (0.97312, "0.9731", "0.97312"),
        (np.float32(0.5), "0.5000", "0.5"),
        (np.float64(0.5), "0.5000", "0.5"),
        (np.int64(12345), "12345", "12345"),
        (7, "7", "7"),
        (0.0, "0.0000", "0.0"),
        (1.5e-7, "1.500e-07", "1.5e-07"),
        (-2e12, "-2.000e+12", "-2000000000000.0"),
        (math.inf, "inf", "Infinity"),
        (-math.inf, "-inf", "-Infinity"),
        (True, "yes", "1"),
        (False, "no", "0"),
        ("0.5", "0.5", None),
    ],
)
def test_a_value_is_written_for_people_and_for_sorting(value: object, text: str, number: str | None) -> None:
    result = cell(value)  # type: ignore[arg-type]
    assert result.text is not None
    assert (result.text.shown, result.number) == (text, number)


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_not_known_is_no_number(value: float | None) -> None:
    assert cell(value).text is None
    assert cell(value).number is None


def test_every_text_of_a_pair_is_isolated_in_its_direction() -> None:
    html = render(report([pair(None, None, note="مرحبا")]))
    assert html.count("<bdi>مرحبا</bdi>") == 2


def test_a_position_names_the_file_and_the_path() -> None:
    def position(file: str | None, row_in_file: int | None, path: str | None) -> str:
        image = ImageRef("some", 7, 1, "id", Preview(None, "no bytes"), "", file, row_in_file, path)
        return text_cells.position(image)

    assert position(None, None, None) == "row 7, image 1"
    assert position("b.parquet", 2, None) == "row 7, image 1; b.parquet, row 2"
    assert position("b.parquet", 2, "x/y.png") == "row 7, image 1; b.parquet, row 2; x/y.png"
    assert position("x/y.png", 0, "x/y.png") == "row 7, image 1; x/y.png"
    assert position("a\0.png", 0, None) == "row 7, image 1; a\ufffd.png, row 0"
