from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from visdiv_assets.duplicates.verify import prepare, verify
from visdiv_assets.publishing.reports import PairEntry, Report, Verdict, aligned_view, with_alignments
from visdiv_assets.publishing.reports.badges import verdict_of
from visdiv_assets.publishing.reports.model import VIEW_BYTES
from visdiv_assets.publishing.reports.pair_selection import DRAWN
from visdiv_assets_tests.publishing.reports.examples import image, jpeg, report, verified


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


def compared(left: Image.Image, right: Image.Image) -> PairEntry:
    """A pair whose full images were compared, with what the lake holds of it."""
    found = verify(prepare(left), prepare(right))
    verdict = Verdict(found.verified, found.kind, found.reason, found.transform, found.overlap, found.agreement)
    return PairEntry(image(png(left), 1), image(png(right), 2), {"similarity": 0.9}, verdict)


def test_a_crop_is_laid_where_it_was() -> None:
    whole = scene()
    view = aligned_view(compared(whole, whole.crop((120, 60, 460, 340))))
    assert view is not None
    assert view.caption.startswith("confirmed: cropped; overlap ")
    assert view.size == view.right_size == (256, 192)
    left, right = opened(view.left), opened(view.right)
    assert left.size == right.size == (256, 192)
    # In the middle of the crop both show the same; where it shows nothing it is gray.
    inside = (88, 56, 224, 160)
    difference = np.asarray(left.crop(inside), np.int16) - np.asarray(right.crop(inside), np.int16)
    assert np.abs(difference).mean() < 8
    assert np.abs(np.asarray(right.crop((0, 0, 48, 24)), np.int16) - 128).max() < 8


def test_what_disagrees_is_marked_and_nothing_else() -> None:
    changed = scene()
    ImageDraw.Draw(changed).ellipse((300, 200, 380, 280), (255, 255, 255))
    view = aligned_view(compared(scene(), changed))
    assert view is not None
    assert 0 < view.disagreeing < 0.25
    marks = magenta(opened(view.marked))
    assert marks[112:144, 168:196].mean() > 0.5
    assert not marks[:64].any()
    assert not marks[:, :96].any()


def test_identical_images_have_no_mark() -> None:
    view = aligned_view(compared(scene(), scene()))
    assert view is not None
    assert view.disagreeing == 0
    assert view.caption == "confirmed: identical pixels; overlap 100 %; 100 % of the textured regions agree"
    assert not magenta(opened(view.marked)).any()


@pytest.mark.parametrize("quality", [95, 75, 40])
def test_compression_alone_is_not_marked(quality: int) -> None:
    stream = io.BytesIO()
    scene().save(stream, "JPEG", quality=quality)
    view = aligned_view(compared(scene(), opened(stream.getvalue())))
    assert view is not None
    assert view.disagreeing == 0


def test_a_swapped_pair_is_laid_by_the_inverse_transform() -> None:
    whole = scene()
    part = whole.crop((120, 60, 460, 340))
    found = verify(prepare(whole), prepare(part))
    record = {"verified": True, "evidence": found.kind, "transform": list(found.transform), "overlap": 1.0}
    verdict = verdict_of(record, swapped=True)
    view = aligned_view(PairEntry(image(png(part)), image(png(whole)), {}, verdict))
    assert view is not None
    left, right = (np.asarray(opened(data), np.int16) for data in (view.left, view.right))
    assert np.abs(left - right).mean() < 8


def test_without_an_alignment_both_stand_in_their_own_frame() -> None:
    view = aligned_view(compared(scene(0, (480, 360)), Image.new("RGB", (40, 80), "red")))
    assert view is not None
    assert view.marked is None
    assert view.caption == "undecided: too little texture"
    assert (view.size, view.right_size) == ((256, 192), (40, 80))
    assert opened(view.right).size == (40, 80)


@pytest.mark.parametrize("data", [None, b"", b"<html>404", jpeg(0)[:200], jpeg(0, 4000, 3000)])
def test_an_unreadable_image_gives_no_view(data: bytes | None) -> None:
    good, gone, verdict = image(png(scene())), image(data), Verdict(True, "cropped")
    assert aligned_view(PairEntry(good, gone, {}, verdict)) is None
    assert aligned_view(PairEntry(gone, good, {}, verdict)) is None


@pytest.mark.parametrize("size", [(900, 900), (1, 700), (1, 1), (3000, 20)])
def test_any_image_fits(size: tuple[int, int]) -> None:
    """Noise is the hardest to compress; a view is never larger than its limit."""
    verdict = Verdict(False, "unconfirmed", "contents differ", (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    view = aligned_view(PairEntry(image(jpeg(0, *size)), image(jpeg(1, *size)), {}, verdict))
    assert view is not None
    assert max(len(view.left), len(view.right), len(view.marked or b"")) <= VIEW_BYTES


def test_a_view_above_its_limit_is_an_error() -> None:
    view = aligned_view(compared(scene(), scene()))
    assert view is not None
    with pytest.raises(ValueError, match="an image of 13001 bytes, where 13000 are the limit"):
        replace(view, left=bytes(VIEW_BYTES + 1))


def test_a_report_without_verdicts_gets_no_views() -> None:
    content = with_alignments(report([verified(0.9, None)]))
    assert [pair.aligned for pair in content.pairs] == [None]


def test_views_are_drawn_for_the_extremes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        "visdiv_assets.publishing.reports.evidence_view.aligned_view", lambda pair: asked.append(pair.left.row)
    )
    pairs = [verified(0.5 + number / 1000, number % 2 == 0) for number in range(200)]
    given = [replace(pair, left=replace(pair.left, row=number)) for number, pair in enumerate(pairs)]
    with_alignments(report(given))
    assert set(asked) == {*range(0, 2 * DRAWN, 2), *range(199, 199 - 2 * DRAWN, -2)}
    assert len(asked) == 2 * DRAWN


def test_a_pair_of_which_one_is_gone_stays_without_a_view() -> None:
    good = image(png(scene()), 1)
    entries = [
        PairEntry(good, other, {"similarity": similarity}, Verdict(True, "cropped"))
        for other, similarity in ((image(b"gone", 2), 0.8), (good, 0.7))
    ]
    content: Report = with_alignments(report(entries))
    assert [pair.aligned is None for pair in content.pairs] == [True, False]
