from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.publishing.reports import PairEntry, Report, Verdict, aligned_view, with_alignments
from visdiv_assets.publishing.reports.model import VIEW_BYTES
from visdiv_assets.publishing.reports.pair_selection import DRAWN
from visdiv_assets_tests.publishing.reports.examples import MAX_PIXELS, image, jpeg, report, verified


def scene(seed: int = 0, size: tuple[int, int] = (480, 360)) -> Image.Image:
    """Something with texture everywhere, smooth enough to survive a resize."""
    values = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def opened(data: bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(data)).convert("RGB")


def magenta(image: Image.Image) -> np.ndarray:
    red, green, blue = np.moveaxis(np.asarray(image, np.int16), -1, 0)
    found: np.ndarray = (red - green > 60) & (blue - green > 60)
    return found


def test_a_crop_is_laid_where_it_was() -> None:
    whole = scene()
    view = aligned_view(png(whole), png(whole.crop((120, 60, 460, 340))), DecodeLimits(MAX_PIXELS))
    assert view is not None
    assert view.caption.startswith("confirmed: cropped; overlap ")
    assert view.size == view.right_size == (320, 240)
    left, right = opened(view.left), opened(view.right)
    assert left.size == right.size == (320, 240)
    # In the middle of the crop both show the same; where it shows nothing it is gray.
    inside = (110, 70, 280, 200)
    difference = np.asarray(left.crop(inside), np.int16) - np.asarray(right.crop(inside), np.int16)
    assert np.abs(difference).mean() < 8
    assert np.abs(np.asarray(right.crop((0, 0, 60, 30)), np.int16) - 128).max() < 8


def test_what_disagrees_is_marked_and_nothing_else() -> None:
    changed = scene()
    ImageDraw.Draw(changed).ellipse((300, 200, 380, 280), (255, 255, 255))
    view = aligned_view(png(scene()), png(changed), DecodeLimits(MAX_PIXELS))
    assert view is not None
    assert 0 < view.disagreeing < 0.25
    marks = magenta(opened(view.marked))
    assert marks[140:180, 210:245].mean() > 0.5
    assert not marks[:80].any()
    assert not marks[:, :120].any()


def test_identical_images_have_no_mark() -> None:
    view = aligned_view(png(scene()), png(scene()), DecodeLimits(MAX_PIXELS))
    assert view is not None
    assert view.disagreeing == 0
    assert view.caption == "confirmed: identical pixels; overlap 100 %; 100 % of the textured regions agree"
    assert not magenta(opened(view.marked)).any()


def test_without_an_alignment_both_stand_in_their_own_frame() -> None:
    view = aligned_view(png(scene(0, (480, 360))), png(Image.new("RGB", (40, 80), "red")), DecodeLimits(MAX_PIXELS))
    assert view is not None
    assert view.marked is None
    assert view.caption == "rejected: too little texture"
    assert (view.size, view.right_size) == ((320, 240), (40, 80))
    assert opened(view.right).size == (40, 80)


@pytest.mark.parametrize("data", [None, b"", b"<html>404", jpeg(0)[:200], jpeg(0, 4000, 3000)])
def test_an_unreadable_image_gives_no_view(data: bytes | None) -> None:
    good = png(scene())
    assert aligned_view(good, data, DecodeLimits(MAX_PIXELS)) is None
    assert aligned_view(data, good, DecodeLimits(MAX_PIXELS)) is None


@pytest.mark.parametrize("size", [(900, 900), (1, 700), (1, 1), (5000, 20)])
def test_any_image_fits(size: tuple[int, int]) -> None:
    """Noise is the hardest to compress; a view is never larger than its limit."""
    view = aligned_view(jpeg(0, *size), jpeg(1, *size), DecodeLimits(MAX_PIXELS))
    assert view is not None
    assert max(len(view.left), len(view.right), len(view.marked or b"")) <= VIEW_BYTES


def test_a_view_above_its_limit_is_an_error() -> None:
    view = aligned_view(png(scene()), png(scene()), DecodeLimits(MAX_PIXELS))
    assert view is not None
    with pytest.raises(ValueError, match="an image of 13001 bytes, where 13000 are the limit"):
        replace(view, left=bytes(VIEW_BYTES + 1))


def test_a_report_without_verdicts_gets_no_views() -> None:
    content = with_alignments(report([verified(0.9, None)]), limits=DecodeLimits(MAX_PIXELS))
    assert [pair.aligned for pair in content.pairs] == [None]


def test_views_are_drawn_for_the_extremes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes | None] = []
    monkeypatch.setattr(
        "visdiv_assets.publishing.reports.evidence_view.aligned_view", lambda a, b, *limits: asked.append(a)
    )
    pairs = [verified(0.5 + number / 1000, number % 2 == 0) for number in range(200)]
    given = [replace(pair, left=image(b"%d" % number)) for number, pair in enumerate(pairs)]
    with_alignments(report(given), limits=DecodeLimits(MAX_PIXELS))
    expected = {*range(0, 2 * DRAWN, 2), *range(199, 199 - 2 * DRAWN, -2)}
    assert {int(data or b"-1") for data in asked} == expected
    assert len(asked) == 2 * DRAWN


def test_a_pair_of_which_one_is_gone_stays_without_a_view() -> None:
    good = image(png(scene()), 1)
    entries = [
        PairEntry(good, image(data, 2), {"similarity": similarity}, Verdict(True, "cropped"))
        for data, similarity in ((b"gone", 0.8), (good.data, 0.7))
    ]
    content: Report = with_alignments(report(entries), limits=DecodeLimits(MAX_PIXELS))
    assert [pair.aligned is None for pair in content.pairs] == [True, False]
