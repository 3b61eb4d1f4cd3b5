from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from visdiv_assets.duplicates.decided_pairs import PERSON
from visdiv_assets.duplicates.verify import evidence as said
from visdiv_assets.publishing.reports import PAIRS_SHOWN, PairEntry, Report, Verdict, render
from visdiv_assets.publishing.reports.badges import KINDS, PERSON_SAID, REASONS, badge, measures_of, percent, verdict_of
from visdiv_assets.publishing.reports.model import VIEW_BYTES
from visdiv_assets.publishing.reports.pair_selection import DRAWN
from visdiv_assets_tests.publishing.reports.examples import Page, aligned, image, pair, report, undecided, verified


def html_of(content: Report) -> str:
    return render(content)


def test_every_kind_and_reason_is_told() -> None:
    assert {*KINDS} == {*said.KINDS, PERSON} - {"unconfirmed"}
    assert {*REASONS} == {*said.REASONS, PERSON_SAID}


def test_a_pair_shows_its_evidence() -> None:
    html = html_of(report([verified(0.6, True, view=aligned(0)), verified(0.9, False, view=aligned(1))]))
    found = Page(html)
    # The legend, and a disclosure for either pair, which needs no script.
    assert len(found.all("details")) == len(found.all("summary")) == 3
    assert "Evidence and details of pair 1" in found.text
    assert "caption 1" in found.text
    assert html.count("data:image/webp;base64,") == len(found.all("figure")) - 4 == 6
    labels = [each["aria-label"] for each in found.all("span", role="img")]
    assert labels[:3] == [
        "Image of clipart_nature, row 1, image 0, in its own frame",
        "Image of clipart_nature, row 2, image 0, warped onto the frame of the other image; gray outside it",
        "Image of clipart_nature, row 1, image 0, darkened: 25 % of it disagrees and is marked in magenta",
    ]
    for heading in ("Training image", "Benchmark image, registered", "Regions that disagree, in magenta"):
        assert html.count(f"<figcaption><bdi>{heading}</bdi></figcaption>") == 2
    for name in [each["class"] for each in found.all("span", role="img")]:
        assert f".{name.split()[1]}{{background-image:url(data:image/webp;base64," in html


def test_a_pair_that_was_not_aligned_has_two_views() -> None:
    found = Page(html_of(report([verified(0.9, False, view=aligned(0, marked=False))])))
    assert len(found.all("figure")) - 2 == 2
    assert "Benchmark image, not registered" in found.text


def test_a_view_is_embedded_once() -> None:
    assert html_of(report([verified(0.9, True, view=aligned(0))] * 3)).count("data:image/webp") == 3


def test_a_page_draws_sixty_pairs_at_most_and_stays_small() -> None:
    """With the 6 MB of a page without evidence, it is below 10 MB."""
    pairs = [verified(0.5 + n / 1000, n % 3 > 0, view=aligned(n, length=VIEW_BYTES)) for n in range(PAIRS_SHOWN)]
    html = html_of(report(pairs, pairs_total=4000))
    assert html.count("data:image/webp") == 3 * 2 * DRAWN
    assert 3_000_000 < len(html) < 3_900_000
    text = Page(html).text
    assert (
        "4,000 pairs in all. This page shows 300: the 30 confirmed ones of lowest similarity, the 30 rejected ones of "
        "highest similarity, and the closest of the others; closest first."
    ) in text
    assert (
        "The evidence is drawn for these pairs: the 30 confirmed ones of lowest similarity and the 30 rejected ones of "
        "highest similarity."
    ) in text


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([verified(0.9, True, view=aligned(0))], "the 1 confirmed one on this page"),
        ([verified(0.9, True, view=aligned(0))] * 2 + [verified(0.8, False)], "the 2 confirmed ones on this page"),
        (
            [verified(0.9, True), verified(0.9, True, view=aligned(0)), verified(0.9, False, view=aligned(1))],
            "the 1 confirmed one on this page that can be read and the 1 rejected one on this page",
        ),
    ],
)
def test_the_page_says_for_which_pairs_evidence_is_drawn(pairs: list[PairEntry], sentence: str) -> None:
    assert f"The evidence is drawn for these pairs: {sentence}." in Page(html_of(report(pairs))).text


def test_a_page_without_verdicts_is_as_before() -> None:
    html = html_of(report([pair(None, None, {"similarity": 0.9}), pair(None, None, {"similarity": 0.8})]))
    for word in ("fieldset>", "data-verdict", "The evidence", "What the verdicts", 'class="views"'):
        assert word not in html


def test_a_verdict_is_a_badge_with_its_meaning() -> None:
    html = html_of(report([verified(0.9, True), verified(0.8, False), undecided(0.75), verified(0.7, None)]))
    found = Page(html)
    verdicts = [each.get("data-verdict") for each in found.all("li")]
    assert verdicts == ["confirmed", "rejected", "undecided", None]
    for words in ("confirmed: cropped", "rejected: contents differ", "undecided: too small", "not compared"):
        assert words in found.text
    badges = {each["title"] for each in found.all("span") if each.get("class", "").startswith("badge")}
    assert badges == {KINDS["cropped"], REASONS["contents differ"], REASONS["too small"]}
    # What a tooltip says can be read without a pointer.
    assert all(f"<dd>{meaning}</dd>" in html for meaning in badges)


def test_a_kind_that_is_not_known_is_shown_as_it_is() -> None:
    shown = badge(Verdict(True, "new_kind"))
    assert (shown.label.shown, shown.meaning) == ("new kind", "")
    assert badge(Verdict(False, "unconfirmed", "")).label.shown == "unconfirmed"


@pytest.mark.parametrize(
    ("pairs", "choices"),
    [
        ([verified(0.9, True), verified(0.8, False)], ["confirmed", "rejected"]),
        ([undecided(0.8), verified(0.9, True)], ["confirmed", "undecided"]),
        ([undecided(0.9), verified(0.8, True), verified(0.8, False)], ["confirmed", "rejected", "undecided"]),
    ],
)
def test_verdicts_can_be_chosen_if_there_are_several(pairs: list[PairEntry], choices: list[str]) -> None:
    several = Page(html_of(report(pairs)))
    assert [each["value"] for each in several.all("input", type="radio")] == ["all", *choices]
    assert len(several.all("form", id="controls")) == 1


def test_one_verdict_is_no_choice() -> None:
    one = Page(html_of(report([verified(0.9, True), verified(0.8, None)])))
    assert one.all("input", type="radio") == []


def test_measured_sentences_stand_under_the_introduction() -> None:
    html = html_of(report([], measured=["Recall is 71 %.", " ", "Precision is <98 %."]))
    assert re.search(
        r"benchmark&#39;s\.</bdi></p>\n<div class=\"measured\".*\n<p><bdi>Recall is 71 %\.</bdi></p>\n", html
    )
    assert "<p><bdi>Precision is &lt;98 %.</bdi></p>" in html
    assert html.count("<p><bdi>") == 3
    assert 'class="measured"' not in html_of(report([]))


def test_the_page_asks_for_nothing_but_what_it_holds() -> None:
    found = Page(html_of(report([verified(0.9, True, view=aligned(0))])))
    for _, attributes in found.elements:
        assert not attributes.keys() & {"src", "style", "onclick", "onload"}
    assert all(url.startswith("data:image/") for url in re.findall(r"url\(([^)]*)\)", found.raw["style"]))


def test_a_record_gives_a_verdict_and_numbers() -> None:
    record = {
        "image_id_a": "a",
        "similarity": 0.9,
        "pdq_distance": None,
        "verified": False,
        "evidence": "unconfirmed",
        "reason": "no alignment",
        "transform": [],
        "overlap": 0.0,
        "agreement": 0.0,
    }
    assert verdict_of(record) == Verdict(False, "unconfirmed", "no alignment")
    # Nothing was compared.
    assert measures_of(record) == {"similarity": 0.9, "PDQ distance": None, "overlap": None, "agreement": None}
    assert measures_of(record | {"transform": [1, 0, 0, 0, 1, 0], "overlap": 0.5})["overlap"] == 0.5
    assert verdict_of({"similarity": 0.9}) is None
    assert verdict_of({"verified": None, "evidence": None}) is None
    unclear = verdict_of({"verified": None, "evidence": "unconfirmed", "reason": "too small"})
    assert unclear == Verdict(None, "unconfirmed", "too small")
    assert unclear.name == "undecided"
    assert measures_of({"similarity": 0.9, "similarity_normalized": 0.2}) == {"similarity": 0.9, "normalized": 0.2}


@pytest.mark.parametrize(
    "transform", [(0.5, 0.1, 0.2, -0.1, 0.8, 0.1), (0.5, 0.1, 0.2, -0.1, 0.8, 0.1, 0.05, -0.02, 1.0)]
)
def test_a_swapped_pair_has_the_inverse_transform(transform: tuple[float, ...]) -> None:
    record = {"verified": True, "evidence": "cropped", "transform": list(transform)}
    swapped = verdict_of(record, swapped=True)
    assert swapped is not None
    assert len(swapped.transform) == len(transform)
    there, back = (np.reshape([*each, 0, 0, 1][:9], (3, 3)) for each in (transform, swapped.transform))
    point = np.array([0.3, 0.7, 1.0])
    mapped = there @ (back @ point)
    assert mapped / mapped[2] == pytest.approx(point)


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0 %"), (0.001, "under 1 %"), (0.82, "82 %"), (0.9949, "99 %"), (0.9999, "over 99 %"), (1, "100 %")],
)
def test_a_share_is_all_only_if_it_is_all(share: float, words: str) -> None:
    assert percent(share) == words


def test_a_image_that_cannot_be_read_says_why() -> None:
    entry = PairEntry(image(b"x"), image(None), {}, Verdict(None, "unconfirmed", "unreadable"))
    assert "undecided: unreadable" in Page(html_of(report([entry]))).text


@pytest.mark.parametrize(
    ("confirmed", "heading"), [(True, "No region disagrees"), (False, "The difference is too small for a thumbnail")]
)
def test_a_drawing_without_marks_says_what_that_means(confirmed: bool, heading: str) -> None:
    view = replace(aligned(0), disagreeing=0.0)
    html = html_of(report([verified(0.9, confirmed, view=view)]))
    assert html.count(f"<figcaption><bdi>{heading}</bdi></figcaption>") == 1
