"""CLIP's tower for images beside transformers called directly, on small models with random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from visdiv_assets.embedding import Embedder, load_clip_images
from visdiv_assets.embedding.clip.checkpoints import Checkpoint, find_checkpoint
from visdiv_assets.embedding.clip.preprocessing import read_image_preparation
from visdiv_assets.embedding.interface import unit_length
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.conftest import image, made_once, shapes
from visdiv_assets_tests.embedding.streams import embedded
from visdiv_assets_tests.testing.clip_models import save_processor, small_clip, small_siglip

#: As wide, as high and as small as images come; odd sizes round in every way.
SIZES = [(32, 32), (33, 47), (201, 90), (90, 201), (640, 31), (1, 1), (3, 200), (400, 301)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "clip_of_images", small_clip)


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "siglip_of_images", small_siglip)


@pytest.fixture
def own(clip: Path, tmp_path: Path) -> Path:
    """A checkpoint that the test may change."""
    return Path(shutil.copytree(clip, tmp_path / "own"))


def images() -> list[Image.Image]:
    return [shapes(seed, 300).resize(size) for seed, size in enumerate(SIZES)]


def direct(folder: Path, images: list[Image.Image], **options: Any) -> np.ndarray:
    """The features that transformers gives of a checkpoint, by its own processor and model."""
    from transformers import AutoImageProcessor, AutoModel

    loader: Any = AutoImageProcessor
    processor = loader.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        given = model.get_image_features(**processor(images=images, return_tensors="pt", **options))
    features = given if isinstance(given, torch.Tensor) else given.pooler_output
    vectors: np.ndarray = features.numpy()
    return vectors


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    found: np.ndarray = (unit_length(left) * unit_length(right)).sum(axis=1)
    return found


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_vectors_are_those_of_transformers(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    expected = direct(folder, images())
    vectors = load_clip_images(str(folder), device="cpu").embed(images())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert cosines(vectors, expected).min() > 0.9999
    # The images differ enough for that to say something.
    assert (unit_length(expected) @ unit_length(expected).T)[~np.eye(len(SIZES), dtype=bool)].max() < 0.9999


@pytest.mark.parametrize(
    "processor",
    [
        {},
        {"size": {"shortest_edge": 40}},
        {"size": {"shortest_edge": 20}},
        {"resample": 2},
        {"size": 32, "crop_size": 32},
    ],
    ids=["as published", "crop smaller than the resize", "crop larger than the resize", "bilinear", "plain numbers"],
)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_crop_is_to_the_bit_that_of_transformers(own: Path, processor: dict[str, Any], size: tuple[int, int]) -> None:
    from transformers import AutoImageProcessor

    given = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, **processor}
    save_processor(own, **given)
    loader: Any = AutoImageProcessor
    theirs = loader.from_pretrained(own)(
        images=shapes(1, 300).resize(size), do_rescale=False, do_normalize=False, return_tensors="np"
    )["pixel_values"][0]
    ours = read_image_preparation(find_checkpoint(str(own)), "crop").prepare(shapes(1, 300).resize(size))
    np.testing.assert_array_equal(ours, theirs.transpose(1, 2, 0))


def stripes() -> Image.Image:
    """A wide white image with a red left and a blue right margin: 90 x 30."""
    image = Image.new("RGB", (90, 30), "white")
    image.paste((255, 0, 0), (0, 0, 15, 30))
    image.paste((0, 0, 255), (75, 0, 90, 30))
    return image


def prepared(folder: Path, way: str) -> np.ndarray:
    return read_image_preparation(find_checkpoint(str(folder)), way).prepare(stripes()).astype(int)


def test_a_crop_loses_the_margins(clip: Path) -> None:
    assert (prepared(clip, "crop") == 255).all()


def test_a_squashed_image_keeps_its_margins_and_not_its_shape(clip: Path) -> None:
    pixels = prepared(clip, "squash")
    assert pixels.shape == (32, 32, 3)
    assert (pixels[:, 0] == (255, 0, 0)).all()
    assert (pixels[:, -1] == (0, 0, 255)).all()


def test_a_padded_image_has_margins_of_the_mean_color(clip: Path) -> None:
    pixels = prepared(clip, "pad")
    top = (32 - 11) // 2
    assert (pixels[:top] == (123, 117, 104)).all()
    assert (pixels[top + 11 :] == (123, 117, 104)).all()
    assert (pixels[top : top + 11, 0] == (255, 0, 0)).all()
    assert (pixels[top : top + 11, 16] == 255).all()


@pytest.mark.parametrize("way", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (32, 32), (31, 33)])
def test_images_of_any_size_come_out_in_one(clip: Path, way: str, size: tuple[int, int]) -> None:
    pixels = read_image_preparation(find_checkpoint(str(clip)), way).prepare(shapes(3).resize(size))
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable


@pytest.mark.parametrize(
    ("name", "way", "expected"),
    [("clip", "crop", "crop_32"), ("clip", "pad", "pad_32"), ("clip", "squash", "squash_32"),
     ("siglip", "crop", "squash_32"), ("siglip", "pad", "pad_32")],
)  # fmt: skip
def test_the_model_id_says_what_is_done(name: str, way: str, expected: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    embedder = load_clip_images(str(folder), device="cpu", crop=way)
    assert embedder.model_id == f"{find_checkpoint(str(folder)).weights_id}/{expected}"
    assert (embedder.dimension, embedder.device, embedder.keeps_norms) == (32, "cpu", True)


def test_a_size_that_is_no_square_is_in_the_model_id(own: Path) -> None:
    save_processor(own, do_center_crop=False, size={"height": 32, "width": 16})
    preparation = read_image_preparation(find_checkpoint(str(own)), "crop")
    assert preparation.name == "squash_32x16"
    assert preparation.prepare(shapes(1)).shape == (32, 16, 3)


# Norms, streams, threads ---------------------------------------------------------------------------------------------


def given(count: int) -> list[bytes]:
    return [image(seed) for seed in range(count)]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_stream_keeps_the_lengths_beside_unit_vectors(clip: Path, threads: int) -> None:
    embedder = load_clip_images(str(clip), device="cpu", batch_size=4)
    expected = direct(clip, [shapes(seed) for seed in range(10)])
    parts = list(embedded(given(10), embedder, threads=threads))
    assert [len(part.vectors) for part in parts] == [4, 4, 2]
    vectors = np.concatenate([part.vectors for part in parts])
    norms = np.concatenate([part.norms for part in parts if part.norms is not None])
    assert vectors.dtype == np.float16
    assert norms.dtype == np.float32
    np.testing.assert_allclose(norms, np.linalg.norm(expected, axis=1), rtol=1e-4)
    assert norms.std() > 0.01
    assert cosines(vectors, expected).min() > 0.9999


def test_torch_uses_one_core_per_call_while_the_stream_runs(clip: Path) -> None:
    embedder = load_clip_images(str(clip), device="cpu", batch_size=1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        stream = embedded(given(3), embedder)
        next(stream)
        assert torch.get_num_threads() == 1
        stream.close()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_half_precision_is_for_cuda_alone(clip: Path) -> None:
    from visdiv_assets.embedding.clip.model import ClipModel

    assert ClipModel(find_checkpoint(str(clip)), "cpu").dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_vectors_of_a_gpu_are_those_of_the_cpu(clip: Path) -> None:
    on_cpu, on_gpu = (load_clip_images(str(clip), device=device).embed(images()) for device in ("cpu", "cuda"))
    assert cosines(on_cpu, on_gpu).min() > 0.999


# What cannot be used -------------------------------------------------------------------------------------------------


def refused(work: Callable[[], object]) -> str:
    """The one line that something is refused with."""
    with pytest.raises(VisdivError) as caught:
        work()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def load(folder: Path) -> Embedder:
    return load_clip_images(str(folder), device="cpu")


def test_a_checkpoint_with_the_tower_for_images_alone_is_enough(clip: Path, tmp_path: Path) -> None:
    alone = load(small_clip(tmp_path / "vision", towers=["vision"]))
    assert alone.dimension == 32
    assert alone.embed(images()).shape == (len(SIZES), 32)


def test_a_checkpoint_without_a_tower_for_images_is_refused(tmp_path: Path) -> None:
    folder = small_clip(tmp_path / "text", towers=["text"])
    assert refused(lambda: load(folder)) == "text has no encoder for images; use a checkpoint with both"


def test_a_tower_with_missing_weights_is_refused(own: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(own / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if "visual_projection" not in name}, own / "model.safetensors"
    )
    assert "own has no encoder for images: its weights lack visual_projection.weight" in refused(lambda: load(own))


def test_a_model_that_is_no_clip_is_refused(own: Path) -> None:
    config = {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 32, "num_attention_heads": 2}
    (own / "config.json").write_text(json.dumps(config))
    line = refused(lambda: load(own))
    assert line.startswith("own is a bert model, not CLIP: it has no get_image_features and no get_text_features;")


@pytest.mark.parametrize("text", ["{", json.dumps({"model_type": "no such model"}), "[]", "{}"])
def test_a_config_that_no_model_has_is_refused(own: Path, text: str) -> None:
    (own / "config.json").write_text(text)
    assert "transformers does not know the model in" in refused(lambda: load(own))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_damaged_weights_are_refused(own: Path, name: str) -> None:
    data = (own / "model.safetensors").read_bytes()
    (own / "model.safetensors").unlink()
    (own / name).write_bytes(data[: len(data) // 2])
    assert f"the weights in {own} cannot be loaded" in refused(lambda: load(own))


def test_weights_that_do_not_fit_the_config_are_refused(own: Path) -> None:
    config = json.loads((own / "config.json").read_text())
    config["vision_config"]["intermediate_size"] = 48
    (own / "config.json").write_text(json.dumps(config))
    assert f"the weights in {own} cannot be loaded" in refused(lambda: load(own))


@pytest.mark.parametrize(
    "processor",
    [{"do_resize": False}, {"do_normalize": False}, {"do_center_crop": False, "size": {"shortest_edge": 32}}],
)
def test_a_processor_that_gives_no_fixed_size_is_refused(own: Path, processor: dict[str, Any]) -> None:
    save_processor(own, **{"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, **processor})
    assert "own does not resize and crop its images to one size" in refused(lambda: load(own))


def test_a_damaged_processor_is_refused(own: Path) -> None:
    (own / "preprocessor_config.json").write_text("{")
    assert "the image processor cannot be read" in refused(lambda: load(own))


def test_a_device_that_is_not_there_is_refused(clip: Path) -> None:
    line = refused(lambda: load_clip_images(str(clip), device="cuda:99"))
    assert line.startswith("the device cuda:99 cannot be used")


def test_a_checkpoint_says_which_files_it_lacks(tmp_path: Path) -> None:
    assert "lacks a or b" in refused(lambda: Checkpoint("x", tmp_path, "0").require(("a", "b")))
