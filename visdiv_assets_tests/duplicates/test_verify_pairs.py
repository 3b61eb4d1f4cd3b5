"""Many pairs compared: as each alone would be, in order, with every image fetched as seldom as can be."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings
from PIL import Image

from visdiv_assets.duplicates import verify_pairs as module
from visdiv_assets.duplicates.verify import verify_pair
from visdiv_assets.duplicates.verify_pairs import VERDICT_SCHEMA, compare_pairs, verdict_table
from visdiv_assets.imaging.limits import DecodeLimits

relaxed = settings(deadline=None, max_examples=40)

MAX_PIXELS = 100_000


@cache
def stored() -> dict[str, bytes | None]:
    """Two images and a smaller copy of each, damaged bytes, one that is too large, and one that is gone."""
    images: dict[str, bytes | None] = {}
    for number, name in enumerate("ab"):
        patches = np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8)
        image = Image.fromarray(patches).resize((96, 72), Image.Resampling.BICUBIC)
        images[name] = encoded(image)
        images[f"{name} smaller"] = encoded(image.resize((64, 48), Image.Resampling.LANCZOS))
    images["damaged"] = b"<html>404</html>"
    images["too large"] = encoded(Image.new("RGB", (400, 400)))
    images["gone"] = None
    return images


def encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


class Fetcher:
    """Gives stored images and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, image_ids: Sequence[str]) -> list[bytes | None]:
        self.asked.append(list(image_ids))
        return [stored()[image_id] for image_id in image_ids]

    @property
    def fetched(self) -> list[str]:
        return [image_id for asked in self.asked for image_id in asked]


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


def compared(pairs: list[tuple[str, str]], left: Fetcher, right: Fetcher, threads: int = 2) -> pa.Table:
    table = compare_pairs(
        [a for a, _ in pairs], [b for _, b in pairs], left, right, threads=threads, limits=DecodeLimits(MAX_PIXELS)
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
    return verdict_table([verify_pair(opened(a), opened(b)) for a, b in PAIRS])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("at_a_time", "kept"), [(256, 512), (1, 1), (2, 3), (4, 0)])
def test_verdicts_equal_those_of_single_pairs_in_their_order(
    monkeypatch: pytest.MonkeyPatch, threads: int, at_a_time: int, kept: int
) -> None:
    monkeypatch.setattr(module, "PAIRS_AT_A_TIME", at_a_time)
    monkeypatch.setattr(module, "IMAGES_KEPT", kept)
    assert compared(PAIRS, Fetcher(), Fetcher(), threads).equals(expected())


def test_copies_are_verified_and_others_are_not() -> None:
    table = compared(PAIRS, Fetcher(), Fetcher())
    confirmed = [pair for pair, verified in zip(PAIRS, table["verified"].to_pylist(), strict=True) if verified]
    assert confirmed == [("a", "a smaller"), ("a", "a"), ("b", "b smaller")]
    evidence = dict(zip(PAIRS, table["evidence"].to_pylist(), strict=True))
    assert evidence["a", "a"] == "identical_pixels"
    assert evidence["a", "a smaller"] == "aligned"
    assert [len(transform) for transform in table["transform"].to_pylist()][:3:2] == [6, 6]


@pytest.mark.parametrize("lost", ["gone", "damaged", "too large"])
def test_an_unavailable_or_unreadable_image_is_unconfirmed(lost: str) -> None:
    for record in compared([("a", lost), (lost, "a"), (lost, lost)], Fetcher(), Fetcher()).to_pylist():
        assert (record["verified"], record["evidence"], record["reason"]) == (False, "unconfirmed", "unreadable")
        assert (record["transform"], record["overlap"], record["agreement"]) == ([], 0, 0)


def test_each_image_of_a_batch_is_fetched_once() -> None:
    left, right = Fetcher(), Fetcher()
    compared(PAIRS, left, right)
    assert sorted(left.fetched + right.fetched) == sorted(stored())
    assert len(left.asked) <= 1
    assert len(right.asked) <= 1


def test_a_cached_image_is_not_fetched_again_for_later_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS_AT_A_TIME", 2)
    left, right = Fetcher(), Fetcher()
    compared(PAIRS, left, right)
    assert sorted(left.fetched + right.fetched) == sorted(stored())


def test_no_more_images_are_kept_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS_AT_A_TIME", 1)
    monkeypatch.setattr(module, "IMAGES_KEPT", 2)
    left, right = Fetcher(), Fetcher()
    compared([("gone", "damaged"), ("gone", "too large"), ("gone", "damaged")], left, right)
    assert left.fetched == ["gone"], "the one used last was dropped"
    assert right.fetched == ["damaged", "too large", "damaged"]


def test_without_pairs_there_are_no_verdicts() -> None:
    assert compared([], Fetcher(), Fetcher()).num_rows == 0


def test_progress_is_told_of_every_pair() -> None:
    told: list[int] = []
    compare_pairs(
        ["gone"] * 5, ["gone"] * 5, Fetcher(), Fetcher(), threads=2, limits=DecodeLimits(1), progress=told.append
    )
    assert sum(told) == 5


# Units of work -------------------------------------------------------------------------------------------------------
