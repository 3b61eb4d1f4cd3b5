"""The limits that protect a machine: too large images are recorded and not decoded, and a disk is never filled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from visdiv_assets.corpus.image_fetch import Fetch
from visdiv_assets.diversity.evaluate import evaluate_diversity
from visdiv_assets.duplicates.verify import Background
from visdiv_assets.duplicates.verify_pairs import compare_pairs
from visdiv_assets.imaging.decode import ImageStatus, decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.ingest import ModelWanted, Wanted, ingest_shard
from visdiv_assets.storage import disk_space
from visdiv_assets_tests.conftest import ColorEmbedder, Pipeline, Row, image, lake_files, near_copy, one_each, png

MAX_PIXELS = 1_000_000


def large(seed: int) -> bytes:
    """Return an image that hardly compresses: about 12 kB, while `image` has less than 2 kB."""
    return png(Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)))


LARGE = large(0)
LIMIT = 5_000

# Encoded images ----------------------------------------------------------------------------------------------------


def test_the_limit_of_bytes_is_inclusive() -> None:
    assert decode_image(LARGE, limits=DecodeLimits(MAX_PIXELS, max_bytes=len(LARGE))).status is ImageStatus.OK
    found = decode_image(LARGE, limits=DecodeLimits(MAX_PIXELS, max_bytes=len(LARGE) - 1))
    assert (found.status, found.format, found.pixels) == (ImageStatus.TOO_LARGE, "png", None)
    assert found.detail == f"{len(LARGE)} bytes, the limit is {len(LARGE) - 1}"


def test_the_default_limit_is_that_of_the_settings() -> None:
    data = image(0)[:8] + bytes(100_000_000 - 8)
    assert "bytes, the limit is" not in decode_image(data, limits=DecodeLimits(1)).detail
    assert decode_image(data + b"\0", limits=DecodeLimits(1)).detail == "100000001 bytes, the limit is 100000000"


def test_a_large_file_that_is_not_an_image_is_named_so() -> None:
    assert decode_image(b"<html>" * 1000, limits=DecodeLimits(1, max_bytes=10)).status is ImageStatus.NOT_AN_IMAGE


def test_an_image_of_too_many_bytes_is_never_embedded() -> None:
    embedder = ColorEmbedder()
    images = pa.array([[{"bytes": LARGE, "path": None}]])
    made = ingest_shard(
        lambda columns: [pa.record_batch({"images": images})],
        Wanted(images=True, models={"color": ModelWanted(embedder)}),
        first_row=0,
        threads=1,
        limits=DecodeLimits(MAX_PIXELS, max_bytes=LIMIT),
    )
    assert len(made.vectors["color"]) == 0
    assert embedder.embedded == 0


class LargeImages:
    """Images whose pixels are always needed, because features and thumbnails are equal."""

    def stored(self, image_ids: Sequence[str]) -> list[tuple[bytes | None, bytes | None]]:
        return [(b"", LARGE)] * len(image_ids)

    def in_order(self, image_ids: Sequence[str]) -> Fetch:
        return lambda wanted: [LARGE] * len(wanted)

    def backgrounds(self, image_id_a: str, image_id_b: str) -> list[Background]:
        return []


def test_an_image_of_too_many_bytes_is_never_compared() -> None:
    def verdict(max_bytes: int) -> tuple[bool | None, str]:
        found = compare_pairs(
            ["a"],
            ["b"],
            LargeImages(),
            threads=1,
            limits=DecodeLimits(MAX_PIXELS, max_bytes=max_bytes),
        ).to_pylist()[0]
        return found["verified"], found["reason"]

    assert verdict(len(LARGE)) == (True, "")
    assert verdict(LIMIT) == (None, "unreadable")


@pytest.mark.nightly
def test_a_folder_is_measured_without_images_of_too_many_bytes(tmp_path: Path) -> None:
    for number, data in enumerate([image(1), image(2), LARGE]):
        (tmp_path / f"{number}.png").write_bytes(data)
    measured = evaluate_diversity(tmp_path, device="cpu", limits=DecodeLimits(max_bytes=LIMIT))
    assert (measured.files, measured.images) == (3, 2)
    assert [(file.path.name, file.status) for file in measured.unreadable] == [("2.png", "too_large")]


@pytest.mark.nightly
def test_a_lower_limit_of_bytes_lists_the_images_again(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row([LARGE]), Row([LARGE]), *one_each([1, 2]), Row([near_copy(1)])])
    assert pipeline.run("some").success
    smaller = pipeline.changed(max_image_bytes=LIMIT)
    ran = smaller.run("some")
    assert ran.success, ran.failures
    assert ran.metadata("subset_images")["statuses"] == {"too_large": 2, "ok": 3}
    assert smaller.publish().success
    detail = f"{len(LARGE)} bytes, the limit is {LIMIT}"
    assert smaller.query("SELECT DISTINCT status, detail FROM images WHERE row < 2") == [("too_large", detail)]
    embedded = smaller.lake.read(smaller.lake.require("sscd_embeddings", "some"), "ids")["image_id"].to_pylist()
    assert sorted(embedded) == sorted(image_id(data) for data in (image(1), image(2), near_copy(1)))
    pairs = smaller.query("SELECT image_id_a, image_id_b FROM close_pairs")
    assert pairs
    assert image_id(LARGE) not in {name for pair in pairs for name in pair}
    assert smaller.query("SELECT row, reason FROM dropped_rows WHERE row < 2 ORDER BY row") == [
        (0, "unreadable"),
        (1, "unreadable"),
    ]


def test_a_list_of_images_depends_on_the_limit_of_bytes(pipeline: Pipeline) -> None:
    pipeline.write("some", one_each([1]))
    pipeline.run("some", only=["subset_images"])
    assert pipeline.lake.require("subset_images", "some").settings == {
        "max_pixels": 64_000_000,
        "max_bytes": 100_000_000,
    }


# The disk ------------------------------------------------------------------------------------------------------------


def test_a_run_stops_before_it_uses_the_reserve(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.write("some", one_each([1]))
    assert pipeline.run("some", only=["subset_images"]).success
    before = lake_files(pipeline.lake.files.root, "subset_images")
    monkeypatch.setattr(disk_space, "space_of", lambda folder: disk_space.Space(total=10**12, free=1_900_000_000))
    pipeline.write("other", one_each([2]))
    ran = pipeline.run("other", only=["subset_images"])
    assert ran.failures == {
        "subset_pass": f"the disk of {pipeline.lake.files.root} has 1.90 GB free, less than the reserve of "
        "2.00 GB: free some space (`visdiv gc` lists what can be removed) or lower VISDIV_DISK_RESERVE_GIGABYTES, then "
        "start the run again; finished work is kept"
    }
    assert lake_files(pipeline.lake.files.root, "subset_images") == before
    assert pipeline.changed(disk_reserve_gigabytes=1.8).run("other", only=["subset_images"]).success


def test_finished_work_needs_no_space(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.write("some", one_each([1]))
    assert pipeline.run("some", only=["subset_images"]).success
    monkeypatch.setattr(disk_space, "space_of", lambda folder: disk_space.Space(total=10**12, free=0))
    again = pipeline.run("some", only=["subset_images"])
    assert again.success
    assert again.metadata("subset_images")["units_reused"] == 1


@pytest.mark.nightly
def test_nothing_is_published_if_the_reserve_is_used(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.write("some", one_each([1]))
    assert pipeline.run("some").success
    assert pipeline.publish().success
    monkeypatch.setattr(disk_space, "space_of", lambda folder: disk_space.Space(total=10**12, free=0))
    failures = pipeline.publish().failures
    assert "VISDIV_DISK_RESERVE_GIGABYTES" in str(failures["warehouse"])
    assert pipeline.query("SELECT subset FROM subsets") == [("some",)]
