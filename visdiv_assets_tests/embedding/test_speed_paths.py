"""What makes a GPU fast and leaves the vectors alone: batches in flight, fewer images when memory ends, float16."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from visdiv_assets.embedding.sscd.torchscript import TorchSscd
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.conftest import ColorEmbedder, image
from visdiv_assets_tests.embedding.streams import vectors_of

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Small(torch.nn.Module):
    """A convolution, pooling with third powers and a norm, as SSCD ends: 256 dimensions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = torch.nn.Conv2d(3, 16, 7, stride=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.convolution(x)).clamp(min=1e-6).pow(3.0)
        x = torch.nn.functional.adaptive_avg_pool2d(x, 4).pow(1.0 / 3.0).flatten(1)
        return torch.nn.functional.normalize(x)


class Hungry(torch.nn.Module):
    """Asks for more memory than there is, 64 TiB, where a batch has more images than `most`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.size(0) > self.most:
            x = x + torch.empty([1 << 44]).sum()
        return torch.nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)


class Broken(torch.nn.Module):
    """Cannot be run on more than one image, for another reason than memory."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(1, 3, 320, 320).mean(dim=(2, 3))


def load_script(path: Path) -> Any:
    load: Any = torch.jit.load
    return load(str(path))


def save(module: torch.nn.Module, path: Path) -> Path:
    script: Any = torch.jit.script(module.eval())
    script.save(str(path))
    return path


def random_pixels(images: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (images, 320, 320, 3), np.uint8)


class InFlight(ColorEmbedder):
    """Notes when a batch is started and when its result is fetched."""

    def __init__(self, in_flight: int) -> None:
        super().__init__(runs_in_threads=False)
        self.in_flight = in_flight
        self.events: list[str] = []

    def stack(self, images: Sequence[np.ndarray]) -> np.ndarray:
        self.events.append("stacked")
        return super().stack(images)

    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        self.events.append("started")

        def wait() -> np.ndarray:
            self.events.append("fetched")
            return self.run(pixels)

        return wait


@pytest.mark.parametrize(
    ("in_flight", "order"),
    [(0, ["started", "fetched"] * 3), (1, ["started", "started", "fetched", "started", "fetched", "fetched"])],
)
def test_a_batch_is_started_before_the_one_in_flight_is_fetched(in_flight: int, order: list[str]) -> None:
    given = [image(seed) for seed in range(10)]
    embedder = InFlight(in_flight)
    vectors = vectors_of(given, embedder)
    assert [event for event in embedder.events if event != "stacked"] == order
    assert embedder.events.count("stacked") == 3
    np.testing.assert_array_equal(vectors, vectors_of(given, ColorEmbedder()))


def test_out_of_memory_halves_the_batch_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    embedder = TorchSscd(save(Hungry(2), tmp_path / "hungry.pt"), "cpu", batch_size=8)
    pixels = random_pixels(7)
    with caplog.at_level(logging.WARNING):
        vectors = embedder.run(pixels)
        again = embedder.run(pixels)
    # 7, then 3, then 1: learnt once, and kept for the batches that follow.
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"cpu is out of memory: continuing with {most} images per batch" for most in (3, 1)]
    one_by_one = np.concatenate([embedder.run(pixels[place : place + 1]) for place in range(7)])
    np.testing.assert_allclose(vectors, one_by_one, atol=1e-6)
    np.testing.assert_array_equal(vectors, again)


def test_one_image_that_does_not_fit_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(VisdivError, match="cpu does not have enough free memory for one image") as caught:
        TorchSscd(save(Hungry(0), tmp_path / "hungry.pt"), "cpu")
    assert "\n" not in str(caught.value)


def test_other_failures_of_the_model_are_raised(tmp_path: Path) -> None:
    embedder = TorchSscd(save(Broken(), tmp_path / "broken.pt"), "cpu")
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        embedder.run(random_pixels(2))


def test_the_cpu_computes_in_float32(tmp_path: Path) -> None:
    path = save(Small(), tmp_path / "small.pt")
    pixels = random_pixels(3)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normalized = ((pixels / 255 - mean) / deviation).transpose(0, 3, 1, 2).astype(np.float32)
    direct = load_script(path)(torch.from_numpy(normalized)).detach().numpy()
    np.testing.assert_allclose(TorchSscd(path, "cpu").run(pixels), direct, atol=1e-6)


def test_autocast_reaches_into_torchscript() -> None:
    # What TorchSscd relies on where there is CUDA: the CPU's, in bfloat16, shows that it reaches into TorchScript.
    module = torch.jit.script(Small().eval())
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        half = module(torch.rand(1, 3, 320, 320, generator=torch.Generator().manual_seed(0)))
        assert module.convolution(torch.rand(1, 3, 320, 320)).dtype == torch.bfloat16
    with torch.inference_mode():
        full = module(torch.rand(1, 3, 320, 320, generator=torch.Generator().manual_seed(0)))
    assert float((half.float() * full).sum()) > 0.999


@pytest.mark.gpu
@needs_cuda
def test_half_precision_gives_the_vectors_of_float32(tmp_path: Path) -> None:
    path = save(Small(), tmp_path / "small.pt")
    pixels = random_pixels(9)
    expected = TorchSscd(path, "cpu").run(pixels)
    embedder = TorchSscd(path, "cuda", batch_size=4)
    vectors = embedder.run(embedder.stack(list(pixels)))
    assert vectors.dtype == np.float32
    assert (vectors * expected).sum(axis=1).min() >= 0.9999


@pytest.mark.gpu
@needs_cuda
def test_the_stream_on_a_gpu_gives_the_vectors_of_the_cpu(tmp_path: Path) -> None:
    path = save(Small(), tmp_path / "small.pt")
    given = [image(seed) for seed in range(30)]
    on_gpu, on_cpu = (vectors_of(given, TorchSscd(path, device, 4)) for device in ("cuda", "cpu"))
    assert (on_gpu.astype(np.float32) * on_cpu.astype(np.float32)).sum(axis=1).min() >= 0.999
