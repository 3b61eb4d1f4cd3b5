"""One-call diversity of arrays, folders and lists of files, as a number that has its components."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visdiv_assets import embedding
from visdiv_assets.diversity import DiversityCalculator, evaluate_diversity, get_diversity_components
from visdiv_assets.embedding.extract import ImageEmbedder
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.conftest import ColorEmbedder
from visdiv_assets_tests.diversity.references import known, random_unit, scores_of

SCORES = ("effective_rank", "participation_ratio", "participation_ratio_unbiased", "score", "vendi", "mean_norm")


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments with which models are loaded; what is loaded needs no weights."""
    calls: list[dict[str, Any]] = []

    def load(name: str, **options: Any) -> ColorEmbedder:
        calls.append({"name": name, **options})
        return ColorEmbedder()

    monkeypatch.setattr(embedding, "load", load)
    return calls


def write_images(folder: Path, colors: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, color in colors.items():
        Image.new("RGB", (6, 5), color).save(folder / name)


def test_a_result_is_a_number_that_unpacks_and_has_both_kinds() -> None:
    x = random_unit(1, 30, 8, offset=0.5)
    found = get_diversity_components(x.astype(np.float32))
    rank, ratio = found
    for name in SCORES:
        assert getattr(found.centered, name) == pytest.approx(getattr(scores_of(x), name), rel=1e-5)
        assert getattr(found.uncentered, name) == pytest.approx(getattr(scores_of(x, centered=False), name), rel=1e-5)
    assert (rank, ratio, float(found)) == (found.effective_rank, found.participation_ratio, found.score)
    assert f"{found:.3f}" == f"{math.sqrt(rank * ratio) / 8:.3f}"
    assert found > 0.1
    assert (found.images, found.dimension, found.too_few) == (30, 8, False)
    assert get_diversity_components(x[:15]).too_few


def test_a_result_survives_pickling() -> None:
    found = get_diversity_components(random_unit(1, 30, 8))
    again = pickle.loads(pickle.dumps(found))
    assert (again, again.centered, again.uncentered) == (found, found.centered, found.uncentered)
    assert repr(again) == repr(found)


def test_one_image_has_no_score() -> None:
    found = get_diversity_components(np.eye(3)[:1])
    assert [math.isnan(value) for value in (found, *found)] == [True] * 3
    assert (found.images, found.score, found.vendi, f"{found:.2f}") == (1, None, None, "nan")


def test_rows_are_scaled_only_if_asked() -> None:
    x = random_unit(2, 40, 6) * np.linspace(0.1, 10, 40)[:, np.newaxis] + 0.3
    plain = np.linalg.eigvalsh(np.cov(x, rowvar=False))
    shares = plain / plain.sum()
    expected = (math.exp(-float(shares @ np.log(shares))), 1 / float(shares @ shares))
    found = get_diversity_components(x)
    assert tuple(found) == pytest.approx(expected)
    assert found.vendi is None
    scaled = get_diversity_components(x, normalize=True)
    assert scaled.centered == scores_of(x)
    assert DiversityCalculator(normalize=True).calculate(x) == scaled
    assert DiversityCalculator().calculate(x) == found
    assert abs(float(scaled) - float(found)) > 0.01


def test_rounded_unit_vectors_count_as_unit_vectors() -> None:
    x = random_unit(3, 50, 16)
    rounded = get_diversity_components(x.astype(np.float16))
    assert known(rounded.vendi) == pytest.approx(known(get_diversity_components(x).vendi), rel=1e-3)
    x[7] *= 1.002
    assert get_diversity_components(x).vendi is None


@pytest.mark.parametrize("kind", ["list", "float32", "bfloat16"])
def test_lists_and_tensors_score_as_arrays(kind: str) -> None:
    torch = pytest.importorskip("torch")
    x = random_unit(4, 20, 5)
    tensor = torch.tensor(x, dtype=getattr(torch, kind, torch.float32), requires_grad=True)
    found = get_diversity_components(x.tolist() if kind == "list" else tensor, normalize=True)
    assert float(found) == pytest.approx(scores_of(x).score, rel=1e-2 if kind == "bfloat16" else 1e-5)


def test_a_folder_scores_as_its_embeddings_do(tmp_path: Path, loads: list[dict[str, Any]]) -> None:
    write_images(tmp_path, {"1.png": "red", "2.JPG": "green", "3.webp": "blue"})
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    found = evaluate_diversity(str(tmp_path), device="cuda:1", batch_size=3, model="sscd_disc_mixup", progress=False)
    paths = [tmp_path / name for name in ("1.png", "2.JPG", "3.webp")]
    expected = ColorEmbedder().embed([Image.open(path).convert("RGB") for path in paths])
    assert tuple(found) == pytest.approx(tuple(get_diversity_components(expected)))
    assert (found.files, found.images, found.model_id) == (4, 3, "color@000000000000/skew_320")
    assert [(file.path, file.status) for file in found.unreadable] == [(tmp_path / "broken.png", "truncated")]
    assert [(call["name"], call["device"], call["batch_size"]) for call in loads] == [("sscd_disc_mixup", "cuda:1", 3)]
    assert evaluate_diversity(paths, progress=False) == found


def test_a_loaded_model_is_used_again(tmp_path: Path, loads: list[dict[str, Any]]) -> None:
    write_images(tmp_path, {"1.png": "red", "2.png": "green"})
    model = ColorEmbedder()
    of_model = ImageEmbedder(model)
    assert evaluate_diversity(tmp_path, of_model) == evaluate_diversity(tmp_path, of_model)
    assert model.embedded == 4
    assert not loads


def test_a_folder_that_cannot_be_scored_says_why(tmp_path: Path, loads: list[dict[str, Any]]) -> None:
    with pytest.raises(VisdivError, match="missing is not a folder"):
        evaluate_diversity(tmp_path / "missing")
    with pytest.raises(VisdivError, match="holds no images"):
        evaluate_diversity(tmp_path)
    with pytest.raises(VisdivError, match="there are no images"):
        evaluate_diversity([])
    assert not loads
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(VisdivError, match=r"none of the 1 images can be read; .*broken\.png: not_an_image"):
        evaluate_diversity(tmp_path, progress=False)


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = (
        "import sys, visdiv_assets.diversity;"
        "print({'torch', 'scipy', 'pyarrow', 'PIL', 'dagster', 'pydantic', 'pandas'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"
