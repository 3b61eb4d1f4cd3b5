"""The TorchScript embedder with a small module in the place of Meta's weights, which are 99 MB."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from visdiv_assets.embedding.sscd.torchscript import TorchSscd
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.conftest import shapes

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

MEAN = np.array([0.485, 0.456, 0.406])
STANDARD_DEVIATION = np.array([0.229, 0.224, 0.225])


class Blocks(torch.nn.Module):
    """Means of a 4 x 4 grid: 48 dimensions, not of unit length."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)


class Channels(torch.nn.Module):
    """The mean of each channel as it reaches the model."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


def load_script(path: Path) -> Any:
    load: Any = torch.jit.load
    return load(str(path))


def save(module: torch.nn.Module, path: Path) -> Path:
    script: Any = torch.jit.script(module)
    script.save(str(path))
    return path


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    return save(Blocks(), tmp_path / "blocks.pt")


def random_pixels(images: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (images, 320, 320, 3), np.uint8)


def test_the_model_is_fed_what_imagenet_normalization_gives(tmp_path: Path) -> None:
    embedder = TorchSscd(save(Channels(), tmp_path / "channels.pt"), "cpu")
    color = np.array([10, 200, 90], np.uint8)
    expected = (color / 255 - MEAN) / STANDARD_DEVIATION
    vectors = embedder.run(np.broadcast_to(color, (2, 320, 320, 3)).copy())
    np.testing.assert_allclose(vectors, [expected / np.linalg.norm(expected)] * 2, atol=1e-5)


def test_vectors_are_those_of_torch_brought_to_unit_length(blocks: Path) -> None:
    pixels = random_pixels(3)
    normalized = ((pixels / 255 - MEAN) / STANDARD_DEVIATION).transpose(0, 3, 1, 2)
    direct = load_script(blocks)(torch.from_numpy(normalized)).numpy()
    vectors = TorchSscd(blocks, "cpu").run(pixels)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors, direct / np.linalg.norm(direct, axis=1, keepdims=True), atol=1e-5)


def test_model_id_and_dimension_come_from_the_file(blocks: Path) -> None:
    embedder = TorchSscd(blocks, "cpu")
    digest = hashlib.sha256(blocks.read_bytes()).hexdigest()
    assert embedder.model_id == f"sscd_disc_mixup@{digest[:12]}/skew_320"
    assert embedder.dimension == 48


def test_images_of_any_number_and_size_are_embedded(blocks: Path) -> None:
    embedder = TorchSscd(blocks, "cpu", batch_size=2)
    images = [shapes(seed).resize((40 + seed, 70)) for seed in range(5)]
    together = embedder.embed(images)
    assert together.shape == (5, 48)
    np.testing.assert_allclose(together, np.concatenate([embedder.embed([image]) for image in images]), atol=1e-6)
    assert embedder.embed([]).shape == (0, 48)


@pytest.mark.parametrize("kind", ["garbage", "empty", "weights only"])
def test_a_file_that_is_not_torchscript_is_named_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.pt"
    if kind == "weights only":
        torch.save({"layer": torch.zeros(3)}, path)
    else:
        path.write_bytes(b"" if kind == "empty" else b"not a model" * 100)
    with pytest.raises(VisdivError, match=r"model\.pt is not a TorchScript module") as caught:
        TorchSscd(path, "cpu")
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there_is_named_in_one_line(blocks: Path) -> None:
    with pytest.raises(VisdivError, match="the device cuda:99 cannot be used") as caught:
        TorchSscd(blocks, "cuda:99")
    assert "\n" not in str(caught.value)
