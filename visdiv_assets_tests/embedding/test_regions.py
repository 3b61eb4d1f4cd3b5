"""Vectors of regions: those of the cropped regions, and zeros where there is nothing to see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from visdiv_assets.embedding.regions import (
    GRID,
    MIN_DEVIATION,
    MIN_PIXELS,
    REGIONS,
    RegionEmbedder,
    region_boxes,
    regions_model_id,
)
from visdiv_assets_tests.conftest import ColorEmbedder, png, shapes
from visdiv_assets_tests.embedding.streams import vectors_of


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Patches of color, so that no region is blank and no two are equal."""
    patches = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(patches).resize((width, height), Image.Resampling.NEAREST)


def regions_of(image: Image.Image) -> np.ndarray:
    """Return the vectors of an image's regions: float32 [regions, d]."""
    return RegionEmbedder(ColorEmbedder()).embed([image]).reshape(REGIONS, -1)


@given(st.integers(2, 3000), st.integers(2, 3000))
def test_regions_are_half_as_large_and_cover_the_image(width: int, height: int) -> None:
    boxes = region_boxes((width, height))
    assert len(set(boxes)) == len(boxes) == REGIONS or min(width, height) < 4
    for left, upper, right, lower in boxes:
        assert 0 <= left < right <= width
        assert 0 <= upper < lower <= height
        assert (right - left, lower - upper) == ((width + 1) // 2, (height + 1) // 2)
    assert boxes[0][:2] == (0, 0)
    assert boxes[-1][2:] == (width // 2 + (width + 1) // 2, height // 2 + (height + 1) // 2) == (width, height)
    middle = boxes[REGIONS // 2]
    assert middle[:2] == (width // 4, height // 4)


def test_a_region_has_the_vector_of_the_image_cut_there() -> None:
    image = noise(300, 200)
    model = ColorEmbedder()
    cut = model.embed([image.crop(box) for box in region_boxes(image.size)])
    np.testing.assert_array_equal(regions_of(image), cut)


@pytest.mark.parametrize("place", range(GRID * GRID))
def test_an_image_pasted_onto_a_region_is_found_by_it(place: int) -> None:
    pasted, page = shapes(3, 120), Image.new("RGB", (240, 240), "white")
    page.paste(pasted, region_boxes(page.size)[place][:2])
    similarity = regions_of(page) @ ColorEmbedder().embed([pasted])[0]
    assert int(similarity.argmax()) == place
    assert similarity.max() > 0.999


def test_blank_regions_have_no_vector_and_are_not_embedded() -> None:
    page = Image.new("RGB", (400, 400), "white")
    page.paste(noise(200, 200), (0, 0))
    model = ColorEmbedder()
    vectors = RegionEmbedder(model).embed([page]).reshape(REGIONS, -1)
    lengths = np.linalg.norm(vectors, axis=1)
    seen = [index for index, (left, upper, _, _) in enumerate(region_boxes(page.size)) if left < 200 and upper < 200]
    assert np.flatnonzero(lengths).tolist() == seen
    np.testing.assert_allclose(lengths[seen], 1, atol=1e-6)
    assert model.embedded == len(seen) == 4


@pytest.mark.parametrize(("amplitude", "seen"), [(MIN_DEVIATION * 0.9, False), (MIN_DEVIATION * 1.1 + 1, True)])
def test_noise_of_a_scanner_is_blank_and_faint_content_is_not(amplitude: float, seen: bool) -> None:
    signs = np.random.default_rng(0).choice([-1, 1], (320 * 2, 320 * 2, 1))
    pixels = np.repeat(200 + np.rint(signs * amplitude), 3, axis=2).astype(np.uint8)
    # Each region is as large as the model's input, so that it is not resized.
    assert bool(regions_of(Image.fromarray(pixels)).any()) is seen


@pytest.mark.parametrize(("size", "seen"), [((128, 128), True), ((127, 128), False), ((MIN_PIXELS, 1), False)])
def test_small_and_one_pixel_high_images_have_no_regions(size: tuple[int, int], seen: bool) -> None:
    model = ColorEmbedder()
    vectors = RegionEmbedder(model).embed([noise(*size)])
    assert vectors.shape == (1, REGIONS * model.dimension)
    assert bool(vectors.any()) is seen
    assert model.embedded == (REGIONS if seen else 0)


@pytest.mark.parametrize("in_threads", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_vectors_in_a_stream_do_not_depend_on_batches(in_threads: bool, batch_size: int) -> None:
    images = [noise(200, 150, seed) for seed in range(5)]
    images.insert(2, Image.new("RGB", (300, 300)))
    model = RegionEmbedder(ColorEmbedder(batch_size=batch_size, runs_in_threads=in_threads))
    assert model.batch_size == max(batch_size // REGIONS, 1)
    found = vectors_of([png(image) for image in images], model)
    expected = np.stack([regions_of(image).reshape(-1) for image in images]).astype(np.float16)
    np.testing.assert_array_equal(found, expected)
    assert not found[2].any()


def test_the_model_id_names_model_and_regions() -> None:
    model = ColorEmbedder()
    assert RegionEmbedder(model).model_id == regions_model_id(model.model_id) == f"{model.model_id}/regions_3x3"
