"""Rates that are measured on a small source."""

from __future__ import annotations

import numpy as np
import pytest

from visdiv_assets.embedding.regions import REGIONS
from visdiv_assets.orchestration.plan import measured as module
from visdiv_assets.orchestration.plan.measured import Measured, measure
from visdiv_assets.orchestration.plan.what_runs import NEW, UNCHANGED, Part
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets.wiring import open_source
from visdiv_assets_tests.conftest import ColorEmbedder, Row, image, one_each, write_shard


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VECTORS", 64)
    monkeypatch.setattr(module, "load_sscd", lambda settings: ColorEmbedder())


def part(name: str, state: str = NEW, images: int = 4) -> Part:
    return Part(Kind.SUBSET, name, state, images, 0, frozenset())


def measured(settings: Settings, *parts: Part) -> Measured:
    return measure(settings, open_source(settings), parts)


def test_all_rates_are_measured_on_images_of_the_source(settings: Settings) -> None:
    write_shard(settings.source, "first", one_each(range(10)))
    write_shard(settings.source, "second", one_each([20]))
    found = measured(settings, part("first", images=10), part("second", UNCHANGED, 1))
    assert found.images == module.IMAGES_OF_A_PART + 1
    assert min(found.pass_seconds, found.verify_seconds, found.join_seconds) > 0
    # A vector of 192 dimensions, a thumbnail, features and a row of the listing.
    assert 400 < found.pass_bytes < 20_000


def test_the_pass_is_measured_with_regions_if_they_are_on(settings: Settings) -> None:
    write_shard(settings.source, "first", one_each(range(10)))
    off, on = (measured(settings.model_copy(update={"regions": on}), part("first")) for on in (False, True))
    stored = REGIONS * ColorEmbedder().dimension * 2
    assert stored < on.pass_bytes - off.pass_bytes < stored + 200


def test_reading_text_is_measured_only_if_a_part_has_its_text_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[int] = []

    class Reader:
        def read(self, pixels: np.ndarray) -> None:
            loaded.append(len(pixels))

    monkeypatch.setattr(module, "load_reader", lambda threads: Reader())
    write_shard(settings.source, "first", one_each(range(10)))
    assert measured(settings, part("first")).ocr_seconds == 0
    assert not loaded
    found = measured(settings, part("first")._replace(made=frozenset({"image_texts"})))
    assert found.ocr_seconds > 0
    assert len(loaded) == module.IMAGES_OF_A_PART - 2


def test_a_subset_without_an_image_in_its_first_rows_is_left_out(settings: Settings) -> None:
    write_shard(settings.source, "text", [Row()] * 4)
    write_shard(settings.source, "some", one_each([1, 2, 3, 4]))
    assert measured(settings, part("text"), part("some")).images == 4


def test_an_unreadable_image_is_listed_and_not_compared(settings: Settings) -> None:
    write_shard(settings.source, "some", [Row([image(1)]), Row([b"no image"]), Row([None])])
    found = measured(settings, part("some", images=3))
    assert found.images == 2
    assert found.pass_seconds > 0
    assert found.verify_seconds == 0


def test_without_images_only_the_join_is_measured(settings: Settings) -> None:
    found = measured(settings)
    assert found == Measured(0, 0.0, 0.0, 0.0, found.join_seconds)
    assert found.join_seconds > 0
