"""Many pairs compared: as each alone would be, in order, with every image fetched as seldom as can be."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from visdiv_assets.duplicates import verify_pairs as module
from visdiv_assets.duplicates.verify import verify_pair
from visdiv_assets.duplicates.verify_pairs import VERDICT_SCHEMA, compare_pairs, split_into_units, verdict_table
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


def image_ids(seed: int, count: int) -> list[str]:
    """Sorted, some several times."""
    random = np.random.default_rng(seed)
    names = [random.bytes(16).hex() for _ in range(max(count // 2, 1))]
    return sorted(names[number] for number in random.integers(0, len(names), count))


def units(left_ids: list[str], pairs: int, chunks: int = 1) -> dict[str, list[int]]:
    cuts = np.linspace(0, len(left_ids), chunks + 1).astype(int)
    parts = [left_ids[start:end] for start, end in pairwise(cuts)]
    found = [(name, rows.to_pylist()) for name, rows in split_into_units(pa.chunked_array(parts, pa.string()), pairs)]
    assert len({name for name, _ in found}) == len(found)
    return dict(found)


@relaxed
@given(st.integers(0, 2**16), st.integers(0, 150), st.integers(1, 9), st.integers(1, 3))
def test_units_hold_every_pair_once_and_keep_left_images_whole(seed: int, count: int, pairs: int, chunks: int) -> None:
    names = image_ids(seed, count)
    found = units(names, pairs, chunks)
    assert all(found.values())
    assert sorted(row for rows in found.values() for row in rows) == list(range(count))
    assert all(rows == sorted(rows) for rows in found.values())
    unit_of = {row: name for name, rows in found.items() for row in rows}
    for name in set(names):
        assert len({unit_of[row] for row, other in enumerate(names) if other == name}) == 1


@relaxed
@given(st.integers(0, 2**16), st.integers(5, 63))
def test_a_new_pair_changes_its_own_unit_only(seed: int, count: int) -> None:
    names = image_ids(seed, count)
    (new,) = image_ids(seed + 1, 1)

    def held(left_ids: list[str]) -> dict[str, list[str]]:
        return {name: [left_ids[row] for row in rows] for name, rows in units(left_ids, 4).items()}

    before, after = held(names), held(sorted([*names, new]))
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {f"pairs {new[0]}"}


def test_few_pairs_are_one_unit_and_many_are_several() -> None:
    assert units(image_ids(0, 4), 4) == {"pairs": [0, 1, 2, 3]}
    assert len(units(image_ids(0, 64), 4)) > 1
    random = np.random.default_rng(0)
    many = sorted(random.bytes(16).hex() for _ in range(3000))
    sizes = [len(rows) for rows in units(many, 100).values()]
    assert len(sizes) == 256
    assert max(sizes) <= 100
