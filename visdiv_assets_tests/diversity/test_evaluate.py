"""One-call diversity of arrays and folders."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visdiv_assets import embedding
from visdiv_assets.diversity import evaluate, evaluate_diversity, get_diversity_components, scores_of
from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets_tests.diversity.references import random_unit


class MeanColor:
    """An embedder whose vector is the mean color and one more axis."""

    model_id = "mean_color@0/none"
    dimension = 4

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []
        self.calls: list[dict[str, Any]] = []

    def embed(self, images: list[Image.Image]) -> np.ndarray:
        assert all(image.mode == "RGB" for image in images)
        self.batches.append([image.size for image in images])
        colors = np.array([np.asarray(image, np.float32).mean((0, 1)) for image in images])
        vectors = np.hstack([colors, np.full((len(images), 1), 50, np.float32)])
        units: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return units


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> MeanColor:
    embedder = MeanColor()
    signature = inspect.signature(embedding.load)

    def load(*args: Any, **kwargs: Any) -> MeanColor:
        embedder.calls.append(dict(signature.bind(*args, **kwargs).arguments))
        return embedder

    monkeypatch.setattr(embedding, "load", load)
    return embedder


def write_images(folder: Path, colors: dict[str, Any], size: tuple[int, int] = (6, 5)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, color in colors.items():
        Image.new("RGB", size, color).save(folder / name)


def test_components_hold_both_kinds() -> None:
    x = random_unit(1, 30, 8, offset=0.5)
    components = get_diversity_components(x.astype(np.float32) * 3)
    centered, uncentered = scores_of(x), scores_of(x, centered=False)
    assert components["images"] == 30
    assert components["dimension"] == 8
    for name in ("effective_rank", "participation_ratio", "participation_ratio_unbiased", "score"):
        assert components[name] == pytest.approx(getattr(centered, name), rel=1e-5)
        assert components[f"{name}_uncentered"] == pytest.approx(getattr(uncentered, name), rel=1e-5)
    assert components["vendi"] == components["effective_rank_uncentered"]
    assert components["mean_norm"] == pytest.approx(np.linalg.norm(x.mean(0)), rel=1e-5)


def test_components_of_one_image_are_none() -> None:
    components = get_diversity_components(np.eye(3)[:1])
    assert components.pop("images") == 1
    assert components.pop("dimension") == 3
    assert set(components.values()) == {None}


def test_a_folder_scores_as_its_embeddings_do(tmp_path: Path, model: MeanColor) -> None:
    write_images(tmp_path / "a" / "b", {"1.png": "red", "2.JPG": "green"})
    write_images(tmp_path, {"3.webp": "blue", "0.bmp": "white"})
    (tmp_path / "0.bmp").rename(tmp_path / "0.bmp_large")
    write_images(tmp_path / ".thumbnails", {"1.png": "black"})
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no more")
    (tmp_path / "empty.jpg").write_bytes(b"")
    result = evaluate_diversity(str(tmp_path))
    files = [tmp_path / "0.bmp_large", tmp_path / "3.webp", tmp_path / "a/b/1.png", tmp_path / "a/b/2.JPG"]
    expected = get_diversity_components(MeanColor().embed([Image.open(file).convert("RGB") for file in files]))
    assert result.pop("files") == 6
    assert result.pop("unreadable") == 2
    assert result.pop("model_id") == "mean_color@0/none"
    assert result == pytest.approx(expected)
    assert len(model.calls) == 1
    assert model.calls[0]["name"] == "auto"


def test_the_model_and_the_device_are_passed_on(tmp_path: Path, model: MeanColor) -> None:
    write_images(tmp_path, {"1.png": "red", "2.png": "green"})
    evaluate_diversity(tmp_path, model="sscd_disc_mixup", device="cuda:1")
    assert model.calls[0]["name"] == "sscd_disc_mixup"
    assert model.calls[0]["device"] == "cuda:1"


def test_images_stream_in_batches_of_bounded_size(
    tmp_path: Path, model: MeanColor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "BATCH_IMAGES", 3)
    write_images(tmp_path, {f"{i}.png": (i * 20, 10, 90) for i in range(7)})
    write_images(tmp_path, {"7.png": "red", "8.png": "blue"}, size=(10, 8))
    write_images(tmp_path, {"9.png": "red"}, size=(20, 20))
    result = evaluate_diversity(tmp_path, limits=DecodeLimits(max_pixels=100))
    assert model.batches == [[(6, 5)] * 3, [(6, 5)] * 3, [(6, 5)], [(10, 8)], [(10, 8)]]
    assert (result["files"], result["images"]) == (10, 9)
    assert result["unreadable"] == 1


def test_a_folder_that_cannot_be_scored_says_why(tmp_path: Path, model: MeanColor) -> None:
    with pytest.raises(VisdivError, match="missing is not a folder"):
        evaluate_diversity(tmp_path / "missing")
    with pytest.raises(VisdivError, match="holds no images"):
        evaluate_diversity(tmp_path)
    assert not model.calls
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(VisdivError, match=r"none of the 1 images .*broken\.png"):
        evaluate_diversity(tmp_path)


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = (
        "import sys, visdiv_assets.diversity;"
        "print({'torch', 'scipy', 'pyarrow', 'PIL', 'dagster', 'pydantic', 'pandas'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"
