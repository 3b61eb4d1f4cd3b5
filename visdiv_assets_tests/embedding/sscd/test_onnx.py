"""The int8 SSCD model itself, on images of the sample."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from visdiv_assets.embedding import Embedder, load
from visdiv_assets_tests.conftest import shapes


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load("sscd_disc_mixup_int8", device="cpu")


@pytest.fixture(scope="module")
def clipart(sample_folder: Path) -> list[Image.Image]:
    """The first eight images of the sample, which was chosen so that none is like another."""
    file = sample_folder / "subsets" / "clipart_nature" / "train-00000-of-00002.parquet"
    rows = pq.read_table(file, columns=["images"]).column("images").to_pylist()[:8]
    return [Image.open(io.BytesIO(row[0]["bytes"])).convert("RGB") for row in rows]


def jpeg_copy(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=60)
    return Image.open(stream).convert("RGB")


def test_model_id_names_model_weights_and_preprocessing(embedder: Embedder) -> None:
    assert embedder.model_id == "sscd_disc_mixup_int8@86386042eb85/skew_320"
    assert (embedder.dimension, embedder.device) == (512, "cpu")


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 3), (320, 320), (900, 700)])
def test_images_of_any_size_give_unit_vectors_of_512_dimensions(embedder: Embedder, size: tuple[int, int]) -> None:
    vectors = embedder.embed([shapes(1).resize(size)])
    assert vectors.shape == (1, 512)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-6)


def test_no_images_give_an_empty_matrix(embedder: Embedder) -> None:
    vectors = embedder.embed([])
    assert vectors.shape == (0, 512)
    assert vectors.dtype == np.float32


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_a_vector_does_not_depend_on_its_batch(clipart: list[Image.Image], batch_size: int) -> None:
    alone = load("sscd_disc_mixup_int8", device="cpu", batch_size=1)
    together = load("sscd_disc_mixup_int8", device="cpu", batch_size=batch_size)
    order = np.random.default_rng(0).permutation(len(clipart))
    expected = np.concatenate([alone.embed([image]) for image in clipart])
    np.testing.assert_array_equal(together.embed([clipart[place] for place in order]), expected[order])


def test_threads_give_what_one_thread_gives(embedder: Embedder, clipart: list[Image.Image]) -> None:
    batches = [np.stack([embedder.preprocess(image)]) for image in clipart * 2]
    serial = [embedder.run(batch) for batch in batches]
    with ThreadPoolExecutor(4) as executor:
        threaded = list(executor.map(embedder.run, batches))
    np.testing.assert_array_equal(np.concatenate(threaded), np.concatenate(serial))


def test_a_jpeg_copy_is_closer_than_any_other_image(embedder: Embedder, clipart: list[Image.Image]) -> None:
    originals = embedder.embed(clipart)
    copies = embedder.embed([jpeg_copy(image) for image in clipart])
    similarity = copies @ originals.T
    others = similarity[~np.eye(len(clipart), dtype=bool)]
    assert similarity.diagonal().min() > others.max()


def test_color_channels_are_not_swapped(embedder: Embedder, clipart: list[Image.Image]) -> None:
    swapped = [Image.merge("RGB", image.split()[::-1]) for image in clipart]
    colored = [image for image, other in zip(clipart, swapped, strict=True) if image.tobytes() != other.tobytes()]
    assert colored
    difference = embedder.embed(colored) - embedder.embed([Image.merge("RGB", i.split()[::-1]) for i in colored])
    assert (np.abs(difference).max(axis=1) > 1e-3).all()
