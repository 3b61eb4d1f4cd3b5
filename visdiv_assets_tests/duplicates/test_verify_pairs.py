"""Many pairs compared: as each alone would be, in order, with every image read as rarely as possible."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings
from PIL import Image

from visdiv_assets.corpus.image_fetch import Fetch
from visdiv_assets.duplicates import verify_pairs as module
from visdiv_assets.duplicates.verify import (
    DEFAULT_PARAMS,
    Background,
    Evidence,
    compare_pixels,
    make_background,
    prepare_pixels,
    screen,
    stored_subject,
)
from visdiv_assets.duplicates.verify.matching import feature_set
from visdiv_assets.duplicates.verify_pairs import VERDICT_SCHEMA, compare_pairs, verdict_table
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.local_features import extract_features, unpack_features
from visdiv_assets.imaging.thumbnails import SIDE, encode_thumbnail

relaxed = settings(deadline=None, max_examples=40)

MAX_PIXELS = 100_000


@cache
def stored() -> dict[str, bytes | None]:
    """Two images and a smaller copy of each, damaged bytes, one that is too large, and one that is gone."""
    images: dict[str, bytes | None] = {}
    for number, name in enumerate("ab"):
        patches = np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8)
        image = Image.fromarray(patches).resize((192, 144), Image.Resampling.BICUBIC)
        images[name] = encoded(image)
        images[f"{name} smaller"] = encoded(image.resize((128, 96), Image.Resampling.LANCZOS))
    images["damaged"] = b"<html>404</html>"
    images["too large"] = encoded(Image.new("RGB", (400, 400)))
    images["gone"] = None
    return images


def encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


class Access:
    """Gives stored images, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.fetched: list[str] = []
        self.order: list[str] = []

    def stored(self, image_ids: Sequence[str]) -> list[tuple[bytes | None, bytes | None]]:
        self.read += image_ids
        return [made(image_id) for image_id in image_ids]

    def in_order(self, image_ids: Sequence[str]) -> Fetch:
        self.order = list(image_ids)

        def fetch(wanted: Sequence[str]) -> list[bytes | None]:
            self.fetched += wanted
            return [stored()[image_id] for image_id in wanted]

        return fetch

    def backgrounds(self, image_id_a: str, image_id_b: str) -> list[Background]:
        return [background()]


@cache
def made(image_id: str) -> tuple[bytes | None, bytes | None]:
    """Features and thumbnail as the pass stores them."""
    image = opened(image_id)
    return (None, None) if image is None else (extract_features(image), encode_thumbnail(image, SIDE))


@cache
def background() -> Background:
    patches = np.random.default_rng(9).integers(0, 256, (12, 16, 3), np.uint8)
    other = Image.fromarray(patches).resize((192, 144), Image.Resampling.BICUBIC)
    return make_background(["other"], [feature_set(unpack_features(extract_features(other)))])


PAIRS = [
    ("a", "a smaller"),
    ("a", "b"),
    ("a", "a"),
    ("a", "gone"),
    ("a smaller", "b smaller"),
    ("b", "b smaller"),
    ("b", "damaged"),
    ("gone", "b"),
    ("too large", "a"),
]


def compared(pairs: list[tuple[str, str]], images: Access, threads: int = 2) -> pa.Table:
    table = compare_pairs(
        [a for a, _ in pairs], [b for _, b in pairs], images, threads=threads, limits=DecodeLimits(MAX_PIXELS)
    )
    assert table.schema == VERDICT_SCHEMA
    assert table.num_rows == len(pairs)
    return table


def opened(image_id: str) -> Image.Image | None:
    data = stored()[image_id]
    return None if image_id in ("damaged", "too large") or data is None else Image.open(io.BytesIO(data)).convert("RGB")


@cache
def expected() -> pa.Table:
    """Each pair compared alone."""
    found = []
    for pair in PAIRS:
        one, other = (stored_subject(*made(name)) for name in pair)
        screened = screen(one, other, DEFAULT_PARAMS, [background()], pair)
        if not isinstance(screened, Evidence):
            one_view, other_view = (prepare_pixels(opened(name)) for name in pair)
            screened = compare_pixels(screened, one_view, other_view)
        found.append(screened)
    return verdict_table(found)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("at_a_time", "kept"), [(256, 512), (1, 1), (2, 3), (4, 0)])
def test_verdicts_equal_those_of_single_pairs_in_their_order(
    monkeypatch: pytest.MonkeyPatch, threads: int, at_a_time: int, kept: int
) -> None:
    monkeypatch.setattr(module, "PAIRS_AT_A_TIME", at_a_time)
    monkeypatch.setattr(module, "IMAGES_KEPT", kept)
    assert compared(PAIRS, Access(), threads).equals(expected())


def test_copies_are_verified_and_others_are_not() -> None:
    table = compared(PAIRS, Access())
    confirmed = [pair for pair, verified in zip(PAIRS, table["verified"].to_pylist(), strict=True) if verified]
    assert confirmed == [("a", "a smaller"), ("a", "a"), ("b", "b smaller")]
    evidence = dict(zip(PAIRS, table["evidence"].to_pylist(), strict=True))
    assert evidence["a", "a"] == "identical_pixels"
    assert evidence["a", "a smaller"] == "aligned"
    assert [len(transform) for transform in table["transform"].to_pylist()][:3:2] == [6, 6]


@pytest.mark.parametrize("lost", ["gone", "damaged", "too large"])
def test_an_unavailable_or_unreadable_image_is_undecided(lost: str) -> None:
    for record in compared([("a", lost), (lost, "a"), (lost, lost)], Access()).to_pylist():
        assert (record["verified"], record["evidence"], record["reason"]) == (None, "unconfirmed", "unreadable")
        assert (record["transform"], record["overlap"], record["agreement"]) == ([], 0, 0)


def test_only_images_whose_pixels_are_needed_are_fetched() -> None:
    images = Access()
    compared([("a", "b"), ("a", "a"), ("gone", "b")], images)
    assert sorted(images.read) == ["a", "b", "gone"]
    # Equal features and thumbnails: only the pixels say whether the images are equal.
    assert images.fetched == images.order == ["a"]


def test_cached_images_are_not_read_again_for_later_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS_AT_A_TIME", 2)
    images = Access()
    compared(PAIRS, images)
    assert sorted(images.read) == sorted(stored())
    assert images.fetched == images.order
    assert len(set(images.fetched)) == len(images.fetched)


def test_no_more_images_are_kept_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS_AT_A_TIME", 1)
    monkeypatch.setattr(module, "IMAGES_KEPT", 2)
    images = Access()
    compared([("gone", "damaged"), ("gone", "too large"), ("gone", "damaged")], images)
    assert images.read == ["gone", "damaged", "too large", "damaged"], "the one used last was dropped"


def test_without_pairs_there_are_no_verdicts() -> None:
    assert compared([], Access()).num_rows == 0


def test_progress_is_told_of_every_pair() -> None:
    told: list[int] = []
    compare_pairs(
        ["gone", "a", "a"], ["gone", "b", "a"], Access(), threads=2, limits=DecodeLimits(1), progress=told.append
    )
    assert sum(told) == 3


# Units of work -------------------------------------------------------------------------------------------------------
