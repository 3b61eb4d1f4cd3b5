"""Decisions with a background: edited photographs are confirmed, and drawings that share their parts are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from visdiv_assets.duplicates.verify import (
    DEFAULT_PARAMS,
    UNDECIDED,
    Background,
    Evidence,
    Subject,
    make_background,
    prepare,
    screen,
    stored_subject,
    verify,
)
from visdiv_assets.imaging.thumbnails import encode_thumbnail


def photograph(seed: int) -> Image.Image:
    """Random blots of many sizes on a slope: texture everywhere, and no level of its own."""
    random = np.random.default_rng(seed)
    total = np.linspace(0, 90, 480)[:, None, None] + np.linspace(0, 60, 640)[None, :, None] + np.zeros(3)
    for step in (6, 12, 24, 48, 96):
        blots = random.integers(0, 256, (480 // step + 2, 640 // step + 2, 3), np.uint8)
        total += (np.asarray(Image.fromarray(blots).resize((640, 480), Image.Resampling.BICUBIC)) - 128.0) / 4
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


@cache
def photographs() -> Background:
    return make_background([str(seed) for seed in range(20, 36)], [prepare(photograph(s)).plain for s in range(20, 36)])


def decide(one: Image.Image, other: Image.Image) -> Evidence:
    return verify(prepare(one), prepare(other), DEFAULT_PARAMS, [photographs()])


def with_face(image: Image.Image) -> Image.Image:
    """Return the image with a large round face on it."""
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    draw.ellipse([200, 120, 380, 300], fill="#ffcc00", outline="black", width=4)
    draw.ellipse([250, 170, 270, 200], fill="black")
    draw.ellipse([310, 170, 330, 200], fill="black")
    draw.arc([240, 190, 340, 270], 20, 160, fill="black", width=6)
    return copy


def with_stripes(image: Image.Image) -> Image.Image:
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    for x in range(-480, 640, 120):
        draw.line([(x, 480), (x + 480, 0)], fill="red", width=8)
    return copy


def in_perspective(image: Image.Image) -> Image.Image:
    corners = np.array([[0, 0], [640, 0], [640, 480], [0, 480]], np.float32)
    moved = np.array([[60, 40], [600, 0], [640, 420], [0, 480]], np.float32)
    return Image.fromarray(
        cv2.warpPerspective(np.asarray(image), cv2.getPerspectiveTransform(corners, moved), (640, 480))
    )


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "face": with_face,
    "stripes": with_stripes,
    "perspective": in_perspective,
    "negative": ImageOps.invert,
    "mirrored": ImageOps.mirror,
    "mirrored part": lambda image: ImageOps.mirror(image).crop((100, 60, 560, 420)),
    "turned": lambda image: image.rotate(37, expand=True),
    "noise": lambda image: Image.fromarray(
        np.clip(np.asarray(image) + np.random.default_rng(0).normal(0, 25, (480, 640, 3)), 0, 255).astype(np.uint8)
    ),
    "channels exchanged": lambda image: Image.merge("RGB", image.split()[::-1]),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_photograph_is_confirmed_without_pixels(edit: str) -> None:
    image = photograph(1)
    evidence = screen(prepare(image), prepare(EDITS[edit](image)), DEFAULT_PARAMS, [photographs()])
    assert isinstance(evidence, Evidence)
    assert evidence.verified, evidence
    assert evidence.bits > DEFAULT_PARAMS.photo.bits


def test_different_photographs_are_rejected() -> None:
    for seed in range(4):
        evidence = decide(photograph(seed), photograph(seed + 5))
        assert not evidence.verified
        assert evidence.reason not in UNDECIDED


def test_two_photographs_in_one_frame_are_not_copies() -> None:
    def framed(seed: int) -> Image.Image:
        page = photograph(50).resize((900, 700))
        page.paste(photograph(seed), (130, 110))
        return page

    assert not decide(framed(1), framed(2)).verified


def test_features_that_the_background_shows_are_no_evidence() -> None:
    image = photograph(1)
    known = make_background(["x"] * 8, [prepare(image).plain] * 8)
    one, other = prepare(image), prepare(with_face(image))
    assert verify(one, other, DEFAULT_PARAMS, [known, photographs()]).bits < 10
    # The images themselves do not count.
    assert verify(one, other, DEFAULT_PARAMS, [known, photographs()], ("x", "y")).bits > 100


def stars(points: int, step: int) -> Image.Image:
    """Points on a circle, each joined to the one some steps further: thin faint lines in one outline."""
    image = Image.new("L", (400, 400), 255)
    draw = ImageDraw.Draw(image)
    at = [
        (200 + 190 * math.cos(2 * math.pi * i / points), 200 + 190 * math.sin(2 * math.pi * i / points))
        for i in range(points)
    ]
    for i in range(points):
        draw.line([at[i], at[(i + step) % points]], fill=150, width=2)
    return image.resize((100, 100), Image.Resampling.LANCZOS).convert("RGB")


def fruit(seed: int) -> Image.Image:
    """A shaded round object on white, some 50 pixels wide."""
    random = np.random.default_rng(seed)
    width, height = (int(side) for side in random.integers(45, 70, 2))
    y, x = np.mgrid[0:height, 0:width]
    far = np.hypot((x - width / 2) / (width / 2 - 2), (y - height / 2) / (height / 2 - 2))
    light = np.clip(
        1.15 - 0.7 * np.hypot((x - width * 0.35) / width, (y - height * 0.3) / height) - 0.35 * far**4, 0, 1
    )
    color = random.uniform(60, 255, 3)
    shaded = np.where(far[..., None] < 1, color * light[..., None], 255)
    return Image.fromarray(shaded.astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))


def pie(hole: int) -> Image.Image:
    image = Image.new("RGB", (240, 240), "white")
    draw = ImageDraw.Draw(image)
    start = 0
    for share, color in zip((90, 120, 70, 80), ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728"), strict=True):
        draw.pieslice([20, 20, 220, 220], start, start + share, fill=color)
        start += share
    draw.ellipse([120 - hole, 120 - hole, 120 + hole, 120 + hole], fill="white")
    return image


def lines(colors: list[str]) -> Image.Image:
    image = Image.new("RGB", (320, 240), "white")
    draw = ImageDraw.Draw(image)
    draw.line([(30, 10), (30, 220), (310, 220)], fill="black")
    series = np.cumsum(np.random.default_rng(5).normal(0, 6, (5, 60)), 1) + 120
    for of_series, color in zip(series, colors, strict=True):
        draw.line([(30 + 4.6 * i, 220 - v) for i, v in enumerate(of_series)], fill=color, width=2)
    return image


SEVERAL = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"]
LOOK_ALIKES: dict[str, list[Image.Image]] = {
    "stars": [stars(*of) for of in ((19, 5), (26, 11), (31, 5), (44, 7), (61, 7), (74, 33), (95, 16))],
    "fruit": [fruit(seed) for seed in range(8)],
    "pie": [pie(0), pie(55)],
    "lines": [lines(["#1f77b4"] * 5), lines(SEVERAL), lines(["#888888"] * 5), lines(SEVERAL[::-1])],
}


@pytest.mark.parametrize("kind", LOOK_ALIKES)
@pytest.mark.parametrize("backgrounds", [0, 1])
def test_look_alikes_of_few_parts_are_not_confirmed(kind: str, backgrounds: int) -> None:
    subjects = [prepare(image) for image in LOOK_ALIKES[kind]]
    names = [str(index) for index in range(len(subjects))]
    known = [make_background(names, [subject.plain for subject in subjects])] * backgrounds
    for i, j in np.argwhere(np.triu(np.ones((len(subjects),) * 2), 1)).tolist():
        evidence = verify(subjects[i], subjects[j], DEFAULT_PARAMS, known, (names[i], names[j]))
        assert not evidence.verified, (i, j, evidence)


def test_stored_views_decide_as_fresh_ones_do() -> None:
    image, copy = photograph(1), with_face(photograph(1))

    def stored(of: Image.Image) -> Subject:
        return stored_subject(prepare(of).features, encode_thumbnail(of, DEFAULT_PARAMS.preparation.thumbnail_side))

    evidence = screen(stored(image), stored(copy), DEFAULT_PARAMS, [photographs()])
    assert isinstance(evidence, Evidence)
    assert (evidence.verified, evidence.kind) == (True, "captioned")


def test_pixels_that_were_not_given_are_not_used() -> None:
    with pytest.raises(ValueError, match="only the features and the thumbnail"):
        _ = stored_subject(b"", None).pixels
